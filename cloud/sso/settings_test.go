package sso_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/internal/roomtest"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signup"
)

// Domains have to be proven, by their DNS, and are one organization's.
func TestDomainsAreProven(t *testing.T) {
	records := map[string][]string{}
	f := startWith(t, sqldbtest.SQLite(t), "https://cloud.example.test", func(_ context.Context, name string) ([]string, error) { return records[name], nil })
	send := func(token bridge.Secret, method, path, body string) (int, string) {
		resp, answer := f.Do(method, path, body, "Host", "cloud.example.test", "Authorization", "Bearer "+token.Reveal(), "Content-Type", "application/json")
		return resp.StatusCode, answer
	}
	settings := `{"issuer":"https://127.0.0.1:1","client_id":"x","client_secret":"keep me secret","domains":["Acme.test","acme.test"],"default_role":"member"}`
	status, answer := send(f.Token, "PUT", "/v1/organizations/acme/provider", settings)
	var set api.Provider
	if err := json.Unmarshal([]byte(answer), &set); err != nil || status != 200 || len(set.Domains) != 1 || set.Domains[0].VerifiedAt != nil {
		t.Fatalf("%d %s", status, answer)
	}
	if strings.Contains(answer, "keep me") || !set.HasSecret {
		t.Errorf("the secret is shown: %s", answer)
	}
	if _, err := f.Providers.Begin(t.Context(), "bob@acme.test",
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
	if c := check(f.Token, "acme"); c.OK || c.Provider.Domains[0].VerifiedAt != nil || !strings.Contains(c.Cause, "may not call") {
		t.Errorf("without the record, and with an address of our own network: %+v", c)
	}
	records["acme.test."] = append(records["acme.test."], set.Domains[0].TXTRecord)
	if c := check(f.Token, "acme"); c.Provider.Domains[0].VerifiedAt == nil {
		t.Errorf("with the record: %+v", c)
	}
	if _, err := f.Providers.Begin(t.Context(), "bob@acme.test", "/"); err != nil {
		t.Errorf("a proven domain: %v", err)
	}
	if _, err := f.SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "rita@rival.test",
		Password: bridge.NewSecret(storetest.Password), Org: "rival"}); err != nil {
		t.Fatal(err)
	}
	rival := f.DeveloperToken("rita@rival.test", "rival")
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
	if _, err := f.SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "mia@acme.test",
		Password: bridge.NewSecret(storetest.Password), Org: "acme", Role: bridge.RoleMember}); err != nil {
		t.Fatal(err)
	}
	member := f.DeveloperToken("mia@acme.test", "acme")
	if _, err := f.Client().As(member).Provider(t.Context(), "acme"); bridge.CodeOf(err) != "role_admin" {
		t.Errorf("a member reads the settings: %v", err)
	}
	_, secret := f.Key("organization:*")
	key := f.Client().As(secret)
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
	cookie := f.Cookie("ann@acme.test", "acme")
	post := func(form url.Values) (*http.Response, string) {
		return f.Do("POST", "/settings/provider", form.Encode(), "Content-Type", roomtest.FormType, "Cookie", cookie)
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
	_, page := f.Do("GET", "/settings/provider", "", "Cookie", cookie)
	for _, shown := range []string{p.url, f.Server + "/login/callback/acme", "acme.example", "cn=ops = admin", `value="viewer" selected`} {
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
	if _, err := f.Client().Provider(t.Context(), "acme"); bridge.CodeOf(err) != "provider_unknown" {
		t.Errorf("after the removal: %v", err)
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
			if check, err := f.Client().CheckProvider(t.Context(), "acme"); err != nil || check.OK || !strings.Contains(check.Cause, c.want) || check.Hint == "" {
				t.Errorf("the test says %+v (%v)", check, err)
			}
			p.is("bob@acme.test")
			if check, err := f.Client().CheckProvider(t.Context(), "acme"); err != nil || !check.OK {
				t.Errorf("the test of the honest one says %+v (%v)", check, err)
			}
		})
	}
}
