package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// refreshEarly is how long before its end a session token is renewed: longer than any one call takes.
const refreshEarly = 30 * time.Second

// login is the credential that a command works with, and where it came from.
type login struct {
	selection
	store   *store
	bearer  bridge.Secret
	source  string  // "ACE_KEY", "ACE_API_KEY_ID", "ACE_TOKEN" or "profile"
	session session // with source "profile"
	place   string  // where the key of the store is
}

// fromEnv takes the credential that the environment holds: ACE_KEY, then the trio of an API key, then ACE_TOKEN. All
// that is set and does not count is told.
func fromEnv() (bearer bridge.Secret, source string, ignored []string, err error) {
	take := func(value, name string) {
		switch {
		case value == "":
		case source == "":
			bearer, source = bridge.NewSecret(value), name
		default:
			ignored = append(ignored, name+": "+source+" counts before it")
		}
	}
	take(os.Getenv("ACE_KEY"), "ACE_KEY")
	trio := []string{"ACE_API_KEY_ID", "ACE_API_KEY_SECRET", "ACE_API_KEY_SERVICE_NAME"}
	var have, lack []string
	for _, name := range trio {
		if os.Getenv(name) == "" {
			lack = append(lack, name)
		} else {
			have = append(have, name)
		}
	}
	if len(have) > 0 && len(lack) > 0 && source == "" {
		return bearer, "", nil, usage("%s is set without %s", strings.Join(have, " and "), strings.Join(lack, " and ")).
			WithHint("set all three of %s, or none", strings.Join(trio, ", "))
	}
	if len(have) > 0 {
		take(os.Getenv(trio[0])+"."+os.Getenv(trio[1]), trio[0])
	}
	take(os.Getenv("ACE_TOKEN"), "ACE_TOKEN")
	return bearer, source, ignored, nil
}

// selected reads the store and chooses the profile, without asking for a session.
func (a *app) selected() (*store, selection, error) {
	st, err := openStore()
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
	hint := "ace login"
	if s.cloud != bridge.DefaultCloudURL {
		hint += " --env " + string(s.cloud)
	}
	return bridge.E(bridge.Unauthenticated, "not_logged_in", "you are not logged in to %s", s.cloud).WithHint("%s", hint)
}

// login finds the credential of a command; a session of the profile is renewed when it is about to end.
func (a *app) login(ctx context.Context) (*login, error) {
	st, sel, err := a.selected()
	if err != nil {
		return nil, err
	}
	l := &login{selection: sel, store: st}
	var ignored []string
	if l.bearer, l.source, ignored, err = fromEnv(); err != nil {
		return nil, err
	}
	l.ignored = append(l.ignored, ignored...)
	if l.source != "" {
		if sel.profile != nil && sel.profile.Method != "" {
			l.ignored = append(l.ignored, "the session of the profile "+sel.name+": "+l.source+" counts before it")
		}
		return l, nil
	}
	l.source = "profile"
	sessions, place, err := st.sessions(ctx)
	if err != nil {
		return nil, err
	}
	s, ok := sessions[sel.name]
	if !ok {
		return nil, notLoggedIn(sel)
	}
	l.place = place
	if time.Until(s.ExpiresAt) > refreshEarly {
		l.bearer, l.session = s.AccessToken.Secret, s
		return l, nil
	}
	s, err = a.renew(ctx, st, sel)
	l.bearer, l.session = s.AccessToken.Secret, s
	return l, err
}

// renew refreshes a session under the lock. Whoever waited for it reads again first: a refresh token counts once, and
// using the old one would end the session for everybody.
func (a *app) renew(ctx context.Context, st *store, sel selection) (session, error) {
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
		case time.Until(s.ExpiresAt) > refreshEarly:
			out = s
			return nil
		case s.RefreshToken.IsZero():
			return sessionOver(sel)
		}
		t, err := api.NewCloudClient(sel.cloud, bridge.Secret{}, a.clientConfig()).Refresh(ctx, s.RefreshToken.Secret)
		if err != nil {
			switch bridge.AsError(err).Kind {
			case bridge.Invalid, bridge.Unauthenticated:
				return sessionOver(sel)
			}
			return err
		}
		out = newSession(methodDevice, t, time.Now())
		sessions[sel.name] = out
		// The old refresh token is spent, so the new one has to be kept also when Ctrl-C comes just now.
		return st.writeSessions(context.WithoutCancel(ctx), sessions, place)
	})
	return out, err
}

func sessionOver(s selection) error {
	e := explain(notLoggedIn(s))
	return bridge.E(bridge.Unauthenticated, "session_expired", "your session at %s has ended", s.cloud).WithHint("%s", e.Hint)
}

func newSession(method string, t api.TokenAnswer, now time.Time) session {
	s := session{Method: method, AccessToken: t.AccessToken, RefreshToken: t.RefreshToken,
		ExpiresAt: now.Add(time.Duration(t.ExpiresIn) * time.Second).UTC()}
	if t.RefreshExpiresIn > 0 {
		s.RefreshExpiresAt = now.Add(time.Duration(t.RefreshExpiresIn) * time.Second).UTC()
	}
	return s
}

// keep stores a session as the profile's only one.
func (a *app) keep(ctx context.Context, st *store, sel selection, s session, me api.Me) (replaced session, err error) {
	err = st.locked(ctx, func() error {
		c, err := st.config()
		if err != nil {
			return err
		}
		sessions, place, err := st.sessions(ctx)
		if err != nil { // unreadable: a login with --force begins anew
			sessions, place = map[string]session{}, ""
		}
		replaced = sessions[sel.name]
		sessions[sel.name] = s
		c.Profiles[sel.name] = &profile{CloudURL: sel.cloud, Email: me.Email, Org: me.Org, Role: me.Role, Method: s.Method}
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
			p.Method, p.Email, p.Org, p.Role = "", "", "", ""
		}
		if err := st.writeSessions(ctx, sessions, place); err != nil {
			return err
		}
		return st.writeConfig(c)
	})
}

// cloud is the client of the credential's cloud.
func (a *app) cloudOf(l *login) *api.CloudClient {
	return api.NewCloudClient(l.cloud, l.bearer, a.clientConfig())
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
