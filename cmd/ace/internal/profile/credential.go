package profile

import (
	"context"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// ClientConfig returns the settings for calls to clouds and servers.
func (ps *Profiles) ClientConfig() api.ClientConfig {
	return api.ClientConfig{UserAgent: "ace/" + ps.Version, Transport: ps.Term.Transport()}
}

// keyringGlance is how long the keyring may take during completion.
const keyringGlance = 250 * time.Millisecond

// present uses the stored session if it is still valid. Nothing is renewed.
func (l *Login) present(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keyringGlance)
	defer cancel()
	sessions, place, err := l.Store.Sessions(ctx)
	if err != nil {
		return err
	}
	s, ok := sessions[l.Name]
	if !ok || time.Until(s.ExpiresAt) <= 0 {
		return NotLoggedIn(l.Selection)
	}
	l.Bearer, l.Session, l.Place, l.Service = s.AccessToken.Secret, s, place, s.ServiceName
	return nil
}

// refreshEarly is how long before its end a session is renewed. It is longer than any one call takes.
const refreshEarly = 30 * time.Second

// Profiles chooses the profile and the credential of one command. Only Term must be set.
type Profiles struct {
	Term       *term.Terminal // required: shows progress; its Env and Profile are the flags
	Version    string         // of this program, for the User-Agent
	Completing bool           // a shell completes a command: nothing is asked, renewed or written

	ring *ring // the keyring, once the store has been opened
}

// Login is a command's credential, and where it came from.
type Login struct {
	Selection
	Store   *Store
	Bearer  bridge.Secret
	Source  string  // "ACE_KEY", "ACE_API_KEY_ID", "ACE_TOKEN", a flag, or SourceProfile
	Session Session // with SourceProfile
	Place   string  // where the key of the store is
	Service string  // the service that uses an API key
}

// OpenStore opens the store with the one keyring of this command.
func (ps *Profiles) OpenStore() (*Store, error) {
	st, err := OpenStore()
	if err != nil {
		return nil, err
	}
	if ps.ring == nil {
		ps.ring = st.ring
		ps.ring.say = ps.Term.Note
		if ps.Term.Interactive() {
			ps.ring.limit = keyringPatience
		}
	}
	st.ring = ps.ring
	return st, nil
}

// Selected chooses the profile. It needs no session.
func (ps *Profiles) Selected() (*Store, Selection, error) {
	st, err := ps.OpenStore()
	if err != nil {
		return nil, Selection{}, err
	}
	c, err := st.Config()
	if err != nil {
		return nil, Selection{}, err
	}
	sel, err := ps.selectProfile(c)
	if err != nil {
		return nil, Selection{}, err
	}
	sel, err = ps.newProfileCloud(sel)
	return st, sel, err
}

// NotLoggedIn is the error of a profile without a session.
func NotLoggedIn(s Selection) error {
	return bridge.E(bridge.Unauthenticated, bridge.CodeNotLoggedIn, "you are not logged in to %s", s.Cloud).WithHint("%s",
		s.Login("ace login"))
}

// Login finds the command's credential. It renews a session that is about to end.
func (ps *Profiles) Login(ctx context.Context) (*Login, error) {
	st, sel, err := ps.Selected()
	if err != nil {
		return nil, err
	}
	g, err := FromEnv()
	if err != nil {
		return nil, err
	}
	l := &Login{Selection: sel, Store: st, Bearer: g.Bearer, Source: g.Source, Service: g.Service}
	l.Ignored = append(l.Ignored, g.Ignored...)
	if l.Source != "" {
		if sel.Profile != nil && sel.Profile.Method != "" {
			l.Ignored = append(l.Ignored, "the session of the profile "+sel.Name+": "+l.Source+" takes precedence")
		}
		return l, nil
	}
	l.Source = SourceProfile
	if ps.Completing {
		return l, l.present(ctx)
	}
	sessions, place, err := st.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	s, ok := sessions[sel.Name]
	if !ok {
		return nil, NotLoggedIn(sel)
	}
	l.Place = place
	if !s.Good() {
		s, err = ps.Renew(ctx, st, sel, bridge.Secret{})
	}
	l.Bearer, l.Session, l.Service = s.AccessToken.Secret, s, s.ServiceName
	return l, err
}

// Renew refreshes a session under the lock. A token that was refused is renewed even if its time is not over. After waiting for
// the lock it reads the session again: a refresh token works once, and using the old one would end the session for everybody.
func (ps *Profiles) Renew(ctx context.Context, st *Store, sel Selection, refused bridge.Secret) (Session, error) {
	var out Session
	err := st.Locked(ctx, func() error {
		sessions, place, err := st.Sessions(ctx)
		if err != nil {
			return err
		}
		s, ok := sessions[sel.Name]
		switch {
		case !ok:
			return NotLoggedIn(sel)
		case s.Good() && !s.AccessToken.Equal(refused):
			out = s
			return nil
		case s.RefreshToken.IsZero():
			return SessionOver(sel, s)
		}
		// The old refresh token is spent once it is sent, so the answer must be stored even after Ctrl-C. A second Ctrl-C ends
		// the process.
		lasting := context.WithoutCancel(ctx)
		t, err := ps.CloudAt(sel.Cloud, s).As(bridge.Secret{}).Refresh(lasting, s.RefreshToken.Secret)
		if err != nil {
			switch bridge.AsError(err).Kind {
			case bridge.Invalid, bridge.Unauthenticated:
				return SessionOver(sel, s)
			}
			return err
		}
		out = s
		out.take(t, time.Now())
		sessions[sel.Name] = out
		if err := st.WriteSessions(lasting, sessions, place); err != nil {
			return err
		}
		return st.noteEnd(sel.Name, out)
	})
	return out, err
}

// Keep stores a session as the profile's only one. The profile becomes the active one.
func (ps *Profiles) Keep(ctx context.Context, st *Store, sel Selection, s Session, me api.Me) (replaced Session, err error) {
	err = st.Locked(ctx, func() error {
		c, err := st.Config()
		if err != nil {
			return err
		}
		sessions, place, err := st.Sessions(ctx)
		if err != nil { // unreadable: start over
			ps.Term.Say("The sessions stored before are dropped: %s", term.Explain(err).Detail)
			sessions, place = map[string]Session{}, ""
		}
		replaced = sessions[sel.Name]
		sessions[sel.Name] = s
		p := &Profile{CloudURL: sel.Cloud, Email: me.Email, Org: me.Org, Role: me.Role, Method: s.Method, Scopes: me.Scopes,
			KeyID: s.KeyID, ServiceName: s.ServiceName}
		if end := SessionEnd(s); end != nil {
			p.ExpiresAt = *end
		}
		c.Profiles[sel.Name] = p
		c.Active = sel.Name
		if err := st.WriteSessions(ctx, sessions, place); err != nil {
			return err
		}
		return st.WriteConfig(c)
	})
	return replaced, err
}

// Forget drops the profile's session, but keeps the profile. The next login goes to the same cloud.
func (ps *Profiles) Forget(ctx context.Context, st *Store, sel Selection) error {
	return st.Locked(ctx, func() error {
		c, err := st.Config()
		if err != nil {
			return err
		}
		sessions, place, err := st.Sessions(ctx)
		if err != nil {
			sessions, place = map[string]Session{}, ""
		}
		delete(sessions, sel.Name)
		if p := c.Profiles[sel.Name]; p != nil {
			*p = Profile{CloudURL: p.CloudURL}
		}
		if err := st.WriteSessions(ctx, sessions, place); err != nil {
			return err
		}
		return st.WriteConfig(c)
	})
}

// CloudOf returns a client of the credential's cloud.
func (ps *Profiles) CloudOf(l *Login) *apiclient.Cloud {
	cfg := ps.ClientConfig()
	cfg.Refused = l.refused
	if l.Service != "" {
		cfg.UserAgent += " (" + l.Service + ")" // the cloud shows it with the key's last use
	}
	return apiclient.NewCloud(l.Cloud, l.Bearer, cfg).At(l.Session.endpoints())
}

// CloudAt returns a client of a stored session's cloud.
func (ps *Profiles) CloudAt(cloud bridge.ServerURL, s Session) *apiclient.Cloud {
	return ps.CloudOf(&Login{Selection: Selection{Cloud: cloud}, Bearer: s.AccessToken.Secret, Session: s, Service: s.ServiceName})
}

func (s Session) endpoints() api.Metadata {
	return api.Metadata{TokenEndpoint: s.TokenEndpoint, RevocationEndpoint: s.RevocationEndpoint}
}

// LoggedIn returns the credential and a client. Most commands begin with it.
func (ps *Profiles) LoggedIn(ctx context.Context) (*Login, *apiclient.Cloud, error) {
	l, err := ps.Login(ctx)
	if err != nil {
		return nil, nil, err
	}
	return l, ps.CloudOf(l), nil
}

// InOrg is LoggedIn, and asks the cloud who the caller is. The answer names the organization, too.
func (ps *Profiles) InOrg(ctx context.Context) (*Login, *apiclient.Cloud, api.Me, error) {
	l, cloud, err := ps.LoggedIn(ctx)
	if err != nil {
		return nil, nil, api.Me{}, err
	}
	me, err := cloud.Me(ctx)
	return l, cloud, me, err
}

// WhoAmI asks the cloud who the caller is. If the cloud refuses a session token early, the session is renewed once.
func (ps *Profiles) WhoAmI(ctx context.Context) (*Login, api.Me, error) {
	l, cloud, err := ps.LoggedIn(ctx)
	if err != nil {
		return nil, api.Me{}, err
	}
	me, err := cloud.Me(ctx)
	if err == nil || bridge.AsError(err).Kind != bridge.Unauthenticated || l.Session.RefreshToken.IsZero() {
		return l, me, err
	}
	if l.Session, err = ps.Renew(ctx, l.Store, l.Selection, l.Bearer); err != nil {
		return nil, api.Me{}, err
	}
	l.Bearer = l.Session.AccessToken.Secret
	me, err = ps.CloudOf(l).Me(ctx)
	return l, me, err
}

// EndAtCloud revokes a session at its cloud (RFC 7009).
func (ps *Profiles) EndAtCloud(ctx context.Context, cloud bridge.ServerURL, s Session) error {
	client := ps.CloudAt(cloud, s).As(bridge.Secret{})
	if s.RefreshToken.IsZero() {
		return client.RevokeSession(ctx, s.AccessToken.Secret)
	}
	return client.RevokeToken(ctx, s.RefreshToken.Secret)
}
