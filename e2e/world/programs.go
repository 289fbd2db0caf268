package world

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// Installed finds a program, or ends the test.
func Installed(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if path, sbinErr := exec.LookPath("/usr/sbin/" + name); sbinErr == nil { // Debian has nginx where only root looks
		return path
	}
	if sqldbtest.Required(name) {
		t.Fatalf("%s is required: %v", name, err)
	}
	t.Skipf("skipped: no %s: %v", name, err)
	return ""
}

// EchoSocket takes any upgrade, as a careless app would, and returns the bytes that come.
func EchoSocket(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\nX-Saw-Subject: %s\r\n\r\n", r.Header.Get("Upgrade"),
		SocketAccept(r.Header.Get("Sec-Websocket-Key")), r.Header.Get("X-Ace-Subject"))
	_ = rw.Flush()
	_, _ = io.Copy(conn, rw)
}

// SocketAccept is RFC 6455 section 4.2.2.
func SocketAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// SocketKey is what a WebSocket client proves the handshake with.
const SocketKey = "dGhlIHNhbXBsZSBub25jZQ=="

// Handshake are the headers that begin a WebSocket.
var Handshake = []string{"Connection: Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: " + SocketKey}
