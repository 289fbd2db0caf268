package tunnel_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/bridge/tunnel"
)

// echo answers with the request's body.
func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

// dialed starts a server whose dialer has a transport of its own.
func (g *rig) dialed(cloud string, transport *http.Transport, links int) *tunnel.Dialer {
	g.t.Helper()
	d, err := tunnel.NewDialer(tunnel.DialerConfig{Cloud: bridge.ServerURL(cloud), Path: linkPath, KeyID: keyID, Key: g.server,
		Handler: g.served, Links: links, Transport: transport, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, time.Second) }()
	g.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.DeadlineExceeded) {
			g.t.Error(err)
		}
	})
	return d
}

func strip(r *http.Request) {
	r.Header.Del("Upgrade")
	r.Header.Del("Connection")
}

// A middlebox that lets no upgrade through but WebSockets gets one, and gets it first from then on.
func TestWebSocketFallback(t *testing.T) {
	for _, c := range []struct {
		name string
		bar  func(w http.ResponseWriter, r *http.Request) (answered bool)
	}{
		{"it removes Upgrade", func(_ http.ResponseWriter, r *http.Request) bool {
			strip(r)
			return false
		}},
		{"it refuses", func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "<h1>what is this?</h1>", http.StatusBadRequest)
			return true
		}},
		{"it breaks off", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }},
		{"it switches, and passes nothing on", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") == "" {
				strip(r)
				return false
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ace-link\r\n\r\n")
			_ = conn.Close()
			return true
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &rig{t: t, served: http.HandlerFunc(echo)}
			g.key()
			var barred, passed atomic.Int32
			front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Header.Get("Upgrade") {
				case tunnel.Protocol:
					barred.Add(1)
					if c.bar(w, r) {
						return
					}
				case "websocket":
					passed.Add(1)
				}
				to, err := url.Parse(g.cloud.URL)
				if err != nil {
					panic(err)
				}
				(&httputil.ReverseProxy{Transport: g.cloud.Client().Transport, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
					Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}).ServeHTTP(w, r)
			}))
			front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			front.StartTLS()
			g.t.Cleanup(front.Close)
			g.open(front.URL, "")
			d := g.dialed(front.URL, front.Client().Transport.(*http.Transport), 1)
			g.until(1)
			g.eventually("the server's end", func() bool { return d.States()[0].Up && d.States()[0].WebSocket })
			big := strings.Repeat("0123456789abcdef", 1<<16)
			if got := g.text("POST", "/", strings.NewReader(big)); got != "200 "+big {
				t.Errorf("%d bytes, %.20q", len(got), got)
			}
			refused := barred.Load()
			g.links.Cut(connection)
			g.eventually("another link", func() bool { return passed.Load() > 1 && len(g.links.Of(connection)) == 1 })
			if n := barred.Load(); n != refused {
				t.Errorf("the other upgrade is tried %d times more", n-refused)
			}
		})
	}
}

// A server behind an HTTP proxy links through it, and through nothing else.
func TestProxy(t *testing.T) {
	program, err := exec.LookPath("tinyproxy")
	if err != nil {
		if sqldbtest.Required("tinyproxy") {
			t.Fatal(err)
		}
		t.Skip("tinyproxy is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	config := filepath.Join(t.TempDir(), "tinyproxy.conf")
	text := fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 600\nMaxClients 50\nBasicAuth server secret\n", address.Port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-d", "-c", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for _, c := range []struct {
		name, password string
		up             bool
	}{{"with its password", "secret", true}, {"without", "wrong", false}} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, echo)
			transport := g.cloud.Client().Transport.(*http.Transport).Clone()
			transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: address.String(), User: url.UserPassword("server", c.password)})
			transport.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
				if to != address.String() {
					t.Errorf("%s is dialed", to)
				}
				return new(net.Dialer).DialContext(ctx, network, to)
			}
			d := g.dialed(g.cloud.URL, transport, 1)
			if !c.up {
				g.eventually("the failure", func() bool { return bridge.CodeOf(d.States()[0].Cause) == bridge.CodeCloudUnreachable })
				if cause := d.States()[0].Cause.Error(); strings.Contains(cause, c.password) {
					t.Error("the password is in ", cause)
				}
				return
			}
			g.until(1)
			if got := g.text("POST", "/", strings.NewReader("hello")); got != "200 hello" {
				t.Error(got)
			}
		})
	}
}

// A server links to a cloud whose certificate it trusts, over TLS 1.3, and to no other.
func TestCertificates(t *testing.T) {
	for _, c := range []struct {
		name  string
		tls   *tls.Config // of the cloud; nil: that of a test
		trust bool
		want  bool
	}{
		{"a private CA that is trusted", nil, true, true},
		{"a stranger's certificate", nil, false, false},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &rig{t: t, served: http.HandlerFunc(echo), tls: c.tls}
			g.key()
			g.open("", "")
			transport := &http.Transport{}
			if c.trust {
				transport = g.cloud.Client().Transport.(*http.Transport)
			}
			d := g.dialed(g.cloud.URL, transport, 1)
			if c.want {
				g.until(1)
				return
			}
			g.eventually("the failure", func() bool { return bridge.CodeOf(d.States()[0].Cause) == bridge.CodeCloudUnreachable })
		})
	}
}

// A server finds a cloud that has moved to another address.
func TestCloudMoves(t *testing.T) {
	g := newRig(t, echo)
	moved := newReplica(t, g, "")
	var address atomic.Value
	address.Store(g.cloud.Listener.Addr().String())
	transport := g.cloud.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) { // as a resolver with a new answer
		return new(net.Dialer).DialContext(ctx, network, address.Load().(string))
	}
	g.dialed(g.cloud.URL, transport, 2)
	g.until(2)
	address.Store(moved.cloud.Listener.Addr().String())
	g.links.Drain(t.Context())
	g.cloud.Close()
	moved.until(2)
	if got := moved.text("POST", "/", strings.NewReader("hello")); got != "200 hello" {
		t.Error(got)
	}
}

// Readers that stand still hold up nobody else on their link.
func TestSlowReaders(t *testing.T) {
	var still sync.WaitGroup
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bulk" {
			_, _ = w.Write(make([]byte, 64<<10))
			return
		}
		defer still.Done()
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	g.link(1)
	for range 6 {
		still.Add(1)
		resp, err := g.do("GET", "/bulk", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if got := g.text("GET", "/", nil); len(got) != len("200 ")+64<<10 {
			t.Fatalf("%d bytes", len(got))
		}
	}
	g.links.Cut(connection)
	still.Wait()
}

// Links that come and go leave no file descriptor behind.
func TestDescriptors(t *testing.T) {
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(all)
	}
	g := newRig(t, echo)
	_, stop := g.another("warm", "", 2, echo)
	g.until(2)
	stop()
	g.until(0)
	before := open()
	for i := range 10 {
		_, stop := g.another(fmt.Sprint(i), "", tunnel.MaxLinks, echo)
		g.until(tunnel.MaxLinks)
		stop()
		g.until(0)
	}
	g.eventually("descriptors are closed", func() bool { return open() <= before })
}
