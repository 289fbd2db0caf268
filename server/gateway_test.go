package server_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
)

// echoHeaders is an app that answers with the headers it received.
func echoHeaders(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_ = json.NewEncoder(w).Encode(map[string]any{"header": r.Header, "trailer": r.Trailer, "path": r.URL.Path})
}

func TestGatewayIdentityCannotBeSmuggled(t *testing.T) {
	f := start(t, http.HandlerFunc(echoHeaders), nil)
	key := f.key()
	cases := map[string][]string{
		"plain": {"X-Ace-Subject", "root"}, "lower case": {"x-ace-subject", "root"}, "underscores": {"X_Ace_Subject", "root"},
		"dots": {"X.Ace.Subject", "root"}, "mixed": {"x-Ace_Role", "root"}, "double": {"X-Ace-Subject", "root", "X-Ace-Subject", "root"},
		"connection": {"Connection", "X-Ace-Subject, X-Ace-Scopes", "X-Ace-Subject", "root"},
		"keep alive": {"Connection", "keep-alive, x-ace-key-id", "X-Ace-Key-Id", "root"},
		"unknown":    {"X-Ace-Anything", "root"},
	}
	for name, headers := range cases {
		resp, body := f.do(http.MethodGet, "/whoami", "", append(headers, "X-Api-Key", key)...)
		if resp.StatusCode != 200 || strings.Contains(body, "root") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		var seen struct{ Header http.Header }
		if err := json.Unmarshal([]byte(body), &seen); err != nil {
			t.Fatal(err)
		}
		for _, h := range []string{"X-Ace-Key-Id", "X-Ace-Subject", "X-Ace-Org", "X-Ace-Environment", "X-Ace-Scopes", "X-Ace-Request-Id"} {
			if len(seen.Header[h]) != 1 {
				t.Errorf("%s: %s has %d values", name, h, len(seen.Header[h]))
			}
		}
		if strings.Contains(body, key) {
			t.Errorf("%s: the app was given the key", name)
		}
	}
	if _, body := f.do(http.MethodGet, "/whoami", "", "X-Api-Key", key, "X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9",
		"X-Forwarded-Host", "203.0.113.9", "X-Forwarded-Proto", "203.0.113.9", "Forwarded", "for=203.0.113.9"); strings.Contains(body, "203.0.113.9") {
		t.Errorf("a client says where it comes from: %s", body)
	}
	for _, h := range []string{"Authorization", "X-Ace-Api-Key"} {
		value := key
		if h == "Authorization" {
			value = "Bearer " + key
		}
		if resp, body := f.do(http.MethodGet, "/whoami", "", h, value); resp.StatusCode != 200 || strings.Contains(body, key) {
			t.Errorf("%s: %d %s", h, resp.StatusCode, body)
		}
	}
}

// raw sends bytes as they are, and returns the status of the first response and everything after it.
func (f *fixture) raw(request string) (status int, rest string) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.host)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return resp.StatusCode, string(body)
}

func TestGatewayRefusesOddRequests(t *testing.T) {
	f := start(t, http.HandlerFunc(echoHeaders), nil)
	head := "Host: x\r\nConnection: close\r\nX-API-Key: " + f.key() + "\r\n"
	upgrade := strings.Replace(head, "Connection: close", "Connection: Upgrade", 1)
	cases := map[string]struct {
		request string
		status  int
	}{
		"good":           {"GET /a/b HTTP/1.1\r\n" + head + "\r\n", 200},
		"dot segments":   {"GET /a/../b HTTP/1.1\r\n" + head + "\r\n", 200},
		"encoded dots":   {"GET /a/%2e%2e/b HTTP/1.1\r\n" + head + "\r\n", 200},
		"parameter dots": {"GET /a/..;x/b HTTP/1.1\r\n" + head + "\r\n", 200},
		"empty segment":  {"GET /a//b HTTP/1.1\r\n" + head + "\r\n", 200},
		"encoded slash":  {"GET /a%2fb HTTP/1.1\r\n" + head + "\r\n", 200},
		"backslash":      {"GET /a%5cb HTTP/1.1\r\n" + head + "\r\n", 200},
		"into our own":   {"GET /x/../ace/v1/me HTTP/1.1\r\n" + head + "\r\n", 404},
		"TRACE":          {"TRACE / HTTP/1.1\r\n" + head + "\r\n", 405},
		"CONNECT":        {"CONNECT x:80 HTTP/1.1\r\n" + head + "\r\n", 405},
		"h2c":            {"GET / HTTP/1.1\r\n" + upgrade + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", 200},
		"odd upgrade":    {"GET / HTTP/1.1\r\n" + upgrade + "Upgrade: foo\r\n\r\n", 200},
		"two upgrades":   {"GET / HTTP/1.1\r\n" + upgrade + "Upgrade: websocket\r\nUpgrade: h2c\r\n\r\n", 200},
		"no key":         {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 401},
		"POST upgrade": {"POST / HTTP/1.1\r\n" + upgrade + "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 0\r\n\r\n", 400},
	}
	for name, c := range cases {
		if status, body := f.raw(c.request); status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.status)
		}
	}
	trailer := "POST / HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nTrailer: X-Ace-Subject\r\n\r\n1\r\na\r\n0\r\nX-Ace-Subject: root\r\n\r\n"
	if status, body := f.raw(trailer); status != 200 || strings.Contains(body, "root") {
		t.Errorf("a trailer passes for an identity header: %d %s", status, body)
	}
}

// TestGatewayWebSocket checks that a WebSocket passes in both directions, and that an app which does not switch gets no raw pipe.
func TestGatewayWebSocket(t *testing.T) {
	f := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			echoHeaders(w, r)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString("echo " + line)
		_ = rw.Flush()
	}), nil)
	head := " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-API-Key: " + f.key() + "\r\n\r\n"
	conn, err := net.Dial("tcp", f.host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET /ws"+head); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake: %v %v", resp, err)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := reader.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("the WebSocket answered %q (%v)", line, err)
	}
	// An upgrade followed by a second request, which would reach the app unseen through a raw pipe.
	smuggled := "GET /second HTTP/1.1\r\nHost: x\r\nX-Ace-Subject: root\r\nConnection: close\r\n\r\n"
	if _, body := f.raw("GET /plain" + head + smuggled); strings.Contains(body, "root") || strings.Contains(body, "/second") {
		t.Errorf("a second request went through unseen: %s", body)
	}
}

func TestGatewayStreams(t *testing.T) {
	release := make(chan struct{})
	f := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "data: two\n\n")
	}), nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", f.key())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	events := bufio.NewReader(resp.Body)
	if line, err := events.ReadString('\n'); line != "data: one\n" { // arrives while the app is still writing
		t.Fatalf("%q %v", line, err)
	}
	close(release)
	if rest, err := io.ReadAll(events); !strings.Contains(string(rest), "data: two") {
		t.Errorf("%q %v", rest, err)
	}
}

// TestGatewayHoldsNothingBack checks that a response of declared length is forwarded piece by piece as it comes: the app may
// wait for what the client does with the first piece.
func TestGatewayHoldsNothingBack(t *testing.T) {
	goOn := make(chan struct{})
	f := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "6")
		w.WriteHeader(http.StatusOK)
		for _, piece := range []string{"one", "two"} {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-goOn:
			case <-r.Context().Done():
				return
			}
			_, _ = io.WriteString(w, piece)
		}
	}), nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/pieces", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", f.key())
	resp, err := http.DefaultClient.Do(r) // returns once the header is there
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for _, want := range []string{"one", "two"} {
		goOn <- struct{}{}
		piece := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, piece); err != nil || string(piece) != want {
			t.Errorf("%q %v, want %q", piece, err, want)
		}
	}
}

func TestVerifyAndRevocation(t *testing.T) {
	f := start(t, nil, nil)
	text := f.key()
	key, err := bridge.ParseKey(bridge.NewSecret(text))
	if err != nil {
		t.Fatal(err)
	}
	if resp, _ := f.do(http.MethodPost, "/ace/v1/verify", "", "X-Api-Key", text); resp.StatusCode != 204 || resp.Header.Get("X-Ace-Key-Id") != key.ID.String() {
		t.Errorf("verify: %d %v", resp.StatusCode, resp.Header)
	}
	other, err := bridge.ParseKey(bridge.NewSecret(f.key()))
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.SignRevocation("ann@example.com", "disconnected", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bearer := "Bearer " + token.Reveal()
	if resp, body := f.do(http.MethodDelete, "/ace/v1/api-keys/"+other.ID.String(), "", "Authorization", bearer); resp.StatusCode != 401 {
		t.Errorf("a revocation kills another key: %d %s", resp.StatusCode, body)
	}
	for range 2 {
		if resp, body := f.do(http.MethodDelete, "/ace/v1/api-keys/"+key.ID.String(), "", "Authorization", bearer); resp.StatusCode != 200 || !strings.Contains(body, `"status":"revoked"`) {
			t.Errorf("revoke: %d %s", resp.StatusCode, body)
		}
	}
	if resp, body := f.do(http.MethodPost, "/ace/v1/verify", "", "X-Api-Key", text); resp.StatusCode != 401 || f.code(body) != "key_invalid" {
		t.Errorf("a revoked key: %d %s", resp.StatusCode, body)
	}
	if resp, _ := f.do(http.MethodGet, "/nowhere", "", "X-Api-Key", text); resp.StatusCode != 404 {
		t.Errorf("no upstream: %d", resp.StatusCode)
	}
}

// TestARefusedBodyIsNotWaitedFor checks that a refused client cannot hold the connection by not sending the announced body.
func TestARefusedBodyIsNotWaitedFor(t *testing.T) {
	f := start(t, http.HandlerFunc(echoHeaders), nil)
	conn, err := net.Dial("tcp", f.host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401") {
		t.Errorf("%q %v", answer, err)
	}
}
