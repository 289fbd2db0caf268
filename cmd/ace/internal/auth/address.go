package auth

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

type addressOptions struct {
	otp                   string
	passwordStdin, cancel bool
}

type addressResult struct {
	Email     string     `json:"email"`
	Pending   string     `json:"pending,omitempty"` // the address that waits for its confirmation
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func (g *Group) addressCommand() *cobra.Command {
	var o addressOptions
	cmd := &cobra.Command{Use: "address [NEW]", Short: "Show the e-mail address of your account, or change it", Args: cmdline.SomeArgs(0, 1, "address"),
		Long: `Show the e-mail address of your account, or change it.

A link is mailed to the new address, and a notice to the old one. Confirming the link ends all your sessions, your personal access
tokens and the keys that you made on servers; then log in again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && o.cancel:
				return term.Usage("%s takes an address or --cancel, not both", cmd.CommandPath())
			case len(args) == 1:
				return g.changeAddress(cmd.Context(), args[0], o)
			case o.otp != "" || o.passwordStdin:
				return term.Usage("%s: --otp and --password-stdin only go with a new address", cmd.CommandPath())
			}
			return g.showAddress(cmd.Context(), o.cancel)
		}}
	f := cmd.Flags()
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read your password from stdin")
	f.StringVar(&o.otp, "otp", "", "the `CODE` from your authenticator app, or a recovery code (literal, - for stdin, or file:PATH)")
	f.BoolVar(&o.cancel, "cancel", false, "cancel the change that is waiting for confirmation")
	return cmd
}

func (g *Group) showAddress(ctx context.Context, cancel bool) error {
	l, me, err := g.Profiles.WhoAmI(ctx)
	if err != nil {
		return err
	}
	cloud := g.Profiles.CloudOf(l)
	if cancel {
		if err := cloud.CancelAddress(ctx); err != nil {
			return err
		}
		return g.printAddress(addressResult{Email: me.Email})
	}
	r := addressResult{Email: me.Email}
	pending, err := cloud.PendingAddress(ctx)
	switch {
	case err == nil:
		r.Pending, r.ExpiresAt = pending.Email, &pending.ExpiresAt
	case bridge.CodeOf(err) != bridge.CodeAddressChangeUnknown:
		return err
	}
	return g.printAddress(r)
}

func (g *Group) changeAddress(ctx context.Context, address string, o addressOptions) error {
	if !o.passwordStdin && !g.Term.Interactive() {
		return term.InputNeeded("there is no terminal to ask for the password").WithHint("pass it on stdin with --password-stdin")
	}
	email, err := bridge.OutsideText(address)
	if err != nil {
		return term.Usage("the address: %w", err)
	}
	r := api.AddressRequest{Email: email}
	if o.otp != "" {
		otp, err := g.Term.SecretFlag("--otp", o.otp)
		if err != nil {
			return err
		}
		r.OTP = otp.Reveal()
	}
	l, me, err := g.Profiles.WhoAmI(ctx)
	if err != nil {
		return err
	}
	if r.Password, err = g.Term.Password(o.passwordStdin); err != nil {
		return err
	}
	cloud := g.Profiles.CloudOf(l)
	pending, err := cloud.RequestAddress(ctx, r)
	if bridge.CodeOf(err) == bridge.CodeOTPRequired && r.OTP == "" {
		if !g.Term.Interactive() {
			return term.InputNeeded("the account has a second factor").WithHint("pass the code from your authenticator app with --otp")
		}
		otp, askErr := g.Term.AskSecret("Code from your authenticator app")
		if askErr != nil {
			return askErr
		}
		r.OTP = otp.Reveal()
		pending, err = cloud.RequestAddress(ctx, r)
	}
	if err != nil {
		return err
	}
	g.Term.Note("A link was mailed to %s. Your address changes once you open the link and confirm it, which ends all your sessions.", bridge.Printable(pending.Email))
	return g.printAddress(addressResult{Email: me.Email, Pending: pending.Email, ExpiresAt: &pending.ExpiresAt})
}

func (g *Group) printAddress(r addressResult) error {
	return g.Term.Print(r, func(w io.Writer) {
		term.Row(w, "Email", r.Email)
		if r.Pending != "" {
			term.Row(w, "Pending", r.Pending+" (until "+term.When(r.ExpiresAt)+")")
		}
	})
}
