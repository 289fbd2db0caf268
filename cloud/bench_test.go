package cloud_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/benchtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/vault"
)

const bulkAnswer = 32 << 20

// relayBench is a server, a cloud with a connection to it, and the URL of the relay there, with a session's credential.
func relayBench(b *testing.B) (server *url.URL, relay benchtest.Side) {
	b.Helper()
	ctx := b.Context()
	piece := strings.Repeat("x", 64<<10)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/bulk" || r.Method != http.MethodGet {
			_, _ = io.WriteString(w, piece[:512])
			return
		}
		for range bulkAnswer / len(piece) {
			_, _ = io.WriteString(w, piece)
		}
	}))
	b.Cleanup(app.Close)
	server, err := url.Parse(app.URL)
	if err != nil {
		b.Fatal(err)
	}
	var c *cloud.Cloud
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.Handler().ServeHTTP(w, r) }))
	keys, err := vault.NewEncryptionKey()
	if err != nil {
		b.Fatal(err)
	}
	c, err = cloud.New(ctx, cloud.Config{PublicURL: bridge.ServerURL(ts.URL), DatabaseURL: "sqlite:" + b.TempDir() + "/bench.db",
		EncryptionKeys: keys, SigningKey: bridge.NewSigningRoot(), Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan struct{})
	go func() { _ = c.Run(running); close(ran) }()
	b.Cleanup(func() { ts.CloseClientConnections(); ts.Close(); stop(); <-ran; _ = c.Close() })
	if _, err := c.Registry().SignUp.AddUser(ctx, audit.Actor{ID: "operator"}, signup.NewUser{Email: "ann@acme.test",
		Password: bridge.NewSecret(password), Org: "acme"}); err != nil {
		b.Fatal(err)
	}
	token, _, err := c.DeveloperToken(ctx, "ann@acme.test", "acme")
	if err != nil {
		b.Fatal(err)
	}
	key := bridge.NewKey(bridge.KindSK, uuid.New()).Text().Disclose()
	connection, err := apiclient.NewCloud(bridge.ServerURL(ts.URL), token, api.ClientConfig{}).Register(ctx,
		api.RegisterRequest{ServerURL: app.URL, APIKey: &key})
	if err != nil {
		b.Fatal(err)
	}
	return server, benchtest.Side{URL: ts.URL + "/v1/connections/" + connection.ID + "/relay",
		Headers: []http.Header{{"Authorization": {"Bearer " + token.Reveal()}}}}
}

// BenchmarkRelay compares the relay to a bare reverse proxy with the same buffers and a transport tuned alike, for small
// answers and for bulk in both directions.
func BenchmarkRelay(b *testing.B) {
	server, relay := relayBench(b)
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true, ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10}
	b.Cleanup(transport.CloseIdleConnections)
	bare := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, FlushInterval: time.Millisecond, BufferPool: &api.BufferPool{},
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(server); p.SetXForwarded() }})
	b.Cleanup(bare.Close)
	for _, c := range []struct {
		name, path string
		load       benchtest.Load
	}{
		{"Small", "/small", benchtest.Load{Method: http.MethodGet, Requests: 6000}},
		{"BulkDown", "/bulk", benchtest.Load{Method: http.MethodGet, Requests: 16}},
		{"BulkUp", "/bulk", benchtest.Load{Method: http.MethodPost, Requests: 16, Body: bulkAnswer}},
	} {
		b.Run(c.name, func(b *testing.B) {
			benchtest.Compare(b, c.load, benchtest.Side{URL: bare.URL + c.path, Headers: relay.Headers},
				benchtest.Side{URL: relay.URL + c.path, Headers: relay.Headers})
		})
	}
}
