package main

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
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

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
	Connection  *api.Connection  `json:"connection,omitempty"` // the server on this machine, where login connected it
}

func (r loginResult) table(w io.Writer) {
	_, _ = fmt.Fprintf(w, "Logged in to %s as %s\n", r.CloudURL, bridge.Printable(whoIs(r.Email, r.ServiceName, r.Role, r.Org)))
}

func (r loginResult) connected(w io.Writer) {
	if r.Connection != nil {
		_, _ = fmt.Fprintln(w, connectedLine(*r.Connection))
	}
}

// whoIs names a person by e-mail address, role and organization, or the holder of an organization's API key.
func whoIs(email, service, role, org string) string {
	if email == "" {
		return fmt.Sprintf("%s (an API key of %s)", service, org)
	}
	return fmt.Sprintf("%s (%s of %s)", email, role, org)
}

const loginLong = `Log in to the cloud.

  ace login                       with a code that you confirm in a browser, on this machine or another
  ace login --browser             in the browser of this machine
  ace login --email a@b.c --password-stdin [--otp 123456]
  ace login pat --token -         with a personal access token
  ace login api-key --name N --secret -

--env HOST says at which cloud; its endpoints are discovered from there. With --non-interactive, where CI is set and where there
is no terminal, nothing is begun: the command succeeds when there is a session that the cloud accepts, and exits with 4 when
there is none. --no-browser, --browser and --qr begin a login without a terminal, too; where CI is set, only on one.`

// canBegin reports whether somebody may be there to confirm a login in a browser.
func (a *app) canBegin(o loginOptions) bool {
	asked := o.noBrowser || o.browser || o.qr
	terminal := term.IsTerminal(a.Term.Err)
	switch {
	case a.Term.NonInteractive:
		return false
	case term.InCI():
		return asked && terminal
	}
	return asked || terminal
}

func (a *app) loginCommand() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{Use: "login", Short: "Log in to the cloud with a code that you confirm in a browser", Long: loginLong,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			switch {
			case o.email != "":
				return a.runPasswordLogin(cmd.Context(), o)
			case !a.canBegin(o):
				return a.runGuard(cmd.Context())
			}
			return a.runLogin(cmd.Context(), o)
		}}
	f := cmd.Flags()
	f.BoolVar(&o.force, "force", false, "replace a session that is still good")
	f.BoolVar(&o.browser, "browser", false, "log in in the browser of this machine, without a code")
	f.BoolVar(&o.noBrowser, "no-browser", false, "do not open a browser")
	f.BoolVar(&o.qr, "qr", false, "show the page's address as a QR code too")
	f.BoolVar(&o.noConnect, "no-connect", false, "do not connect a server on this machine")
	f.StringVar(&o.email, "email", "", "log in with this e-mail address and a password")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from stdin")
	f.StringVar(&o.otp, "otp", "", "the code of your authenticator app, or a recovery code: `-` for stdin, file:PATH, or a literal")
	cmd.AddCommand(a.loginPATCommand(), a.loginKeyCommand())
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
		return term.Usage("--email is another way to log in than --browser and --qr; take one")
	case o.browser && o.qr:
		return term.Usage("--qr is for another device, and --browser for this one; take one")
	}
	return nil
}

func (a *app) runLogin(ctx context.Context, o loginOptions) error {
	st, sel, err := a.Profiles.Selected()
	if err != nil {
		return err
	}
	if !o.force {
		if err := a.refuseSecondLogin(ctx, st, sel); err != nil {
			return err
		}
	}
	cloud, found, err := a.discover(ctx, sel.Cloud)
	if err != nil {
		return err
	}
	var token api.TokenAnswer
	method := profile.MethodDevice
	if o.browser {
		method = profile.MethodCode
		token, err = a.browserLogin(ctx, cloud, found, !o.noBrowser)
	} else {
		token, err = a.deviceLogin(ctx, cloud, o)
	}
	if err != nil {
		return err
	}
	s := profile.NewSession(method, token, time.Now())
	s.KeepEndpoints(sel.Cloud, found)
	return a.admit(ctx, st, sel, s, !o.noConnect)
}

// admit is the end of every login: the cloud is asked who the credential is, and only then it is stored.
func (a *app) admit(ctx context.Context, st *profile.Store, sel profile.Selection, s profile.Session, connect bool) error {
	me, err := a.Profiles.CloudAt(sel.Cloud, s).Me(ctx)
	if err != nil {
		return err
	}
	return a.settle(ctx, st, sel, s, me, connect)
}

// settle stores a session that the cloud has accepted, and says so.
func (a *app) settle(ctx context.Context, st *profile.Store, sel profile.Selection, s profile.Session, me api.Me, connect bool) error {
	replaced, err := a.Profiles.Keep(ctx, st, sel, s, me)
	if err != nil {
		return err
	}
	a.endReplaced(ctx, sel, s, replaced)
	r := loginResult{Profile: sel.Name, CloudURL: sel.Cloud, Email: me.Email, Org: me.Org, Role: me.Role, Method: s.Method,
		KeyID: s.KeyID, ServiceName: s.ServiceName, ExpiresAt: profile.SessionEnd(s)}
	told := r.table
	if a.Term.Output == term.OutputTable { // at once: what follows takes its time, and has things of its own to say
		if err := a.Term.Print(r, told); err != nil {
			return err
		}
		told = func(w io.Writer) { r.connected(w) }
	}
	if connect {
		r.Connection = a.connectLocal(ctx, &profile.Login{Selection: sel, Store: st, Bearer: s.AccessToken.Secret, Source: profile.SourceProfile,
			Session: s, Service: s.ServiceName}, me)
	}
	if g, err := profile.FromEnv(); err == nil && g.Source != "" {
		a.Term.Note("%s is set and counts before this session: unset it to use the session.", g.Source)
	}
	return a.Term.Print(r, told)
}

// runGuard is for scripts: it begins no login, and succeeds when the cloud accepts what there is.
func (a *app) runGuard(ctx context.Context) error {
	l, me, err := a.Profiles.WhoAmI(ctx)
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
	return a.Term.Print(r, r.table)
}

// commandOf is the hint that is such a command, with the flags that it needs, or the command alone.
func commandOf(hint, command string) string {
	if strings.HasPrefix(hint, command) {
		return hint
	}
	return command
}

// refuseSecondLogin holds that a profile has one session. Whether the stored one is good is the cloud's to say.
func (a *app) refuseSecondLogin(ctx context.Context, st *profile.Store, sel profile.Selection) error {
	sessions, _, err := st.Sessions(ctx)
	if err != nil {
		return err
	}
	s, ok := sessions[sel.Name]
	if !ok {
		return nil
	}
	if !s.Good() {
		s, err = a.Profiles.Renew(ctx, st, sel, bridge.Secret{})
	}
	if err == nil {
		var me api.Me
		me, err = a.Profiles.CloudAt(sel.Cloud, s).Me(ctx)
		if err == nil {
			return bridge.E(bridge.Conflict, bridge.CodeAlreadyLoggedIn, "You are already logged in to %s as %s", sel.Cloud,
				whoIs(me.Email, s.ServiceName, me.Role, me.Org)).WithHint("ace logout first, or log in with --force")
		}
	}
	if bridge.AsError(err).Kind == bridge.Unauthenticated {
		return nil
	}
	return err
}

// endReplaced ends the session that a new one took the place of, if ace had opened it: what was pasted may be in use
// elsewhere. That the cloud cannot be reached is no failure of the login, since the session ends by itself.
func (a *app) endReplaced(ctx context.Context, sel profile.Selection, now, before profile.Session) {
	if sel.Profile != nil && !before.AccessToken.Equal(now.AccessToken.Secret) {
		switch before.Method {
		case profile.MethodDevice, profile.MethodCode, profile.MethodPassword:
			_ = a.Profiles.EndAtCloud(ctx, sel.Profile.CloudURL, before)
		}
	}
}
