//go:build soak

// Tests that take more than a minute, or more than two thousand connections: `make soak`.
package tunnel_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/tunnel"
)

// Ten thousand idle links at one cloud fit into 1 GB, and five hundred into 64 KB each.
func TestSoakIdleLinks(t *testing.T) {
	for _, c := range []struct{ links, most int }{{500, 500 * 64 << 10}, {10_000, 1 << 30}} {
		t.Run(fmt.Sprint(c.links), func(t *testing.T) {
			before, after := crowd(t, c.links)
			t.Logf("%d links: %.1f MB, of it %.1f MB without them; %d B each", c.links, float64(after)/1e6, float64(before)/1e6, (after-before)/c.links)
			if c.links == 500 && after-before > c.most || c.links > 500 && after > c.most {
				t.Error("that is too much")
			}
		})
	}
}

func tcpBubble(t *testing.T) (b *bubble, listen func() net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	b = &bubble{t: t, dial: new(net.Dialer).DialContext}
	b.url = bridge.ServerURL("http://" + address)
	return b, func() net.Listener {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

func (b *bubble) get(connection, path string) (string, error) {
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://server.test"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := b.links.Transport(connection).RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	return string(all), err
}

// A cloud that is restarted under load has the links of two hundred servers back within 30 seconds, and they do not come at once.
func TestSoakRestart(t *testing.T) {
	const servers = 200
	b, listen := tcpBubble(t)
	end := b.open(listen())
	var stopping sync.WaitGroup
	defer stopping.Wait()
	for i := range servers {
		name := fmt.Sprintf("server-%d", i)
		_, stop := b.server(name, 2, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
		defer stopping.Go(stop)
	}
	all := func() (links int) {
		for i := range servers {
			links += len(b.links.Of(fmt.Sprintf("server-%d", i)))
		}
		return links
	}
	b.wait("the first links", func() bool { return all() == 2*servers })
	for range 3 {
		over := make(chan struct{})
		var load sync.WaitGroup
		var answered atomic.Int64
		for range 8 {
			load.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
					}
					name := fmt.Sprintf("server-%d", rand.N(servers))
					if got, err := b.get(name, "/"); err == nil && got != name {
						t.Errorf("%q answers for %s", got, name)
					} else if err == nil {
						answered.Add(1)
					}
				}
			})
		}
		time.Sleep(2 * time.Second)
		close(over)
		load.Wait()
		for i := range servers {
			b.links.Cut(fmt.Sprintf("server-%d", i))
		}
		end()
		time.Sleep(2 * time.Second)
		end = b.open(listen())
		took := b.wait("all links", func() bool { return all() == 2*servers })
		opened := map[int64]int{}
		most := 0
		for i := range servers {
			for _, l := range b.links.Of(fmt.Sprintf("server-%d", i)) {
				second := l.Opened().Unix()
				opened[second]++
				most = max(most, opened[second])
			}
		}
		t.Logf("%d answered; all %d links are back after %s, at most %d in a second", answered.Load(), 2*servers, took, most)
		if took > 30*time.Second || most > servers {
			t.Error("that is too long, or too many at once")
		}
	}
	end()
}

// Ten thousand idle streams on twelve links take a stated memory, both ends together, and leave none behind.
func TestSoakIdleStreams(t *testing.T) {
	b, listen := tcpBubble(t)
	defer b.open(listen())()
	const servers, streams = 3, 10_000
	for i := range servers {
		_, stop := b.server(fmt.Sprintf("server-%d", i), tunnel.MaxLinks, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		defer stop()
	}
	b.wait("the links", func() bool {
		n := 0
		for i := range servers {
			n += len(b.links.Of(fmt.Sprintf("server-%d", i)))
		}
		return n == servers*tunnel.MaxLinks
	})
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := inUse()
	ctx, stop := context.WithCancel(t.Context())
	bodies := make([]io.Closer, 0, streams)
	for i := range streams {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.links.Transport(fmt.Sprintf("server-%d", i%servers)).RoundTrip(r)
		if err != nil {
			t.Fatal(i, err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 9)); err != nil {
			t.Fatal(i, err)
		}
		bodies = append(bodies, resp.Body)
	}
	with := inUse()
	t.Logf("%d streams: %.1f MB at both ends together, %d B each", streams, float64(with-before)/1e6, (with-before)/streams)
	if (with-before)/streams > 64<<10 {
		t.Error("that is too much")
	}
	stop()
	for _, body := range bodies {
		_ = body.Close()
	}
	b.wait("they are gone", func() bool {
		for i := range servers {
			for _, l := range b.links.Of(fmt.Sprintf("server-%d", i)) {
				if l.Open() > 0 {
					return false
				}
			}
		}
		return true
	})
}

// A real network that is silent for half a minute: both ends notice, and the server is back within 15 seconds.
func TestSoakSilence(t *testing.T) {
	b, listen := tcpBubble(t)
	defer b.open(listen())()
	var silent atomic.Bool
	b.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if silent.Load() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return deaf{conn, &silent}, nil
	}
	d, stop := b.server(connection, 2, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
	defer stop()
	b.wait("the links", func() bool { return len(b.links.Of(connection)) == 2 })
	silent.Store(true)
	began := time.Now()
	b.wait("the cloud notices", func() bool { return len(b.links.Of(connection)) == 0 })
	b.wait("the server notices", func() bool { return !d.States()[0].Up && !d.States()[1].Up })
	noticed := time.Since(began)
	time.Sleep(30*time.Second - noticed)
	silent.Store(false)
	took := b.wait("a link", func() bool { return len(b.links.Of(connection)) > 0 })
	t.Logf("noticed after %s, back after %s", noticed, took)
	if noticed > 15*time.Second || took > 15*time.Second {
		t.Error("that is too late")
	}
	if got, err := b.get(connection, "/"); err != nil || !strings.Contains(got, "here") {
		t.Errorf("%q, %v", got, err)
	}
}

// deaf neither sends nor delivers anything while its network is silent.
type deaf struct {
	net.Conn

	silent *atomic.Bool
}

func (d deaf) Write(p []byte) (int, error) {
	if d.silent.Load() {
		return len(p), nil
	}
	return d.Conn.Write(p)
}

func (d deaf) Read(p []byte) (int, error) {
	for {
		n, err := d.Conn.Read(p)
		if err != nil || !d.silent.Load() {
			return n, err
		}
	}
}
