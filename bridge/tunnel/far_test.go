package tunnel_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	farDelay = 25 * time.Millisecond // in each direction
	farRate  = 100e6                 // bytes a second in each direction, of all connections together
	farQueue = 256 << 10             // bytes that wait for their turn, before their sender has to
)

// far is a network with a delay and a rate. Connections to its address come out at another.
type far struct {
	listener net.Listener
	to       string
	pace     [2]pace
	wg       sync.WaitGroup
}

// pace is one direction of a far network.
type pace struct {
	mu   sync.Mutex
	free time.Time // when it is free for the next byte
}

// send waits for the turn of n bytes, and returns when they arrive.
func (p *pace) send(n int) time.Time {
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / farRate * 1e9))
	free := p.free
	p.mu.Unlock()
	if ahead := free.Sub(now) - time.Duration(farQueue/farRate*1e9); ahead > 0 {
		time.Sleep(ahead)
	}
	return free.Add(farDelay)
}

func newFar(tb testing.TB, to string) *far {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &far{listener: l, to: to}
	f.wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			f.wg.Go(func() { f.carry(there, near, &f.pace[0]) })
			f.wg.Go(func() { f.carry(near, there, &f.pace[1]) })
		}
	})
	return f
}

func (f *far) carry(to, from net.Conn, p *pace) {
	type piece struct {
		data []byte
		at   time.Time
	}
	pieces := make(chan piece, 4096)
	go func() {
		defer close(pieces)
		for {
			data := make([]byte, 32<<10)
			n, err := from.Read(data)
			if err != nil {
				return
			}
			pieces <- piece{data[:n], p.send(n)}
		}
	}()
	for one := range pieces {
		time.Sleep(time.Until(one.at))
		if _, err := to.Write(one.data); err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close()
	for range pieces { //nolint:revive // the reader ends
	}
}

func (f *far) close() { _ = f.listener.Close() }

// download gets n bytes with each of several streams at the same time, and returns the rate of all.
func download(tb testing.TB, client http.RoundTripper, url string, streams, n int) float64 {
	tb.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url+"/"+strconv.Itoa(n), nil)
			if err != nil {
				tb.Error(err)
				return
			}
			resp, err := client.RoundTrip(r)
			if err != nil {
				tb.Error(err)
				return
			}
			if got, err := io.Copy(io.Discard, resp.Body); err != nil || got != int64(n) {
				tb.Errorf("%d bytes, %v", got, err)
			}
			_ = resp.Body.Close()
		})
	}
	wg.Wait()
	return float64(streams*n) / time.Since(began).Seconds()
}

// BenchmarkFar has the server at a round trip of 50 ms, with 100 MB/s. It compares downloads through links with those over
// connections of their own to the same app, and small requests while a download runs with small requests alone.
func BenchmarkFar(b *testing.B) {
	app := httptest.NewServer(http.HandlerFunc(benchApp))
	defer app.Close()
	direct := newFar(b, app.Listener.Addr().String())
	defer direct.close()
	near := &http.Transport{MaxIdleConnsPerHost: 8, DisableCompression: true}
	defer near.CloseIdleConnections()
	const bulk = 256 << 20
	for _, links := range []int{1, 2, 4} {
		g := &rig{t: b, served: http.HandlerFunc(benchApp), conns: make(chan net.Conn, 100)}
		g.key()
		g.open("", "")
		way := newFar(b, g.cloud.Listener.Addr().String())
		transport := g.cloud.Client().Transport.(*http.Transport).Clone()
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, way.listener.Addr().String())
		}
		g.dialed(g.cloud.URL, transport, links)
		g.until(links)
		through := g.links.Transport(connection)
		if links != 2 {
			b.Run(fmt.Sprintf("Bulk%d", links), func(b *testing.B) {
				var theirs, ours []float64
				for b.Loop() {
					theirs = append(theirs, download(b, near, "http://"+direct.listener.Addr().String(), links, bulk/links))
					ours = append(ours, download(b, through, "http://server.test", links, bulk/links))
				}
				report(b, "MB/s", median(theirs)/1e6, median(ours)/1e6, median(ours)/median(theirs))
			})
		} else {
			b.Run("SmallDuringBulk", func(b *testing.B) {
				var idle, during []float64
				for b.Loop() {
					idle = append(idle, small(b, through)...)
					ctx, stop := context.WithCancel(b.Context())
					running := make(chan struct{})
					go func() {
						defer close(running)
						endless(ctx, through)
					}()
					time.Sleep(time.Second)
					during = append(during, small(b, through)...)
					stop()
					<-running
				}
				slices.Sort(idle)
				slices.Sort(during)
				i, d := idle[len(idle)*99/100], during[len(during)*99/100]
				report(b, "p99-ms", i, d, d/i)
			})
		}
		way.close()
	}
}

func report(b *testing.B, unit string, measure, ours, ratio float64) {
	b.Helper()
	b.ReportMetric(measure, "measure-"+unit)
	b.ReportMetric(ours, unit)
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(0, "ns/op")
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// small sends small requests, a few at a time, and returns how long each took in milliseconds.
func small(tb testing.TB, client http.RoundTripper) (took []float64) {
	tb.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				began := time.Now()
				r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://server.test/1024", nil)
				if err != nil {
					tb.Error(err)
					return
				}
				resp, err := client.RoundTrip(r)
				if err != nil {
					tb.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				mu.Lock()
				took = append(took, time.Since(began).Seconds()*1e3)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took
}

// endless downloads until ctx ends.
func endless(ctx context.Context, client http.RoundTripper) {
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server.test/"+strconv.Itoa(1<<30), nil)
		if err != nil {
			return
		}
		resp, err := client.RoundTrip(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}
