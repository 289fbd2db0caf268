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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/benchtest"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/server"
)

const (
	benchKeys     = 100_000
	benchRequests = 6000 // per round
)

// seeded returns the URL of a SQLite database with many keys, and some of these keys.
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

// compare alternates between the yardstick and ours, with the same requests.
func compare(b *testing.B, measure, ours, path string, some []string) {
	b.Helper()
	headers := make([]http.Header, len(some))
	for i, key := range some {
		headers[i] = http.Header{"X-Api-Key": {key}}
	}
	benchtest.Compare(b, benchtest.Load{Method: http.MethodGet, Requests: benchRequests}, benchtest.Side{URL: "http://" + measure + path, Headers: headers},
		benchtest.Side{URL: "http://" + ours + path, Headers: headers})
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

// BenchmarkHTTPVerifySameSetup compares forward-auth to a handler in the same set-up (request ID, request log, error handler)
// that sends the same headers without checking anything: the difference is the cost of verifying.
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

// gatewayBench starts an app, and a server whose gateway is in front of it.
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

// bareProxy returns a reverse proxy of the standard library with a transport tuned like ours.
func bareProxy(b *testing.B, rewrite func(*httputil.ProxyRequest)) *httputil.ReverseProxy {
	b.Helper()
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: rewrite}
}

// tuned gives a bare proxy those of our settings that do not concern the transport.
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

// BenchmarkGateway compares the gateway to a bare reverse proxy: one that flushes at once, one with the standard library's
// settings except for the transport, and one with all of our settings.
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

// BenchmarkGatewaySameSetup compares the gateway to a reverse proxy in the same set-up (request ID, request log, error
// handler) that sends the app the same headers without checking anything: the difference is the cost of verifying.
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
