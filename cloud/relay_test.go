package cloud_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/who"
)

const plainKey = "a-plain-key-of-the-server"

// behind registers a server that knows only plain keys, and returns the path of the relay to it.
func (f *fixture) behind(h http.HandlerFunc) (relay string, connection api.Connection) {
	f.t.Helper()
	ts := httptest.NewServer(h)
	f.t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	key := bridge.NewSecret(plainKey).Disclose()
	connection, err := f.client().Register(f.t.Context(), api.RegisterRequest{ServerURL: ts.URL, APIKey: &key})
	if err != nil {
		f.t.Fatal(err)
	}
	return "/v1/connections/" + connection.ID + "/relay", connection
}

func (f *fixture) share(id string, visibility string) {
	f.t.Helper()
	if _, err := f.client().Patch(f.t.Context(), id, api.ConnectionPatch{Visibility: &visibility}); err != nil {
		f.t.Fatal(err)
	}
}

// memberToken adds a person and returns a developer token of theirs.
func (f *fixture) memberToken(email string, role bridge.Role) bridge.Secret {
	f.t.Helper()
	f.member(email, role)
	token, _, err := f.cloud.DeveloperToken(f.t.Context(), email, "acme")
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func (f *fixture) bearer() string { return "Bearer " + f.token.Reveal() }

// request makes one to the cloud, with the admin's session token.
func (f *fixture) request(method, path string, body io.Reader) *http.Request {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", f.bearer())
	return r
}

// send answers without reading the body.
func (f *fixture) send(r *http.Request) *http.Response {
	f.t.Helper()
	resp, err := f.http.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func codeOf(t *testing.T, body string) bridge.Code {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return p.Code
}

func TestRelayPassesRequestsOn(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	type seen struct {
		Method, URI, Host, Body string
		Header                  http.Header
	}
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Of-The-Server", "yes")
		w.Header().Set(api.HeaderRequestID, "of-the-server")
		w.WriteHeader(http.StatusTeapot)
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, string(body), r.Header})
	})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL", "X-ODD"} {
		resp, body := f.do(method, relay+"/a%20b/%E2%82%AC;v=1?q=a%2Fb&;x=%zz&empty", "the body", "Authorization", f.bearer(),
			"X-Custom", "kept", "Accept-Encoding", "br")
		if resp.StatusCode != http.StatusTeapot || resp.Header.Get("X-Of-The-Server") != "yes" || resp.Header.Get(api.HeaderRelay) != "server" ||
			resp.Header.Get(api.HeaderRelayRequestID) != "of-the-server" || resp.Header.Get(api.HeaderRequestID) == "of-the-server" {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
			continue
		}
		if method == "HEAD" {
			continue
		}
		var got seen
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if got.Method != method || got.URI != "/a%20b/%E2%82%AC;v=1?q=a%2Fb&;x=%zz&empty" || got.Body != "the body" ||
			got.Header.Get("X-Custom") != "kept" || got.Header.Get("X-Api-Key") != plainKey || got.Header.Get("Accept-Encoding") != "br" {
			t.Errorf("%s: the server saw %+v", method, got)
		}
		if strings.HasSuffix(f.url, got.Host) {
			t.Errorf("the server is called by the cloud's name %q", got.Host)
		}
	}
	for path, status := range map[string]int{"/..": 400, "/a/../b": 400, "/a/%2e%2e/b": 400, "/a%2f..%2fb": 400, "/a\\..\\b": 400, "/a/..;x/b": 400, "/..%5cb": 400} {
		resp, body := f.do("GET", relay+path, "", "Authorization", f.bearer())
		if resp.StatusCode != status || codeOf(t, body) != "path_ambiguous" || resp.Header.Get(api.HeaderRelay) != "cloud" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	for _, method := range []string{"TRACE", "CONNECT"} {
		if resp, _ := f.do(method, relay+"/x", "", "Authorization", f.bearer()); resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
	for _, path := range []string{"/v1/connections/none/relay/x", strings.ToUpper(relay) + "/x", "/v1/connections/relay/x"} {
		if resp, body := f.do("GET", path, "", "Authorization", f.bearer()); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// What a member's request carries for the cloud, or says of itself, does not reach the server in any spelling.
func TestRelayStripsRequests(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	headers := make(chan http.Header, 1)
	relay, _ := f.behind(func(_ http.ResponseWriter, r *http.Request) { headers <- r.Header })
	cookie := f.signIn()
	const evil = "evil-value"
	hostile := []string{"X-Ace-Subject", "x-ace-subject", "X_Ace_Subject", "X-Ace_Org", "X.Ace.Scopes", "X-ACE-Key-Id", "X~Ace~Subject", "X-Ace-Relay-Hops",
		"X_Api_Key", "X.Api-Key", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Whatever", "X_Forwarded_For", "X-Real-Ip",
		"True-Client-Ip", "Cf-Connecting-Ip", "Referer", "Sec-Fetch-Mode", "Sec-Ch-Ua", "Proxy-Authorization", "Proxy-Connection",
		"Keep-Alive", "X-Hop", "X-Http-Method-Override", "Cookie2"}
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var raw strings.Builder
	raw.WriteString("GET " + relay + "/x HTTP/1.1\r\nHost: " + strings.TrimPrefix(f.url, "http://") + "\r\nCookie: " + cookie + "; other=" + evil +
		"\r\nAuthorization: Basic " + evil + "\r\nX-Ace-Relay: 1\r\nOrigin: " + f.url + "\r\nVia: 1.1 another\r\nX-Kept: yes\r\n")
	for _, name := range hostile {
		raw.WriteString(name + ": " + evil + "\r\n")
	}
	// Named hop by hop, what the relay sets itself is set nevertheless.
	raw.WriteString("Connection: close, X-Hop, X-Api-Key, X-Ace-User, Via\r\n\r\n")
	if _, err := io.WriteString(conn, raw.String()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	got := <-headers
	for name, values := range got {
		if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, evil) || strings.Contains(v, cookie) }) {
			t.Errorf("the server saw %s: %v", name, values)
		}
	}
	if got.Get("X-Api-Key") != plainKey || len(got["X-Api-Key"]) != 1 || got.Get("X-Kept") != "yes" || got.Get("Origin") != "" ||
		!strings.Contains(got.Get("Via"), "1.1 ace-") || got.Get("Authorization") != "" {
		t.Errorf("the server saw %v", got)
	}
}

// The member of an ace server's connection is named by a token of their own, and a plain key is the server's to see only.
func TestRelayCredentials(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		key := aceKey()
		parsed, err := bridge.ParseKey(key.Secret)
		if err != nil {
			t.Fatal(err)
		}
		var server bridge.ServerURL
		subjects := make(chan string, 1)
		ts := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			claims, err := bridge.VerifyAccess(bridge.NewSecret(r.Header.Get("X-Api-Key")), parsed.PublicKey(), []bridge.ServerURL{server}, f.clock())
			if err != nil {
				t.Error(err)
			}
			subjects <- claims.Subject + " " + string(claims.Role)
		}))
		t.Cleanup(ts.Close)
		server = bridge.ServerURL(ts.URL)
		connection, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: ts.URL, APIKey: key})
		if err != nil {
			t.Fatal(err)
		}
		relay := "/v1/connections/" + connection.ID + "/relay"
		member := f.memberToken("max@acme.test", bridge.RoleMember)
		service := f.key(f.client(), api.CreateKeyRequest{Name: "ci", Scopes: []string{"connection:use"}})
		reader := f.key(f.client(), api.CreateKeyRequest{Name: "r", Scopes: []string{"connection:read"}})
		call := func(credential bridge.Secret) (int, bridge.Code) {
			resp, body := f.do("GET", relay+"/x", "", "X-Ace-Api-Key", credential.Reveal())
			if resp.StatusCode != http.StatusOK {
				return resp.StatusCode, codeOf(t, body)
			}
			return resp.StatusCode, bridge.Code(<-subjects)
		}
		if status, code := call(member); status != http.StatusNotFound || code != "connection_unknown" {
			t.Errorf("a private connection: %d %s", status, code)
		}
		f.share(connection.ID, connections.Organization)
		for range 2 { // the second comes from what was looked up for the first
			if status, subject := call(f.token); status != 200 || subject != "ann@acme.test admin" {
				t.Errorf("the admin: %d %s", status, subject)
			}
			if status, subject := call(member); status != 200 || subject != "max@acme.test member" {
				t.Errorf("the member: %d %s", status, subject)
			}
			if status, subject := call(service.Key.Secret); status != 200 || subject != bridge.Code("key:")+bridge.Code(service.KeyID)+" member" {
				t.Errorf("the service: %d %s", status, subject)
			}
			if status, code := call(reader.Key.Secret); status != 403 || code != "scope_missing" {
				t.Errorf("a key without the scope: %d %s", status, code)
			}
		}
		f.advance(2 * time.Minute) // the token is renewed well before it dies
		if status, subject := call(member); status != 200 || subject != "max@acme.test member" {
			t.Errorf("two minutes later: %d %s", status, subject)
		}
		_, body := f.do("GET", "/v1/audit?action=connection.relay", "", "Authorization", f.bearer())
		if n := strings.Count(body, `"action":"connection.relay"`); n != 3 {
			t.Errorf("%d uses are audited, not one a day for each of three: %s", n, body)
		}
		f.advance(25 * time.Hour)
		f.token, _, _ = f.cloud.DeveloperToken(t.Context(), "ann@acme.test", "acme")
		_, _ = call(f.token)
		_, body = f.do("GET", "/v1/audit?action=connection.relay", "", "Authorization", f.bearer())
		if n := strings.Count(body, `"action":"connection.relay"`); n != 4 {
			t.Errorf("%d uses are audited a day later: %s", n, body)
		}
	})
}

func TestRelayWithACookie(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	relay, _ := f.behind(func(http.ResponseWriter, *http.Request) {})
	cookie := f.signIn()
	handshake := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	for name, c := range map[string]struct {
		method  string
		headers []string
		code    bridge.Code
	}{
		"the dashboard":            {"GET", []string{"X-Ace-Relay", "1"}, ""},
		"with its origin":          {"POST", []string{"X-Ace-Relay", "1", "Origin", f.url}, ""},
		"no header":                {"GET", nil, "relay_header_missing"},
		"a form":                   {"POST", []string{"Origin", f.url}, "relay_header_missing"},
		"another value":            {"GET", []string{"X-Ace-Relay", "true"}, "relay_header_missing"},
		"another origin":           {"GET", []string{"X-Ace-Relay", "1", "Origin", "https://evil.example"}, "cross_origin"},
		"no origin of a page":      {"GET", []string{"X-Ace-Relay", "1", "Origin", "null"}, "cross_origin"},
		"a service worker":         {"GET", []string{"X-Ace-Relay", "1", "Service-Worker", "script"}, "service_worker_refused"},
		"a WebSocket of another":   {"GET", append([]string{"Origin", "https://evil.example"}, handshake...), "cross_origin"},
		"a WebSocket of nobody":    {"GET", handshake, "cross_origin"},
		"not quite a WebSocket":    {"GET", []string{"Origin", f.url, "Connection", "Upgrade", "Upgrade", "websocket"}, "upgrade_refused"},
		"a basic credential":       {"GET", []string{"Authorization", "Basic eDp5"}, "relay_header_missing"},
		"a cross-site POST":        {"POST", []string{"X-Ace-Relay", "1", "Sec-Fetch-Site", "cross-site"}, "cross_origin"},
		"a WebSocket with a token": {"GET", append([]string{"Authorization", f.bearer(), "X-Without", "origin"}, handshake...), "-"},
	} {
		resp, body := f.do(c.method, relay+"/x", "", append([]string{"Cookie", cookie}, c.headers...)...)
		switch {
		case c.code == "-": // lets it through to the server, which is none for WebSockets
			if resp.Header.Get(api.HeaderRelay) != "server" {
				t.Errorf("%s: %d %s", name, resp.StatusCode, body)
			}
		case c.code == "" && resp.StatusCode == http.StatusOK:
		case c.code == "" || codeOf(t, body) != c.code:
			t.Errorf("%s: %d %s, want %q", name, resp.StatusCode, body, c.code)
		}
	}
}

func TestRelayStreams(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	next, gone := make(chan string), make(chan struct{})
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case s := <-next:
				_, _ = io.WriteString(w, "data: "+s+"\n\n")
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := f.send(f.request("GET", relay+"/events", nil).WithContext(ctx))
	events := bufio.NewReader(resp.Body)
	for _, s := range []string{"one", "two", "three"} { // each arrives before the next is sent
		next <- s
		line, err := events.ReadString('\n')
		if err != nil || line != "data: "+s+"\n" {
			t.Fatalf("%q %v", line, err)
		}
		_, _ = events.ReadString('\n')
	}
	cancel()
	<-gone // the server has seen that the client is
}

func TestRelayStreamsUpwards(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for lines.Scan() {
			_, _ = io.WriteString(w, strings.ToUpper(lines.Text())+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	up, feed := io.Pipe()
	resp := f.send(f.request("POST", relay+"/upper", up))
	answers := bufio.NewReader(resp.Body)
	for _, s := range []string{"one", "two"} {
		if _, err := io.WriteString(feed, s+"\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := answers.ReadString('\n'); err != nil || line != strings.ToUpper(s)+"\n" {
			t.Fatalf("%q %v", line, err)
		}
	}
	_ = feed.Close()
	if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}

func echoServer(ws *websocket.Conn) { _, _ = io.Copy(ws, ws) }

func (f *fixture) webSocket(relay string, headers ...string) (*websocket.Conn, error) {
	f.t.Helper()
	cfg, err := websocket.NewConfig(strings.Replace(f.url, "http", "ws", 1)+relay+"/echo", f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		cfg.Header.Set(headers[i], headers[i+1])
	}
	return cfg.DialContext(f.t.Context())
}

func TestRelayWebSocket(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	ended := make(chan struct{}, 2)
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != plainKey || r.Header.Get("Cookie") != "" {
			t.Errorf("the handshake has %v", r.Header)
		}
		websocket.Server{Handler: echoServer}.ServeHTTP(w, r)
		ended <- struct{}{}
	})
	for _, credential := range [][]string{{"Authorization", f.bearer()}, {"Cookie", f.signIn()}} {
		ws, err := f.webSocket(relay, credential...)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 1 << 10, 1 << 20} {
			sent, got := bytes.Repeat([]byte("x"), size), make([]byte, size)
			go func() { _, _ = ws.Write(sent) }()
			if n, err := io.ReadFull(ws, got); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes came back (%v), want %d", n, err, size)
			}
		}
		_ = ws.Close()
		<-ended
	}
}

func TestRelayTrailers(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	seen := make(chan http.Header, 1)
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, Set-Cookie")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "42")
		w.Header().Set("Set-Cookie", "evil=1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
		w.Header().Set(http.TrailerPrefix+"X-Ace-Relay", "evil")
		seen <- r.Trailer
	})
	r := f.request("POST", relay+"/x", io.NopCloser(strings.NewReader("body")))
	r.Trailer = http.Header{"X-Digest": {"sha"}, "X-Ace-Subject": {"evil"}, "Authorization": {"evil"}}
	resp := f.send(r)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "body" {
		t.Fatalf("%q %v", body, err)
	}
	if resp.Trailer.Get("X-Sum") != "42" || resp.Trailer.Get("X-Late") != "late" || len(resp.Trailer) != 2 {
		t.Errorf("the answer's trailers: %v", resp.Trailer)
	}
	if got := <-seen; got.Get("X-Digest") != "sha" || len(got) != 1 {
		t.Errorf("the request's trailers: %v", got)
	}
}

// A client that waits to be asked for its body is asked when the server asks, and not when it refuses.
func TestRelayExpectContinue(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/refuse") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	for path, asked := range map[string]bool{"/take": true, "/refuse": false} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "POST "+relay+path+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(f.url, "http://")+"\r\nAuthorization: "+f.bearer()+
			"\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		answers := bufio.NewReader(conn)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || (resp.StatusCode == http.StatusContinue) != asked {
			t.Fatalf("%s: %v %v", path, resp, err)
		}
		if !asked {
			continue
		}
		_, _ = io.WriteString(conn, "body")
		resp, err = http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", resp, err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "body" {
			t.Errorf("%q %v", body, err)
		}
	}
}

var bulkBytes = int64(1 << 30)

// zeros is a body of n bytes that notes, now and then, how much memory is in use.
type zeros struct {
	left, mark int64
	most       uint64
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	if z.left -= n; z.left < z.mark {
		z.mark -= bulkBytes / 16
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		z.most = max(z.most, m.HeapInuse)
	}
	return int(n), nil
}

func TestRelayBulkAtFlatMemory(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			_ = json.NewEncoder(w).Encode(n)
			return
		}
		_, _ = io.Copy(w, &zeros{left: bulkBytes})
	})
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	up := &zeros{left: bulkBytes, mark: bulkBytes}
	resp := f.send(f.request("POST", relay+"/up", up))
	var got int64
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got != bulkBytes {
		t.Errorf("the server got %d bytes (%v)", got, err)
	}
	down := &zeros{left: bulkBytes, mark: bulkBytes}
	resp = f.send(f.request("GET", relay+"/down", nil))
	n, err := io.Copy(writerFunc(func(p []byte) (int, error) { return down.Read(p) }), resp.Body)
	if err != nil || n != bulkBytes {
		t.Errorf("the client got %d bytes (%v)", n, err)
	}
	const room = 24 << 20
	if most := max(up.most, down.most); most > before.HeapInuse+room {
		t.Errorf("%d MiB of memory in use, %d MiB before", most>>20, before.HeapInuse>>20)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The relay takes no more from a server than the client takes from it.
func TestRelayBackpressure(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	sent := make(chan int, 1)
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		control, piece, total := http.NewResponseController(w), bytes.Repeat([]byte("x"), 1<<20), 0
		for r.Context().Err() == nil && total < 1<<30 {
			_ = control.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)) // no progress for so long is being held back
			if _, err := w.Write(piece); err != nil {
				break
			}
			total += len(piece)
		}
		sent <- total
	})
	resp := f.send(f.request("GET", relay+"/endless", nil)) // and nobody reads
	if total := <-sent; total > 256<<20 {
		t.Errorf("the server could send %d MiB to a client that reads nothing", total>>20)
	}
	_ = resp.Body.Close()
}

func TestRelayLimits(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) {
		c.RelayLimits = who.RelayLimits{Answer: 50 * time.Millisecond, Silence: 100 * time.Millisecond, Body: 10, Member: 2}
	})
	release := make(chan struct{})
	relay, connection := f.behind(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/silent":
			_, _ = io.WriteString(w, "so far")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})
	resp, body := f.do("GET", relay+"/slow", "", "Authorization", f.bearer())
	if resp.StatusCode != http.StatusGatewayTimeout || codeOf(t, body) != "server_slow" || resp.Header.Get(api.HeaderRelay) != "cloud" {
		t.Errorf("slow: %d %s", resp.StatusCode, body)
	}
	resp = f.send(f.request("GET", relay+"/silent", nil))
	if got, err := io.ReadAll(resp.Body); string(got) != "so far" || err == nil {
		t.Errorf("a silent stream ends with %q %v", got, err)
	}
	resp, body = f.do("POST", relay+"/x", "more than ten bytes", "Authorization", f.bearer())
	if resp.StatusCode != http.StatusRequestEntityTooLarge || codeOf(t, body) != "body_too_large" {
		t.Errorf("a large body: %d %s", resp.StatusCode, body)
	}
	resp = f.send(f.request("POST", relay+"/x", io.NopCloser(strings.NewReader("more than ten bytes, of no declared length"))))
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body in chunks: %d", resp.StatusCode)
	}

	// A server that is gone, one that loops, and more than is allowed at a time.
	port := f.url[strings.LastIndexByte(f.url, ':'):]
	for name, c := range map[string]struct {
		url    string
		status int
		code   bridge.Code
	}{
		"the cloud itself": {f.url, 508, "relay_loop"}, "a blocked address": {"https://10.1.2.3", 502, "server_unreachable"},
		"plain http":           {"http://ace.example.com", 502, "server_unreachable"},
		"nothing there":        {"http://127.0.0.1:1", 502, "server_unreachable"},
		"by another name":      {"http://localhost" + port + "/v1/connections/" + connection.ID + "/relay", 508, "relay_loop"},
		"metadata of the host": {"http://169.254.169.254", 502, "server_unreachable"},
	} {
		key := bridge.NewSecret(f.token.Reveal()).Disclose()
		looped, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: c.url, APIKey: &key})
		if err != nil {
			t.Fatal(err)
		}
		resp, body := f.do("GET", "/v1/connections/"+looped.ID+"/relay/x", "", "Authorization", f.bearer())
		if resp.StatusCode != c.status || codeOf(t, body) != c.code {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

func TestRelayIsBusy(t *testing.T) {
	for name, limits := range map[string]who.RelayLimits{"member": {Member: 2}, "connection": {Connection: 2}, "organization": {Total: 8}} {
		f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) { c.RelayLimits = limits })
		relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		open := [2]*http.Response{}
		for i := range open {
			open[i] = f.send(f.request("GET", relay+"/x", nil))
		}
		resp, body := f.do("GET", relay+"/x", "", "Authorization", f.bearer())
		if resp.StatusCode != http.StatusTooManyRequests || codeOf(t, body) != "relay_busy" || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

// Whoever loses access is out: open streams are cut, and nothing new is let in.
func TestRelayEnds(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		t.Cleanup(f.run())
		left := make(chan struct{}, 8)
		relay, connection := f.behind(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				websocket.Server{Handler: echoServer}.ServeHTTP(w, r)
			} else {
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
			left <- struct{}{}
		})
		admin := f.client()
		for name, end := range map[string]func(credential bridge.Secret, keyID string) error{
			"unshared": func(bridge.Secret, string) error {
				_, err := admin.Patch(t.Context(), connection.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
				return err
			},
			"key revoked": func(_ bridge.Secret, keyID string) error { _, err := admin.RevokeKey(t.Context(), keyID); return err },
			"made a viewer": func(credential bridge.Secret, _ string) error {
				me, err := f.as(credential).Me(t.Context())
				if err == nil {
					_, err = admin.ChangeRole(t.Context(), "acme", me.ID, "viewer")
				}
				return err
			},
			"removed": func(credential bridge.Secret, _ string) error {
				me, err := f.as(credential).Me(t.Context())
				if err == nil {
					_, err = admin.RemoveMember(t.Context(), "acme", me.ID)
				}
				return err
			},
			"session ended": func(credential bridge.Secret, _ string) error {
				return f.client().RevokeSession(t.Context(), credential)
			},
		} {
			f.share(connection.ID, connections.Organization)
			email := strings.ReplaceAll(name, " ", "-") + "@acme.test"
			credential, keyID := f.memberToken(email, bridge.RoleMember), ""
			if name == "key revoked" {
				key := f.key(f.as(credential), api.CreateKeyRequest{Name: "x", Preset: "full"})
				credential, keyID = key.Key.Secret, key.KeyID
			}
			bearer := "Bearer " + credential.Reveal()
			r := f.request("GET", relay+"/stream", nil)
			r.Header.Set("Authorization", bearer)
			stream := f.send(r)
			ws, err := f.webSocket(relay, "Authorization", bearer)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			began := time.Now()
			if err := end(credential, keyID); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := io.ReadAll(stream.Body); err == nil {
				t.Errorf("%s: the stream ends as if it were whole", name)
			}
			var got string
			if err := websocket.Message.Receive(ws, &got); err == nil {
				t.Errorf("%s: the WebSocket goes on", name)
			}
			<-left
			<-left
			if took := time.Since(began); took > 5*time.Second { // a quarter of a second; what cannot be looked at is cut after ten
				t.Errorf("%s: cut after %s", name, took)
			}
			if name == "made a viewer" {
				continue // may call again, as one
			}
			if resp, _ := f.do("GET", relay+"/stream", "", "Authorization", bearer); resp.StatusCode == http.StatusOK {
				t.Errorf("%s: a new call gets through", name)
			}
		}
	})
}

// A server that refuses the key, or is gone, is probed at once, so that the connection says so.
func TestRelayMarksWhatFails(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	t.Cleanup(f.run())
	var refuse atomic.Bool
	relay, connection := f.behind(func(w http.ResponseWriter, _ *http.Request) {
		if !refuse.Load() {
			return
		}
		w.Header().Set("Www-Authenticate", `Basic realm="the cloud"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	if c, err := f.client().Check(t.Context(), connection.ID); err != nil || c.Status != connections.StatusOnline {
		t.Fatalf("%+v %v", c, err)
	}
	refuse.Store(true)
	resp, _ := f.do("GET", relay+"/x", "", "Authorization", f.bearer())
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get(api.HeaderRelay) != "server" || resp.Header.Get("Www-Authenticate") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	for range 2000 { // it is probed in the background
		if c, err := f.client().Connection(t.Context(), connection.ID); err == nil && c.Status == connections.StatusUnauthorized {
			return
		}
	}
	t.Error("the connection's status does not say that the key is refused")
}

// A server that answers before it has read a stream leaves the client's connection fit for the next request.
func TestRelayAnswersBeforeTheStreamEnds(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	relay, _ := f.behind(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	host := strings.TrimPrefix(f.url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	for i := range 50 {
		_, _ = io.WriteString(conn, "POST "+relay+"/x HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: "+f.bearer()+"\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
		_, _ = io.WriteString(conn, "0\r\n\r\n")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Close {
			t.Fatalf("request %d: %v", i, resp)
		}
	}
}
