package login

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/connector"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Group builds the commands that log in. Its fields are everything they may use.
type Group struct {
	Term      *term.Terminal       // required
	Profiles  *profile.Profiles    // required
	Connector *connector.Connector // required: connects the server on this machine after a login
}

// Commands returns the logins of `ace auth`: login, login-token and login-api-key.
func (g *Group) Commands() []*cobra.Command {
	return []*cobra.Command{g.Command(), g.loginTokenCommand(), g.authKeyCommand()}
}

type loginOptions struct {
	force, noBrowser, noConnect, browser, qr, passwordStdin bool

	email, otp string
}

// loginResult is what login prints.
type loginResult struct {
	Profile     string           `json:"profile"`
	CloudURL    bridge.ServerURL `json:"cloud_url"`
	Email       string           `json:"email"`
	Org         string           `json:"org"`
	Role        string           `json:"role"`
	Method      string           `json:"method"`
	KeyID       string           `json:"key_id,omitempty"`
	ServiceName string           `json:"service_name,omitempty"`
	ExpiresAt   *time.Time       `json:"expires_at"`
	Connection  *api.Connection  `json:"connection,omitempty"` // of the server on this machine, if login connected it
}

func (r loginResult) table(w io.Writer) {
	_, _ = fmt.Fprintf(w, "Logged in to %s as %s\n", r.CloudURL, bridge.Printable(profile.Holder(r.Email, r.ServiceName, r.Role, r.Org)))
}

// connected prints the connection that the login has made, if any.
func (r loginResult) connected(w io.Writer) {
	if r.Connection != nil {
		_, _ = fmt.Fprintln(w, connector.Connected(*r.Connection))
	}
}

const loginLong = `Log in to the cloud.

  ace login                       with a code that you confirm in a browser, on this machine or another
  ace login --browser             with this machine's browser, without a code
  ace login --email a@b.c --password-stdin [--otp 123456]
  ace login pat --token -         with a personal access token
  ace login api-key --name N --secret -

--env HOST chooses the cloud; its endpoints are discovered from there.

In a script, where there is no terminal, CI is set or --non-interactive is given, no login is started: the command succeeds if
the cloud accepts the session that there is, and otherwise exits with 4. With --no-browser, --browser or --qr a login is started
even without a terminal, or on a terminal even if CI is set.`

// canBegin reports whether somebody may be there to confirm a login.
func (g *Group) canBegin(o loginOptions) bool {
	asked := o.noBrowser || o.browser || o.qr
	terminal := term.IsTerminal(g.Term.Err)
	switch {
	case g.Term.NonInteractive:
		return false
	case term.InCI():
		return asked && terminal
	}
	return asked || terminal
}

// Command returns `ace login`.
func (g *Group) Command() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{Use: "login", Short: "Log in to the cloud with a code that you confirm in a browser", Long: loginLong,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			switch {
			case o.email != "":
				return g.runPasswordLogin(cmd.Context(), o)
			case !g.canBegin(o):
				return g.runGuard(cmd.Context())
			}
			return g.runLogin(cmd.Context(), o)
		}}
	f := cmd.Flags()
	f.BoolVar(&o.force, "force", false, "replace a session that is still valid")
	f.BoolVar(&o.browser, "browser", false, "log in with this machine's browser, without a code")
	f.BoolVar(&o.noBrowser, "no-browser", false, "do not open a browser")
	f.BoolVar(&o.qr, "qr", false, "also show the page's address as a QR code")
	f.BoolVar(&o.noConnect, "no-connect", false, "do not connect the server on this machine")
	f.StringVar(&o.email, "email", "", "log in with this e-mail address and a password")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from stdin")
	f.StringVar(&o.otp, "otp", "", "the `CODE` from your authenticator app, or a recovery code (literal, - for stdin, or file:PATH)")
	cmd.AddCommand(g.loginPATCommand(), g.loginKeyCommand())
	return cmd
}

// check refuses ways to log in that contradict each other.
func (o loginOptions) check() error {
	switch {
	case o.email == "" && o.passwordStdin:
		return term.Usage("--password-stdin needs --email")
	case o.email == "" && o.otp != "":
		return term.Usage("--otp needs --email")
	case o.email != "" && (o.browser || o.qr):
		return term.Usage("--email does not go with --browser or --qr: use one way to log in")
	case o.browser && o.qr:
		return term.Usage("--qr is for logging in on another device, --browser for this one: use one of them")
	}
	return nil
}

func (g *Group) runLogin(ctx context.Context, o loginOptions) error {
	st, sel, err := g.Profiles.Selected()
	if err != nil {
		return err
	}
	if !o.force {
		if err := g.requireNoLogin(ctx, st, sel); err != nil {
			return err
		}
	}
	cloud, found, err := g.discover(ctx, sel.Cloud)
	if err != nil {
		return err
	}
	var token api.TokenAnswer
	method := profile.MethodDevice
	if o.browser {
		method = profile.MethodCode
		token, err = g.browserLogin(ctx, cloud, found, !o.noBrowser)
	} else {
		token, err = g.deviceLogin(ctx, cloud, o)
	}
	if err != nil {
		return err
	}
	s := profile.NewSession(method, token, time.Now())
	s.KeepEndpoints(sel.Cloud, found)
	return g.admit(ctx, st, sel, s, !o.noConnect)
}

// admit asks the cloud whose session it is, and then stores it.
func (g *Group) admit(ctx context.Context, st *profile.Store, sel profile.Selection, s profile.Session, connect bool) error {
	me, err := g.Profiles.CloudAt(sel.Cloud, s).Me(ctx)
	if err != nil {
		return err
	}
	return g.settle(ctx, st, sel, s, me, connect)
}

// settle stores a session that the cloud has accepted, and says so.
func (g *Group) settle(ctx context.Context, st *profile.Store, sel profile.Selection, s profile.Session, me api.Me, connect bool) error {
	replaced, err := g.Profiles.Keep(ctx, st, sel, s, me)
	if err != nil {
		return err
	}
	g.endReplaced(ctx, sel, s, replaced)
	r := loginResult{Profile: sel.Name, CloudURL: sel.Cloud, Email: me.Email, Org: me.Org, Role: me.Role, Method: s.Method,
		KeyID: s.KeyID, ServiceName: s.ServiceName, ExpiresAt: profile.SessionEnd(s)}
	told := r.table
	if g.Term.Output == term.OutputTable { // at once: connecting takes its time and prints notes of its own
		if err := g.Term.Print(r, told); err != nil {
			return err
		}
		told = func(w io.Writer) { r.connected(w) }
	}
	if connect {
		r.Connection = g.Connector.Local(ctx, &profile.Login{Selection: sel, Store: st, Bearer: s.AccessToken.Secret, Source: profile.SourceProfile,
			Session: s, Service: s.ServiceName}, me)
	}
	if env, err := profile.FromEnv(); err == nil && env.Source != "" {
		g.Term.Note("%s is set and takes precedence over this session: unset it to use the session.", env.Source)
	}
	return g.Term.Print(r, told)
}

// runGuard is `ace login` in a script. It begins no login, and succeeds if the cloud accepts the credential there is.
func (g *Group) runGuard(ctx context.Context) error {
	l, me, err := g.Profiles.WhoAmI(ctx)
	if e := bridge.AsError(err); err != nil && e.Kind == bridge.Unauthenticated && (l == nil || l.Source == profile.SourceProfile) {
		return e.WithHint("set ACE_KEY to an API key or token, or %s together, or ACE_TOKEN; or on a terminal: %s",
			strings.Join(profile.Trio[:], ", "), commandOf(e.Hint, "ace login"))
	}
	if err != nil {
		return err
	}
	r := loginResult{Profile: l.Name, CloudURL: l.Cloud, Email: me.Email, Org: me.Org, Role: me.Role, Method: me.Method,
		KeyID: me.KeyID, ServiceName: l.Service, ExpiresAt: me.ExpiresAt}
	if l.Source == profile.SourceProfile {
		r.Method, r.ExpiresAt = l.Session.Method, profile.SessionEnd(l.Session)
	}
	if r.ServiceName == "" {
		r.ServiceName = me.Name
	}
	return g.Term.Print(r, r.table)
}

// commandOf returns the hint if it is that command, else the command. The hint may have flags that are needed.
func commandOf(hint, command string) string {
	if strings.HasPrefix(hint, command) {
		return hint
	}
	return command
}

// requireNoLogin fails if the cloud still accepts the profile's session.
func (g *Group) requireNoLogin(ctx context.Context, st *profile.Store, sel profile.Selection) error {
	sessions, _, err := st.Sessions(ctx)
	if err != nil {
		return err
	}
	s, ok := sessions[sel.Name]
	if !ok {
		return nil
	}
	if !s.Good() {
		s, err = g.Profiles.Renew(ctx, st, sel, bridge.Secret{})
	}
	if err == nil {
		var me api.Me
		me, err = g.Profiles.CloudAt(sel.Cloud, s).Me(ctx)
		if err == nil {
			return bridge.E(bridge.Conflict, bridge.CodeAlreadyLoggedIn, "You are already logged in to %s as %s", sel.Cloud,
				profile.Holder(me.Email, s.ServiceName, me.Role, me.Org)).WithHint("ace logout first, or log in with --force")
		}
	}
	if bridge.AsError(err).Kind == bridge.Unauthenticated {
		return nil
	}
	return err
}

// endReplaced ends the session that was replaced, if ace had opened it. A pasted one may be in use elsewhere. If the cloud cannot
// be reached, the login is good all the same: the old session ends by itself.
func (g *Group) endReplaced(ctx context.Context, sel profile.Selection, now, before profile.Session) {
	if sel.Profile != nil && !before.AccessToken.Equal(now.AccessToken.Secret) {
		switch before.Method {
		case profile.MethodDevice, profile.MethodCode, profile.MethodPassword:
			_ = g.Profiles.EndAtCloud(ctx, sel.Profile.CloudURL, before)
		}
	}
}
