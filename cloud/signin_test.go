package cloud_test

import (
	"context"
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
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
)

// withProvider is a cloud whose organization acme signs its people in through a provider.
func withProvider(t *testing.T, dsn string, method jwt.SigningMethod) (*fixture, *fakeProvider) {
	t.Helper()
	f := startWith(t, dsn, func(c *cloud.Config) { c.ProviderTime = time.Second })
	p := newFakeProvider(t, f, method)
	if set, err := f.setProvider(p.settings()); err != nil || set.RedirectURI != f.url+"/login/callback/acme" || !set.HasSecret {
		t.Fatalf("%+v %v", set, err)
	}
	return f, p
}

func (f *fixture) auditOf(action string) []api.AuditEntry {
	f.t.Helper()
	list, err := f.client().Audit(f.t.Context(), url.Values{"action": {action}})
	if err != nil {
		f.t.Fatal(err)
	}
	return list.Items
}

func TestSignInThroughAProvider(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f, p := withProvider(t, dsn, jwt.SigningMethodRS256)
		session, page := f.signInThrough("Bob@ACME.test")
		if session == "" {
			t.Fatal(page)
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
			if got := f.auditOf(action); len(got) != want || got[0].Actor == "" {
				t.Errorf("%s is in the audit log %d times, want %d", action, len(got), want)
			}
		}
		if opened := f.auditOf("session.open"); opened[0].Actor != "user:robert@acme.test" || opened[0].Outcome != "ok" || opened[0].Details["method"] != "provider" {
			t.Errorf("the sign-in in the audit log: %+v", opened[0])
		}
		// What comes of the session is bound to the provider, too, and ends with it.
		resp, body := f.do("POST", "/v1/developer-tokens", "", "Cookie", session)
		var token api.DeveloperToken
		if err := json.Unmarshal([]byte(body), &token); err != nil || resp.StatusCode != 201 {
			t.Fatal(body)
		}
		d, err := f.cloud.Registry().Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: api.CLIClientID})
		if err != nil {
			t.Fatal(err)
		}
		f.decide(d.UserCode, "approve", session)
		_, tokens := f.oauth("/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "client_id": {api.CLIClientID}, "device_code": {d.DeviceCode.Reveal()}})
		device := bridge.NewSecret(tokens["access_token"].(string))
		if err := f.client().RemoveProvider(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		for name, bearer := range map[string]bridge.Secret{"the developer token": token.Token.Secret, "the terminal": device} {
			if _, err := f.client().As(bearer).Me(t.Context()); bridge.CodeOf(err) != "session_ended" {
				t.Errorf("%s outlives the provider: %v", name, err)
			}
		}
		if resp, _ := f.do("GET", "/v1/me", "", "Cookie", session); resp.StatusCode != 401 {
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
		"expired":              {claim("exp", f.clock().Add(-time.Second).Unix()), token},
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
		f.advance(time.Minute) // what is tried here is limited
		p.is("bob@acme.test")
		c.lie()
		if session, page := f.signInThrough("bob@acme.test"); session != "" || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s: a session, or no reason: %s", name, page)
		}
		if last := f.auditOf("session.open")[0]; last.Outcome != c.code {
			t.Errorf("%s: the audit log says %q, want %q", name, last.Outcome, c.code)
		}
	}
	if _, err := f.cloud.Registry().Accounts.UserByEmail(t.Context(), "bob@acme.test"); bridge.CodeOf(err) != "user_unknown" {
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

// What a provider says of itself is bounded in size and time, and has to be about itself.
func TestHostileDiscovery(t *testing.T) {
	const configuration = "/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		lie  func(p *fakeProvider)
		want string
	}{
		"another issuer": {func(p *fakeProvider) { p.discovery = func(d map[string]any) { d["issuer"] = "https://evil.example" } }, "another issuer"},
		"endless":        {func(p *fakeProvider) { p.handle = only(configuration, `{"x":"`+strings.Repeat("x", 2<<20)+`"}`) }, "cannot be read"},
		"no JSON":        {func(p *fakeProvider) { p.handle = only(configuration, "<html>") }, "cannot be read"},
		"a redirect": {func(p *fakeProvider) {
			p.handle = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
				return true
			}
		}, "cannot be read"},
		"slow": {func(p *fakeProvider) {
			p.handle = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
		}, "cannot be reached"},
		"plain http": {func(p *fakeProvider) {
			p.discovery = func(d map[string]any) { d["authorization_endpoint"] = "http://login.example/" }
		}, "https"},
		"a script": {func(p *fakeProvider) {
			p.discovery = func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" }
		}, "https"},
		"no endpoints": {func(p *fakeProvider) { p.discovery = func(d map[string]any) { delete(d, "authorization_endpoint") } }, "https"},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
			p.is("bob@acme.test")
			c.lie(p)
			if session, page := f.signInThrough("bob@acme.test"); session != "" || !strings.Contains(page, c.want) {
				t.Errorf("%s", page)
			}
			if check, err := f.client().CheckProvider(t.Context(), "acme"); err != nil || check.OK || !strings.Contains(check.Cause, c.want) || check.Hint == "" {
				t.Errorf("the test says %+v (%v)", check, err)
			}
			p.is("bob@acme.test")
			if check, err := f.client().CheckProvider(t.Context(), "acme"); err != nil || !check.OK {
				t.Errorf("the test of the honest one says %+v (%v)", check, err)
			}
		})
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
	before := f.signIn()
	if session, page := f.arrive(journey{mine.cookie + "; " + before, mine.callback}); session == "" {
		t.Error(page)
	}
	if resp, _ := f.do("GET", "/connections", "", "Cookie", before); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the browser's session from before the sign-in lives on: %d", resp.StatusCode)
	}
	refused("once more", mine)
	f.advance(providers.SignInLife)
	refused("late", theirs)
}

func TestUnknownDomain(t *testing.T) {
	f, _ := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
	for _, email := range []string{"bob@elsewhere.test", "not an address", "bob@sub.acme.test", ""} {
		resp, page := f.do("POST", "/login/provider", url.Values{"email": {email}}.Encode(), "Content-Type", formType)
		if resp.StatusCode < 400 || resp.Header.Get("Refresh") != "" || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%q: %d %s", email, resp.StatusCode, page)
		}
	}
	last := 0
	for range 12 {
		resp, _ := f.do("POST", "/login/provider", url.Values{"email": {"bob@elsewhere.test"}}.Encode(), "Content-Type", formType)
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
			f.advance(time.Minute)
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
		if _, err := f.cloud.Registry().SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "olga@acme.test",
			Password: bridge.NewSecret(password), Org: "acme", Role: bridge.RoleOwner}); err != nil {
			t.Fatal(err)
		}
		p.is("olga@acme.test")
		if session, page := f.signInThrough("olga@acme.test"); session != "" || !strings.Contains(page, "does not vouch for owners") {
			t.Errorf("through the provider of an admin: %s", page)
		}
		admin := f.token
		var err error
		if f.token, _, err = f.cloud.DeveloperToken(t.Context(), "olga@acme.test", "acme"); err != nil {
			t.Fatal(err)
		}
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
		f.token = admin
		if _, err := f.setProvider(p.settings()); bridge.CodeOf(err) != "role_owner" {
			t.Errorf("an admin changes what an owner has set: %v", err)
		}
	})
}

// Who is known already: by address the first time, without a change to what else they have.
func TestKnownPeople(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f, p := withProvider(t, dsn, jwt.SigningMethodRS256)
		reg := f.cloud.Registry()
		cara, err := reg.SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "cara@acme.test", Password: bridge.NewSecret(password), Org: "rival"})
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
		if _, err := reg.SignIn.Authenticate(t.Context(), signin.Login{Email: "cara@acme.test", Password: bridge.NewSecret(password)}, audit.Actor{}); err != nil {
			t.Errorf("her password: %v", err)
		}
		_, value, _ := strings.Cut(session, "=")
		principal, err := reg.Sessions.BrowserSession(t.Context(), bridge.NewSecret(value))
		if err != nil || bridge.CodeOf(principal.RequireOwnSession()) != "provider_session" {
			t.Errorf("the session may be moved to her other organization: %+v (%v)", principal, err)
		}
		f.advance(time.Minute)
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
		_, err := f.cloud.Registry().Sessions.OpenSession(t.Context(), user, org, method, audit.Actor{})
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
	f.signIn() // ann, who did not come through it
}

// Domains have to be proven, by their DNS, and are one organization's.
func TestDomainsAreProven(t *testing.T) {
	records := map[string][]string{}
	f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) {
		c.PublicURL = "https://cloud.example.test"
		c.LookupTXT = func(_ context.Context, name string) ([]string, error) { return records[name], nil }
	})
	send := func(token bridge.Secret, method, path, body string) (int, string) {
		resp, answer := f.do(method, path, body, "Host", "cloud.example.test", "Authorization", "Bearer "+token.Reveal(), "Content-Type", "application/json")
		return resp.StatusCode, answer
	}
	settings := `{"issuer":"https://127.0.0.1:1","client_id":"x","client_secret":"keep me secret","domains":["Acme.test","acme.test"],"default_role":"member"}`
	status, answer := send(f.token, "PUT", "/v1/organizations/acme/provider", settings)
	var set api.Provider
	if err := json.Unmarshal([]byte(answer), &set); err != nil || status != 200 || len(set.Domains) != 1 || set.Domains[0].VerifiedAt != nil {
		t.Fatalf("%d %s", status, answer)
	}
	if strings.Contains(answer, "keep me") || !set.HasSecret {
		t.Errorf("the secret is shown: %s", answer)
	}
	if _, err := f.cloud.Registry().Providers.Begin(t.Context(), "bob@acme.test",
		"/"); bridge.CodeOf(err) != "domain_unknown" {
		t.Errorf("a domain counts before it is proven: %v", err)
	}
	check := func(token bridge.Secret, org string) api.ProviderCheck {
		status, answer := send(token, "POST", "/v1/organizations/"+org+"/provider/check", "")
		var c api.ProviderCheck
		if err := json.Unmarshal([]byte(answer), &c); err != nil || status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		return c
	}
	records["acme.test."] = []string{"v=spf1 -all", "ace-domain-verification=somebody-else's"}
	if c := check(f.token, "acme"); c.OK || c.Provider.Domains[0].VerifiedAt != nil || !strings.Contains(c.Cause, "may not call") {
		t.Errorf("without the record, and with an address of our own network: %+v", c)
	}
	records["acme.test."] = append(records["acme.test."], set.Domains[0].TXTRecord)
	if c := check(f.token, "acme"); c.Provider.Domains[0].VerifiedAt == nil {
		t.Errorf("with the record: %+v", c)
	}
	if _, err := f.cloud.Registry().Providers.Begin(t.Context(), "bob@acme.test", "/"); err != nil {
		t.Errorf("a proven domain: %v", err)
	}
	if _, err := f.cloud.Registry().SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "rita@rival.test",
		Password: bridge.NewSecret(password), Org: "rival"}); err != nil {
		t.Fatal(err)
	}
	rival, _, err := f.cloud.DeveloperToken(t.Context(), "rita@rival.test", "rival")
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := send(rival, "PUT", "/v1/organizations/acme/provider", settings); status != 404 {
		t.Errorf("another organization's provider: %d %s", status, answer)
	}
	if status, answer := send(rival, "PUT", "/v1/organizations/rival/provider", settings); status != 200 {
		t.Errorf("a claim without proof: %d %s", status, answer)
	}
	_, answer = send(rival, "GET", "/v1/organizations/rival/provider", "")
	if err := json.Unmarshal([]byte(answer), &set); err != nil {
		t.Fatal(answer)
	}
	records["acme.test."] = append(records["acme.test."], set.Domains[0].TXTRecord)
	if c := check(rival, "rival"); c.OK || c.Provider.Domains[0].VerifiedAt != nil {
		t.Errorf("a domain of two organizations: %+v", c)
	}
}

func TestProviderSettings(t *testing.T) {
	f, p := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
	for name, c := range map[string]struct {
		change func(*api.ProviderSettings)
		code   bridge.Code
	}{
		"no issuer":      {func(s *api.ProviderSettings) { s.Issuer = "" }, "issuer_malformed"},
		"no client":      {func(s *api.ProviderSettings) { s.ClientID = "" }, "client_malformed"},
		"no domain":      {func(s *api.ProviderSettings) { s.Domains = nil }, "domains_missing"},
		"an address":     {func(s *api.ProviderSettings) { s.Domains = []string{"bob@acme.test"} }, "domain_malformed"},
		"all of .test":   {func(s *api.ProviderSettings) { s.Domains = []string{"test"} }, "domain_malformed"},
		"owners for all": {func(s *api.ProviderSettings) { s.DefaultRole = "owner" }, "role_malformed"},
		"no such role":   {func(s *api.ProviderSettings) { s.GroupRoles = map[string]string{"x": "root"} }, "groups_malformed"},
	} {
		s := p.settings()
		c.change(&s)
		if _, err := f.setProvider(s); bridge.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	kept := p.settings()
	kept.ClientSecret = nil
	if _, err := f.setProvider(kept); err != nil {
		t.Fatal(err)
	}
	if session, page := f.signInThrough("bob@acme.test"); session == "" {
		t.Errorf("with the secret that was kept: %s", page)
	}
	kept.Issuer = "https://evil.example" // the secret is for the provider that it was set for
	if set, err := f.setProvider(kept); err != nil || set.HasSecret {
		t.Errorf("another issuer gets the secret: %+v (%v)", set, err)
	}
	if _, err := f.cloud.Registry().SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "mia@acme.test",
		Password: bridge.NewSecret(password), Org: "acme", Role: bridge.RoleMember}); err != nil {
		t.Fatal(err)
	}
	member, _, err := f.cloud.DeveloperToken(t.Context(), "mia@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.client().As(member).Provider(t.Context(), "acme"); bridge.CodeOf(err) != "role_admin" {
		t.Errorf("a member reads the settings: %v", err)
	}
	key := f.as(f.key(f.client(), api.CreateKeyRequest{Name: "iac", Scopes: []string{"organization:*"}}).Key.Secret)
	if _, err := key.Provider(t.Context(), "acme"); err != nil {
		t.Errorf("a key with the scope reads the settings: %v", err)
	}
	if _, err := key.SetProvider(t.Context(), "acme", p.settings()); bridge.CodeOf(err) != "person_only" {
		t.Errorf("a key decides who gets in: %v", err)
	}
	if err := key.RemoveProvider(t.Context(), "acme"); bridge.CodeOf(err) != "person_only" {
		t.Errorf("a key removes the provider: %v", err)
	}
}

// The page does what the API does, without scripts.
func TestProviderPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	p := newFakeProvider(t, f, jwt.SigningMethodRS256)
	cookie := f.signIn()
	post := func(form url.Values) (*http.Response, string) {
		return f.do("POST", "/settings/provider", form.Encode(), "Content-Type", formType, "Cookie", cookie)
	}
	form := url.Values{"action": {"save"}, "issuer": {p.url}, "client_id": {clientID}, "client_secret": {clientSecret}, "domains": {"acme.test\r\nacme.example\r\n"},
		"default_role": {"viewer"}, "groups": {"cn=ops = admin\r\nnonsense"}}
	if resp, page := post(form); resp.StatusCode != 400 || !strings.Contains(page, "group = role") || !strings.Contains(page, "nonsense") || strings.Contains(page, clientSecret) {
		t.Errorf("a broken line: %d %s", resp.StatusCode, page)
	}
	form.Set("groups", "cn=ops = admin\r\n")
	if resp, page := post(form); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("save: %d %s", resp.StatusCode, page)
	}
	_, page := f.do("GET", "/settings/provider", "", "Cookie", cookie)
	for _, shown := range []string{p.url, f.url + "/login/callback/acme", "acme.example", "cn=ops = admin", `value="viewer" selected`} {
		if !strings.Contains(page, shown) {
			t.Errorf("the page does not show %q", shown)
		}
	}
	if strings.Contains(page, clientSecret) {
		t.Error("the page shows the secret")
	}
	if _, page := post(url.Values{"action": {"test"}}); !strings.Contains(page, "The provider answers") {
		t.Errorf("the test: %s", page)
	}
	if resp, _ := post(url.Values{"action": {"remove"}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("remove: %d", resp.StatusCode)
	}
	if _, err := f.client().Provider(t.Context(), "acme"); bridge.CodeOf(err) != "provider_unknown" {
		t.Errorf("after the removal: %v", err)
	}
}
