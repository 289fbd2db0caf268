package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// refreshEarly is how long before its end a session token is renewed: longer than any one call takes.
const refreshEarly = 30 * time.Second

// login is the credential that a command works with, and where it came from.
type login struct {
	selection
	store   *store
	bearer  bridge.Secret
	source  string  // "ACE_KEY", "ACE_API_KEY_ID", "ACE_TOKEN", a flag, or sourceProfile
	session session // with sourceProfile
	place   string  // where the key of the store is
	service string  // what the holder of an API key calls itself
}

// openStore opens the store with the one keyring of this command.
func (a *app) openStore() (*store, error) {
	st, err := openStore()
	if err != nil {
		return nil, err
	}
	if a.ring == nil {
		a.ring = st.ring
		a.ring.say = a.Term.Note
		if a.Term.Interactive() {
			a.ring.limit = keyringPatience
		}
	}
	st.ring = a.ring
	return st, nil
}

// selected reads the store and chooses the profile, without asking for a session.
func (a *app) selected() (*store, selection, error) {
	st, err := a.openStore()
	if err != nil {
		return nil, selection{}, err
	}
	c, err := st.config()
	if err != nil {
		return nil, selection{}, err
	}
	sel, err := a.selectProfile(c)
	if err != nil {
		return nil, selection{}, err
	}
	sel, err = a.newProfileCloud(sel)
	return st, sel, err
}

func notLoggedIn(s selection) error {
	return bridge.E(bridge.Unauthenticated, "not_logged_in", "you are not logged in to %s", s.cloud).WithHint("%s", s.login("ace login"))
}

// login finds the credential of a command; a session of the profile is renewed when it is about to end.
func (a *app) login(ctx context.Context) (*login, error) {
	st, sel, err := a.selected()
	if err != nil {
		return nil, err
	}
	g, err := fromEnv()
	if err != nil {
		return nil, err
	}
	l := &login{selection: sel, store: st, bearer: g.bearer, source: g.source, service: g.service}
	l.ignored = append(l.ignored, g.ignored...)
	if l.source != "" {
		if sel.profile != nil && sel.profile.Method != "" {
			l.ignored = append(l.ignored, "the session of the profile "+sel.name+": "+l.source+" counts before it")
		}
		return l, nil
	}
	l.source = sourceProfile
	if a.completing {
		return l, l.present(ctx)
	}
	sessions, place, err := st.sessions(ctx)
	if err != nil {
		return nil, err
	}
	s, ok := sessions[sel.name]
	if !ok {
		return nil, notLoggedIn(sel)
	}
	l.place = place
	if !s.good() {
		s, err = a.renew(ctx, st, sel, bridge.Secret{})
	}
	l.bearer, l.session, l.service = s.AccessToken.Secret, s, s.ServiceName
	return l, err
}

// renew refreshes a session under the lock, also where its token would still be good but is the one that was refused.
// Whoever waited for the lock reads again first: a refresh token counts once, and using the old one would end the session
// for everybody.
func (a *app) renew(ctx context.Context, st *store, sel selection, refused bridge.Secret) (session, error) {
	var out session
	err := st.locked(ctx, func() error {
		sessions, place, err := st.sessions(ctx)
		if err != nil {
			return err
		}
		s, ok := sessions[sel.name]
		switch {
		case !ok:
			return notLoggedIn(sel)
		case s.good() && !s.AccessToken.Equal(refused):
			out = s
			return nil
		case s.RefreshToken.IsZero():
			return sessionOver(sel, s)
		}
		// The old refresh token is spent as soon as it is sent, so that the answer has to be kept also when Ctrl-C comes
		// just now. A second Ctrl-C ends the process.
		lasting := context.WithoutCancel(ctx)
		t, err := a.cloudAt(sel.cloud, s).As(bridge.Secret{}).Refresh(lasting, s.RefreshToken.Secret)
		if err != nil {
			switch bridge.AsError(err).Kind {
			case bridge.Invalid, bridge.Unauthenticated:
				return sessionOver(sel, s)
			}
			return err
		}
		out = s
		out.take(t, time.Now())
		sessions[sel.name] = out
		if err := st.writeSessions(lasting, sessions, place); err != nil {
			return err
		}
		return st.noteEnd(sel.name, out)
	})
	return out, err
}

// noteEnd keeps in config.json until when a session lasts.
func (s *store) noteEnd(name string, renewed session) error {
	c, err := s.config()
	if err != nil || c.Profiles[name] == nil {
		return err
	}
	if end := sessionEnd(renewed); end != nil {
		c.Profiles[name].ExpiresAt = *end
	}
	return s.writeConfig(c)
}

func sessionOver(sel selection, s session) error {
	e := term.Explain(notLoggedIn(sel))
	if s.isKey() {
		return bridge.E(bridge.Unauthenticated, "key_expired", "the API key %s has expired", s.KeyID).
			WithHint("ace api-key revive %s --cloud, by who may; then log in with the new secret", s.KeyID)
	}
	return bridge.E(bridge.Unauthenticated, "session_expired", "your session at %s has ended", sel.cloud).WithHint("%s", e.Hint)
}

func newSession(method string, t api.TokenAnswer, now time.Time) session {
	s := session{Method: method}
	s.take(t, now)
	return s
}

// take puts the tokens of an answer in place of the session's.
func (s *session) take(t api.TokenAnswer, now time.Time) {
	s.AccessToken, s.ExpiresAt = t.AccessToken, now.Add(time.Duration(t.ExpiresIn)*time.Second).UTC()
	if !t.RefreshToken.IsZero() { // not every refresh brings a new one (RFC 6749 section 6)
		s.RefreshToken, s.RefreshExpiresAt = t.RefreshToken, time.Time{}
	}
	if t.RefreshExpiresIn > 0 {
		s.RefreshExpiresAt = now.Add(time.Duration(t.RefreshExpiresIn) * time.Second).UTC()
	}
}

// keep stores a session as the profile's only one.
func (a *app) keep(ctx context.Context, st *store, sel selection, s session, me api.Me) (replaced session, err error) {
	err = st.locked(ctx, func() error {
		c, err := st.config()
		if err != nil {
			return err
		}
		sessions, place, err := st.sessions(ctx)
		if err != nil { // unreadable: a login begins anew
			a.Term.Say("What was stored before is given up: %s", term.Explain(err).Detail)
			sessions, place = map[string]session{}, ""
		}
		replaced = sessions[sel.name]
		sessions[sel.name] = s
		p := &profile{CloudURL: sel.cloud, Email: me.Email, Org: me.Org, Role: me.Role, Method: s.Method, Scopes: me.Scopes,
			KeyID: s.KeyID, ServiceName: s.ServiceName}
		if end := sessionEnd(s); end != nil {
			p.ExpiresAt = *end
		}
		c.Profiles[sel.name] = p
		c.Active = sel.name
		if err := st.writeSessions(ctx, sessions, place); err != nil {
			return err
		}
		return st.writeConfig(c)
	})
	return replaced, err
}

// forget drops the profile's session and keeps the profile, so that the next login goes to the same cloud.
func (a *app) forget(ctx context.Context, st *store, sel selection) error {
	return st.locked(ctx, func() error {
		c, err := st.config()
		if err != nil {
			return err
		}
		sessions, place, err := st.sessions(ctx)
		if err != nil {
			sessions, place = map[string]session{}, ""
		}
		delete(sessions, sel.name)
		if p := c.Profiles[sel.name]; p != nil {
			*p = profile{CloudURL: p.CloudURL}
		}
		if err := st.writeSessions(ctx, sessions, place); err != nil {
			return err
		}
		return st.writeConfig(c)
	})
}

// cloudOf is the client of the credential's cloud.
func (a *app) cloudOf(l *login) *api.CloudClient {
	cfg := a.clientConfig()
	cfg.Refused = l.refused
	if l.service != "" {
		cfg.UserAgent += " (" + l.service + ")" // so that the last use of a key says who it was
	}
	return api.NewCloudClient(l.cloud, l.bearer, cfg).At(l.session.endpoints())
}

// cloudAt is the client of a stored session.
func (a *app) cloudAt(cloud bridge.ServerURL, s session) *api.CloudClient {
	return a.cloudOf(&login{selection: selection{cloud: cloud}, bearer: s.AccessToken.Secret, session: s, service: s.ServiceName})
}

func (s session) endpoints() api.Metadata {
	return api.Metadata{TokenEndpoint: s.TokenEndpoint, RevocationEndpoint: s.RevocationEndpoint}
}

// loggedIn is what most commands begin with.
func (a *app) loggedIn(ctx context.Context) (*login, *api.CloudClient, error) {
	l, err := a.login(ctx)
	if err != nil {
		return nil, nil, err
	}
	return l, a.cloudOf(l), nil
}

// tokenClaims are claims of a token as anybody can read them, unverified: good for messages only.
type tokenClaims struct {
	Issuer    string `json:"iss"`
	Org       string `json:"org"`
	Audience  any    `json:"aud"`
	ExpiresAt int64  `json:"exp"`
}

func peek(token bridge.Secret) tokenClaims {
	var c tokenClaims
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return c
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil && json.Unmarshal(raw, &c) != nil {
		return tokenClaims{}
	}
	return c
}
