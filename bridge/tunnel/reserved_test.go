package tunnel

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

// Paths of the link itself, as a client may spell them.
var reservedSpellings = []string{streamPath, askPath, "/.ace-link", "/.ace-link/", "/.ace-link/x?a=b", "//.ace-link/http1", "/.ace-link//http1", "/./.ace-link/http1",
	"/x/../.ace-link/http1", "/%2eace%2dlink/%68ttp1", "/.ace-link%2fhttp1", "/.ACE-LINK/http1", `/\.ace-link\http1`, "/%5c.ace-link%5chttp1", "/.ace-link;v=1/http1"}

func TestReserved(t *testing.T) {
	for _, spelling := range reservedSpellings {
		plain, _, _ := strings.Cut(spelling, "?")
		decoded, err := url.PathUnescape(plain)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []*url.URL{
			{Scheme: "https", Host: "server.test", Path: decoded, RawPath: plain},
			{Scheme: "https", Host: "server.test", Opaque: spelling},
			{Scheme: "https", Host: "server.test", Opaque: "//server.test" + spelling},
		} {
			if strings.HasPrefix(u.Opaque, "//.") {
				continue // that is a host
			}
			if !reserved(u) {
				t.Errorf("%s passes as %+v", spelling, u)
			}
		}
	}
	for _, path := range []string{"/", "/ace-link/http1", "/.ace-links/http1", "/x/.ace-link/http1", "/.ace", "/%252eace-link/http1"} {
		u, err := url.Parse("https://server.test" + path)
		if err != nil || reserved(u) {
			t.Errorf("%s is reserved (%v)", path, err)
		}
	}
}

// Whatever a proxy is asked for, the server's end never takes it for the cloud's own.
func FuzzReserved(f *testing.F) {
	for _, spelling := range append(reservedSpellings, "/", "/x;y", "/a\"b") {
		f.Add(spelling)
	}
	f.Fuzz(func(t *testing.T, path string) {
		for _, u := range []*url.URL{{Scheme: "https", Host: Protocol, Path: path}, {Scheme: "https", Host: Protocol, Opaque: path},
			{Scheme: "https", Host: Protocol, Opaque: "//" + Protocol + path}} {
			if reserved(u) {
				continue
			}
			// As net/http sends it: without scheme and host (RFC 9113 §8.3.1).
			sent, err := url.ParseRequestURI(strings.TrimPrefix(u.RequestURI(), "https://"+Protocol))
			if err == nil && (sent.Path == streamPath || sent.Path == askPath) {
				t.Errorf("%+v passes", u)
			}
		}
	})
}

// The server's end heeds its own paths for the cloud's end only, even where a proxy has let one pass.
func TestOwn(t *testing.T) {
	got := make(chan string, 10)
	s := newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Host + r.URL.Path }), slog.New(slog.DiscardHandler))
	go func() { _ = s.run() }()
	defer s.close()
	near, far := net.Pipe()
	served := make(chan struct{})
	go func() {
		s.serve(t.Context(), far, func() {})
		close(served)
	}()
	conn := newLinkConn(near, nil)
	client, err := newClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close(); <-served }()
	send := func(method, url string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, path := range []string{streamPath, askPath} {
		method := map[string]string{streamPath: http.MethodPost, askPath: http.MethodHead}[path]
		if status := send(method, "http://server.test"+path); status != http.StatusOK || <-got != "server.test"+path {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status := send(http.MethodHead, "http://"+Protocol+askPath); status != http.StatusNoContent {
		t.Errorf("the cloud's own: %d", status)
	}
}

// A request for a reserved path is refused before there is a link, and its body is closed.
func TestReservedIsNotSent(t *testing.T) {
	links := &Links{}
	for _, upgrade := range []string{"", "websocket"} {
		body := &closed{Reader: strings.NewReader("GET /smuggled HTTP/1.1\r\n\r\n")}
		r := httptest.NewRequest(http.MethodPost, "https://server.test"+streamPath, nil)
		r.Body, r.RequestURI = body, ""
		if upgrade != "" {
			r.Header.Set("Upgrade", upgrade)
		}
		_, err := links.Transport("connection").RoundTrip(r) //nolint:bodyclose // it fails
		if bridge.CodeOf(err) != bridge.CodeLinkForbidden || !body.is {
			t.Errorf("%v, closed: %v", err, body.is)
		}
	}
}

type closed struct {
	io.Reader

	is bool
}

func (c *closed) Close() error {
	c.is = true
	return nil
}
