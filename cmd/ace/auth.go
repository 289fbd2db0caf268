package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func (a *app) authCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "auth", Short: "The session: who you are, its token, other ways in"})
	cmd.AddCommand(a.loginCommand(), a.loginTokenCommand(), a.meCommand(), a.statusCommand(), a.tokenCommand(), a.logoutCommand())
	return cmd
}

func (a *app) loginTokenCommand() *cobra.Command {
	var value string
	cmd := &cobra.Command{Use: "login-token", Short: "Log in with a developer token from the dashboard's settings", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if value == "" {
				return usage("%s needs --token", cmd.CommandPath()).WithHint("make one on the dashboard's settings page")
			}
			token, err := a.secretFlag("--token", value)
			if err != nil {
				return err
			}
			return a.runLoginToken(cmd.Context(), token)
		}}
	cmd.Flags().StringVar(&value, "token", "", "the token: `-` for stdin, file:PATH, or a literal")
	return cmd
}

func (a *app) runLoginToken(ctx context.Context, token bridge.Secret) error {
	st, sel, err := a.selected()
	if err != nil {
		return err
	}
	me, err := api.NewCloudClient(sel.cloud, token, a.clientConfig()).Me(ctx)
	if err != nil {
		if iss := peek(token).Issuer; bridge.AsError(err).Kind == bridge.Unauthenticated && iss != "" && iss != string(sel.cloud) {
			return bridge.E(bridge.Unauthenticated, "token_other_cloud", "the token is from %s, not from %s", printable(iss), sel.cloud).
				WithHint("if you trust that cloud: ace auth login-token --env %s --token …", printable(iss))
		}
		return err
	}
	s := session{Method: methodDeveloperToken, AccessToken: token.Disclose(), ExpiresAt: time.Now().Add(100 * 365 * 24 * time.Hour)}
	if me.ExpiresAt != nil {
		s.ExpiresAt = *me.ExpiresAt
	} else if exp := peek(token).ExpiresAt; exp > 0 {
		s.ExpiresAt = time.Unix(exp, 0).UTC()
	}
	replaced, err := a.keep(ctx, st, sel, s, me)
	if err != nil {
		return err
	}
	a.endReplaced(ctx, sel, replaced)
	r := loginResult{Profile: sel.name, CloudURL: sel.cloud, Email: me.Email, Org: me.Org, Role: me.Role,
		Method: s.Method, ExpiresAt: sessionEnd(s)}
	return a.print(r, r.table)
}

func (a *app) meCommand() *cobra.Command {
	return &cobra.Command{Use: "me", Short: "Ask the cloud who you are", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, cloud, err := a.loggedIn(cmd.Context())
			if err != nil {
				return err
			}
			me, err := cloud.Me(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(me, func(w io.Writer) {
				row(w, "Email", me.Email)
				row(w, "Name", me.Name)
				row(w, "Organization", me.Org)
				row(w, "Role", me.Role)
				row(w, "Method", me.Method)
				row(w, "Expires", when(me.ExpiresAt))
			})
		}}
}

// statusResult says what a command would work with, and what was set and does not count.
type statusResult struct {
	LoggedIn  bool             `json:"logged_in"`
	Profile   string           `json:"profile"`
	Because   string           `json:"because"`
	CloudURL  bridge.ServerURL `json:"cloud_url"`
	Source    string           `json:"source,omitempty"`
	Email     string           `json:"email,omitempty"`
	Org       string           `json:"org,omitempty"`
	Role      string           `json:"role,omitempty"`
	Method    string           `json:"method,omitempty"`
	ExpiresAt *time.Time       `json:"expires_at"`
	KeyIn     string           `json:"key_in,omitempty"`
	Ignored   []string         `json:"ignored"`
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Say which profile and credential count, and what is ignored", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runStatus(cmd.Context()) }}
}

func (a *app) runStatus(ctx context.Context) error {
	_, sel, err := a.selected()
	if err != nil {
		return err
	}
	l, loginErr := a.login(ctx)
	if loginErr != nil && bridge.AsError(loginErr).Kind != bridge.Unauthenticated {
		return loginErr
	}
	r := statusResult{Profile: sel.name, Because: sel.why, CloudURL: sel.cloud, Ignored: sel.ignored}
	if l != nil && loginErr == nil {
		r.LoggedIn, r.Source, r.Ignored = true, l.source, l.ignored
		if l.source == "profile" {
			r.Method, r.ExpiresAt, r.KeyIn = l.session.Method, sessionEnd(l.session), keyPlace(l.place)
			if p := sel.profile; p != nil {
				r.Email, r.Org, r.Role = p.Email, p.Org, p.Role
			}
		}
	}
	if r.Ignored == nil {
		r.Ignored = []string{}
	}
	if err := a.print(r, r.table); err != nil {
		return err
	}
	return loginErr
}

func (r statusResult) table(w io.Writer) {
	row(w, "Profile", r.Profile+" ("+r.Because+")")
	row(w, "Cloud", string(r.CloudURL))
	switch {
	case !r.LoggedIn:
		row(w, "Logged in", "no")
	case r.Source != "profile":
		row(w, "Logged in", "with "+r.Source)
	default:
		row(w, "Logged in", "as "+r.Email+", "+r.Role+" of "+r.Org)
		row(w, "Method", r.Method)
		row(w, "Until", when(r.ExpiresAt))
		row(w, "Stored under", "a key in "+r.KeyIn)
	}
	for _, line := range r.Ignored {
		row(w, "Ignored", line)
	}
}

type tokenResult struct {
	Token     bridge.Disclosed `json:"token"`
	ExpiresAt *time.Time       `json:"expires_at"`
}

func (a *app) tokenCommand() *cobra.Command {
	return &cobra.Command{Use: "token", Short: "Print a session token that is good now", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := a.login(cmd.Context())
			if err != nil {
				return err
			}
			r := tokenResult{Token: l.bearer.Disclose()}
			if l.source == "profile" {
				r.ExpiresAt = &l.session.ExpiresAt
			}
			return a.print(r, func(w io.Writer) { _, _ = fmt.Fprintln(w, l.bearer.Reveal()) })
		}}
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{Use: "logout", Short: "End the session", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runLogout(cmd.Context()) }}
}

type logoutResult struct {
	Profile string `json:"profile"`
	Ended   bool   `json:"ended"` // at the cloud too
}

func (a *app) runLogout(ctx context.Context) error {
	st, sel, err := a.selected()
	if err != nil {
		return err
	}
	sessions, _, readErr := st.sessions(ctx)
	s, ok := sessions[sel.name]
	if readErr == nil && !ok {
		return notLoggedIn(sel)
	}
	r := logoutResult{Profile: sel.name}
	switch {
	case readErr != nil:
		a.note("The stored session cannot be read, so it is removed here and ends by itself at the cloud.")
	case s.RefreshToken.IsZero():
		a.note("The developer token is removed here; it stays good until %s.", when(&s.ExpiresAt))
	default:
		err := api.NewCloudClient(sel.cloud, bridge.Secret{}, a.clientConfig()).RevokeToken(ctx, s.RefreshToken.Secret)
		if errors.Is(err, context.Canceled) {
			return err
		}
		if r.Ended = err == nil; err != nil {
			a.note("The session is removed here, but %s: there it ends by itself.", strings.TrimPrefix(explain(err).Detail, "ace: "))
		}
	}
	if err := a.forget(ctx, st, sel); err != nil {
		return err
	}
	return a.print(r, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Logged out of %s\n", sel.cloud) })
}
