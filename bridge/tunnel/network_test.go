package tunnel_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/tunnel"
)

// network is one in memory, whose time a test decides. It can go silent, and lose connections.
type network struct {
	accept chan net.Conn
	closed chan struct{}

	mu     sync.Mutex
	silent bool
	conns  []net.Conn // at the servers
}

func newNetwork() *network { return &network{accept: make(chan net.Conn), closed: make(chan struct{})} }

// Accept implements [net.Listener], for the cloud.
func (n *network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.accept:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (n *network) Close() error {
	select {
	case <-n.closed:
	default:
		close(n.closed)
	}
	return nil
}

// Addr implements [net.Listener].
func (n *network) Addr() net.Addr { return &net.TCPAddr{} }

func (n *network) isSilent() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.silent
}

func (n *network) silence(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent = on
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	if n.isSilent() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case n.accept <- lossy{far, n}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.closed:
		return nil, net.ErrClosed
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, near)
	return lossy{near, n}, nil
}

// lose closes a random connection.
func (n *network) lose() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.conns) == 0 {
		return
	}
	i := rand.N(len(n.conns))
	_ = n.conns[i].Close()
	n.conns = append(n.conns[:i], n.conns[i+1:]...)
}

// lossy takes what is written in a silent network, and delivers nothing.
type lossy struct {
	net.Conn

	n *network
}

func (l lossy) Write(p []byte) (int, error) {
	if l.n.isSilent() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// bubble is a cloud in a network in memory. Connections are named like their API keys.
type bubble struct {
	t       *testing.T
	url     bridge.ServerURL
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	network *network
	links   *tunnel.Links
	key     ed25519.PrivateKey
}

func newBubble(t *testing.T) (b *bubble, end func()) {
	t.Helper()
	n := newNetwork()
	b = &bubble{t: t, url: "http://127.0.0.1:7700", dial: n.dial, network: n}
	return b, b.open(n)
}

// open starts the cloud. It returns what stops it.
func (b *bubble) open(l net.Listener) (end func()) {
	b.t.Helper()
	if b.key == nil {
		_, b.key, _ = ed25519.GenerateKey(nil)
	}
	public, _ := b.key.Public().(ed25519.PublicKey)
	links := &tunnel.Links{}
	b.links = links
	acceptor := tunnel.NewAcceptor(tunnel.AcceptorConfig{Cloud: b.url, Links: links,
		Challenges: tunnel.NewChallenges(bridge.NewSecret("a secret of the cloud"), time.Now),
		Lookup: func(_ context.Context, id string) (string, []ed25519.PublicKey, error) {
			return id, []ed25519.PublicKey{public}, nil
		}})
	srv := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := acceptor.Accept(w, r); err != nil {
				api.WriteProblem(keep{w, w.Header().Get("WWW-Authenticate")}, err)
			}
		})}
	go func() { _ = srv.Serve(l) }()
	return func() { _ = srv.Close() }
}

// server starts a server of a connection. It returns what stops it.
func (b *bubble) server(connection string, links int, handler http.HandlerFunc) (d *tunnel.Dialer, stop func()) {
	b.t.Helper()
	d, err := tunnel.NewDialer(tunnel.DialerConfig{Cloud: b.url, Path: linkPath, KeyID: connection, Key: b.key, Links: links,
		Handler: handler, Transport: &http.Transport{DialContext: b.dial}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		_ = d.Run(ctx, time.Second)
		close(done)
	}()
	return d, func() {
		cancel()
		<-done
	}
}

// wait waits until a condition holds, and returns how long that took.
func (b *bubble) wait(what string, holds func() bool) time.Duration {
	b.t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > time.Minute {
			b.t.Fatal("not in time: ", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(began)
}

// A server is back within 15 seconds after the network was away for ten minutes, and never claims to be up meanwhile.
func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, end := newBubble(t)
		defer end()
		d, stop := b.server(connection, 2, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
		defer stop()
		b.wait("the first links", func() bool { return len(b.links.Of(connection)) == 2 })
		for round := range 20 {
			b.network.silence(true)
			time.Sleep(15 * time.Second)
			if states := d.States(); len(b.links.Of(connection)) != 0 || states[0].Up || states[1].Up {
				t.Errorf("after 15 s of silence: %d links, %+v", len(b.links.Of(connection)), states)
			}
			time.Sleep(10*time.Minute + time.Duration(round)*777*time.Millisecond)
			b.network.silence(false)
			if took := b.wait("a link", func() bool { return len(b.links.Of(connection)) > 0 }); took > 15*time.Second {
				t.Errorf("back after %s", took)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := b.links.Transport(connection).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			b.wait("both links", func() bool { return len(b.links.Of(connection)) == 2 })
		}
	})
}

// orders counts the requests that a server has got, by the ID that each has.
type orders struct {
	mu   sync.Mutex
	seen map[string]int
}

func (o *orders) take(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[id]++
}

// twice counts the requests that have come more than once. Those on links that are lost may still be under way.
func (o *orders) twice() (twice int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.seen {
		if n > 1 {
			twice++
		}
	}
	return twice
}

// While links are lost a thousand times under load, every answer is of the right server, and no request comes twice.
func TestFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, end := newBubble(t)
		defer end()
		got := &orders{seen: map[string]int{}}
		servers := []string{"server-a", "server-b", "server-c"}
		for _, name := range servers {
			_, stop := b.server(name, tunnel.MaxLinks, func(w http.ResponseWriter, r *http.Request) {
				got.take(r.Header.Get("X-Order"))
				time.Sleep(rand.N(100 * time.Millisecond))
				_, _ = io.WriteString(w, name)
			})
			defer stop()
		}
		var load sync.WaitGroup
		over := make(chan struct{})
		var mu sync.Mutex
		answered, failed, strange := 0, map[bridge.Code]int{}, []error{}
		for i := range 12 {
			load.Go(func() {
				name := servers[i%len(servers)]
				for {
					select {
					case <-over:
						return
					case <-time.After(rand.N(200 * time.Millisecond)):
					}
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://server.test/", strings.NewReader("order"))
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("X-Order", uuid.NewString())
					body := ""
					resp, err := b.links.Transport(name).RoundTrip(r)
					if err == nil {
						var all []byte
						all, err = io.ReadAll(resp.Body)
						body, err = string(all), errors.Join(err, resp.Body.Close())
					}
					mu.Lock()
					switch code := bridge.CodeOf(err); {
					case err == nil && body != name:
						t.Errorf("%q answers a request to %s", body, name)
					case err == nil:
						answered++
					case code == bridge.CodeLinkLost, code == bridge.CodeNoLink:
						failed[code]++
					default:
						strange = append(strange, err)
					}
					mu.Unlock()
				}
			})
		}
		for range 1000 {
			time.Sleep(rand.N(600 * time.Millisecond))
			b.network.lose()
		}
		close(over)
		load.Wait()
		twice := got.twice()
		if twice > 0 || answered == 0 || failed[bridge.CodeLinkLost] == 0 {
			t.Errorf("%d answered, %d twice, %v failed", answered, twice, failed)
		}
		for _, err := range strange[:min(3, len(strange))] {
			t.Errorf("one of %d failures: %v", len(strange), err)
		}
		t.Logf("%d answered, %v failed", answered, failed)
		b.wait("all links", func() bool {
			for _, name := range servers {
				if len(b.links.Of(name)) != tunnel.MaxLinks {
					return false
				}
			}
			return true
		})
	})
}
