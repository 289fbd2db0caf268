package scripts

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/server"
)

// clocks are the offsets of the servers that cmdClockServer started, by script and name.
var clocks sync.Map

func clockOf(ts *testscript.TestScript, name string) *atomic.Int64 {
	offset, _ := clocks.LoadOrStore(ts.MkAbs(name), new(atomic.Int64))
	return offset.(*atomic.Int64)
}

// cmdClockServer runs a server that trusts the script's cloud, with a clock of its own: clockserver NAME. Its URL is in
// $NAME, a user token of an admin in $NAME_TOKEN.
func cmdClockServer(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	offset := clockOf(ts, name)
	cloud := apiclient.NewCloud(bridge.ServerURL(ts.Getenv("CLOUD")), bridge.NewSecret(ts.Getenv("ADMIN_TOKEN")), api.ClientConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	values, err := cloud.Trust(ctx, "acme")
	ts.Check(err)
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: values.PublicKey})
	ts.Check(err)
	srv := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	secret := bridge.NewSecret(bridge.RandomToken(32))
	s, err := server.New(ctx, server.Config{
		PublicURLs:  []bridge.ServerURL{bridge.ServerURL("http://localhost:" + port), bridge.ServerURL("http://127.0.0.1:" + port)},
		DatabaseURL: "sqlite:" + filepath.Join(ts.MkAbs("."), name+".db"), Trust: trust, JWTSecret: secret,
		Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
	}, slog.New(slog.DiscardHandler))
	ts.Check(err)
	srv.Config.Handler = s.Handler()
	srv.Start()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ts.Defer(func() {
		srv.Close()
		cancel()
		ts.Check(<-done)
		ts.Check(s.Close())
	})
	token, err := server.MintUserToken(secret, "operator", bridge.RoleAdmin, 24*time.Hour, time.Now())
	ts.Check(err)
	ts.Setenv(name, "http://localhost:"+port)
	ts.Setenv(name+"_TOKEN", token.Reveal())
}

// cmdClock sets the clock of such a server: clock NAME OFFSET.
func cmdClock(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[1])
	ts.Check(err)
	clockOf(ts, args[0]).Store(int64(d))
}

// hanging tells when the cloud behind cmdHangingCloud has been asked to register a connection.
var hanging sync.Map

// cmdHangingCloud stands before the script's cloud and never answers the registration of a connection: hangingcloud
// NAME.
func cmdHangingCloud(ts *testscript.TestScript, _ bool, args []string) {
	target, err := url.Parse(ts.Getenv("CLOUD"))
	ts.Check(err)
	asked := make(chan struct{}, 1)
	hanging.Store(ts.MkAbs("."), asked)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = target.Host
	}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/v1/connections" {
			_, _ = io.Copy(io.Discard, r.Body) // until it is read, the end of the client goes unnoticed
			asked <- struct{}{}
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
}

// cmdKillConnect runs `ace connect` and kills it, as kill -9 does, once the cloud is asked to register: killconnect
// FLAG….
func cmdKillConnect(ts *testscript.TestScript, _ bool, args []string) {
	v, ok := hanging.Load(ts.MkAbs("."))
	if !ok {
		ts.Fatalf("killconnect needs hangingcloud")
	}
	_, stderr, cmd := start(ts, environment(ts, "ACE_TOKEN="+ts.Getenv("ADMIN_TOKEN")), append([]string{"connect"}, args...)...)
	select {
	case <-v.(chan struct{}):
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		line, _ := stderr.ReadString('\n')
		ts.Fatalf("connect never came to the registration: %s", line)
	}
	ts.Check(cmd.Process.Kill())
	_ = cmd.Wait()
}

// cmdForeign puts the cloud secret of another cloud's key into a variable: foreign VARIABLE ISSUER ORG [NUMBER]. With
// the number of the real key, only the signature can tell them apart.
func cmdForeign(ts *testscript.TestScript, _ bool, args []string) {
	text := bridge.NewSigningRoot().Reveal()
	if len(args) == 4 {
		_, seed, _ := strings.Cut(text, ".")
		text = args[3] + "." + seed
	}
	root, err := bridge.ParseSigningRoot(bridge.NewSecret(text))
	ts.Check(err)
	publicKey, _ := root.TrustValues(bridge.ServerURL(args[1]), args[2])
	ts.Setenv(args[0], publicKey)
}

// cmdSign narrows the admin's token into a connect token: sign VARIABLE SERVER.
func cmdSign(ts *testscript.TestScript, _ bool, args []string) {
	cloud := apiclient.NewCloud(bridge.ServerURL(ts.Getenv("CLOUD")), bridge.NewSecret(ts.Getenv("ADMIN_TOKEN")), api.ClientConfig{})
	token, err := cloud.ConnectToken(context.Background(), bridge.ServerURL(args[1]), nil)
	ts.Check(err)
	ts.Setenv(args[0], token.Reveal())
}
