package keys

import (
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (g *Group) whyCommand() *cobra.Command {
	var o target.Options
	return o.ServerFlags(&cobra.Command{Use: "why REQUEST-ID", Short: "Explain why a server refused a request",
		Long: `Explain why a server refused a request: the key had expired or was revoked, the address was not allowed, or a scope was missing,
and which rule asked for it.

The caller of a refused request learns no more than that it was refused. The request ID is in the response header X-Request-Id. You
need the scope audit:read; ace api-key --help says which credential is used.`,
		Args: cmdline.SomeArgs(1, 1, "request ID (from the header X-Request-Id)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := g.Target.Server(cmd.Context(), o)
			if err != nil {
				return err
			}
			r, err := client.Refusal(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return g.Term.Print(r, func(w io.Writer) {
				term.Row(w, "Why", r.Detail)
				term.Row(w, "Cause", string(r.Cause))
				if r.Scope != "" {
					term.Row(w, "Missing scope", r.Scope)
				}
				if r.LimitedBy != "" {
					term.Row(w, "Limited by", r.LimitedBy)
				}
				if r.Hint != "" {
					term.Row(w, "Fix", g.Term.AsTyped(target.Aim(r.Hint, client.Base(), o.Token != "")))
				}
				if r.Status != 0 {
					term.Row(w, "Answer", strconv.Itoa(r.Status)+" "+string(r.Code))
				} else {
					term.Row(w, "Answer", string(r.Code))
				}
				term.Row(w, "Request", r.Method+" "+r.Path)
				term.Row(w, "Key", r.KeyID)
				term.Row(w, "Subject", r.Subject)
				term.Row(w, "From", r.Address)
				term.Row(w, "When", term.When(&r.At))
			})
		}}, bridge.DefaultServerURL)
}
