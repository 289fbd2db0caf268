package server_test

import (
	"bufio"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/server"
)

// endless is an app that streams, answers a WebSocket, and never ends by itself.
func endless(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(io.Discard, rw)
		return
	}
	_, _ = io.WriteString(w, "data: one\n\n")
	_ = http.NewResponseController(w).Flush()
	if r.URL.Path == "/deaf" { // ignores its context: only its writes fail
		for {
			if _, err := io.WriteString(w, "data: more\n\n"); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	<-r.Context().Done()
}

// open opens a stream and reads its first line; ended is closed when the stream ends.
func open(t *testing.T, address, request string) (ended <-chan struct{}) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil || (resp.StatusCode != 200 && resp.StatusCode != 101) {
		t.Fatalf("%s: %v %v", request, resp, err)
	}
	done := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, reader); close(done) }()
	return done
}

func requests(key string) map[string]string {
	head := " HTTP/1.1\r\nHost: x\r\nX-API-Key: " + key + "\r\n"
	return map[string]string{
		"stream": "GET /events" + head + "\r\n", "deaf": "GET /deaf" + head + "\r\n",
		"websocket": "GET /ws" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	}
}

func cutBy(t *testing.T, address, key string, kill func()) {
	t.Helper()
	streams := map[string]<-chan struct{}{}
	for name, request := range requests(key) {
		streams[name] = open(t, address, request)
	}
	for name, ended := range streams {
		select {
		case <-ended:
			t.Errorf("%s has ended by itself", name)
		default:
		}
	}
	kill()
	for name, ended := range streams {
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			t.Errorf("%s goes on after the end of its key", name)
		}
	}
}

func TestOpenStreamsAreCut(t *testing.T) {
	f := start(t, http.HandlerFunc(endless), nil)
	key, id := f.mint(`{"name":"a"}`)
	cutBy(t, f.host, key, func() { f.revoke(id) })
	key, id = f.mint(`{"name":"b"}`)
	cutBy(t, f.host, key, func() {
		if resp, body := f.do(http.MethodPost, "/ace/v1/api-keys/"+id+"/revive", "", "X-Api-Key", f.admin.Reveal()); resp.StatusCode != 200 {
			t.Errorf("revive: %d %s", resp.StatusCode, body)
		}
	})
	key, _ = f.mint(`{"name":"c","expires_in":"2s"}`)
	cutBy(t, f.host, key, func() {})
}

// TestOpenStreamsAreCutByAnotherServer checks that each of two servers on one database cuts what is open when the other one
// revokes.
func TestOpenStreamsAreCutByAnotherServer(t *testing.T) {
	dsn := sqldbtest.Postgres(t)
	shared := func(c *server.Config) { c.DatabaseURL = dsn }
	one, two := start(t, nil, shared), start(t, http.HandlerFunc(endless), shared)
	key, id := one.mint(`{"name":"a"}`)
	cutBy(t, two.host, key, func() { one.revoke(id) })
	if got := status(t, two.host, key, "/x"); got != 401 {
		t.Errorf("the other server answers %d", got)
	}
}

// guarded starts an app behind bridge/guard, which asks the server over HTTP.
func (f *fixture) guarded(lease time.Duration, app http.Handler) (address string, remote *guard.Remote) {
	f.t.Helper()
	asker, _ := f.mint(`{"name":"guard","scopes":["key:read"]}`)
	remote, err := guard.NewRemote(guard.RemoteConfig{Server: bridge.ServerURL(f.url), Key: bridge.NewSecret(asker), Lease: lease,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.t.Fatal(err)
	}
	g := guard.New(guard.Config{Verifier: remote})
	go func() { _ = remote.Run(f.t.Context()) }()
	go func() { _ = g.Run(f.t.Context()) }()
	ts := httptest.NewServer(g.Wrap(app))
	f.t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	return ts.Listener.Addr().String(), remote
}

// eventually waits until a response has a status.
func eventually(t *testing.T, address, key, path string, want int) {
	t.Helper()
	var got int
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got = status(t, address, key, path); got == want {
			return
		}
	}
	t.Fatalf("%s answers %d, want %d", path, got, want)
}

func status(t *testing.T, address, key, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

func TestRemoteGuard(t *testing.T) {
	f := start(t, nil, services(t))
	address, _ := f.guarded(0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := guard.FromContext(r.Context())
		if !ok || r.Header.Get("X-Ace-Key-Id") != id.KeyID.String() || r.Header.Get("X-Api-Key") != "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		endlessOr(w, r)
	}))
	key, id := f.mint(`{"name":"k","scopes":["svc:wiki:read"]}`)
	eventually(t, address, key, "/api/v1/wiki/pages", 200)
	if got := status(t, address, key, "/api/v1/tasks"); got != 403 {
		t.Errorf("what the rules deny: %d", got)
	}
	if got := status(t, address, bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal(), "/api/v1/wiki/pages"); got != 401 {
		t.Errorf("a key that nobody issued: %d", got)
	}
	once, _ := f.mint(`{"name":"once","scopes":["svc:wiki:read"],"max_uses":2}`)
	for i, want := range []int{200, 200, 401} {
		if got := status(t, address, once, "/api/v1/wiki/pages"); got != want {
			t.Errorf("use %d of a key with two: %d", i+1, got)
		}
	}
	ended := open(t, address, "GET /api/v1/wiki/stream HTTP/1.1\r\nHost: x\r\nX-Api-Key: "+key+"\r\n\r\n")
	f.revoke(id)
	eventually(t, address, key, "/api/v1/wiki/pages", 401)
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Error("a stream goes on after the end of its key")
	}
}

// TestRemoteGuardKnowsTheGrace checks that at the end of a grace a remote guard refuses the old secret and cuts what it opened.
func TestRemoteGuardKnowsTheGrace(t *testing.T) {
	f := start(t, nil, nil)
	address, _ := f.guarded(0, http.HandlerFunc(endlessOr))
	key, id := f.mint(`{"name":"k"}`)
	eventually(t, address, key, "/x", 200)
	ended := open(t, address, "GET /stream HTTP/1.1\r\nHost: x\r\nX-Api-Key: "+key+"\r\n\r\n")
	if resp, body := f.do(http.MethodPost, "/ace/v1/api-keys/"+id+"/rotate", `{"grace":"3s","expires_in":"2s"}`, "X-Api-Key", f.admin.Reveal()); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	eventually(t, address, key, "/x", 401)
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Error("a stream of the old secret goes on after the grace")
	}
}

func endlessOr(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/stream") {
		endless(w, r)
	}
}

// TestRemoteGuardFailsClosed checks that a guard without news for longer than its lease lets nothing pass, and recovers by
// itself.
func TestRemoteGuardFailsClosed(t *testing.T) {
	f := start(t, nil, nil)
	target, err := url.Parse(f.url)
	if err != nil {
		t.Fatal(err)
	}
	var down atomic.Bool
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		proxyTo(target, w, r)
	}))
	t.Cleanup(func() { between.CloseClientConnections(); between.Close() })
	direct := f.url
	f.url = between.URL
	address, _ := f.guarded(3*time.Second, http.HandlerFunc(endlessOr))
	f.url = direct
	key, id := f.mint(`{"name":"k"}`)
	eventually(t, address, key, "/x", 200)
	down.Store(true)
	between.CloseClientConnections()
	eventually(t, address, key, "/x", 503)
	f.revoke(id) // while the guard does not listen
	down.Store(false)
	eventually(t, address, key, "/x", 401)
}

func proxyTo(target *url.URL, w http.ResponseWriter, r *http.Request) {
	(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host }, FlushInterval: -1,
		ErrorLog: log.New(io.Discard, "", 0)}).ServeHTTP(w, r)
}
