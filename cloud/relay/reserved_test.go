package relay_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/who"
)

// The paths that a link keeps for itself carry nothing of a member, in any spelling: neither a connection within the relay's body,
// past the relay's rules, nor a question that the server's end answers by itself.
func TestRelayReservedPaths(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), who.RelayLimits{})
	reached := make(chan string, 100)
	relay, _ := f.linked(func(w http.ResponseWriter, r *http.Request) { reached <- r.Method + " " + r.URL.Path }, "https://behind-nat.test")
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: server.test\r\nX-Ace-Subject: root\r\nX-Api-Key: another\r\n\r\n"
	for _, path := range []string{"/.ace-link/http1", "/.ace-link/%68ttp1", "/%2eace-link/http1", "/.ace%2Dlink/ask", "/.ace-link%2fhttp1", "//.ace-link/http1",
		"/.ace-link//http1", "/.ace-link", "/.ACE-Link/http1", "/.ace-link/anything?a=b", "/.ace-link/\"", "/.ace-link;x/http1"} {
		for _, method := range []string{"POST", "GET", "HEAD"} {
			for _, upgrade := range []string{"", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-Websocket-Version: 13\r\nSec-Websocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"} {
				if upgrade != "" && method != "GET" {
					continue // no upgrade at all
				}
				conn, err := net.Dial("tcp", strings.TrimPrefix(f.Server, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				body := ""
				if method == "POST" {
					body = "Transfer-Encoding: chunked\r\n"
				}
				_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n%s%s\r\n", method, relay+path, conn.RemoteAddr(), f.Bearer(), upgrade, body)
				if err == nil && body != "" {
					_, _ = fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled) // it may be refused already
				}
				resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
				if err != nil {
					t.Fatalf("%s %s: %v", method, path, err)
				}
				if resp.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s: %s", method, path, resp.Status)
				} else if raw, err := io.ReadAll(resp.Body); method != "HEAD" && (err != nil || codeOf(t, string(raw)) != bridge.CodeLinkForbidden) {
					t.Errorf("%s %s: %s (%v)", method, path, raw, err)
				}
				_ = conn.Close()
			}
		}
	}
	for len(reached) > 0 {
		t.Errorf("the server got %s", <-reached)
	}
	for _, path := range []string{"/x/.ace-link/http1", "/.ace-linked", "/ace-link/http1"} {
		if resp := f.send(f.request("GET", relay+path, nil)); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
