package main

import (
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
)

func (a *app) whyCommand() *cobra.Command {
	var o apiKeyOptions
	return o.serverFlags(&cobra.Command{Use: "why REQUEST-ID", Short: "Say why a server refused a request",
		Long: `Say why a server refused a request: expired, revoked, from a wrong address, or which scope was missing by which rule.

The caller of a refused request is told no more than that it was refused. The request ID is in the header X-Request-Id of
the answer. It takes the scope audit:read: see ace api-key --help for how the server is asked.`,
		Args: someArgs(1, 1, "request ID (of the header X-Request-Id)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.serverClient(cmd.Context(), o)
			if err != nil {
				return err
			}
			r, err := client.Refusal(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				row(w, "Why", r.Detail)
				row(w, "Cause", r.Cause)
				if r.Scope != "" {
					row(w, "Missing scope", r.Scope)
				}
				if r.LimitedBy != "" {
					row(w, "Limited by", r.LimitedBy)
				}
				if r.Hint != "" {
					row(w, "Fix", a.asTyped(aimed(r.Hint, serverFlags(client.Base(), o.token != ""))))
				}
				if r.Status != 0 {
					row(w, "Answer", strconv.Itoa(r.Status)+" "+r.Code)
				} else {
					row(w, "Answer", r.Code)
				}
				row(w, "Request", r.Method+" "+r.Path)
				row(w, "Key", r.KeyID)
				row(w, "Subject", r.Subject)
				row(w, "From", r.Address)
				row(w, "When", when(&r.At))
			})
		}}, bridge.DefaultServerURL)
}
