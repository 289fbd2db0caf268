package sso_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/roomtest"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
)

func TestSignInThroughAProvider(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f, p := withProvider(t, dsn, jwt.SigningMethodRS256)
		session, page := f.signInThrough("Bob@ACME.test")
		if session == "" {
			t.Fatal(page)
		}
		if f.changed.Load() != 1 { // an account may have changed hands
			t.Errorf("the relay was told %d times that access may have changed", f.changed.Load())
		}
		me := f.me(session)
		if me.Email != "bob@acme.test" || me.Name != "Bob" || me.Role != "member" || me.Method != accounts.MethodProvider || me.Org != "acme" {
			t.Errorf("the first time: %+v", me)
		}
		p.is("bob@acme.test", "email", "robert@acme.test") // the subject is who counts, not the address
		session, page = f.signInThrough("bob@acme.test")
		if session == "" {
			t.Fatal(page)
		}
		if again := f.me(session); again.ID != me.ID || again.Email != "robert@acme.test" { // which the account follows
			t.Errorf("the second time: %+v", again)
		}
		for action, want := range map[string]int{"provider.set": 1, "domain.verify": 1, "member.add": 1} {
			if got := f.Audited(action); len(got) != want || got[0].Actor == "" {
				t.Errorf("%s is in the audit log %d times, want %d", action, len(got), want)
			}
		}
		if opened := f.Audited("session.open"); opened[0].Actor != "user:robert@acme.test" || opened[0].Outcome != "ok" || opened[0].Details["method"] != "provider" {
			t.Errorf("the sign-in in the audit log: %+v", opened[0])
		}
		// What comes of the session is bound to the provider, too, and ends with it.
		_, value, _ := strings.Cut(session, "=")
		principal, err := f.Sessions.BrowserSession(t.Context(), bridge.NewSecret(value))
		if err != nil {
			t.Fatal(err)
		}
		resp, body := f.Do("POST", "/v1/developer-tokens", "", "Cookie", session)
		var developer api.DeveloperToken
		if err := json.Unmarshal([]byte(body), &developer); err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatal(body)
		}
		d, err := f.Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: api.CLIClientID})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sessions.DecideDevice(t.Context(), principal.As(principal.Actor("", "")), d.UserCode, true); err != nil {
			t.Fatal(err)
		}
		device, err := f.Sessions.PollDevice(t.Context(), accounts.DevicePoll{Code: d.DeviceCode, ClientID: api.CLIClientID}, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		tokens := map[string]bridge.Secret{"the developer token": developer.Token.Secret, "the terminal": f.TokenOf(device)}
		for name, bearer := range tokens {
			if _, err := f.Client().As(bearer).Me(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := f.Client().RemoveProvider(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		for name, bearer := range tokens {
			if _, err := f.Client().As(bearer).Me(t.Context()); bridge.CodeOf(err) != "session_ended" {
				t.Errorf("%s outlives the provider: %v", name, err)
			}
		}
		if resp, _ := f.Do("GET", "/v1/me", "", "Cookie", session); resp.StatusCode != 401 {
			t.Errorf("the session outlives the provider: %d", resp.StatusCode)
		}
	})
}

func TestProviderWithES256(t *testing.T) {
	f, _ := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodES256)
	if session, page := f.signInThrough("bob@acme.test"); session == "" {
		t.Error(page)
	}
}

// Whatever a provider, or somebody between, answers: what is not right opens no session, and is in the audit log.
func TestHostileProviders(t *testing.T) {
	f, p := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
	other := newFakeProvider(t, f, jwt.SigningMethodRS256)
	var err error
	if other.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func() {
		return func() {
			p.lie = func(c jwt.MapClaims, _ *jwt.Token) {
				if c[name] = value; value == nil {
					delete(c, name)
				}
			}
		}
	}
	const token = "id_token_refused"
	for name, c := range map[string]struct {
		lie  func()
		code string
	}{
		"another nonce":        {claim("nonce", "x"), token},
		"no nonce":             {claim("nonce", nil), token},
		"another audience":     {claim("aud", "another client"), token},
		"two audiences":        {claim("aud", []string{clientID, "another client"}), token},
		"another party":        {claim("azp", "another client"), token},
		"another issuer":       {claim("iss", "https://evil.example"), token},
		"expired":              {claim("exp", f.Clock().Add(-time.Second).Unix()), token},
		"another access token": {claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), token},
		"not signed": {func() {
			p.lie = func(_ jwt.MapClaims, t *jwt.Token) { t.Method, t.Header["alg"] = jwt.SigningMethodNone, "none" }
			p.signWith = jwt.UnsafeAllowNoneSignatureType
		}, token},
		"signed with the client secret": {func() {
			p.lie = func(_ jwt.MapClaims, t *jwt.Token) { t.Method, t.Header["alg"] = jwt.SigningMethodHS256, "HS256" }
			p.signWith = []byte(clientSecret)
		}, token},
		"signed by another":      {func() { p.signWith = other.key }, token},
		"no ID token":            {func() { p.handle = only("/token", `{"access_token":"x","token_type":"Bearer"}`) }, token},
		"a code that is no one":  {func() { p.answer = func(v url.Values) { v.Set("code", "x") } }, token},
		"no code":                {func() { p.answer = func(v url.Values) { v.Del("code") } }, token},
		"an error":               {func() { p.answer = func(v url.Values) { v.Set("error", "access_denied"); v.Del("code") } }, "provider_refused"},
		"another state":          {func() { p.answer = func(v url.Values) { v.Set("state", bridge.RandomToken(32)) } }, "signin_unknown"},
		"another's answer":       {func() { p.answer = func(v url.Values) { v.Set("iss", other.url) } }, token},
		"an endless token":       {func() { p.handle = only("/token", `{"access_token":"`+strings.Repeat("x", 2<<20)+`"}`) }, "provider_unreachable"},
		"endless keys":           {func() { p.handle = only("/keys", `{"keys":[`+strings.Repeat(" ", 2<<20)+`]}`); p.rotate() }, token},
		"an unverified address":  {claim("email_verified", false), "email_unverified"},
		"nothing of the address": {claim("email_verified", nil), "email_unverified"},
		"no address":             {claim("email", nil), "email_unverified"},
		"no person":              {claim("sub", ""), "subject_malformed"},
		"another domain":         {claim("email", "bob@evil.example"), "domain_foreign"},
		"a domain within":        {claim("email", "bob@acme.test.evil.example"), "domain_foreign"},
		"a domain below":         {claim("email", "bob@sub.acme.test"), "domain_foreign"},
		"a list of addresses":    {claim("email", []string{"bob@acme.test"}), "email_unverified"},
	} {
		f.Advance(time.Minute) // what is tried here is limited
		p.is("bob@acme.test")
		c.lie()
		if session, page := f.signInThrough("bob@acme.test"); session != "" || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s: a session, or no reason: %s", name, page)
		}
		if last := f.Audited("session.open")[0]; last.Outcome != c.code {
			t.Errorf("%s: the audit log says %q, want %q", name, last.Outcome, c.code)
		}
	}
	if _, err := f.Accounts.UserByEmail(t.Context(), "bob@acme.test"); bridge.CodeOf(err) != "user_unknown" {
		t.Errorf("somebody was made: %v", err)
	}
	p.is("bob@acme.test")
	if session, page := f.signInThrough("bob@acme.test"); session == "" {
		t.Errorf("an honest answer after all: %s", page)
	}
}

// rotate gives the provider another key.
func (p *fakeProvider) rotate() {
	p.lie = func(_ jwt.MapClaims, t *jwt.Token) { t.Header["kid"] = "k2" }
}

func only(path, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
		return true
	}
}

// A provider that says that it names itself in its answers is held to it (RFC 9207 section 2.4).
func TestProviderNamesItself(t *testing.T) {
	f, p := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
	p.discovery = func(d map[string]any) { d["authorization_response_iss_parameter_supported"] = true }
	if session, _ := f.signInThrough("bob@acme.test"); session != "" {
		t.Error("an answer without iss is taken")
	}
	p.answer = func(v url.Values) { v.Set("iss", p.url) }
	if session, page := f.signInThrough("bob@acme.test"); session == "" {
		t.Error(page)
	}
}

// A sign-in belongs to the browser that began it, to its provider, and to ten minutes; it is good once.
func TestSignInIsBound(t *testing.T) {
	f, _ := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
	begin := func() journey {
		t.Helper()
		j, page := f.depart("bob@acme.test")
		if j.cookie == "" {
			t.Fatal(page)
		}
		return j
	}
	refused := func(what string, j journey) {
		t.Helper()
		if session, page := f.arrive(j); session != "" || !strings.Contains(page, "not begun in this browser") {
			t.Errorf("%s: %s", what, page)
		}
	}
	mine, theirs := begin(), begin()
	refused("no cookie", journey{"", mine.callback})
	refused("another browser", journey{theirs.cookie, mine.callback})
	refused("another organization's address", journey{mine.cookie, strings.Replace(mine.callback, "/acme?", "/rival?", 1)})
	before := f.Cookie("ann@acme.test", "acme")
	if session, page := f.arrive(journey{mine.cookie + "; " + before, mine.callback}); session == "" {
		t.Error(page)
	}
	if resp, _ := f.Do("GET", "/v1/me", "", "Cookie", before); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the browser's session from before the sign-in lives on: %d", resp.StatusCode)
	}
	refused("once more", mine)
	f.Advance(providers.SignInLife)
	refused("late", theirs)
}

func TestUnknownDomain(t *testing.T) {
	f, _ := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
	for _, email := range []string{"bob@elsewhere.test", "not an address", "bob@sub.acme.test", ""} {
		resp, page := f.Do("POST", "/login/provider", url.Values{"email": {email}}.Encode(), "Content-Type", roomtest.FormType)
		if resp.StatusCode < 400 || resp.Header.Get("Refresh") != "" || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%q: %d %s", email, resp.StatusCode, page)
		}
	}
	last := 0
	for range 12 {
		resp, _ := f.Do("POST", "/login/provider", url.Values{"email": {"bob@elsewhere.test"}}.Encode(), "Content-Type", roomtest.FormType)
		last = resp.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the twelfth try answers %d", last)
	}
}

func TestGroupsGiveRoles(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f, p := withProvider(t, dsn, jwt.SigningMethodRS256)
		s := p.settings()
		s.DefaultRole, s.GroupsClaim, s.GroupRoles = "", "teams", map[string]string{"staff": "viewer", "dev": "member", "ops": "admin"}
		set := func() {
			t.Helper()
			if _, err := f.setProvider(s); err != nil {
				t.Fatal(err)
			}
		}
		set()
		role := func(groups any) string {
			t.Helper()
			f.Advance(time.Minute)
			p.is("bob@acme.test")
			if groups != nil {
				p.is("bob@acme.test", "teams", groups)
			}
			session, _ := f.signInThrough("bob@acme.test")
			if session == "" {
				return ""
			}
			return f.me(session).Role
		}
		for _, c := range []struct {
			name   string
			groups any
			want   string
		}{
			{"no claim, the first time", nil, ""},
			{"another group", []string{"sales"}, ""},
			{"no text", 7, ""},
			{"one as text", "staff", "viewer"},
			{"the highest counts", []any{"staff", 7, "ops", "dev"}, "admin"},
			{"brought down again", []string{"dev"}, "member"},
			{"an empty list", []string{}, ""},
			{"part of a name", []string{"dev ops"}, ""},
		} {
			if got := role(c.groups); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		s.DefaultRole = "viewer"
		set()
		if got := role(nil); got != "viewer" {
			t.Errorf("the default: %q", got)
		}
		s.GroupRoles["founders"] = "owner"
		if _, err := f.setProvider(s); bridge.CodeOf(err) != "role_above" {
			t.Errorf("an admin lets a group make owners: %v", err)
		}
	})
}

// An admin decides who gets in through the provider, but does not become an owner that way; and there is always an owner.
func TestProviderAndOwners(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f, p := withProvider(t, dsn, jwt.SigningMethodRS256)
		if _, err := f.SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "olga@acme.test",
			Password: bridge.NewSecret(storetest.Password), Org: "acme", Role: bridge.RoleOwner}); err != nil {
			t.Fatal(err)
		}
		p.is("olga@acme.test")
		if session, page := f.signInThrough("olga@acme.test"); session != "" || !strings.Contains(page, "does not vouch for owners") {
			t.Errorf("through the provider of an admin: %s", page)
		}
		admin := f.Token
		f.Token = f.DeveloperToken("olga@acme.test", "acme")
		s := p.settings()
		s.GroupRoles = map[string]string{"staff": "member", "founders": "owner"}
		if _, err := f.setProvider(s); err != nil {
			t.Fatal(err)
		}
		session, page := f.signInThrough("olga@acme.test")
		if session == "" || f.me(session).Role != "owner" {
			t.Fatalf("the last owner, whose groups say less: %s", page)
		}
		p.is("bob@acme.test", "groups", []string{"founders"})
		if session, page = f.signInThrough("bob@acme.test"); session == "" || f.me(session).Role != "owner" {
			t.Fatalf("an owner by group: %s", page)
		}
		p.is("olga@acme.test", "groups", []string{"staff"})
		if session, page = f.signInThrough("olga@acme.test"); session == "" || f.me(session).Role != "member" {
			t.Errorf("one of two owners, whose groups say less: %s", page)
		}
		f.Token = admin
		if _, err := f.setProvider(p.settings()); bridge.CodeOf(err) != "role_owner" {
			t.Errorf("an admin changes what an owner has set: %v", err)
		}
	})
}

// Who is known already: by address the first time, without a change to what else they have.
func TestKnownPeople(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f, p := withProvider(t, dsn, jwt.SigningMethodRS256)
		cara, err := f.SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "cara@acme.test", Password: bridge.NewSecret(storetest.Password), Org: "rival"})
		if err != nil {
			t.Fatal(err)
		}
		p.is("cara@acme.test")
		session, page := f.signInThrough("cara@acme.test")
		if session == "" {
			t.Fatal(page)
		}
		if me := f.me(session); me.ID != cara.ID || me.Org != "acme" || me.Role != "member" {
			t.Errorf("a person of another organization: %+v", me)
		}
		if _, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: "cara@acme.test", Password: bridge.NewSecret(storetest.Password)}, audit.Actor{}); err != nil {
			t.Errorf("her password: %v", err)
		}
		_, value, _ := strings.Cut(session, "=")
		principal, err := f.Sessions.BrowserSession(t.Context(), bridge.NewSecret(value))
		if err != nil || bridge.CodeOf(principal.RequireOwnSession()) != "provider_session" {
			t.Errorf("the session may be moved to her other organization: %+v (%v)", principal, err)
		}
		f.Advance(time.Minute)
		p.is("cara@acme.test", "sub", "somebody new with her address")
		if session, page := f.signInThrough("cara@acme.test"); session != "" || !strings.Contains(page, "belongs to somebody else") {
			t.Errorf("another person with her address: %s", page)
		}
	})
}

// Who came through a provider that is required has no other way in; everybody else has.
func TestProviderIsRequired(t *testing.T) {
	f, p := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
	s := p.settings()
	s.Required = true
	if _, err := f.setProvider(s); err != nil {
		t.Fatal(err)
	}
	session, page := f.signInThrough("bob@acme.test")
	if session == "" {
		t.Fatal(page)
	}
	open := func(user, org, method string) bridge.Code {
		_, err := f.Sessions.OpenSession(t.Context(), user, org, method, audit.Actor{})
		return bridge.CodeOf(err)
	}
	bob := f.me(session).ID
	for _, org := range []string{"", "acme"} {
		if got := open(bob, org, accounts.MethodBrowser); got != "provider_required" {
			t.Errorf("with a password, to %q: %q", org, got)
		}
	}
	if got := open(bob, "rival", accounts.MethodPassword); got != "not_a_member" {
		t.Errorf("to another organization: %q", got)
	}
	f.Cookie("ann@acme.test", "acme") // who did not come through it
}
