package server_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/server"
)

const (
	benchKeys     = 100_000
	benchConns    = 16
	benchRequests = 6000 // of one round
)

// seeded is the URL of a SQLite database with many keys, and some of these keys.
func seeded(b *testing.B) (dsn string, some []string) {
	b.Helper()
	dsn = "sqlite:" + b.TempDir() + "/bench.db"
	db, err := sqldb.Open(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := keys.New(b.Context(), db, keys.Config{Catalogue: catalogue.Builtin()}, slog.New(slog.DiscardHandler)); err != nil {
		b.Fatal(err)
	}
	public := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	now := time.Now().Unix()
	err = db.Tx(b.Context(), func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(b.Context(), `INSERT INTO api_keys (id, kind, prefix, hash, public_key, org, name, description,
			owner, created_by, scopes, created_at, expires_at, confirm_by, ended_at, ended_by, end_reason, used_at, used_from,
			used_agent, version, issued_at) VALUES ($1, 'live', $2, $3, $4, 'local', 'bench', '', $5, 'x', 'app:*', $6, $7, 0, 0, '',
			'', 0, '', '', 1, $6)`)
		if err != nil {
			return err
		}
		defer func() { _ = insert.Close() }()
		for i := range benchKeys {
			id := uuid.Must(uuid.NewV7())
			key := bridge.NewKey(bridge.KindLive, id)
			hash := key.Hash()
			if _, err := insert.ExecContext(b.Context(), id.String(), key.Prefix(), hex.EncodeToString(hash[:]), public,
				fmt.Sprintf("user-%d@example.com", i), now, now+90*24*3600); err != nil {
				return err
			}
			if i%100 == 0 {
				some = append(some, key.Text().Reveal())
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return dsn, some
}

func benchServer(b *testing.B, upstream *url.URL) (address string, some []string) {
	b.Helper()
	dsn, some := seeded(b)
	s, err := server.New(b.Context(), server.Config{PublicURLs: []bridge.ServerURL{"http://localhost:7777"}, DatabaseURL: dsn,
		Upstream: upstream}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	ran := make(chan struct{})
	go func() { _ = s.Run(ctx); close(ran) }()
	ts := httptest.NewServer(s.Handler())
	b.Cleanup(func() { ts.CloseClientConnections(); ts.Close(); stop(); <-ran; _ = s.Close() })
	return ts.Listener.Addr().String(), some
}

// load sends requests over connections that are kept, as fast as answers come, and returns how long each took.
func load(b *testing.B, address, path string, some []string) (took []time.Duration, all time.Duration) {
	b.Helper()
	client := &http.Transport{MaxIdleConnsPerHost: benchConns, DisableCompression: true}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var mu sync.Mutex
	start := time.Now()
	for c := range benchConns {
		wg.Go(func() {
			mine := make([]time.Duration, 0, benchRequests/benchConns)
			for i := range benchRequests / benchConns {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+address+path, nil)
				if err != nil {
					b.Error(err)
					return
				}
				r.Header["X-Api-Key"] = []string{some[(c*7919+i*104729)%len(some)]}
				sent := time.Now()
				resp, err := client.RoundTrip(r)
				if err != nil || resp.StatusCode >= 300 {
					b.Errorf("%v %v", resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				mine = append(mine, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	wg.Wait()
	return took, time.Since(start)
}

// figures are what rounds against one address came to.
type figures struct {
	took   []time.Duration
	all    time.Duration
	allocs uint64
}

func (f *figures) rate() float64 { return float64(len(f.took)) / f.all.Seconds() }

// perRequest is how often memory was allocated for a request, the client's part included.
func (f *figures) perRequest() float64 { return float64(f.allocs) / float64(len(f.took)) }

func (f *figures) p99() float64 {
	slices.Sort(f.took)
	return f.took[len(f.took)*99/100].Seconds() * 1e6
}

// compare takes turns between the measure and ours, and reports the ratios.
func compare(b *testing.B, measure, ours, path string, some []string) {
	b.Helper()
	var m, o figures
	round := func(f *figures, address string) time.Duration {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		took, all := load(b, address, path, some)
		runtime.ReadMemStats(&after)
		f.took, f.all, f.allocs = append(f.took, took...), f.all+all, f.allocs+after.Mallocs-before.Mallocs
		return all
	}
	var ratios []float64 // of each turn: what disturbs the machine for a moment does not move their median
	runtime.GC()
	for turn := 0; b.Loop(); turn++ {
		var theirs, own time.Duration
		if turn%2 == 0 {
			theirs, own = round(&m, measure), round(&o, ours)
		} else {
			own, theirs = round(&o, ours), round(&m, measure)
		}
		ratios = append(ratios, theirs.Seconds()/own.Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(m.rate(), "measure-req/s")
	b.ReportMetric(o.rate(), "req/s")
	b.ReportMetric(o.rate()/m.rate(), "rate-ratio")
	b.ReportMetric(ratios[len(ratios)/2], "median-ratio")
	b.ReportMetric(m.perRequest(), "measure-allocs/req")
	b.ReportMetric(o.perRequest(), "allocs/req")
	b.ReportMetric(m.p99(), "measure-p99-µs")
	b.ReportMetric(o.p99(), "p99-µs")
	b.ReportMetric(o.p99()/m.p99(), "p99-ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkHTTPVerify compares forward-auth, with 100,000 keys stored, to an echo handler that does nothing.
func BenchmarkHTTPVerify(b *testing.B) {
	ours, some := benchServer(b, nil)
	e := echo.New()
	e.Any("/ace/v1/verify", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	bare := httptest.NewServer(e)
	b.Cleanup(bare.Close)
	compare(b, bare.Listener.Addr().String(), ours, "/ace/v1/verify", some)
}

// BenchmarkHTTPVerifySameSetup compares forward-auth to a handler in the same set-up, with request ID, request log and
// error handler, that answers the same headers without looking at anything: what is left is the cost of verifying.
func BenchmarkHTTPVerifySameSetup(b *testing.B) {
	ours, some := benchServer(b, nil)
	e := api.NewEcho(slog.New(slog.DiscardHandler), api.Web{})
	e.Any("/ace/v1/verify", func(c echo.Context) error {
		h := c.Response().Header()
		bridge.Identity{KeyID: benchID, Subject: "user-100000@example.com", Org: "local", Environment: "live",
			Scopes: bridge.Scopes{"app:*"}}.SetHeaders(h, api.RequestID(c.Request()))
		h.Set("Cache-Control", "no-store")
		h.Del("X-Content-Type-Options")
		return c.NoContent(http.StatusNoContent)
	})
	bare := httptest.NewServer(e)
	b.Cleanup(bare.Close)
	compare(b, bare.Listener.Addr().String(), ours, "/ace/v1/verify", some)
}

var benchID = uuid.Must(uuid.NewV7())

// gatewayBench is an app, and a server whose gateway is in front of it.
func gatewayBench(b *testing.B) (target *url.URL, ours string, some []string) {
	b.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 512))
	}))
	b.Cleanup(app.Close)
	target, err := url.Parse(app.URL)
	if err != nil {
		b.Fatal(err)
	}
	ours, some = benchServer(b, target)
	return target, ours, some
}

// bareProxy is a reverse proxy of the standard library with a transport tuned as ours is.
func bareProxy(b *testing.B, rewrite func(*httputil.ProxyRequest)) *httputil.ReverseProxy {
	b.Helper()
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: rewrite}
}

// tuned gives a bare proxy the settings of ours that are no matter of the transport.
func tuned(proxy *httputil.ReverseProxy) *httputil.ReverseProxy {
	proxy.FlushInterval, proxy.BufferPool = time.Millisecond, &benchBuffers{}
	return proxy
}

type benchBuffers struct{ sync.Pool }

func (p *benchBuffers) Get() []byte {
	if b, ok := p.Pool.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return make([]byte, 32<<10)
}

func (p *benchBuffers) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }

// BenchmarkGateway compares the gateway to a bare reverse proxy: one that flushes at once, one with all settings of the
// standard library but the transport's, and one with all of ours.
func BenchmarkGateway(b *testing.B) {
	target, ours, some := gatewayBench(b)
	bare := func() *httputil.ReverseProxy {
		return bareProxy(b, func(p *httputil.ProxyRequest) { p.SetURL(target); p.SetXForwarded() })
	}
	untuned := bare()
	untuned.FlushInterval = 0
	for _, measure := range []struct {
		name  string
		proxy *httputil.ReverseProxy
	}{{"Bare", bare()}, {"BareDefaults", untuned}, {"BareSameSettings", tuned(bare())}} {
		b.Run(measure.name, func(b *testing.B) {
			s := httptest.NewServer(measure.proxy)
			b.Cleanup(s.Close)
			compare(b, s.Listener.Addr().String(), ours, "/x", some)
		})
	}
}

// BenchmarkGatewaySameSetup compares the gateway to a reverse proxy in the same set-up, with request ID, request log and
// error handler, that sends the app the same headers without looking at anything: what is left is the cost of verifying.
func BenchmarkGatewaySameSetup(b *testing.B) {
	target, ours, some := gatewayBench(b)
	proxy := tuned(bareProxy(b, func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.SetXForwarded()
		bridge.Identity{KeyID: benchID, Subject: "user-100000@example.com", Org: "local", Environment: "live",
			Scopes: bridge.Scopes{"app:*"}}.SetHeaders(p.Out.Header, api.RequestID(p.In))
	}))
	e := api.NewEcho(slog.New(slog.DiscardHandler), api.Web{})
	e.Any("/*", func(c echo.Context) error { proxy.ServeHTTP(c.Response(), c.Request()); return nil })
	bare := httptest.NewServer(e)
	b.Cleanup(bare.Close)
	compare(b, bare.Listener.Addr().String(), ours, "/x", some)
}
