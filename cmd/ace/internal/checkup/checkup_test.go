package checkup

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/doctor"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/report"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// ends are a cloud and a server that answer as they are told.
type ends struct {
	cloud, server *httptest.Server
	me            api.Me
	connections   []api.Connection
	probed        func(c *api.Connection) // what the cloud finds
	refuse        error                   // what the server answers to a credential; nil: who it is
	relayRefuse   error                   // what the relay answers
	discovery     func(d *api.Discovery)
}

const connectionID = "01a1fc30-3fc5-7603-bc83-1f1313f67ee9"

func newEnds(t *testing.T) *ends {
	t.Helper()
	e := &ends{me: api.Me{ID: "u1", Email: "ada@acme.test", Org: "acme", Role: "admin", Scopes: []string{"*"}}}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	identity := func(refuse *error) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if *refuse != nil {
				api.WriteProblem(w, *refuse)
				return
			}
			answer(w, api.Identity{Subject: "ada@acme.test"})
		}
	}
	mux := http.NewServeMux()
	e.cloud = httptest.NewServer(mux)
	t.Cleanup(e.cloud.Close)
	at := func(path string) string { return e.cloud.URL + path }
	mux.HandleFunc(api.PathMetadata, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"issuer": e.cloud.URL, "authorization_endpoint": at("/a"), "device_authorization_endpoint": at("/d"),
			"token_endpoint": at("/t"), "revocation_endpoint": at("/r"), "jwks_uri": at("/jwks")})
	})
	mux.HandleFunc("/v1/me", func(w http.ResponseWriter, _ *http.Request) { answer(w, e.me) })
	mux.HandleFunc("GET /v1/connections", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.List[api.Connection]{Items: e.connections})
	})
	mux.HandleFunc("POST /v1/connections/{id}/credential", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.Credential{Type: "access_token", Header: "Authorization", Value: bridge.NewSecret("Bearer canary-credential").Disclose(), ServerURL: bridge.ServerURL(e.server.URL)})
	})
	mux.HandleFunc("POST /v1/connections/{id}/check", func(w http.ResponseWriter, _ *http.Request) {
		c := e.connections[0]
		if e.probed != nil {
			e.probed(&c)
		}
		answer(w, c)
	})
	mux.HandleFunc("/v1/connections/{id}/relay/ace/v1/me", identity(&e.relayRefuse))
	own := http.NewServeMux()
	own.HandleFunc("/.well-known/ace-server", func(w http.ResponseWriter, _ *http.Request) {
		url := bridge.ServerURL(e.server.URL)
		d := api.Discovery{Product: "ace", Version: "v1", PublicURL: url, PublicURLs: []bridge.ServerURL{url}, Time: time.Now(),
			Exchange: api.DiscoveryExchange{Configured: true, Issuer: bridge.ServerURL(e.cloud.URL), Org: "acme"}}
		if e.discovery != nil {
			e.discovery(&d)
		}
		answer(w, d)
	})
	own.HandleFunc("/ace/v1/me", identity(&e.refuse))
	e.server = httptest.NewServer(own)
	t.Cleanup(e.server.Close)
	e.connections = []api.Connection{{ID: connectionID, Name: "laptop", ServerURL: bridge.ServerURL(e.server.URL), Owner: "ada@acme.test", Method: "exchange",
		Mine: true, Status: "online", Way: api.WayDirect}}
	t.Setenv("HOME", t.TempDir())
	for name, value := range map[string]string{"DBUS_SESSION_BUS_ADDRESS": "", "ACE_PROFILE": "", "ACE_TOKEN": "", "ACE_API_KEY_ID": "",
		"ACE_ENV": e.cloud.URL, "ACE_KEY": "canary-session"} {
		t.Setenv(name, value)
	}
	return e
}

// newGroup is the command on streams that a test can read.
func newGroup(t *testing.T) (*Group, *os.File, *os.File) {
	t.Helper()
	var streams [3]*os.File
	for i := range streams {
		f, err := os.CreateTemp(t.TempDir(), "stream")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		streams[i] = f
	}
	terminal := term.New(streams[0], streams[1], streams[2])
	terminal.SecretVariables = profile.SecretVariables
	return &Group{Term: terminal, Profiles: &profile.Profiles{Term: terminal, Version: "v1"},
		Reporter: &report.Reporter{Term: terminal, Version: "v1", Variables: append([]string{"ACE_PUBLIC_URL", "ACE_DATABASE_URL"}, profile.Variables...)}}, streams[1], streams[2]
}

// TestFaults puts one fault at a time at one end, and checks which check finds it and its code.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, e *ends)
		server string // --server
		check  string // that fails; empty: none
		code   bridge.Code
		fix    string
	}{
		"none":                   {func(*testing.T, *ends) {}, "laptop", "", "", ""},
		"none, nothing is named": {func(*testing.T, *ends) {}, "", "", "", ""},
		"not logged in":          {func(t *testing.T, _ *ends) { t.Setenv("ACE_KEY", "") }, "", "login", bridge.CodeNotLoggedIn, "ace login"},
		"a viewer":               {func(_ *testing.T, e *ends) { e.me.Role, e.me.Scopes = "viewer", []string{"connection:read"} }, "laptop", "scope", bridge.CodeConnectRoleViewer, "ace org role"},
		"a key that may little":  {func(_ *testing.T, e *ends) { e.me.KeyID, e.me.Scopes = "k", []string{"connection:read"} }, "laptop", "scope", bridge.CodeScopeMissing, "connection:create"},
		"no such connection":     {func(*testing.T, *ends) {}, "laptpo", "which", bridge.CodeConnectionNotFound, "ace connections list"},
		"no server there":        {func(_ *testing.T, e *ends) { e.server.Close() }, "laptop", "server_tcp", bridge.CodeDialRefused, "start what should listen"},
		"no server's trust": {func(_ *testing.T, e *ends) {
			e.discovery = func(d *api.Discovery) { d.Exchange = api.DiscoveryExchange{} }
		}, "laptop", "server_trust",
			bridge.CodeServerNoCloudSecret, "ace org trust"},
		"a dead key":    {func(_ *testing.T, e *ends) { e.refuse = bridge.E(bridge.Unauthenticated, bridge.CodeKeyInvalid, "no") }, "laptop", "server_key", bridge.CodeKeyInvalid, "ace connect"},
		"no link":       {func(_ *testing.T, e *ends) { e.link(bridge.CodeNoLink) }, "laptop", "link", bridge.CodeNoLink, "ace server doctor"},
		"a silent link": {func(_ *testing.T, e *ends) { e.link(bridge.CodeLinkSilent) }, "laptop", "link", bridge.CodeLinkSilent, "ace server doctor"},
		"no app":        {func(_ *testing.T, e *ends) { e.link(bridge.CodeAppDown) }, "laptop", "app", bridge.CodeAppDown, "start the app"},
		"offline": {func(_ *testing.T, e *ends) {
			e.probed = func(c *api.Connection) { c.Status, c.Cause = "offline", "nothing answers" }
		}, "laptop", "probe", bridge.CodeConnectionOffline, "running"},
		"unauthorized": {func(_ *testing.T, e *ends) {
			e.probed = func(c *api.Connection) { c.Status, c.Cause = "unauthorized", "the key is dead" }
		}, "laptop", "probe",
			bridge.CodeConnectionUnauthorized, "ace connect"},
		"the relay refuses": {func(_ *testing.T, e *ends) {
			e.relayRefuse = bridge.E(bridge.Forbidden, bridge.CodeScopeMissing, "no").WithHint("ask an admin")
		}, "laptop", "relay", bridge.CodeScopeMissing, "ask an admin"},
		"a bad URL": {func(*testing.T, *ends) {}, "ftp://x", "which", bridge.CodeUsage, "http"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnds(t)
			tt.change(t, e)
			g, _, _ := newGroup(t)
			r := g.run(t.Context(), tt.server)
			if r.OK != (tt.check == "") {
				t.Errorf("ok is %v", r.OK)
			}
			for _, c := range r.Checks {
				if (c.State == doctor.Failed) != (c.Name == tt.check) || c.Name == tt.check && (c.Code != tt.code || !strings.Contains(c.Fix, tt.fix)) {
					t.Errorf("%+v", c)
				}
				if strings.Contains(c.Found+c.Cause+c.Fix, "canary") {
					t.Errorf("a secret: %+v", c)
				}
			}
		})
	}
}

// link makes the connection one of a server that links, with a fault.
func (e *ends) link(code bridge.Code) {
	e.connections[0].Way, e.connections[0].ServerURL = api.WayTunnel, bridge.LinkURL("s1")
	e.probed = func(c *api.Connection) { c.Status, c.CauseCode, c.Cause = "offline", code, "as the cloud says" }
}

// A server without a login is checked as far as that goes.
func TestWithoutLogin(t *testing.T) {
	e := newEnds(t)
	t.Setenv("ACE_KEY", "")
	g, _, _ := newGroup(t)
	states := map[string]doctor.State{}
	for _, c := range g.run(t.Context(), e.server.URL).Checks {
		states[c.Name] = c.State
	}
	for name, want := range map[string]doctor.State{"cloud": doctor.OK, "login": doctor.Failed, "scope": doctor.Skipped, "which": doctor.OK, "server": doctor.OK,
		"server_trust": doctor.OK, "server_key": doctor.Skipped, "link": doctor.Skipped, "relay": doctor.Skipped} {
		if states[name] != want {
			t.Errorf("%s is %q, want %q", name, states[name], want)
		}
	}
}

// The bundle has the report and the settings, belongs to its owner, replaces nothing, and holds no secret.
func TestBundle(t *testing.T) {
	e := newEnds(t)
	key := bridge.NewKey(bridge.KindPAT, uuid.New()).Text().Reveal()
	random := bridge.RandomToken(32)
	secrets := map[string]string{"ACE_KEY": key, "ACE_TOKEN": "eyJhbGciOiJFZERTQSJ9.eyJjYW5hcnkiOjF9.canary", "ACE_API_KEY_SECRET": "canary-secret",
		"ACE_AUTH_KEY": "canary-auth-key", "ACE_DATABASE_URL": "postgres://ace:canary@db.test/ace?password=canary2", "HTTPS_PROXY": "http://ada:canary@proxy.test:1",
		"ACE_JWT_SECRTE": random, "ACE_PUBLIC_URL": "https://u:canary@ace.test"}
	for name, value := range secrets {
		t.Setenv(name, value)
	}
	g, _, stderr := newGroup(t)
	path := filepath.Join(t.TempDir(), "support.zip")
	e.relayRefuse = bridge.E(bridge.Forbidden, bridge.CodeScopeMissing, "the key %s may not", key)
	for range 2 {
		cmd := g.Command()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{"--server", "laptop", "--bundle", path})
		err := cmd.ExecuteContext(t.Context())
		if code := bridge.CodeOf(err); code != bridge.CodeFaultsFound && code != bridge.CodeBundleExists {
			t.Error(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	all := unpack(t, path)
	for _, name := range []string{"README.txt", "about.json", "checks.json", "settings.json"} {
		if all[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	for name, text := range all {
		for variable, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the value of %s", name, variable)
			}
		}
		if strings.Contains(text, "canary") || strings.Contains(text, key) || strings.Contains(text, random) {
			t.Errorf("%s has a secret:\n%s", name, text)
		}
	}
	for _, want := range []string{`"ACE_DATABASE_URL": "postgres://db.test/ace"`, `"ACE_JWT_SECRTE": "(set, and not a variable of ace)"`, `"HTTPS_PROXY": "http://proxy.test:1"`,
		`"ACE_KEY": "(set, and secret)"`, `"ACE_PUBLIC_URL": "https://ace.test"`} {
		if !strings.Contains(all["settings.json"], want) {
			t.Errorf("the settings lack %s:\n%s", want, all["settings.json"])
		}
	}
	said, err := os.ReadFile(stderr.Name())
	if err != nil || !strings.Contains(string(said), "The bundle is written") {
		t.Errorf("%s %v", said, err)
	}
}

func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name] = string(text)
	}
	return all
}
