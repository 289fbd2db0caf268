package tunnel_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/benchtest"
	"github.com/acebridge/ace/bridge/tunnel"
)

var encoding = base64.RawURLEncoding

func TestMain(m *testing.M) {
	benchtest.Main(benchRoles)
	goleak.VerifyTestMain(m)
}

const (
	connection = "0190c7d2-0000-7000-8000-000000000001"
	keyID      = "0190c7d2-0000-4000-8000-00000000000a"
	linkPath   = "/v1/link"
	within     = 20 * time.Second
)

// rig is a cloud that takes links, and a server that opens them.
type rig struct {
	t       testing.TB
	links   *tunnel.Links
	changed chan struct{}
	cloud   *httptest.Server
	clock   atomic.Int64 // added to the cloud's clock
	server  ed25519.PrivateKey
	served  http.Handler
	conns   chan net.Conn // that the server has dialed
	dialer  *tunnel.Dialer
	tls     *tls.Config // of the cloud; nil: that of a test
}

func newRig(t *testing.T, handler http.HandlerFunc) *rig {
	t.Helper()
	g := &rig{t: t, served: handler, conns: make(chan net.Conn, 100)}
	g.key()
	g.open("", "")
	return g
}

// key makes the server's key.
func (g *rig) key() {
	g.t.Helper()
	var err error
	if _, g.server, err = ed25519.GenerateKey(nil); err != nil {
		g.t.Fatal(err)
	}
}

// newReplica starts another replica of a rig's cloud.
func newReplica(t *testing.T, of *rig, id string) *rig {
	t.Helper()
	g := &rig{t: t, server: of.server}
	g.open(of.cloud.URL, id)
	return g
}

// open starts the cloud. Its public URL is its own unless one is given.
func (g *rig) open(public, replica string) {
	g.t.Helper()
	g.changed = make(chan struct{}, 1)
	g.links = &tunnel.Links{Changed: func(string) {
		select {
		case g.changed <- struct{}{}:
		default:
		}
	}}
	var acceptor *tunnel.Acceptor
	g.cloud = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := acceptor.Accept(w, r); err != nil {
			header := w.Header().Get("WWW-Authenticate")
			api.WriteProblem(keep{w, header}, err)
		}
	}))
	g.cloud.EnableHTTP2, g.cloud.TLS = true, g.tls
	g.cloud.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	g.cloud.StartTLS()
	g.t.Cleanup(g.cloud.Close)
	if public == "" {
		public = g.cloud.URL
	}
	key, _ := g.server.Public().(ed25519.PublicKey)
	now := func() time.Time { return time.Now().Add(time.Duration(g.clock.Load())) }
	acceptor = tunnel.NewAcceptor(tunnel.AcceptorConfig{Cloud: bridge.ServerURL(public), Links: g.links, Replica: replica,
		Challenges: tunnel.NewChallenges(bridge.NewSecret("a secret of the cloud"), now),
		Lookup: func(_ context.Context, id string) (string, []ed25519.PublicKey, error) {
			if id != keyID {
				return "", nil, nil
			}
			return connection, []ed25519.PublicKey{key}, nil
		}})
	g.t.Cleanup(func() { g.links.Cut(connection) })
}

// keep puts the challenge of a link back, which a problem's own would replace.
type keep struct {
	http.ResponseWriter

	challenge string
}

func (k keep) WriteHeader(status int) {
	if k.challenge != "" {
		k.Header().Set("WWW-Authenticate", k.challenge)
	}
	k.ResponseWriter.WriteHeader(status)
}

// link starts the server and waits until its links are up.
func (g *rig) link(links int) {
	g.t.Helper()
	client := g.cloud.Client().Transport.(*http.Transport).Clone()
	client.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			g.conns <- conn
		}
		return conn, err
	}
	var err error
	g.dialer, err = tunnel.NewDialer(tunnel.DialerConfig{Cloud: bridge.ServerURL(g.cloud.URL), Path: linkPath, KeyID: keyID,
		Key: g.server, Handler: g.served, Links: links, Transport: client, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.dialer.Run(ctx, time.Second) }()
	g.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.DeadlineExceeded) {
			g.t.Error(err)
		}
	})
	g.until(links)
}

// until waits until the cloud has a number of links.
func (g *rig) until(links int) {
	g.t.Helper()
	late := time.After(within)
	for len(g.links.Of(connection)) != links {
		select {
		case <-g.changed:
		case <-late:
			g.t.Fatalf("there are %d links, not %d; the server's are %+v", len(g.links.Of(connection)), links, g.dialer.States())
		}
	}
}

func (g *rig) do(method, path string, body io.Reader) (*http.Response, error) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://server.test"+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.links.Transport(connection).RoundTrip(r)
}

func (g *rig) text(method, path string, body io.Reader) string {
	g.t.Helper()
	resp, err := g.do(method, path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, all)
}

// A server's handler gets over the link what the cloud sends, and its response comes back.
func TestRequests(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.RemoteAddr, r.Header.Get("X-Header"))
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /trailer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "7")
	})
	g := newRig(t, mux.ServeHTTP)
	g.link(1)
	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MB
	for _, c := range []struct{ name, method, path, body, want string }{
		{"a request", "GET", "/who", "", "200 GET server.test ace-link "},
		{"a small body", "POST", "/echo", "hello", "201 hello"},
		{"a large body", "POST", "/echo", big, "201 " + big},
		{"not found", "GET", "/nothing", "", "404 404 page not found\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := g.text(c.method, c.path, strings.NewReader(c.body)); got != c.want {
				t.Errorf("%.80q", got)
			}
		})
	}
	t.Run("trailers", func(t *testing.T) {
		resp, err := g.do("GET", "/trailer", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.Trailer.Get("X-Sum") != "7" {
			t.Errorf("%v", resp.Trailer)
		}
	})
}

// What a handler flushes arrives at once, and a client that gives up ends the handler's request.
func TestStreams(t *testing.T) {
	gone := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	g.link(1)
	resp, err := g.do("GET", "/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	event := make([]byte, len("data: 1\n\n"))
	if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != "data: 1\n\n" {
		t.Fatalf("%q, %v", event, err)
	}
	_ = resp.Body.Close()
	select {
	case <-gone:
	case <-time.After(within):
		t.Error("the handler is not told that the client is gone")
	}
}

// An upgrade (RFC 9110 §7.8) goes through a link: bytes both ways, until one side ends.
func TestUpgrade(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" || r.Header.Get("X-Header") != "kept" || r.URL.Path != "/socket" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Back: yes\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	})
	g.link(1)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://server.test/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}, "X-Header": {"kept"}}
	resp, err := g.links.Transport(connection).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("X-Back") != "yes" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	both := resp.Body.(io.ReadWriteCloser)
	defer func() { _ = both.Close() }()
	lines := bufio.NewReader(both)
	for n := range 3 {
		sent := fmt.Sprintf("line %d\n", n)
		if _, err := io.WriteString(both, sent); err != nil {
			t.Fatal(err)
		}
		if got, err := lines.ReadString('\n'); err != nil || got != sent {
			t.Fatalf("%q, %v", got, err)
		}
	}
	r.Header.Set("Upgrade", "other")
	refused, err := g.links.Transport(connection).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = refused.Body.Close()
	if refused.StatusCode != http.StatusBadRequest {
		t.Errorf("an upgrade that the handler refuses: %s", refused.Status)
	}
}

// A link that is lost ends its requests with an error that says so, sends nothing twice, and comes back by itself.
func TestLost(t *testing.T) {
	var calls atomic.Int32
	arrived := make(chan struct{}, 10)
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fine" {
			return
		}
		calls.Add(1)
		arrived <- struct{}{}
		<-r.Context().Done()
		_ = w
	})
	g.link(1)
	lost := g.links.Of(connection)[0]
	failed := make(chan error, 1)
	go func() {
		resp, err := g.do("POST", "/order", strings.NewReader("one"))
		if err == nil {
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	_ = (<-g.conns).Close()
	if err := <-failed; bridge.CodeOf(err) != bridge.CodeLinkLost {
		t.Errorf("the request: %v", err)
	}
	late := time.After(within)
	for all := g.links.Of(connection); len(all) != 1 || all[0] == lost; all = g.links.Of(connection) {
		select {
		case <-g.changed:
		case <-late:
			t.Fatalf("the link does not come back: %+v", g.dialer.States())
		}
	}
	if got := g.text("GET", "/fine", nil); got != "200 " {
		t.Errorf("after it: %s", got)
	}
	if state := g.dialer.States()[0]; !state.Up || state.Reconnects != 1 {
		t.Errorf("%+v", state)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the server got the request %d times", n)
	}
}

// Small requests take the link that has no bulk transfer under way.
func TestBulkHasALinkOfItsOwn(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bulk" {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
			_ = http.NewResponseController(w).Flush()
			<-release
		}
	})
	g.link(2)
	bulk, err := g.do("GET", "/bulk", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, bulk.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	free := map[*tunnel.Link]int{}
	for range 10 {
		for _, l := range g.links.Of(connection) {
			free[l] -= l.Open()
		}
		resp, err := g.do("GET", "/small", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range g.links.Of(connection) {
			free[l] += l.Open()
		}
		_ = resp.Body.Close()
	}
	busy := 0
	for _, n := range free {
		if n == 0 {
			busy++
		}
	}
	if busy != 1 {
		t.Errorf("small requests by link: %v", free)
	}
	close(release)
	_, _ = io.Copy(io.Discard, bulk.Body)
	_ = bulk.Body.Close()
}

// Only the key of a connection opens its links, by signing a fresh challenge of this cloud.
func TestRefusals(t *testing.T) {
	g := newRig(t, func(http.ResponseWriter, *http.Request) {})
	_, stranger, _ := ed25519.GenerateKey(nil)
	challenge := func() string {
		resp := g.ask(nil)
		return strings.Split(resp.Header.Get("WWW-Authenticate"), `"`)[1]
	}
	old := challenge()
	g.clock.Store(int64(time.Minute))
	purpose := "open"
	header := func(key ed25519.PrivateKey, cloud, id, challenge string) string {
		empty := sha256.Sum256(nil)
		signature := ed25519.Sign(key, []byte(strings.Join([]string{"ace link", cloud, id, "process", "0", "share", challenge, purpose, encoding.EncodeToString(empty[:])}, "\n")))
		return fmt.Sprintf(`AceLink key="%s", instance="process", link="0", replicas="share", challenge="%s", signature="%s"`, id, challenge, encoding.EncodeToString(signature))
	}
	purpose = "leave"
	other := header(g.server, g.cloud.URL, keyID, challenge())
	purpose = "open"
	ours := g.cloud.URL
	for _, c := range []struct {
		name, header string
		want         int
	}{
		{"nothing", "", 401},
		{"something else", "Bearer abc", 401},
		{"no signature", `AceLink key="` + keyID + `", instance="process", link="0", replicas="share", challenge="` + challenge() + `", signature=""`, 401},
		{"an old challenge", header(g.server, ours, keyID, old), 401},
		{"a challenge of nobody's", header(g.server, ours, keyID, strings.Repeat("A", len(old))), 401},
		{"another's key", header(stranger, ours, keyID, challenge()), 403},
		{"another cloud's", header(g.server, "https://other.test", keyID, challenge()), 403},
		{"another API key", header(g.server, ours, "0190c7d2-0000-7000-8000-000000000002", challenge()), 403},
		{"what it signed for something else", other, 403},
		{"right", header(g.server, ours, keyID, challenge()), 101},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := g.ask(http.Header{"Authorization": {c.header}})
			if resp.StatusCode != c.want {
				t.Errorf("%s", resp.Status)
			}
		})
	}
	g.until(1)
}

// ask asks for a link by hand.
func (g *rig) ask(h http.Header) *http.Response {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.cloud.URL+linkPath, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if h != nil {
		r.Header = h
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", tunnel.Protocol)
	client := g.cloud.Client().Transport.(*http.Transport).Clone()
	client.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	client.TLSClientConfig.NextProtos = []string{"http/1.1"}
	client.DisableKeepAlives = true
	client.ForceAttemptHTTP2 = false
	resp, err := client.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		g.t.Cleanup(func() { _ = resp.Body.Close() })
		go func() { _, _ = io.Copy(io.Discard, resp.Body) }()
		return resp
	}
	_ = resp.Body.Close()
	return resp
}

// Without a link a request is refused with the reason.
func TestNoLink(t *testing.T) {
	g := newRig(t, func(http.ResponseWriter, *http.Request) {})
	resp, err := g.do("POST", "/", strings.NewReader("body"))
	if err == nil {
		_ = resp.Body.Close()
	}
	if bridge.CodeOf(err) != bridge.CodeNoLink {
		t.Errorf("%v", err)
	}
}

// A server that stops lets its requests finish; the cloud sends no new ones.
func TestServerDrains(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "finished")
	})
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	client := g.cloud.Client().Transport.(*http.Transport)
	d, err := tunnel.NewDialer(tunnel.DialerConfig{Cloud: bridge.ServerURL(g.cloud.URL), Path: linkPath, KeyID: keyID, Key: g.server,
		Handler: g.served, Links: 1, Transport: client, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g.dialer = d
	go func() { served <- d.Run(ctx, within) }()
	g.until(1)
	got := make(chan string, 1)
	go func() {
		resp, err := g.do("GET", "/", nil)
		if err != nil {
			got <- err.Error()
			return
		}
		body, err := io.ReadAll(resp.Body)
		got <- fmt.Sprintln(string(body), err, resp.Body.Close())
	}()
	<-arrived
	stop()
	close(release)
	if text := <-got; text != "finished <nil> <nil>\n" {
		t.Error(text)
	}
	if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	g.until(0)
}

// A cloud that stops lets requests finish, takes no new ones, and closes each link as soon as it is free.
func TestCloudDrains(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "finished")
	})
	g.link(2)
	type answer struct {
		body string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		resp, err := g.do("GET", "/", nil)
		if err != nil {
			got <- answer{"", err}
			return
		}
		body, err := io.ReadAll(resp.Body)
		got <- answer{string(body), errors.Join(err, resp.Body.Close())}
	}()
	<-arrived
	drained := make(chan struct{})
	go func() {
		g.links.Drain(t.Context())
		close(drained)
	}()
	g.until(1)
	resp, err := g.do("GET", "/", nil)
	if err == nil {
		_ = resp.Body.Close()
	}
	if bridge.CodeOf(err) != bridge.CodeStopping {
		t.Errorf("a new request: %v", err)
	}
	close(release)
	if a := <-got; a.body != "finished" || a.err != nil {
		t.Errorf("%q, %v", a.body, a.err)
	}
	<-drained
	g.until(0)
}

// One request may have more under way than the defaults of net/http, in both directions: a reader that is far away needs it.
func TestWindows(t *testing.T) {
	const much = 6 << 20
	written, read := make(chan struct{}), make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-read // the body is not read until all of it was sent
			return
		}
		_, _ = w.Write(make([]byte, much))
		_ = http.NewResponseController(w).Flush()
		close(written)
	})
	g.link(1)
	down, err := g.do("GET", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = down.Body.Close() }()
	select {
	case <-written:
	case <-time.After(within):
		t.Error("the server waits for the cloud to read")
	}
	sent := make(chan struct{})
	body := &told{Reader: bytes.NewReader(make([]byte, much)), all: sent}
	done := make(chan error, 1)
	go func() {
		up, err := g.do("POST", "/", body)
		if err == nil {
			err = up.Body.Close()
		}
		done <- err
	}()
	select {
	case <-sent:
	case <-time.After(within):
		t.Error("the cloud waits for the server to read")
	}
	close(read)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// told closes a channel when all of it was read.
type told struct {
	io.Reader

	all  chan struct{}
	once sync.Once
}

func (r *told) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		r.once.Do(func() { close(r.all) })
	}
	return n, err
}
