package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/preview"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Group builds the commands about the session. Its fields are everything they may use.
type Group struct {
	Term     *term.Terminal    // required
	Profiles *profile.Profiles // required
}

// Command returns `ace auth` with its commands, the given logins among them.
func (g *Group) Command(logins ...*cobra.Command) *cobra.Command {
	cmd := cmdline.Group(&cobra.Command{Use: "auth", Short: "Manage your session and profiles; more ways to log in"})
	cmd.AddCommand(logins...)
	cmd.AddCommand(g.meCommand(), g.addressCommand(), g.statusCommand(), g.switchCommand(), g.listCommand(), g.tokenCommand(), g.LogoutCommand())
	return cmd
}

// slimProfile is all that `ace auth me` shows of a person.
type slimProfile struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Country  string `json:"country"`
	Currency string `json:"currency"`
}

func (g *Group) meCommand() *cobra.Command {
	return &cobra.Command{Use: "me", Short: "Show who you are: name, e-mail address, country and currency", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, me, err := g.Profiles.WhoAmI(cmd.Context())
			if err != nil {
				return err
			}
			p := slimProfile{Name: me.Name, Email: me.Email, Country: me.Country, Currency: me.Currency}
			return g.Term.Print(p, func(w io.Writer) {
				term.Row(w, "Name", p.Name)
				term.Row(w, "Email", p.Email)
				term.Row(w, "Country", p.Country)
				term.Row(w, "Currency", p.Currency)
			})
		}}
}

type tokenResult struct {
	Token     bridge.Disclosed `json:"token"`
	ExpiresAt *time.Time       `json:"expires_at"`
}

func (g *Group) tokenCommand() *cobra.Command {
	return &cobra.Command{Use: "token", Short: "Print a valid session token, or the API key that you are logged in with", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := g.Profiles.Login(cmd.Context())
			if err != nil {
				return err
			}
			r := tokenResult{Token: l.Bearer.Disclose()}
			if l.Source == profile.SourceProfile && !l.Session.ExpiresAt.IsZero() {
				r.ExpiresAt = &l.Session.ExpiresAt
			}
			return g.Term.Print(r, func(w io.Writer) { _, _ = fmt.Fprintln(w, l.Bearer.Reveal()) })
		}}
}

// LogoutCommand returns `ace logout`.
func (g *Group) LogoutCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "logout", Short: "End the session at the cloud and remove it from this machine", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runLogout(cmd.Context(), yes) }}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before ending a developer token")
	return cmd
}

type logoutResult struct {
	Profile string `json:"profile"`
	Ended   bool   `json:"ended"` // at the cloud as well
}

func (g *Group) runLogout(ctx context.Context, yes bool) error {
	st, sel, err := g.Profiles.Selected()
	if err != nil {
		return err
	}
	sessions, _, readErr := st.Sessions(ctx)
	s, ok := sessions[sel.Name]
	if readErr == nil && !ok {
		return profile.NotLoggedIn(sel)
	}
	r := logoutResult{Profile: sel.Name}
	switch {
	case readErr != nil:
		g.Term.Note("The stored session cannot be read. It is removed from this machine; at the cloud it expires by itself.")
	case s.IsKey():
		g.Term.Note("The API key is removed from this machine but stays valid. To revoke it, log in as somebody who may: %s; then: ace api-key revoke %s --cloud", sel.Login("ace login"), bridge.Printable(s.KeyID))
	default:
		if s.Method == profile.MethodDeveloperToken {
			if err := preview.Agree(g.Term, yes, preview.Effects{Ends: []string{"the developer token, wherever it is used"}}, "Log out?"); err != nil {
				return err
			}
		}
		err := g.Profiles.EndAtCloud(ctx, sel.Cloud, s)
		if errors.Is(err, context.Canceled) {
			return err
		}
		if r.Ended = err == nil; err != nil {
			g.Term.Note("The session is removed from this machine, but the cloud could not be told: %s. At the cloud it expires by itself (%s).",
				term.PrintableLines(term.Explain(err).Detail), term.When(profile.SessionEnd(s)))
		}
	}
	if err := g.Profiles.Forget(ctx, st, sel); err != nil {
		return err
	}
	return g.Term.Print(r, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Logged out of %s\n", sel.Cloud) })
}
