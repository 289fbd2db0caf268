package selfcheck

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/doctor"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// place is a server's machine. Tests change what is to be wrong on it.
type place struct {
	dir     string
	machine Machine
	err     error             // of the settings
	status  *api.ServerStatus // nil: no server runs
	cloud   *httptest.Server
	app     *httptest.Server
	appSays int
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{dir: t.TempDir(), appSays: http.StatusOK}
	if err := os.Chmod(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p.app = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(p.appSays) }))
	t.Cleanup(p.app.Close)
	p.cloud = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		at := func(path string) string { return p.cloud.URL + path }
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.cloud.URL, "authorization_endpoint": at("/a"), "device_authorization_endpoint": at("/d"),
			"token_endpoint": at("/t"), "revocation_endpoint": at("/r"), "jwks_uri": at("/jwks"), "keys": []string{}})
	}))
	t.Cleanup(p.cloud.Close)
	upstream, err := url.Parse(p.app.URL)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	p.status = &api.ServerStatus{Version: "v1", StartedAt: now, Ready: true, Listening: "127.0.0.1:7777",
		Trust: &api.ServerTrust{Cloud: bridge.ServerURL(p.cloud.URL), Org: "acme", Pinned: true}, App: api.AppState{State: api.AppUp},
		Links: []api.ServerLinks{{KeyID: "k1", ProbeAt: &now, Links: []api.ServerLink{{Up: true, Since: now}, {Code: bridge.CodeCloudUnreachable}}}}}
	p.machine = Machine{DataDir: p.dir, Database: migrated(t), Upstream: upstream}
	return p
}

// run makes the checks, with a running server at the socket if there is one.
func (p *place) run(t *testing.T) doctor.Report {
	t.Helper()
	socket := filepath.Join(p.dir, api.SocketName)
	p.machine.Operator = apiclient.NewOperator(socket, api.ClientConfig{})
	if p.status != nil {
		ln, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(socket, 0o600); err != nil {
			t.Fatal(err)
		}
		srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(p.status)
		})}}
		srv.Start()
		defer srv.Close()
	}
	r, _ := (&Doctor{Settings: func() (Machine, error) { return p.machine, p.err }}).Run(t.Context(), 5*time.Second)
	return r
}

// otherTrust is a key that the cloud of a place does not publish.
func otherTrust(t *testing.T, p *place) bridge.Trust {
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		t.Fatal(err)
	}
	public, _ := root.TrustValues(bridge.ServerURL(p.cloud.URL), "acme")
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: public})
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// notReady makes the running server say why it does not work.
func (p *place) notReady(code bridge.Code) {
	p.status.Ready, p.status.Code, p.status.Cause, p.status.Hint = false, code, "as the server says", "what the server says"
}

// link makes the links of the running server be down.
func (p *place) link(code bridge.Code) {
	p.status.Links[0].Links = []api.ServerLink{{Code: code, Cause: "as the link says"}}
	p.notReady(bridge.CodeNoLink)
}

// TestFaults puts one fault at a time on a server's machine, and checks which check finds it and its code.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(t *testing.T, p *place)
		check   string // that fails; empty: none
		code    bridge.Code
		fix     string
		skipped string // another check
	}{
		"none":             {func(*testing.T, *place) {}, "", "", "", ""},
		"no app, no cloud": {func(_ *testing.T, p *place) { p.machine.Upstream, p.status.Trust, p.status.Links = nil, nil, nil }, "", "", "", "cloud"},
		"settings": {func(_ *testing.T, p *place) {
			p.err = bridge.E(bridge.Invalid, bridge.CodeEnvironment, "wrong").WithHint("set it")
		}, "settings", bridge.CodeEnvironment, "set it", "app"},
		"others may enter":       {func(t *testing.T, p *place) { mode(t, p.dir, 0o755) }, "data_dir", bridge.CodeDataDirOpen, "chmod -R go= ", ""},
		"a file, no folder":      {func(t *testing.T, p *place) { p.machine.DataDir = notAFolder(t) }, "data_dir", bridge.CodeDataDirUnusable, "chown", ""},
		"no database there":      {func(_ *testing.T, p *place) { p.machine.Database = "postgres://127.0.0.1:1/ace?connect_timeout=1" }, "database", bridge.CodeDatabaseUnreachable, "ACE_DATABASE_URL", ""},
		"no database URL":        {func(_ *testing.T, p *place) { p.machine.Database = "mysql://x" }, "database", bridge.CodeDatabaseURL, "ACE_DATABASE_URL", ""},
		"a lost database":        {func(t *testing.T, p *place) { lost(t, p) }, "database", bridge.CodeDatabaseMissing, "--new-database", ""},
		"no server":              {func(_ *testing.T, p *place) { p.status = nil }, "running", bridge.CodeServerNotRunning, "ace server", "link"},
		"no cloud there":         {func(_ *testing.T, p *place) { p.cloud.Close() }, "cloud_tcp", bridge.CodeDialRefused, "start what should listen", "cloud_clock"},
		"another key":            {func(t *testing.T, p *place) { p.machine.Trust = otherTrust(t, p) }, "cloud_keys", bridge.CodeServerOtherSecret, "ace org trust", ""},
		"a refused link":         {func(_ *testing.T, p *place) { p.link(bridge.CodeLinkRefused) }, "link", bridge.CodeLinkRefused, "ace server join -", ""},
		"an unreadable link":     {func(_ *testing.T, p *place) { p.link(bridge.CodeLinkUnreadable) }, "link", bridge.CodeLinkUnreadable, "ACE_JWT_SECRET", ""},
		"a link without ways":    {func(_ *testing.T, p *place) { p.link(bridge.CodeCloudUnreachable) }, "link", bridge.CodeCloudUnreachable, "above", ""},
		"no link":                {func(_ *testing.T, p *place) { p.status.Links = nil; p.notReady(bridge.CodeNoLink) }, "link", bridge.CodeNoLink, "what the server says", ""},
		"a silent link":          {func(_ *testing.T, p *place) { p.notReady(bridge.CodeLinkSilent) }, "link", bridge.CodeLinkSilent, "dashboard", ""},
		"a full disk":            {func(_ *testing.T, p *place) { p.notReady(bridge.CodeDatabaseFull) }, "ready", bridge.CodeDatabaseFull, "what the server says", ""},
		"a clock that went back": {func(_ *testing.T, p *place) { p.notReady(bridge.CodeClockBehind) }, "ready", bridge.CodeClockBehind, "what the server says", ""},
		"no app there":           {func(_ *testing.T, p *place) { p.app.Close(); p.notReady(bridge.CodeAppDown) }, "app", bridge.CodeAppDown, "ACE_UPSTREAM_URL", ""},
		"an app that is ill": {func(_ *testing.T, p *place) {
			p.machine.Health, p.appSays = p.machine.Upstream, http.StatusServiceUnavailable
		}, "app", bridge.CodeAppDown, "start the app", ""},
		"an app that is well": {func(_ *testing.T, p *place) { p.machine.Health, p.appSays = p.machine.Upstream, http.StatusNotFound }, "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			tt.change(t, p)
			r := p.run(t)
			if r.OK != (tt.check == "") {
				t.Errorf("ok is %v", r.OK)
			}
			states := map[string]doctor.State{}
			for _, c := range r.Checks {
				states[c.Name] = c.State
				if (c.State == doctor.Failed) != (c.Name == tt.check) || c.Name == tt.check && (c.Code != tt.code || !strings.Contains(c.Fix, tt.fix)) {
					t.Errorf("%+v", c)
				}
			}
			if tt.check != "" && states[tt.check] == "" || tt.skipped != "" && states[tt.skipped] != doctor.Skipped {
				t.Errorf("%v", states)
			}
		})
	}
}

func mode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func notAFolder(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lost makes the data directory say that a database was used before, and the database be gone.
func lost(t *testing.T, p *place) {
	if err := os.WriteFile(filepath.Join(p.dir, "server-state.json"), []byte(`{"database_id":"d1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p.machine.Database = "sqlite:" + filepath.Join(p.dir, "server.db")
}

// migrated is the URL of a database as a start leaves it.
func migrated(t *testing.T) string {
	t.Helper()
	dsn := sqldbtest.SQLite(t)
	db, err := sqldb.OpenChecked(t.Context(), sqldb.Start{URL: dsn, Role: "server"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dsn
}
