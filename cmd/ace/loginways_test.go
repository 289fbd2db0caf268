package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Every way to log in, and what is then sent as what.
func TestLoginWays(t *testing.T) {
	cloud := newFakeCloud(t)
	cloud.set(func() { cloud.otp = "123456" })
	token := cloud.canaryToken(map[string]any{"iss": cloud.URL, "exp": time.Now().Add(time.Hour).Unix()})
	keyID := cloud.key.ID.String()
	tests := []struct {
		name, stdin, method string
		args                []string
	}{
		{"device", "", methodDevice, []string{"login", "--no-browser", "--no-connect"}},
		{"password", canaryPassword + "\n", methodPassword, []string{"login", "--email", "ada@acme.test", "--password-stdin", "--otp", "123456", "--no-connect"}},
		{"pat", cloud.pat.Text().Reveal(), methodPAT, []string{"login", "pat", "--token", "-"}},
		{"api key", cloud.key.Text().Reveal(), methodAPIKey, []string{"login", "api-key", "--name", "ci", "--secret", "-", "--organization-id", "org-123"}},
		{"auth api key", keyID + "." + cloud.key.Text().Reveal(), methodAPIKey, []string{"auth", "login-api-key", "--key", "-", "--service-name", "ci"}},
		{"token on stdin", token, methodDeveloperToken, []string{"auth", "login-token"}},
		{"token in a flag", "", methodDeveloperToken, []string{"auth", "login-token", "--token", token}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ace := newTerminal(t, "ACE_ENV="+cloud.URL)
			cloud.requests()
			ace.must(tt.stdin, tt.args...)
			checkHeaders(t, cloud.requests())
			var status struct {
				LoggedIn    bool `json:"logged_in"`
				Checked     bool
				Environment string
				Method      string
				Roles       []string
				Scopes      []string
				ExpiresAt   *time.Time `json:"expires_at"`
			}
			if err := json.Unmarshal([]byte(ace.must("", "auth", "status", "--output", "json").stdout), &status); err != nil {
				t.Fatal(err)
			}
			if status.Method != tt.method || !status.LoggedIn || !status.Checked || !slices.Equal(status.Roles, []string{"admin"}) ||
				!slices.Equal(status.Scopes, []string{"connection:read"}) || status.Environment != strings.TrimPrefix(cloud.URL, "http://") {
				t.Errorf("the status is %+v", status)
			}
			if isKey := tt.method == methodAPIKey || tt.method == methodPAT; isKey && time.Until(*status.ExpiresAt) < 89*24*time.Hour {
				t.Errorf("the key expires at %s", status.ExpiresAt)
			}
			if me := ace.must("", "auth", "me", "-o", "json").stdout; tt.method != methodAPIKey &&
				me != `{"name":"Ada","email":"ada@acme.test","country":"DE","currency":"EUR"}`+"\n" {
				t.Errorf("auth me prints %s", me)
			}
			checkHeaders(t, cloud.requests())
			if again := ace.run(tt.stdin, tt.args...); tt.args[0] == "login" && (again.code != 1 || !strings.Contains(again.stderr, "You are already logged in")) {
				t.Errorf("a second login exits with %d\n%s", again.code, again.stderr)
			} else if tt.args[0] == "auth" && again.code != 0 {
				t.Errorf("a login that replaces the session exits with %d\n%s", again.code, again.stderr)
			}
			if tt.args[0] == "login" {
				ace.must(tt.stdin, append(slices.Clone(tt.args), "--force")...)
			}
			ace.must("", "auth", "logout")
			if out := ace.run("", "auth", "status"); out.code != term.ExitNotLoggedIn {
				t.Errorf("after the logout, status exits with %d", out.code)
			}
			if files, _ := filepath.Glob(ace.home + "/.ace/auth.json"); len(files) > 0 {
				t.Error("the logout leaves auth.json")
			}
		})
	}
}

// checkHeaders holds that a key is never a bearer token, and that nothing else is sent as a key.
func checkHeaders(t *testing.T, seen []*http.Request) {
	t.Helper()
	for _, r := range seen {
		if strings.Contains(r.Header.Get(bridge.HeaderAuthorization), "ace_") {
			t.Errorf("%s %s sends a key as a bearer token", r.Method, r.URL.Path)
		}
		if key := r.Header.Get(bridge.HeaderAceAPIKey); key != "" && !strings.Contains(key, "ace_") {
			t.Errorf("%s %s sends as a key what is none", r.Method, r.URL.Path)
		}
		if strings.Contains(r.URL.String(), "canary") || strings.Contains(r.URL.String(), "ace_") {
			t.Errorf("a secret is in the address %s", r.URL)
		}
	}
}

// What cannot be a credential of the cloud is refused with its reason, and is not sent anywhere.
func TestLoginRefusedHere(t *testing.T) {
	cloud := newFakeCloud(t)
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	key := cloud.key.Text().Reveal()
	mistyped := key[:30] + string(key[30]^1) + key[31:]
	past := time.Now().Add(-time.Minute).Unix()
	tests := []struct {
		name, say string
		code      int
		args      []string
	}{
		{"mistyped", "mistyped", 4, []string{"login", "api-key", "--name", "ci", "--secret", mistyped}},
		{"another ID", "not the key's own", 4, []string{"auth", "login-api-key", "--service-name", "ci", "--key", uuid.NewString() + "." + key}},
		{"a server's", "connection", 4, []string{"auth", "login-api-key", "--service-name", "ci", "--key", bridge.NewKey(bridge.KindSK, uuid.New()).Text().Reveal()}},
		{"no pat", "no personal access token", 4, []string{"login", "pat", "--token", key}},
		{"a key as a token", "API key", 4, []string{"auth", "login-token", "--token", key}},
		{"junk", "no token", 4, []string{"auth", "login-token", "--token", "junk"}},
		{"expired", "expired", 4, []string{"auth", "login-token", "--token", cloud.canaryToken(map[string]any{"iss": cloud.URL, "exp": past})}},
		{"another cloud's", "from https://other.example", 4, []string{"auth", "login-token", "--token", cloud.canaryToken(map[string]any{"iss": "https://other.example"})}},
		{"no secret", "--secret", 2, []string{"login", "api-key", "--name", "ci"}},
		{"no token", "--token", 2, []string{"login", "pat"}},
		{"no name", "--name", 2, []string{"login", "api-key", "--secret", key}},
		{"no service", "--service-name", 2, []string{"auth", "login-api-key", "--key", key}},
		{"no password", "--password-stdin", 2, []string{"login", "--email", "ada@acme.test"}},
		{"no e-mail", "--email", 2, []string{"login", "--password-stdin"}},
		{"two ways", "take one", 2, []string{"login", "--email", "ada@acme.test", "--browser"}},
		{"two secrets on stdin", "read already", 2, []string{"login", "--email", "ada@acme.test", "--password-stdin", "--otp", "-"}},
		{"the guard", "not logged in", 4, []string{"auth", "login", "--non-interactive"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ace.run("x", tt.args...)
			if r.code != tt.code || !strings.Contains(r.stderr, tt.say) {
				t.Errorf("it exits with %d, want %d and %q\n%s", r.code, tt.code, tt.say, r.stderr)
			}
			if seen := cloud.requests(); len(seen) > 0 {
				t.Errorf("the cloud was asked: %s", seen[0].URL)
			}
		})
	}
}

// What the cloud refuses is not stored, and the reason is told.
func TestLoginRefusedThere(t *testing.T) {
	cloud := newFakeCloud(t)
	cloud.set(func() { cloud.otp = "123456" })
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	unknown := bridge.NewKey(bridge.KindLive, uuid.New())
	tests := []struct {
		name, stdin, say string
		code             int
		args             []string
	}{
		{"unknown key", "", "does not know the key " + unknown.ID.String(), 4, []string{"login", "api-key", "--name", "ci", "--secret", unknown.Text().Reveal()}},
		{"another organization", "", "of the organization acme (org-123), not of other", 5,
			[]string{"login", "api-key", "--name", "ci", "--secret", cloud.key.Text().Reveal(), "--organization-id", "other"}},
		{"wrong password", "wrong", "wrong", 4, []string{"login", "--email", "ada@acme.test", "--password-stdin"}},
		{"second factor", canaryPassword, "--otp", 2, []string{"login", "--email", "ada@acme.test", "--password-stdin"}},
		{"wrong second factor", canaryPassword, "second factor", 4, []string{"login", "--email", "ada@acme.test", "--password-stdin", "--otp", "1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ace.run(tt.stdin, tt.args...)
			if r.code != tt.code || !strings.Contains(r.stderr, tt.say) {
				t.Errorf("it exits with %d, want %d and %q\n%s", r.code, tt.code, tt.say, r.stderr)
			}
			if left, _ := filepath.Glob(ace.home + "/.ace/*.json"); len(left) > 0 {
				t.Errorf("it leaves %v", left)
			}
		})
	}
}

func TestGuard(t *testing.T) {
	cloud := newFakeCloud(t)
	ace := newTerminal(t)
	guard := []string{"auth", "login", "--env", cloud.URL, "--non-interactive"}
	ace.must("", "auth", "login", "--env", cloud.URL, "--no-browser", "--no-connect")
	if r := ace.must("", guard...); !strings.Contains(r.stdout, "as ada@acme.test (admin of acme)") {
		t.Errorf("the guard prints %s", r.stdout)
	}
	cloud.set(func() { cloud.refuse = bridge.Unauthenticated })
	if r := ace.run("", guard...); r.code != term.ExitNotLoggedIn {
		t.Errorf("with a session that the cloud has ended, the guard exits with %d\n%s", r.code, r.stderr)
	}
	cloud.Close()
	if r := ace.run("", guard...); r.code != term.ExitUnreachable {
		t.Errorf("without an answer the guard exits with %d\n%s", r.code, r.stderr)
	}
	if r := ace.must("", "auth", "status", "--env", cloud.URL); !strings.Contains(r.stdout, "the cloud was not asked") {
		t.Errorf("without the cloud, status prints %s", r.stdout)
	}
	if r := ace.must("", "logout", "--env", cloud.URL); !strings.Contains(r.stderr, "removed here, but the cloud was not told") {
		t.Errorf("without the cloud, logout says %s", r.stderr)
	}
}

// The session is ended at the cloud by what it is carried on with; a key is not.
func TestLogoutRevokes(t *testing.T) {
	cloud := newFakeCloud(t)
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	ace.must("", "login", "--no-browser", "--no-connect")
	ace.must("", "logout")
	ace.must(canaryPassword, "login", "--email", "ada@acme.test", "--password-stdin", "--no-connect")
	ace.must(canaryPassword, "auth", "logout")
	ace.must("", "login", "pat", "--token", cloud.pat.Text().Reveal())
	if r := ace.must("", "logout"); !strings.Contains(r.stderr, "ace api-key revoke "+cloud.pat.ID.String()) {
		t.Errorf("logout of a key says %s", r.stderr)
	}
	cloud.set(func() {
		if want := []string{canaryRefresh + "-0", canaryAccess}; !slices.Equal(cloud.revoked, want) {
			t.Errorf("revoked %q, want %q", cloud.revoked, want)
		}
	})
}

// Endpoints that the metadata names elsewhere are used at the login, and kept for what comes after.
func TestDiscoveredEndpoints(t *testing.T) {
	cloud, other := newFakeCloud(t), newFakeCloud(t)
	cloud.set(func() {
		cloud.metadata = func(m map[string]any) {
			for _, name := range []string{"device_authorization_endpoint", "token_endpoint", "revocation_endpoint"} {
				m[name] = strings.Replace(m[name].(string), cloud.URL, other.URL, 1)
			}
		}
	})
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	ace.must("", "login", "--no-browser", "--no-connect")
	ace.must("", "logout")
	count := func(f *fakeCloud) (n int) {
		f.set(func() { n = len(f.revoked) })
		return n
	}
	if count(other) != 1 || count(cloud) != 0 {
		t.Error("the logout did not go to the endpoint that the metadata names")
	}
}

func TestDiscoverRefuses(t *testing.T) {
	cloud := newFakeCloud(t)
	server := http.NewServeMux()
	server.HandleFunc("GET /.well-known/ace-server", func(w http.ResponseWriter, _ *http.Request) {
		cloud.json(w, http.StatusOK, map[string]any{"product": "ace", "exchange": map[string]any{"issuer": "https://cloud.example"}})
	})
	tests := []struct {
		name, say string
		start     func(f *fakeCloud)
	}{
		{"another issuer", "says that it is another cloud", func(f *fakeCloud) {
			f.metadata = func(m map[string]any) { m["issuer"] = "https://evil.example" }
		}},
		{"an endpoint without TLS", "can be called safely", func(f *fakeCloud) {
			f.metadata = func(m map[string]any) { m["token_endpoint"] = "http://evil.example/token" }
		}},
		{"a server", "is an ace server, not a cloud", func(f *fakeCloud) { f.instead = server }},
		{"something else", "answered 404 Not Found", func(f *fakeCloud) { f.instead = http.NotFoundHandler() }},
		{"a page", "not ace's JSON", func(f *fakeCloud) {
			f.instead = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
		}},
		{"a redirect", "redirect", func(f *fakeCloud) { f.instead = http.RedirectHandler("https://other.example", http.StatusFound) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeCloud(t)
			f.set(func() { tt.start(f) })
			if r := newTerminal(t).run("", "auth", "login", "--no-browser", "--env", f.URL); r.code != term.ExitFailed || !strings.Contains(r.stderr, tt.say) {
				t.Errorf("it exits with %d, want %q\n%s", r.code, tt.say, r.stderr)
			}
		})
	}
}

func TestBrowserLogin(t *testing.T) {
	cloud := newFakeCloud(t)
	tests := []struct {
		name, say, page string
		code            int
		answer          func(q url.Values)
	}{
		{"", "as ada@acme.test", "Done. You can close this page", 0, nil},
		{"refused", "refused in the browser", "Nothing was logged in", term.ExitForbidden, func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }},
		{"another issuer", "another cloud", "Nothing was logged in", 1, func(q url.Values) { q.Set("iss", "https://evil.example") }},
		{"no issuer", "another cloud", "Nothing was logged in", 1, func(q url.Values) { q.Del("iss") }},
		{"no code", "without a code", "Nothing was logged in", 1, func(q url.Values) { q.Del("code") }},
		{"two codes", "more than once", "Nothing was logged in", 1, func(q url.Values) { q.Add("code", "other") }},
		{"another code", "refused: invalid_grant", "Done", 1, func(q url.Values) { q.Set("code", "other") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cloud.set(func() { cloud.answer = tt.answer })
			r, page := newTerminal(t, "ACE_ENV="+cloud.URL).browse()
			if r.code != tt.code || !strings.Contains(r.stdout+r.stderr, tt.say) || !strings.Contains(page, tt.page) {
				t.Errorf("it exits with %d, want %d, %q and %q\n%s%s\n%s", r.code, tt.code, tt.say, tt.page, r.stdout, r.stderr, page)
			}
		})
	}
}

// Who finds the port without the state of the login gets nothing, and does not end it.
func TestBrowserLoginStrangers(t *testing.T) {
	cloud := newFakeCloud(t)
	asked := 0
	cloud.set(func() {
		cloud.answer = func(q url.Values) {
			if asked++; asked == 1 {
				q.Set("state", "guessed")
			}
		}
	})
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	cmd := ace.command("", "login", "--browser", "--no-connect")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, page := readPage(pipe)
	for i, want := range []int{http.StatusNotFound, http.StatusOK} {
		resp, err := http.Get(page) //nolint:gosec,noctx // the page of the fake cloud
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("request %d: %s", i, resp.Status)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the login: %v", err)
	}
}

func TestSwitchAndList(t *testing.T) {
	cloud := newFakeCloud(t)
	ace := newTerminal(t)
	if r := ace.run("", "auth", "switch", "one"); r.code != term.ExitFailed {
		t.Errorf("switching without a profile exits with %d", r.code)
	}
	for _, name := range []string{"one", "two"} {
		ace.must("", "auth", "login-api-key", "--profile", name, "--env", cloud.URL, "--key", cloud.key.Text().Reveal(), "--service-name", "service "+name)
	}
	cloud.requests()
	type list struct {
		Items []struct {
			Profile     string
			Active      bool
			Status      string
			ServiceName string           `json:"service_name"`
			CloudURL    bridge.ServerURL `json:"cloud_url"`
		}
	}
	active := func() (name string) {
		var l list
		if err := json.Unmarshal([]byte(ace.must("", "auth", "list", "-o", "json").stdout), &l); err != nil || len(l.Items) != 2 {
			t.Fatal(err, l)
		}
		for _, r := range l.Items {
			if r.Active {
				name += r.Profile
			}
			if r.Status != "logged in" || r.ServiceName != "service "+r.Profile || r.CloudURL != bridge.ServerURL(cloud.URL) {
				t.Errorf("the profile %+v", r)
			}
		}
		return name
	}
	if got := active(); got != "two" {
		t.Errorf("the active profile is %q", got)
	}
	ace.must("", "auth", "switch", "one")
	if got := active(); got != "one" {
		t.Errorf("the active profile is %q", got)
	}
	if r := ace.run("", "auth", "switch", "onne"); r.code != term.ExitFailed || !strings.Contains(r.stderr, `did you mean "one"`) {
		t.Errorf("an unknown profile exits with %d: %s", r.code, r.stderr)
	}
	if r := ace.run("", "auth", "switch"); r.code != term.ExitUsage {
		t.Errorf("without a terminal and a name it exits with %d", r.code)
	}
	if len(cloud.requests()) > 0 {
		t.Error("listing and switching ask the cloud")
	}
}

func TestDebug(t *testing.T) {
	cloud := newFakeCloud(t)
	ace := newTerminal(t, "ACE_KEY="+cloud.key.Text().Reveal())
	r := ace.must("", "auth", "me", "--env", cloud.URL, "--debug")
	if want := fmt.Sprintf("debug: GET %s/v1/me 200 in ", cloud.URL); !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, "request request-1") {
		t.Errorf("--debug prints %s", r.stderr)
	}
}

// That one is logged in is said before what else a login does, which takes its time.
func TestLoginOrder(t *testing.T) {
	cloud := newFakeCloud(t)
	ace := newTerminal(t, "ACE_ENV="+cloud.URL)
	cmd := ace.command("", "login", "--no-browser")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// What is said of the server on this machine depends on whether one runs there.
	before, after, ok := strings.Cut(string(out), "Logged in to "+cloud.URL)
	if !ok || strings.Contains(before, "erver") || !strings.Contains(after, "erver") {
		t.Errorf("the login says\n%s", out)
	}
}
