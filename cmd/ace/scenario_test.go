package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/server"
)

// world is a real cloud, a real server that trusts it and a small app behind the server, in this process.
type world struct {
	t             *testing.T
	cloudURL      bridge.ServerURL
	url           bridge.ServerURL // of the server
	admin         *api.CloudClient
	member        *api.CloudClient
	viewer        *api.CloudClient
	operator      *api.ServerClient
	operatorToken bridge.Secret
	jwtSecret     bridge.Secret // of the server
	cloud         *cloud.Cloud
	server        *server.Server

	mu    sync.Mutex
	ahead time.Duration // how far the clocks of cloud and server have been put forward
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

const testPassword = "correct horse battery"

// serve answers at ln with what build makes, for the time of the test.
func (w *world) serve(ln net.Listener, h http.Handler) {
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h, ReadHeaderTimeout: time.Second}}
	srv.Start()
	w.t.Cleanup(srv.Close)
}

func listenLoopback(t *testing.T) (net.Listener, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return ln, port
}

// newWorld starts everything. change may alter the server's configuration before it starts.
func newWorld(t *testing.T, cloudDB, serverDB string, change func(*server.Config)) *world {
	t.Helper()
	return newLoggedWorld(t, cloudDB, serverDB, change, slog.New(slog.DiscardHandler))
}

func newLoggedWorld(t *testing.T, cloudDB, serverDB string, change func(*server.Config), log *slog.Logger) *world {
	t.Helper()
	return newWorldOf(t, cloudDB, serverDB, func(*cloud.Config) {}, change, log)
}

// newWorldOf starts everything. changeCloud may alter the cloud's configuration, too.
func newWorldOf(t *testing.T, cloudDB, serverDB string, changeCloud func(*cloud.Config), change func(*server.Config), log *slog.Logger) *world {
	t.Helper()
	w := &world{t: t}
	cloudLn, cloudPort := listenLoopback(t)
	serverLn, serverPort := listenLoopback(t)
	w.cloudURL = bridge.ServerURL("http://127.0.0.1:" + cloudPort)
	w.url = bridge.ServerURL("http://127.0.0.1:" + serverPort)

	encryption, err := registry.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	signing := bridge.NewSigningRoot()
	cloudCfg := cloud.Config{PublicURL: w.cloudURL, DatabaseURL: cloudDB, EncryptionKeys: encryption,
		SigningKey: signing, Version: "test", Password: registry.PasswordCost{MemoryKiB: 64, Iterations: 1}, Now: w.now}
	changeCloud(&cloudCfg)
	c, err := cloud.New(t.Context(), cloudCfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w.cloud = c
	w.serve(cloudLn, c.Handler())

	root, err := bridge.ParseSigningRoot(signing)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := root.TrustValues(w.cloudURL, "acme")
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: public})
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, r.Header.Get("X-Ace-Subject")+" "+r.Header.Get("X-Ace-Scopes"))
	}))
	t.Cleanup(app.Close)
	upstream, err := url.Parse(app.URL)
	if err != nil {
		t.Fatal(err)
	}
	secret := bridge.NewSecret(bridge.RandomToken(32))
	cfg := server.Config{PublicURLs: []bridge.ServerURL{w.url, bridge.ServerURL("http://localhost:" + serverPort)},
		DatabaseURL: serverDB, Trust: trust, JWTSecret: secret, Upstream: upstream, Version: "test", Now: w.now}
	if change != nil {
		change(&cfg)
	}
	s, err := server.New(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.server = s
	w.serve(serverLn, s.Handler())

	w.admin, w.member, w.viewer = w.person("admin", bridge.RoleAdmin), w.person("member", bridge.RoleMember), w.person("viewer", bridge.RoleViewer)
	token, err := server.MintUserToken(secret, "ops", bridge.RoleAdmin, time.Hour, w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.jwtSecret = secret
	w.operator, w.operatorToken = api.NewServerClient(w.url, token, api.ClientConfig{}), token
	return w
}

// run does the background work of both, for the time of the test.
func (w *world) run() {
	ctx, stop := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.cloud.Run(ctx) })
	wg.Go(func() { _ = w.server.Run(ctx) })
	w.t.Cleanup(func() { stop(); wg.Wait() })
}

func (w *world) person(name string, role bridge.Role) *api.CloudClient {
	w.t.Helper()
	email := name + "@acme.test"
	_, err := w.cloud.Registry().AddUser(w.t.Context(), audit.Actor{ID: "operator"}, registry.NewUser{Email: email,
		Password: bridge.NewSecret(testPassword), Org: "acme", Role: role})
	if err != nil {
		w.t.Fatal(err)
	}
	token, _, err := w.cloud.DeveloperToken(w.t.Context(), email, "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	return api.NewCloudClient(w.cloudURL, token, api.ClientConfig{})
}

// connect does what `ace connect` does, up to the registration.
func (w *world) connect(who *api.CloudClient) api.Connection {
	w.t.Helper()
	ctx := w.t.Context()
	discovery, err := w.operator.Discovery(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	token, err := who.ConnectToken(ctx, w.url, discovery.Exchange.KeyIDs)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := w.operator.Exchange(ctx, token, api.ExchangeRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	if answer.Key != nil || answer.SealedKey == "" {
		w.t.Fatal("the key came in the clear")
	}
	if _, err := w.operator.Exchange(ctx, token, api.ExchangeRequest{}); bridge.CodeOf(err) != "connect_token_used" {
		w.t.Errorf("the connect token was taken a second time: %v", err)
	}
	connection, err := who.Register(ctx, api.RegisterRequest{ServerURL: string(w.url), SealedKey: answer.SealedKey})
	if err != nil {
		w.t.Fatal(err)
	}
	return connection
}

// call calls a path of the server with a credential of a connection and returns status and body.
func (w *world) call(who *api.CloudClient, id, path string) (int, string) {
	w.t.Helper()
	credential, err := who.Credential(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.callWith(credential, path)
}

func (w *world) callWith(credential api.Credential, path string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, credential.ServerURL.Join(path), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set(credential.Header, credential.Value.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestScenario(t *testing.T) {
	for _, db := range []struct {
		name string
		dsn  func(testing.TB) string
	}{{"sqlite", sqldbtest.SQLite}, {"postgres", sqldbtest.Postgres}} {
		t.Run(db.name, func(t *testing.T) { scenario(t, newWorld(t, db.dsn(t), db.dsn(t), nil)) })
	}
}

func scenario(t *testing.T, w *world) {
	ctx := t.Context()
	connection := w.connect(w.admin)
	if status, body := w.call(w.admin, connection.ID, "/whoami"); status != 200 || !strings.HasPrefix(body, "admin@acme.test ") {
		t.Fatalf("the first call answered %d %q", status, body)
	}
	checked, err := w.admin.Check(ctx, connection.ID)
	if err != nil || checked.Status != "online" {
		t.Fatalf("the cloud's probe says %q %q (%v)", checked.Status, checked.Cause, err)
	}

	// Private: nobody else sees it, and only an admin may share.
	if list, err := w.member.Connections(ctx); err != nil || len(list) != 0 {
		t.Fatalf("the member sees %d private connections of others (%v)", len(list), err)
	}
	if _, err := w.member.Credential(ctx, connection.ID); bridge.CodeOf(err) != "connection_unknown" {
		t.Errorf("the member gets a credential of a private connection: %v", err)
	}
	organization, private := registry.Organization, registry.Private
	own := w.connect(w.member)
	if _, err := w.member.Patch(ctx, own.ID, api.ConnectionPatch{Visibility: &organization}); bridge.AsError(err).Kind != bridge.Forbidden {
		t.Errorf("a member shares: %v", err)
	}
	if _, err := w.viewer.ConnectToken(ctx, w.url, nil); bridge.CodeOf(err) != "access_denied" {
		t.Errorf("a viewer gets a connect token: %v", err)
	}

	// Shared: the member has it at once, is named to the app, and has less than the admin.
	if _, err := w.admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: &organization}); err != nil {
		t.Fatal(err)
	}
	status, body := w.call(w.member, connection.ID, "/whoami")
	if status != 200 || body != "member@acme.test app:*" {
		t.Errorf("the member's call answered %d %q", status, body)
	}
	if _, body := w.call(w.viewer, connection.ID, "/whoami"); body != "viewer@acme.test app:read" {
		t.Errorf("the viewer's call answered %q", body)
	}
	if status, _ := w.call(w.member, connection.ID, "/ace/v1/api-keys"); status != http.StatusForbidden {
		t.Errorf("the member lists the server's keys: %d", status)
	}
	if _, err := w.admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: &private}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.member.Credential(ctx, connection.ID); bridge.CodeOf(err) != "connection_unknown" {
		t.Errorf("the member still gets a credential: %v", err)
	}

	// Disconnected: the credential that was fetched before is dead with its key.
	credential, err := w.admin.Credential(ctx, connection.ID)
	if err != nil {
		t.Fatal(err)
	}
	removed, err := w.admin.Delete(ctx, connection.ID)
	if err != nil || removed.Revocation == nil || removed.Revocation.Status != "delivered" {
		t.Fatalf("disconnect: %v %+v", err, removed.Revocation)
	}
	if status, body := w.callWith(credential, "/whoami"); status != http.StatusUnauthorized || !strings.Contains(body, "API key is invalid or expired") {
		t.Errorf("after the disconnect the server answers %d %q", status, body)
	}
	keys, err := w.operator.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.KeyID == removed.Revocation.KeyID && (k.Status != "revoked" || k.Ended == nil || k.Ended.By != "user:admin@acme.test") {
			t.Errorf("the key is %s, %+v", k.Status, k.Ended)
		}
	}
}

// A connect that dies between exchange and registration leaves a key that nobody has; it lapses, and a rerun completes.
func TestOrphanedKeyLapses(t *testing.T) {
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ctx := t.Context()
	token, err := w.admin.ConnectToken(ctx, w.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := w.operator.Exchange(ctx, token, api.ExchangeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	connection := w.connect(w.admin)
	if status, _ := w.call(w.admin, connection.ID, "/whoami"); status != http.StatusOK {
		t.Fatalf("the rerun's connection answers %d", status)
	}
	w.advance(bridge.UnconfirmedLife)
	key, err := w.operator.Key(ctx, orphan.KeyID)
	if err != nil || key.Status != "lapsed" {
		t.Errorf("the orphan is %q (%v), want lapsed", key.Status, err)
	}
	if status, _ := w.call(w.admin, connection.ID, "/whoami"); status != http.StatusOK {
		t.Errorf("the confirmed key died as well: %d", status)
	}
}

// A server that is away when its connection is removed gets the revocation when it is back.
func TestRevocationIsKept(t *testing.T) {
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	away := bridge.ServerURL("http://127.0.0.1:1")
	key := bridge.NewKey(bridge.KindLive, [16]byte{1})
	disclosed := key.Text().Disclose()
	connection, err := w.admin.Register(ctx, api.RegisterRequest{ServerURL: string(away), APIKey: &disclosed})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := w.admin.Check(ctx, connection.ID); err != nil || c.Status != "offline" || c.Hint == "" {
		t.Errorf("a server that is away is %q, hint %q (%v)", c.Status, c.Hint, err)
	}
	removed, err := w.admin.Delete(ctx, connection.ID)
	if err != nil || removed.Revocation == nil || removed.Revocation.Status != "pending" || removed.Revocation.Token == nil {
		t.Fatalf("%v %+v", err, removed.Revocation)
	}
	if err := w.member.RevocationDelivered(ctx, removed.Revocation.ID); bridge.CodeOf(err) != "revocation_unknown" {
		t.Errorf("another member confirms it: %v", err)
	}
	if err := w.admin.RevocationDelivered(ctx, removed.Revocation.ID); err != nil {
		t.Error(err)
	}
}
