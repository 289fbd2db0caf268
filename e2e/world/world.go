package world

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/vault"
	"github.com/acebridge/ace/server"
)

// World is a real cloud, a real server that trusts it and a small app behind the server, in this process.
type World struct {
	T             *testing.T
	CloudURL      bridge.ServerURL
	URL           bridge.ServerURL // of the server
	Admin         *apiclient.Cloud
	Member        *apiclient.Cloud
	Viewer        *apiclient.Cloud
	Operator      *apiclient.Server
	OperatorToken bridge.Secret
	JwtSecret     bridge.Secret // of the server
	Cloud         *cloud.Cloud
	server        *server.Server

	mu    sync.Mutex
	ahead time.Duration // how far the clocks of cloud and server have been put forward
}

// Now is the time by the clocks of cloud and server.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// Advance puts the clocks of cloud and server forward.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

// Password is that of every person of a world.
const Password = "correct horse battery"

// serve answers at ln with what build makes, for the time of the test.
func (w *World) serve(ln net.Listener, h http.Handler) {
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h, ReadHeaderTimeout: time.Second}}
	srv.Start()
	w.T.Cleanup(srv.Close)
}

// ListenLoopback listens at a free port.
func ListenLoopback(t *testing.T) (net.Listener, string) {
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

// New starts everything. change may alter the server's configuration before it starts.
func New(t *testing.T, cloudDB, serverDB string, change func(*server.Config)) *World {
	t.Helper()
	return NewLogged(t, cloudDB, serverDB, change, slog.New(slog.DiscardHandler))
}

// NewLogged is New with a log.
func NewLogged(t *testing.T, cloudDB, serverDB string, change func(*server.Config), log *slog.Logger) *World {
	t.Helper()
	return NewOf(t, cloudDB, serverDB, func(*cloud.Config) {}, change, log)
}

// NewOf starts everything. changeCloud may alter the cloud's configuration, too.
func NewOf(t *testing.T, cloudDB, serverDB string, changeCloud func(*cloud.Config), change func(*server.Config), log *slog.Logger) *World {
	t.Helper()
	w := &World{T: t}
	cloudLn, cloudPort := ListenLoopback(t)
	serverLn, serverPort := ListenLoopback(t)
	w.CloudURL = bridge.ServerURL("http://127.0.0.1:" + cloudPort)
	w.URL = bridge.ServerURL("http://127.0.0.1:" + serverPort)

	encryption, err := vault.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	signing := bridge.NewSigningRoot()
	cloudCfg := cloud.Config{PublicURL: w.CloudURL, DatabaseURL: cloudDB, EncryptionKeys: encryption,
		SigningKey: signing, Version: "test", Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}, Now: w.Now}
	changeCloud(&cloudCfg)
	c, err := cloud.New(t.Context(), cloudCfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w.Cloud = c
	w.serve(cloudLn, c.Handler())

	root, err := bridge.ParseSigningRoot(signing)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := root.TrustValues(w.CloudURL, "acme")
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
	cfg := server.Config{PublicURLs: []bridge.ServerURL{w.URL, bridge.ServerURL("http://localhost:" + serverPort)},
		DatabaseURL: serverDB, Trust: trust, JWTSecret: secret, Upstream: upstream, Version: "test", Now: w.Now}
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

	w.Admin, w.Member, w.Viewer = w.Person("admin", bridge.RoleAdmin), w.Person("member", bridge.RoleMember), w.Person("viewer", bridge.RoleViewer)
	token, err := server.MintUserToken(secret, "ops", bridge.RoleAdmin, time.Hour, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.JwtSecret = secret
	w.Operator, w.OperatorToken = apiclient.NewServer(w.URL, token, api.ClientConfig{}), token
	return w
}

// Run does the background work of both, for the time of the test.
func (w *World) Run() {
	ctx, stop := context.WithCancel(w.T.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Cloud.Run(ctx) })
	wg.Go(func() { _ = w.server.Run(ctx) })
	w.T.Cleanup(func() { stop(); wg.Wait() })
}

// Person adds a member, and returns a client that is signed in as them.
func (w *World) Person(name string, role bridge.Role) *apiclient.Cloud {
	w.T.Helper()
	email := name + "@acme.test"
	_, err := w.Cloud.Registry().SignUp.AddUser(w.T.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: email,
		Password: bridge.NewSecret(Password), Org: "acme", Role: role})
	if err != nil {
		w.T.Fatal(err)
	}
	token, _, err := w.Cloud.DeveloperToken(w.T.Context(), email, "acme")
	if err != nil {
		w.T.Fatal(err)
	}
	return apiclient.NewCloud(w.CloudURL, token, api.ClientConfig{})
}

// Connect does what `ace connect` does, up to the registration.
func (w *World) Connect(who *apiclient.Cloud) api.Connection {
	w.T.Helper()
	ctx := w.T.Context()
	discovery, err := w.Operator.Discovery(ctx)
	if err != nil {
		w.T.Fatal(err)
	}
	token, err := who.ConnectToken(ctx, w.URL, discovery.Exchange.KeyIDs)
	if err != nil {
		w.T.Fatal(err)
	}
	answer, err := w.Operator.Exchange(ctx, token, api.ExchangeRequest{})
	if err != nil {
		w.T.Fatal(err)
	}
	if answer.Key != nil || answer.SealedKey == "" {
		w.T.Fatal("the key came in the clear")
	}
	if _, err := w.Operator.Exchange(ctx, token, api.ExchangeRequest{}); bridge.CodeOf(err) != bridge.CodeConnectTokenUsed {
		w.T.Errorf("the connect token was taken a second time: %v", err)
	}
	connection, err := who.Register(ctx, api.RegisterRequest{ServerURL: string(w.URL), SealedKey: answer.SealedKey})
	if err != nil {
		w.T.Fatal(err)
	}
	return connection
}

// Call calls a path of the server with a credential of a connection and returns status and body.
func (w *World) Call(who *apiclient.Cloud, id, path string) (int, string) {
	w.T.Helper()
	credential, err := who.Credential(w.T.Context(), id)
	if err != nil {
		w.T.Fatal(err)
	}
	return w.CallWith(credential, path)
}

// CallWith calls a path of the server with a credential that is there already.
func (w *World) CallWith(credential api.Credential, path string) (int, string) {
	w.T.Helper()
	req, err := http.NewRequestWithContext(w.T.Context(), http.MethodGet, credential.ServerURL.Join(path), nil)
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set(credential.Header, credential.Value.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.T.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
