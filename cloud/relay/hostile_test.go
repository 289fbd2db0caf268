package relay_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/who"
)

// behindRaw registers a server that answers with whatever bytes it likes, once it has read a request's header.
func (f *fixture) behindRaw(answer func(path string, conn net.Conn)) (relay string, connection api.Connection) {
	f.T.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.T.Fatal(err)
	}
	var wg sync.WaitGroup
	f.T.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(r.URL.Path, conn)
				}
			})
		}
	})
	if f.overLink {
		upstream := &url.URL{Scheme: "http", Host: ln.Addr().String()}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }}
		return f.linked(proxy.ServeHTTP, "http://"+ln.Addr().String()+"/base")
	}
	connection = f.Register(f.Ann, "http://"+ln.Addr().String()+"/base", plainKey)
	return "/v1/connections/" + connection.ID + "/relay", connection
}

const hostileHeaders = `Set-Cookie: ace_session=evil; Path=/
Set-Cookie: __Host-ace_session=evil; Path=/; Secure
Set-Cookie2: evil=1
Clear-Site-Data: "*"
Service-Worker-Allowed: /
Strict-Transport-Security: max-age=0
Content-Security-Policy: script-src *
Content-Security-Policy-Report-Only: default-src 'none'; report-uri https://evil.example
Report-To: {"endpoints":[{"url":"https://evil.example"}]}
Reporting-Endpoints: x="https://evil.example"
NEL: {"report_to":"x"}
Alt-Svc: h3="evil.example:443"
Refresh: 0; url=https://evil.example
Access-Control-Allow-Origin: https://evil.example
Access-Control-Allow-Credentials: true
Cross-Origin-Resource-Policy: cross-origin
Cross-Origin-Opener-Policy: unsafe-none
X-Frame-Options: ALLOWALL
X-Content-Type-Options: sniff
Permissions-Policy: camera=*
Origin-Trial: evil
Speculation-Rules: "/evil"
SourceMap: https://evil.example
WWW-Authenticate: Basic realm="Acme cloud"
WWW-Authenticate: Bearer x="y"
Proxy-Authenticate: Basic realm="x"
X-Ace-Relay: cloud
X-Ace-Subject: evil
X_Ace_Key_Id: evil
X-Request-Id: evil-evil-evil
X-Accel-Redirect: /etc/passwd
Cache-Control: public, max-age=31536000
Age: 1
Sec-Session-Registration: (ES256);path="/evil"
Connection: X-Request-Id, Content-Security-Policy, X-Ace-Relay, X-Content-Type-Options, X-Hop
X-Hop: evil
X-Kept: kept
`

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestRelayDisarmsAnswers(t *testing.T) { eachWay(t, who.RelayLimits{}, doDisarmsAnswers) }

func doDisarmsAnswers(t *testing.T, f *fixture) {
	const page = "<!doctype html><script>alert(document.domain)</script>"
	relay, _ := f.behindRaw(func(path string, conn net.Conn) {
		early := ""
		if path == "/base/early" {
			early = "HTTP/1.1 103 Early Hints\r\nSet-Cookie: evil=1\r\nLink: <https://evil.example/x.js>; rel=preload\r\n\r\n"
		}
		_, _ = io.WriteString(conn, early+"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 54\r\n"+crlf(hostileHeaders)+"\r\n"+page)
	})
	want := http.Header{
		"Cache-Control": {"no-store"}, "Content-Length": {"54"}, "Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'; sandbox"},
		"Content-Type": {"text/html"}, "Cross-Origin-Resource-Policy": {"same-origin"}, "Referrer-Policy": {"no-referrer"},
		"X-Ace-Relay": {"server"}, "X-Content-Type-Options": {"nosniff"}, "X-Kept": {"kept"}, "Age": {"1"},
	}
	for _, path := range []string{"/page", "/early"} {
		resp, body := f.Do("GET", relay+path, "", "Cookie", f.Cookie("ann@acme.test", "acme"), "X-Ace-Relay", "1")
		if body != page {
			t.Errorf("%s: the body is %q", path, body)
		}
		if id := resp.Header["X-Request-Id"]; len(id) != 1 || strings.Contains(id[0], "evil") {
			t.Errorf("%s: the request's ID is %v", path, id)
		}
		for name, values := range resp.Header {
			if !slices.Equal(values, want[name]) && name != "X-Request-Id" && name != "Date" {
				t.Errorf("%s: %s: %v", path, name, values)
			}
		}
		for name := range want {
			if resp.Header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
}

func TestRelayPassesOneChallenge(t *testing.T) { eachWay(t, who.RelayLimits{}, doPassesOneChallenge) }

func doPassesOneChallenge(t *testing.T, f *fixture) {
	challenges := map[string]bool{
		`Bearer`: true, `Bearer realm="ace", error="insufficient_scope", scope="app:write"`: true, `Basic realm="x"`: false,
		`Bearer realm="ace", Basic realm="x"`: false, `Digest x="y"`: false, `bearer`: false, `Bearer realm="a\"b"`: false, `Negotiate`: false,
	}
	for challenge, pass := range challenges {
		relay, _ := f.behindRaw(func(_ string, conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: "+challenge+"\r\n\r\n")
		})
		if resp, _ := f.Do("GET", relay+"/x", "", "Authorization", f.Bearer()); (resp.Header.Get("Www-Authenticate") == challenge) != pass || resp.StatusCode != 401 {
			t.Errorf("%s: %d %v", challenge, resp.StatusCode, resp.Header["Www-Authenticate"])
		}
	}
}

func TestRelayRedirects(t *testing.T) { eachWay(t, who.RelayLimits{}, doRedirects) }

func doRedirects(t *testing.T, f *fixture) {
	var location string
	relay, connection := f.behindRaw(func(_ string, conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "+location+"\r\n\r\n")
	})
	self := string(connection.ServerURL)
	host := strings.TrimSuffix(strings.TrimPrefix(self, "http:"), "/base")
	for _, c := range []struct{ from, to string }{
		{"next", relay + "/dir/next"}, {"/base/next?a=b&c=%2f#frag", relay + "/next?a=b&c=%2f#frag"}, {self + "/next", relay + "/next"},
		{host + "/base/x", relay + "/x"}, {self, relay + "/"}, {"?q=1", relay + "/dir/page?q=1"}, {"HTTP:" + host + "/base/y", relay + "/y"},
		{"../other", relay + "/other"},
		{"/outside", ""}, {"/baseball", ""}, {"https://evil.example/base", ""}, {"//evil.example/base", ""}, {"https:" + host + "/base", ""},
		{"http://u:p@" + strings.TrimPrefix(host, "//") + "/base/x", ""}, {"javascript:alert(1)", ""}, {"data:text/html,x", ""}, {"/base/%2e%2e/x", ""},
		{"/base//evil.example", ""}, {"/base/..%2f..%2fx", ""}, {"\\\\evil.example\\base", ""}, {f.Server + "/logout", ""},
		{"http://169.254.169.254/", ""}, {"/base/x\x01y", ""}, {"http://[::1", ""}, {"", ""},
	} {
		location = c.from
		resp, body := f.Do("GET", relay+"/dir/page", "", "Authorization", f.Bearer())
		if got := resp.Header.Get("Location"); got != c.to || (resp.StatusCode != http.StatusFound && resp.StatusCode != http.StatusBadGateway) {
			t.Errorf("%q becomes %q (%d %s), want %q", c.from, got, resp.StatusCode, body, c.to)
		}
	}
}

func TestRelaySurvivesHostileServers(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), who.RelayLimits{Answer: time.Second})
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.Copy(z, io.LimitReader(&zeros{left: 64 << 20}, 64<<20))
	_ = z.Close()
	ended := make(chan struct{}, 1)
	forever := func(conn net.Conn, s string) { // until nobody takes it
		for {
			if _, err := io.WriteString(conn, s); err != nil {
				return
			}
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	answers := map[string]func(conn net.Conn){
		"endless-headers": func(conn net.Conn) {
			_, _ = io.WriteString(conn, ok)
			forever(conn, "X-A: "+strings.Repeat("a", 1000)+"\r\n")
		},
		"endless-header": func(conn net.Conn) { _, _ = io.WriteString(conn, ok+"X-A: "); forever(conn, strings.Repeat("a", 1000)) },
		"endless-status": func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 ")
			forever(conn, strings.Repeat("a", 1000))
		},
		"endless-hints": func(conn net.Conn) { forever(conn, "HTTP/1.1 103 Early Hints\r\nX-A: a\r\n\r\n") },
		"slow-headers":  func(conn net.Conn) { _, _ = io.WriteString(conn, ok+"X-A: "); _, _ = io.Copy(io.Discard, conn) },
		"silence":       func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
		"hangs-up":      func(net.Conn) {},
		"no-http":       func(conn net.Conn) { _, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.6\r\n") },
		"two-lengths": func(conn net.Conn) {
			_, _ = io.WriteString(conn, ok+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")
		},
		"bad-length":  func(conn net.Conn) { _, _ = io.WriteString(conn, ok+"Content-Length: -1\r\n\r\nab") },
		"status-zero": func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n") },
		"status-42":   func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 042 Low\r\nContent-Length: 0\r\n\r\n") },
		"switches": func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switch\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n")
		},
		"nul":          func(conn net.Conn) { _, _ = io.WriteString(conn, ok+"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n") },
		"odd-encoding": func(conn net.Conn) { _, _ = io.WriteString(conn, ok+"Transfer-Encoding: evil\r\n\r\n0\r\n\r\n") },
		"short":        func(conn net.Conn) { _, _ = io.WriteString(conn, ok+"Content-Length: 10\r\n\r\nabc") },
		"bad-chunks": func(conn net.Conn) {
			_, _ = io.WriteString(conn, ok+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
		},
		"cut-chunks": func(conn net.Conn) { _, _ = io.WriteString(conn, ok+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n") },
		"endless-chunk": func(conn net.Conn) {
			_, _ = io.WriteString(conn, ok+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			forever(conn, "0")
		},
		"bomb": func(conn net.Conn) {
			_, _ = io.WriteString(conn, ok+"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"+bomb.String())
		},
		"endless-body": func(conn net.Conn) {
			_, _ = io.WriteString(conn, ok+"\r\n")
			forever(conn, strings.Repeat("x", 1<<16))
			ended <- struct{}{}
		},
		"fine": func(conn net.Conn) { _, _ = io.WriteString(conn, ok+"Content-Length: 4\r\n\r\nfine") },
	}
	relay, _ := f.behindRaw(func(path string, conn net.Conn) { answers[strings.TrimPrefix(path, "/base/")](conn) })
	get := func(name string) (*http.Response, []byte, error) {
		r := f.request("GET", relay+"/"+name, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		resp, err := f.HTTP.Do(r)
		if err != nil {
			return nil, nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
		return resp, body, err
	}
	for name := range answers {
		switch name {
		case "bomb", "endless-body", "fine":
			continue
		}
		resp, body, err := get(name)
		switch {
		case resp == nil && name == "short": // broken off before any of it was sent on
		case resp == nil:
			t.Errorf("%s: %v", name, err)
		case resp.StatusCode == http.StatusOK: // begun well, so that it must be seen to have broken off
			if err == nil || resp.Header.Get(api.HeaderRelay) != "server" {
				t.Errorf("%s: %q ends as if it were whole", name, body)
			}
		case resp.StatusCode != http.StatusBadGateway && resp.StatusCode != http.StatusGatewayTimeout,
			resp.Header.Get(api.HeaderRelay) != "cloud", resp.Header.Get("X-A") != "":
			t.Errorf("%s: %d %v %s", name, resp.StatusCode, resp.Header, body)
		case (resp.StatusCode == http.StatusGatewayTimeout) != (name == "silence" || name == "slow-headers"):
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		if resp, body, err := get("fine"); err != nil || string(body) != "fine" || resp.StatusCode != http.StatusOK {
			t.Errorf("after %s: %d %q %v", name, resp.StatusCode, body, err)
		}
	}
	if resp, body, err := get("bomb"); err != nil || !bytes.Equal(body, bomb.Bytes()) || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("compressed zeros: %d bytes of %d (%v)", len(body), bomb.Len(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	resp := f.send(f.request("GET", relay+"/endless-body", nil).WithContext(ctx))
	if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
		t.Error(err)
	}
	cancel()
	<-ended
}

// Whatever is hidden behind a request's end, the server sees no request that the cloud has not.
func TestRelaySmugglesNothing(t *testing.T) { eachWay(t, who.RelayLimits{}, doSmugglesNothing) }

func doSmugglesNothing(t *testing.T, f *fixture) {
	var mu sync.Mutex
	var seen []string
	relay, _ := f.behind(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.URL.Path)
	})
	host := strings.TrimPrefix(f.Server, "http://")
	const second = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, rest := range map[string]string{
		"length and chunks":     "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
		"chunks and length":     "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + second,
		"two lengths":           "Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + second,
		"a list of lengths":     "Content-Length: 0, 40\r\n\r\n" + second,
		"a signed length":       "Content-Length: +40\r\n\r\n" + second,
		"odd chunked":           "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second,
		"chunked twice":         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
		"chunked, identity":     "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + second,
		"a space before":        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + second,
		"a tab":                 "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + second,
		"a folded line":         "X-A: a\r\n Transfer-Encoding: chunked\r\n\r\n" + second,
		"a bare LF":             "X-A: a\nContent-Length: 40\r\n\r\n" + second,
		"a bare CR":             "X-A: a\rContent-Length: 40\r\n\r\n" + second,
		"chunk extension":       "Transfer-Encoding: chunked\r\n\r\n0;a=\"\r\n\r\n" + second,
		"a chunk's length":      "Transfer-Encoding: chunked\r\n\r\n0x10\r\n" + second,
		"a chunk's end":         "Transfer-Encoding: chunked\r\n\r\n1\r\nZ" + second,
		"length of a transfer":  "Connection: Content-Length\r\nContent-Length: 40\r\n\r\n" + second,
		"chunks hop by hop":     "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second,
		"length of an upgrade":  "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 40\r\n\r\n" + second,
		"an upgrade to HTTP/2":  "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + second,
		"trailing framing":      "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 40\r\n\r\n" + second,
		"CRLF in the path":      "\r\n",
		"one that is just fine": "\r\n",
	} {
		path := "/x"
		if name == "CRLF in the path" {
			path = "/x%0d%0a%0d%0aGET%20/smuggled"
		}
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST "+relay+path+" HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: "+f.Bearer()+"\r\n"+rest)
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	fine := 0
	for _, path := range seen {
		switch path {
		case "/x", "/x\r\n\r\nGET /smuggled":
			fine++
		default:
			t.Errorf("the server saw %q", path)
		}
	}
	if fine < 2 {
		t.Error("the server saw next to nothing")
	}
}
