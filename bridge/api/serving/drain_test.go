package serving_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/api/serving"
)

const drainTime = 3 * time.Second

// drained is a server that is told to stop.
type drained struct {
	t      *testing.T
	ln     *pipes
	client *http.Client
	stop   context.CancelFunc
	served chan error
}

func newDrained(t *testing.T, secured bool, drain time.Duration) *drained {
	return newDrainedOf(t, secured, drain, drainHandlers())
}

func newDrainedOf(t *testing.T, secured bool, drain time.Duration, handler http.Handler) *drained {
	ctx, stop := context.WithCancel(context.Background())
	d := &drained{t: t, ln: newPipes(), stop: stop, served: make(chan error, 1)}
	how := serving.Config{Drain: drain, Log: slog.New(slog.DiscardHandler)}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return d.dial() }}
	if secured {
		how.Cert = selfSigned(t)
		transport.TLSClientConfig, transport.ForceAttemptHTTP2 = &tls.Config{InsecureSkipVerify: true}, true
	}
	d.client = &http.Client{Transport: transport}
	go func() { d.served <- serving.Serve(ctx, d.ln, handler, how) }()
	return d
}

func (d *drained) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case d.ln.conns <- &pipe{theirs, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}:
		return ours, nil
	case <-d.ln.done:
		return nil, errors.New("connection refused")
	}
}

func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// drainHandlers answer for as long as the query says, with its method and media type.
func drainHandlers() http.Handler {
	e := api.NewEcho(slog.New(slog.DiscardHandler), api.Web{})
	e.GET("/readyz", api.Readyz(func(context.Context) error { return nil }))
	wait := func(r *http.Request) time.Duration {
		d, _ := time.ParseDuration(r.URL.Query().Get("for"))
		return d
	}
	e.GET("/call", func(c echo.Context) error {
		select {
		case <-time.After(wait(c.Request())):
			return c.String(http.StatusOK, "done")
		case <-c.Request().Context().Done():
			return c.Request().Context().Err()
		}
	})
	stream := func(c echo.Context) error {
		w, r := c.Response(), c.Request()
		if length := r.URL.Query().Get("length"); length != "" {
			w.Header().Set("Content-Length", length)
		}
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		_, _ = io.WriteString(w, "began")
		w.Flush()
		select {
		case <-time.After(wait(r)):
		case <-r.Context().Done():
			return nil // as some handlers do, although the response is incomplete
		}
		_, err := io.WriteString(w, " ended")
		return err
	}
	e.GET("/stream", stream)
	e.POST("/stream", stream)
	e.GET("/own", func(c echo.Context) error {
		_, _ = io.WriteString(c.Response(), "began")
		c.Response().Flush()
		<-serving.Draining(c.Request().Context())
		_, err := io.WriteString(c.Response(), " ended")
		return err
	})
	e.GET("/proxied", echo.WrapHandler(&httputil.ReverseProxy{Transport: endlessApp{}, FlushInterval: -1, Rewrite: func(*httputil.ProxyRequest) {}}))
	e.GET("/socket", func(c echo.Context) error {
		conn, _, err := c.Response().Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbegan")
			_, _ = conn.Read(make([]byte, 1))
		}
		return err
	})
	return e
}

// endlessApp streams until nobody listens.
type endlessApp struct{}

func (endlessApp) RoundTrip(r *http.Request) (*http.Response, error) {
	out, in := io.Pipe()
	go func() {
		_, _ = io.WriteString(in, "began")
		<-r.Context().Done()
		_ = in.CloseWithError(r.Context().Err())
	}()
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": r.URL.Query()["type"]}, Body: out, ContentLength: -1}, nil
}

// answered is what a client received, and when.
type answered struct {
	status int
	header http.Header
	body   string
	err    error
	after  time.Duration
}

func (d *drained) do(method, target string, began time.Time) <-chan answered {
	out := make(chan answered, 1)
	scheme := "http"
	if d.client.Transport.(*http.Transport).ForceAttemptHTTP2 {
		scheme = "https"
	}
	go func() {
		r, _ := http.NewRequest(method, scheme+"://server"+target, nil)
		resp, err := d.client.Do(r)
		if err != nil {
			out <- answered{err: err, after: time.Since(began)}
			return
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		header := resp.Header
		if resp.Close {
			header.Set("Connection", "close")
		}
		out <- answered{resp.StatusCode, header, string(body), err, time.Since(began)}
	}()
	synctest.Wait()
	return out
}

const eventStream = "text/event-stream%3B+charset=utf-8"

// drainRows are requests in progress when a process is told to stop: how each ends, and when.
var drainRows = []struct {
	name, method, target string
	status               int
	body                 string
	cut                  bool          // the client notices that the response is incomplete
	after                time.Duration // since the stop signal
	http1                bool
}{
	{"a call that ends while new requests are taken", "GET", "/call?for=2s", 200, "done", false, 2 * time.Second, false},
	{"a slow call", "GET", "/call?for=12s", 200, "done", false, 12 * time.Second, false},
	{"a call without an end", "GET", "/call?for=1h", 503, "shutting_down", false, 13 * time.Second, false},
	{"events", "GET", "/stream?for=1h&type=" + eventStream, 200, "began", false, 3 * time.Second, false},
	{"events of an app behind a proxy", "GET", "/proxied?type=" + eventStream, 200, "began", false, 3 * time.Second, false},
	{"a stream of an app behind a proxy", "GET", "/proxied?type=text/plain", 200, "began", true, 4 * time.Second, false},
	{"a stream", "GET", "/stream?for=1h&type=application/x-ndjson", 200, "began", true, 4 * time.Second, false},
	{"an answer in pieces that ends soon", "GET", "/stream?for=3500ms&type=application/json", 200, "began ended", false, 3500 * time.Millisecond, false},
	{"a stream that ends itself", "GET", "/own", 200, "began ended", false, 3 * time.Second, false},
	{"a download", "GET", "/stream?for=11s&length=11&type=image/png", 200, "began ended", false, 11 * time.Second, false},
	{"a download without an end", "GET", "/stream?for=1h&length=11&type=image/png", 200, "began", true, 13 * time.Second, false},
	{"a call that is answered with events", "POST", "/stream?for=11s&type=" + eventStream, 200, "began ended", false, 11 * time.Second, false},
	{"a socket", "GET", "/socket", 101, "began", false, 3 * time.Second, true},
}

func TestStopping(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, row := range drainRows {
			secured := protocol == "HTTP/2.0"
			if row.http1 && secured {
				continue
			}
			t.Run(protocol+"/"+row.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDrained(t, secured, drainTime)
					began := time.Now()
					answer := d.do(row.method, row.target, began)
					d.stop()
					got := <-answer
					if got.status != row.status || got.err != nil != row.cut || !strings.Contains(got.body, row.body) {
						t.Errorf("%d %q %v, want %d %q", got.status, got.body, got.err, row.status, row.body)
					}
					if late := got.after - row.after; late < 0 || late > 100*time.Millisecond {
						t.Errorf("after %s, want %s", got.after, row.after)
					}
					if row.body == "shutting_down" && got.header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
					if err := <-d.served; err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took > row.after+2*time.Second {
						t.Errorf("it took %s to stop", took)
					}
					d.client.CloseIdleConnections()
				})
			})
		}
	}
}

// Before anything is ended, readyz announces it and new connections are still accepted; after that they are accepted until the
// last earlier call is done.
func TestStoppingTakesConnections(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secured), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrained(t, secured, drainTime)
				began := time.Now()
				if got := <-d.do("GET", "/readyz", began); got.status != 200 || got.header.Get("Connection") != "" {
					t.Errorf("before: %+v", got)
				}
				slow := d.do("GET", "/call?for=8s", began)
				d.stop()
				synctest.Wait()
				for range 7 { // a second apart; the last is after streams have ended
					ready := <-d.do("GET", "/readyz", began)
					problem := api.ReadProblem(&http.Response{StatusCode: ready.status, Header: ready.header, Body: io.NopCloser(strings.NewReader(ready.body))})
					if ready.status != 503 || bridge.CodeOf(problem) != "shutting_down" || ready.header.Get("Retry-After") != "5" {
						t.Errorf("after %s readyz is %+v", ready.after, ready)
					}
					if got := <-d.do("GET", "/call", began); got.status != 200 || got.header.Get("Connection") != "close" && !secured {
						t.Errorf("after %s: %+v", got.after, got)
					}
					time.Sleep(time.Second)
				}
				if got := <-slow; got.status != 200 || got.header.Get("Connection") != "close" && !secured {
					t.Errorf("the call of before: %+v", got)
				}
				if err := <-d.served; err != nil || time.Since(began) > 9*time.Second {
					t.Errorf("it took %s: %v", time.Since(began), err)
				}
				if _, err := d.dial(); err == nil {
					t.Error("a connection is taken by what has stopped")
				}
				d.client.CloseIdleConnections()
			})
		})
	}
}

// Someone who stops it at a terminal does not have to wait, whatever browsers hold open.
func TestStoppingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrained(t, false, 0)
		if got := <-d.do("GET", "/call", time.Now()); got.status != 200 {
			t.Errorf("%+v", got)
		}
		silent, err := d.dial()
		if err != nil {
			t.Fatal(err)
		}
		events := d.do("GET", "/stream?for=1h&type="+eventStream, time.Now())
		began := time.Now()
		d.stop()
		if err := <-d.served; err != nil || time.Since(began) > time.Second {
			t.Errorf("it took %s: %v", time.Since(began), err)
		}
		if got := <-events; got.err != nil || got.body != "began" {
			t.Errorf("%+v", got)
		}
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		d.client.CloseIdleConnections()
	})
}

// A connection whose stream was ended takes no further request, since it could not be answered.
func TestStoppedConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrained(t, false, 0)
		slow := d.do("GET", "/call?for=5s", time.Now())
		conn, err := d.dial()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /stream?for=1h&type="+eventStream+" HTTP/1.1\r\nHost: x\r\n\r\n")
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		d.stop()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "began" {
			t.Errorf("%q %v", body, err)
		}
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("the connection goes on: %v", err)
		}
		if got := <-slow; got.status != 200 {
			t.Errorf("%+v", got)
		}
		if err := <-d.served; err != nil {
			t.Error(err)
		}
		d.client.CloseIdleConnections()
	})
}
