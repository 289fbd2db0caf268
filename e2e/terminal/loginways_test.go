package terminal

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
	"github.com/acebridge/ace/e2e/world"
)

// Every way to log in, and what is then sent as what.
func TestLoginWays(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	cloud.Set(func() { cloud.Otp = "123456" })
	token := cloud.CanaryToken(map[string]any{"iss": cloud.URL, "exp": time.Now().Add(time.Hour).Unix()})
	keyID := cloud.Key.ID.String()
	tests := []struct {
		name, stdin, method string
		args                []string
	}{
		{"device", "", world.MethodDevice, []string{"login", "--no-browser", "--no-connect"}},
		{"password", world.CanaryPassword + "\n", world.MethodPassword, []string{"login", "--email", "ada@acme.test", "--password-stdin", "--otp", "123456", "--no-connect"}},
		{"pat", cloud.PAT.Text().Reveal(), world.MethodPAT, []string{"login", "pat", "--token", "-"}},
		{"api key", cloud.Key.Text().Reveal(), world.MethodAPIKey, []string{"login", "api-key", "--name", "ci", "--secret", "-", "--organization-id", "org-123"}},
		{"auth api key", keyID + "." + cloud.Key.Text().Reveal(), world.MethodAPIKey, []string{"auth", "login-api-key", "--key", "-", "--service-name", "ci"}},
		{"token on stdin", token, world.MethodDeveloperToken, []string{"auth", "login-token"}},
		{"token in a flag", "", world.MethodDeveloperToken, []string{"auth", "login-token", "--token", token}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
			cloud.Requests()
			ace.Must(tt.stdin, tt.args...)
			checkHeaders(t, cloud.Requests())
			var status struct {
				LoggedIn    bool `json:"logged_in"`
				Checked     bool
				Environment string
				Method      string
				Roles       []string
				Scopes      []string
				ExpiresAt   *time.Time `json:"expires_at"`
			}
			if err := json.Unmarshal([]byte(ace.Must("", "auth", "status", "--output", "json").Stdout), &status); err != nil {
				t.Fatal(err)
			}
			if status.Method != tt.method || !status.LoggedIn || !status.Checked || !slices.Equal(status.Roles, []string{"admin"}) ||
				!slices.Equal(status.Scopes, []string{"connection:read"}) || status.Environment != strings.TrimPrefix(cloud.URL, "http://") {
				t.Errorf("the status is %+v", status)
			}
			if isKey := tt.method == world.MethodAPIKey || tt.method == world.MethodPAT; isKey && time.Until(*status.ExpiresAt) < 89*24*time.Hour {
				t.Errorf("the key expires at %s", status.ExpiresAt)
			}
			if me := ace.Must("", "auth", "me", "-o", "json").Stdout; tt.method != world.MethodAPIKey &&
				me != `{"name":"Ada","email":"ada@acme.test","country":"DE","currency":"EUR"}`+"\n" {
				t.Errorf("auth me prints %s", me)
			}
			checkHeaders(t, cloud.Requests())
			if again := ace.Run(tt.stdin, tt.args...); tt.args[0] == "login" && (again.Code != 1 || !strings.Contains(again.Stderr, "You are already logged in")) {
				t.Errorf("a second login exits with %d\n%s", again.Code, again.Stderr)
			} else if tt.args[0] == "auth" && again.Code != 0 {
				t.Errorf("a login that replaces the session exits with %d\n%s", again.Code, again.Stderr)
			}
			if tt.args[0] == "login" {
				ace.Must(tt.stdin, append(slices.Clone(tt.args), "--force")...)
			}
			ace.Must("", "auth", "logout")
			if out := ace.Run("", "auth", "status"); out.Code != world.ExitNotLoggedIn {
				t.Errorf("after the logout, status exits with %d", out.Code)
			}
			if files, _ := filepath.Glob(ace.Home + "/.ace/auth.json"); len(files) > 0 {
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
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	key := cloud.Key.Text().Reveal()
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
		{"no pat", "not a personal access token", 4, []string{"login", "pat", "--token", key}},
		{"a key as a token", "API key", 4, []string{"auth", "login-token", "--token", key}},
		{"junk", "not a token", 4, []string{"auth", "login-token", "--token", "junk"}},
		{"expired", "expired", 4, []string{"auth", "login-token", "--token", cloud.CanaryToken(map[string]any{"iss": cloud.URL, "exp": past})}},
		{"another cloud's", "from https://other.example", 4, []string{"auth", "login-token", "--token", cloud.CanaryToken(map[string]any{"iss": "https://other.example"})}},
		{"no secret", "--secret", 2, []string{"login", "api-key", "--name", "ci"}},
		{"no token", "--token", 2, []string{"login", "pat"}},
		{"no name", "--name", 2, []string{"login", "api-key", "--secret", key}},
		{"no service", "--service-name", 2, []string{"auth", "login-api-key", "--key", key}},
		{"no password", "--password-stdin", 2, []string{"login", "--email", "ada@acme.test"}},
		{"no e-mail", "--email", 2, []string{"login", "--password-stdin"}},
		{"two ways", "use one way", 2, []string{"login", "--email", "ada@acme.test", "--browser"}},
		{"two secrets on stdin", "already been read", 2, []string{"login", "--email", "ada@acme.test", "--password-stdin", "--otp", "-"}},
		{"the guard", "not logged in", 4, []string{"auth", "login", "--non-interactive"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ace.Run("x", tt.args...)
			if r.Code != tt.code || !strings.Contains(r.Stderr, tt.say) {
				t.Errorf("it exits with %d, want %d and %q\n%s", r.Code, tt.code, tt.say, r.Stderr)
			}
			if seen := cloud.Requests(); len(seen) > 0 {
				t.Errorf("the cloud was asked: %s", seen[0].URL)
			}
		})
	}
}

// What the cloud refuses is not stored, and the reason is told.
func TestLoginRefusedThere(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	cloud.Set(func() { cloud.Otp = "123456" })
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	unknown := bridge.NewKey(bridge.KindLive, uuid.New())
	tests := []struct {
		name, stdin, say string
		code             int
		args             []string
	}{
		{"unknown key", "", "does not know the key " + unknown.ID.String(), 4, []string{"login", "api-key", "--name", "ci", "--secret", unknown.Text().Reveal()}},
		{"another organization", "", "to the organization acme (org-123), not to other", 5,
			[]string{"login", "api-key", "--name", "ci", "--secret", cloud.Key.Text().Reveal(), "--organization-id", "other"}},
		{"wrong password", "wrong", "wrong", 4, []string{"login", "--email", "ada@acme.test", "--password-stdin"}},
		{"second factor", world.CanaryPassword, "--otp", 2, []string{"login", "--email", "ada@acme.test", "--password-stdin"}},
		{"wrong second factor", world.CanaryPassword, "second factor", 4, []string{"login", "--email", "ada@acme.test", "--password-stdin", "--otp", "1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ace.Run(tt.stdin, tt.args...)
			if r.Code != tt.code || !strings.Contains(r.Stderr, tt.say) {
				t.Errorf("it exits with %d, want %d and %q\n%s", r.Code, tt.code, tt.say, r.Stderr)
			}
			if left, _ := filepath.Glob(ace.Home + "/.ace/*.json"); len(left) > 0 {
				t.Errorf("it leaves %v", left)
			}
		})
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	ace := world.NewTerminal(t)
	guard := []string{"auth", "login", "--env", cloud.URL, "--non-interactive"}
	ace.Must("", "auth", "login", "--env", cloud.URL, "--no-browser", "--no-connect")
	if r := ace.Must("", guard...); !strings.Contains(r.Stdout, "as ada@acme.test (admin of acme)") {
		t.Errorf("the guard prints %s", r.Stdout)
	}
	cloud.Set(func() { cloud.Refuse = bridge.Unauthenticated })
	if r := ace.Run("", guard...); r.Code != world.ExitNotLoggedIn {
		t.Errorf("with a session that the cloud has ended, the guard exits with %d\n%s", r.Code, r.Stderr)
	}
	cloud.Close()
	if r := ace.Run("", guard...); r.Code != world.ExitUnreachable {
		t.Errorf("without an answer the guard exits with %d\n%s", r.Code, r.Stderr)
	}
	if r := ace.Must("", "auth", "status", "--env", cloud.URL); !strings.Contains(r.Stdout, "the cloud could not be asked") {
		t.Errorf("without the cloud, status prints %s", r.Stdout)
	}
	if r := ace.Must("", "logout", "--env", cloud.URL); !strings.Contains(r.Stderr, "removed from this machine, but the cloud could not be told") {
		t.Errorf("without the cloud, logout says %s", r.Stderr)
	}
}

// The session is ended at the cloud by what it is carried on with; a key is not.
func TestLogoutRevokes(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	ace.Must("", "login", "--no-browser", "--no-connect")
	ace.Must("", "logout")
	ace.Must(world.CanaryPassword, "login", "--email", "ada@acme.test", "--password-stdin", "--no-connect")
	ace.Must(world.CanaryPassword, "auth", "logout")
	ace.Must("", "login", "pat", "--token", cloud.PAT.Text().Reveal())
	if r := ace.Must("", "logout"); !strings.Contains(r.Stderr, "ace api-key revoke "+cloud.PAT.ID.String()) {
		t.Errorf("logout of a key says %s", r.Stderr)
	}
	cloud.Set(func() {
		if want := []string{world.CanaryRefresh + "-0", world.CanaryAccess}; !slices.Equal(cloud.Revoked, want) {
			t.Errorf("revoked %q, want %q", cloud.Revoked, want)
		}
	})
}

// Endpoints that the metadata names elsewhere are used at the login, and kept for what comes after.
func TestDiscoveredEndpoints(t *testing.T) {
	t.Parallel()
	cloud, other := world.NewFakeCloud(t), world.NewFakeCloud(t)
	cloud.Set(func() {
		cloud.Metadata = func(m map[string]any) {
			for _, name := range []string{"device_authorization_endpoint", "token_endpoint", "revocation_endpoint"} {
				m[name] = strings.Replace(m[name].(string), cloud.URL, other.URL, 1)
			}
		}
	})
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	ace.Must("", "login", "--no-browser", "--no-connect")
	ace.Must("", "logout")
	count := func(f *world.FakeCloud) (n int) {
		f.Set(func() { n = len(f.Revoked) })
		return n
	}
	if count(other) != 1 || count(cloud) != 0 {
		t.Error("the logout did not go to the endpoint that the metadata names")
	}
}

func TestDiscoverRefuses(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	server := http.NewServeMux()
	server.HandleFunc("GET /.well-known/ace-server", func(w http.ResponseWriter, _ *http.Request) {
		cloud.JSON(w, http.StatusOK, map[string]any{"product": "ace", "exchange": map[string]any{"issuer": "https://cloud.example"}})
	})
	tests := []struct {
		name, say string
		start     func(f *world.FakeCloud)
	}{
		{"another issuer", "says that it is another cloud", func(f *world.FakeCloud) {
			f.Metadata = func(m map[string]any) { m["issuer"] = "https://evil.example" }
		}},
		{"an endpoint without TLS", "can be called safely", func(f *world.FakeCloud) {
			f.Metadata = func(m map[string]any) { m["token_endpoint"] = "http://evil.example/token" }
		}},
		{"a server", "is an ace server, not a cloud", func(f *world.FakeCloud) { f.Instead = server }},
		{"something else", "answered 404 Not Found", func(f *world.FakeCloud) { f.Instead = http.NotFoundHandler() }},
		{"a page", "not ace's JSON", func(f *world.FakeCloud) {
			f.Instead = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
		}},
		{"a redirect", "redirect", func(f *world.FakeCloud) { f.Instead = http.RedirectHandler("https://other.example", http.StatusFound) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := world.NewFakeCloud(t)
			f.Set(func() { tt.start(f) })
			if r := world.NewTerminal(t).Run("", "auth", "login", "--no-browser", "--env", f.URL); r.Code != world.ExitFailed || !strings.Contains(r.Stderr, tt.say) {
				t.Errorf("it exits with %d, want %q\n%s", r.Code, tt.say, r.Stderr)
			}
		})
	}
}

func TestBrowserLogin(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	tests := []struct {
		name, say, page string
		code            int
		answer          func(q url.Values)
	}{
		{"", "as ada@acme.test", "Done. You can close this page", 0, nil},
		{"refused", "refused in the browser", "This did not log you in", world.ExitForbidden, func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }},
		{"another issuer", "a cloud other than", "This did not log you in", 1, func(q url.Values) { q.Set("iss", "https://evil.example") }},
		{"no issuer", "a cloud other than", "This did not log you in", 1, func(q url.Values) { q.Del("iss") }},
		{"no code", "without a code", "This did not log you in", 1, func(q url.Values) { q.Del("code") }},
		{"two codes", "more than once", "This did not log you in", 1, func(q url.Values) { q.Add("code", "other") }},
		{"another code", "refused: invalid_grant", "Done", 1, func(q url.Values) { q.Set("code", "other") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cloud.Set(func() { cloud.Answer = tt.answer })
			r, page := world.NewTerminal(t, "ACE_ENV="+cloud.URL).Browse()
			if r.Code != tt.code || !strings.Contains(r.Stdout+r.Stderr, tt.say) || !strings.Contains(page, tt.page) {
				t.Errorf("it exits with %d, want %d, %q and %q\n%s%s\n%s", r.Code, tt.code, tt.say, tt.page, r.Stdout, r.Stderr, page)
			}
		})
	}
}

// Who finds the port without the state of the login gets nothing, and does not end it.
func TestBrowserLoginStrangers(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	asked := 0
	cloud.Set(func() {
		cloud.Answer = func(q url.Values) {
			if asked++; asked == 1 {
				q.Set("state", "guessed")
			}
		}
	})
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	cmd := ace.Command("", "login", "--browser", "--no-connect")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, page := world.ReadPage(pipe)
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
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	ace := world.NewTerminal(t)
	if r := ace.Run("", "auth", "switch", "one"); r.Code != world.ExitFailed {
		t.Errorf("switching without a profile exits with %d", r.Code)
	}
	for _, name := range []string{"one", "two"} {
		ace.Must("", "auth", "login-api-key", "--profile", name, "--env", cloud.URL, "--key", cloud.Key.Text().Reveal(), "--service-name", "service "+name)
	}
	cloud.Requests()
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
		if err := json.Unmarshal([]byte(ace.Must("", "auth", "list", "-o", "json").Stdout), &l); err != nil || len(l.Items) != 2 {
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
	ace.Must("", "auth", "switch", "one")
	if got := active(); got != "one" {
		t.Errorf("the active profile is %q", got)
	}
	if r := ace.Run("", "auth", "switch", "onne"); r.Code != world.ExitFailed || !strings.Contains(r.Stderr, `did you mean "one"`) {
		t.Errorf("an unknown profile exits with %d: %s", r.Code, r.Stderr)
	}
	if r := ace.Run("", "auth", "switch"); r.Code != world.ExitUsage {
		t.Errorf("without a terminal and a name it exits with %d", r.Code)
	}
	if len(cloud.Requests()) > 0 {
		t.Error("listing and switching ask the cloud")
	}
}

func TestDebug(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	ace := world.NewTerminal(t, "ACE_KEY="+cloud.Key.Text().Reveal())
	r := ace.Must("", "auth", "me", "--env", cloud.URL, "--debug")
	if want := fmt.Sprintf("debug: GET %s/v1/me 200 in ", cloud.URL); !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, "request request-1") {
		t.Errorf("--debug prints %s", r.Stderr)
	}
}

// That one is logged in is said before what else a login does, which takes its time.
func TestLoginOrder(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	ace := world.NewTerminal(t, "ACE_ENV="+cloud.URL)
	cmd := ace.Command("", "login", "--no-browser")
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
