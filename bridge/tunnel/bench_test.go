package tunnel_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/benchtest"
	"github.com/acebridge/ace/bridge/tunnel"
)

// What the processes of the benchmark are told.
const (
	benchUpstream = "BENCH_UPSTREAM" // where a proxy sends requests; empty: the handler is in its process
	benchCloud    = "BENCH_CLOUD"    // where links are taken
	benchRoot     = "BENCH_ROOT"     // the file with the cloud's certificate
	benchSeed     = "BENCH_SEED"     // of the server's key
	benchLinks    = "BENCH_LINKS"    // how many links a crowd opens
)

var benchRoles = map[string]func() (string, error){
	"app":    func() (string, error) { return listen(http.HandlerFunc(benchApp)) },
	"proxy":  func() (string, error) { return listen(benchProxy(nil)) },
	"cloud":  benchCloudRole,
	"server": benchServerRole,
	"crowd":  benchCrowdRole,
}

// benchApp answers /N with N bytes.
func benchApp(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(n))
	block := make([]byte, min(n, 64<<10))
	for ; n > 0; n -= len(block) {
		if _, err := w.Write(block[:min(n, len(block))]); err != nil {
			return
		}
	}
}

func listen(handler http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	return "http://" + l.Addr().String(), nil
}

// benchProxy is one bare hop.
func benchProxy(transport http.RoundTripper) http.Handler {
	upstream := &url.URL{Scheme: "http", Host: "server.test"}
	if named, err := url.Parse(os.Getenv(benchUpstream)); err == nil && named.Host != "" {
		upstream = named
	}
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	}
	return &httputil.ReverseProxy{Transport: transport, BufferPool: &api.BufferPool{}, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }}
}

func benchKey() ed25519.PrivateKey {
	seed, err := hex.DecodeString(os.Getenv(benchSeed))
	if err != nil || len(seed) != ed25519.SeedSize {
		panic("no seed")
	}
	return ed25519.NewKeyFromSeed(seed)
}

// benchCloudRole is a bare hop whose way to the server is a link, over TLS.
func benchCloudRole() (string, error) {
	ready := make(chan struct{}, 1)
	links := &tunnel.Links{Changed: func(string) {
		select {
		case ready <- struct{}{}:
		default:
		}
	}}
	var acceptor *tunnel.Acceptor
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := acceptor.Accept(w, r); err != nil {
			w.WriteHeader(bridge.AsError(err).Kind.Status())
		}
	}))
	front.StartTLS()
	public, _ := benchKey().Public().(ed25519.PublicKey)
	acceptor = tunnel.NewAcceptor(tunnel.AcceptorConfig{Cloud: bridge.ServerURL(front.URL), Links: links,
		Challenges: tunnel.NewChallenges(bridge.NewSecret(rand.Text()), time.Now),
		Lookup: func(_ context.Context, id string) (string, []ed25519.PublicKey, error) {
			return id, []ed25519.PublicKey{public}, nil
		}})
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(os.Getenv(benchRoot), root, 0o600); err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		for len(links.Of(keyID)) < tunnel.DefaultLinks {
			<-ready
		}
	})
	mux.HandleFunc("GET /memory/{links}", func(w http.ResponseWriter, r *http.Request) {
		want, _ := strconv.Atoi(r.PathValue("links"))
		for n := 0; n < want; <-ready {
			n = 0
			for i := range want/tunnel.MaxLinks + 1 {
				n += len(links.Of(crowdID(i)))
			}
			if n == want {
				break
			}
		}
		_, _ = fmt.Fprintln(w, resident())
	})
	mux.Handle("/", benchProxy(links.Transport(keyID)))
	own, err := listen(mux)
	return own + " " + front.URL, err
}

// benchTransport trusts the cloud.
func benchTransport() (*http.Transport, error) {
	root, err := os.ReadFile(os.Getenv(benchRoot))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		return nil, errors.New("no certificate")
	}
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}, nil
}

func benchDialer(id string, links int, handler http.Handler, transport *http.Transport) error {
	d, err := tunnel.NewDialer(tunnel.DialerConfig{Cloud: bridge.ServerURL(os.Getenv(benchCloud)), Path: linkPath, KeyID: id, Key: benchKey(),
		Handler: handler, Links: links, Transport: transport, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		go func() { _ = d.Run(context.Background(), 0) }()
	}
	return err
}

func benchServerRole() (string, error) {
	handler := http.Handler(http.HandlerFunc(benchApp))
	if os.Getenv(benchUpstream) != "" {
		handler = benchProxy(nil)
	}
	transport, err := benchTransport()
	if err != nil {
		return "", err
	}
	return "up", benchDialer(keyID, 0, handler, transport)
}

func crowdID(i int) string { return fmt.Sprintf("crowd-%d", i) }

// benchCrowdRole is many servers, with as many links as a server may have.
func benchCrowdRole() (string, error) {
	links, err := strconv.Atoi(os.Getenv(benchLinks))
	if err != nil {
		return "", err
	}
	transport, err := benchTransport()
	if err != nil {
		return "", err
	}
	go func() {
		for i := range links / tunnel.MaxLinks {
			if err := benchDialer(crowdID(i), tunnel.MaxLinks, http.NotFoundHandler(), transport); err != nil {
				panic(err)
			}
			time.Sleep(10 * time.Millisecond) // they are not all started at once
		}
	}()
	return "up", nil
}

// resident returns how many bytes of this process are in memory, after it has given back what it does not need.
func resident() int {
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int
	_, _ = fmt.Sscan(string(statm), &size, &pages)
	return pages * os.Getpagesize()
}

// crowd has a cloud in a process of its own take links, and returns its memory without and with them.
func crowd(tb testing.TB, links int) (before, after int) {
	tb.Helper()
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed)
	settings := []string{benchSeed + "=" + hex.EncodeToString(seed), benchRoot + "=" + tb.TempDir() + "/root.pem"}
	cloud := benchtest.Start(tb, "cloud", settings...)
	var front, address string
	if _, err := fmt.Sscan(cloud.URL, &front, &address); err != nil {
		tb.Fatal(err)
	}
	memory := func(links int) (bytes int) {
		resp, err := http.Get(fmt.Sprintf("%s/memory/%d", front, links)) //nolint:noctx // a benchmark
		if err != nil {
			tb.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := fmt.Fscan(resp.Body, &bytes); err != nil {
			tb.Fatal(err)
		}
		return bytes
	}
	_ = memory(0)
	before = memory(0)
	benchtest.Start(tb, "crowd", append(settings, benchCloud+"="+address, benchLinks+"="+strconv.Itoa(links))...)
	_ = memory(links)
	time.Sleep(5 * time.Second) // what opening a link needed is not needed any more
	return before, memory(links)
}

// BenchmarkIdleLink reports the memory that a link without requests takes at the cloud.
func BenchmarkIdleLink(b *testing.B) {
	const links = 500
	var all int
	for b.Loop() {
		before, after := crowd(b, links)
		all += after - before
	}
	b.ReportMetric(float64(all)/float64(b.N)/links, "B/link")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTunnel compares a request through a link with one through a bare [httputil.ReverseProxy], by the CPU time of all
// processes on the way. Separate is with the app in a process of its own; the measure always has it there.
func BenchmarkTunnel(b *testing.B) {
	app := benchtest.Start(b, "app")
	bare := benchtest.Start(b, "proxy", benchUpstream+"="+app.URL)
	measure := benchtest.Side{URL: bare.URL, Processes: []*benchtest.Process{bare, app}}
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed)
	for _, c := range []struct {
		name     string
		upstream string
		bytes    int
		requests int
	}{
		{"SmallInProcess", "", 1 << 10, 4000},
		{"SmallSeparate", app.URL, 1 << 10, 4000},
		{"BulkInProcess", "", 64 << 20, 16},
		{"BulkSeparate", app.URL, 64 << 20, 16},
	} {
		b.Run(c.name, func(b *testing.B) {
			settings := []string{benchSeed + "=" + hex.EncodeToString(seed), benchRoot + "=" + b.TempDir() + "/root.pem"}
			cloud := benchtest.Start(b, "cloud", settings...)
			var front, links string
			if _, err := fmt.Sscan(cloud.URL, &front, &links); err != nil {
				b.Fatal(err)
			}
			server := benchtest.Start(b, "server", append(settings, benchCloud+"="+links, benchUpstream+"="+c.upstream)...)
			resp, err := http.Get(front + "/ready") //nolint:noctx // a benchmark
			if err != nil {
				b.Fatal(err)
			}
			_ = resp.Body.Close()
			path := fmt.Sprintf("/%d", c.bytes)
			ours := benchtest.Side{URL: front + path, Processes: []*benchtest.Process{cloud, server}}
			if c.upstream != "" {
				ours.Processes = append(ours.Processes, app)
			}
			measure := measure
			measure.URL += path
			benchtest.Compare(b, benchtest.Load{Method: http.MethodGet, Requests: c.requests}, measure, ours)
		})
	}
}
