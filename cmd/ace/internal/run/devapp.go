package run

import (
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge/api/serving"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/sample"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// devAppCommand runs only the sample app. A server of one's own can then be put in front of it.
func (runner *Runner) devAppCommand() *cobra.Command {
	var addr string
	cmd := &cobra.Command{Use: "app", Short: "Run only the sample app, which shows the identity headers that it gets", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ln, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", addr)
			if err != nil {
				return term.Usage("--addr: %w", err)
			}
			runner.Term.Note("The sample app answers at http://%s", ln.Addr())
			return serving.Serve(cmd.Context(), ln, sample.App(), serving.Config{Log: slog.New(slog.DiscardHandler)})
		}}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "`HOST:PORT` to listen on")
	return cmd
}
