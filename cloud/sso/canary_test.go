package sso_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// lockedBuffer is a buffer that many may write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buf.Reset()
	return b.buf.String()
}

// TestProviderAnswersAreNotRepeated: a token endpoint may send back the client secret, the code or the verifier that it was sent;
// no page, log line or audit entry has them.
func TestProviderAnswersAreNotRepeated(t *testing.T) {
	f, p := withProvider(t, sqldbtest.SQLite(t), jwt.SigningMethodRS256)
	log := &lockedBuffer{}
	f.serve(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}), nil)
	// An answer after which the client would keep the connection says that it is closed, or the next sign-in may find it so.
	for _, answer := range []string{
		"HTTP/1.1 401 ECHO\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 ECHO\r\n\r\n", "ECHO\r\n\r\n", "HTTP/1.1 200 OK\r\nECHO\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: ECHO\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: ECHO\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: http://ECHO/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: http://%zzECHO/\r\n\r\n",
		"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"error\":\"ECHO\",\"error_description\":\"ECHO\",\"error_uri\":\"ECHO\"}",
		"HTTP/1.1 500 Bad\r\nConnection: close\r\n\r\nECHO", "HTTP/1.1 200 OK\r\nContent-Type: ECHO\r\nConnection: close\r\n\r\nECHO", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"access_token\":\"x\",\"token_type\":\"ECHO\",\"id_token\":\"ECHO\"}",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"access_token\":\"x\",\"expires_in\":\"ECHO\"}",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"access_token\":\"x\",\"token_type\":\"Bearer\",\"id_token\":\"ECHO.ECHO.ECHO\"}",
	} {
		var echoed []string
		p.mu.Lock()
		p.handle = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/token" {
				return false
			}
			body, _ := io.ReadAll(r.Body)
			sent := strings.NewReplacer(" ", "_", "+", "_", "%20", "_").Replace(clientSecret)
			echo := sent + "_" + r.Header.Get("Authorization") + "_" + string(body)
			echo = strings.NewReplacer(" ", "_", "\"", "_").Replace(echo)
			echoed = append(echoed, sent, strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
			for pair := range strings.SplitSeq(string(body), "&") {
				if name, value, _ := strings.Cut(pair, "="); name == "code" || name == "code_verifier" {
					echoed = append(echoed, value)
				}
			}
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return false
			}
			_, _ = fmt.Fprint(conn, strings.ReplaceAll(answer, "ECHO", echo))
			_ = conn.Close()
			return true
		}
		p.mu.Unlock()
		f.Advance(4 * time.Minute) // as often as that nobody signs in
		session, page := f.signInThrough("bob@acme.test")
		said := log.take() + page + fmt.Sprintf("%+v", f.Audited("session.open"))
		if session != "" || len(echoed) < 4 {
			t.Fatalf("%q: session %q, echoed %q", answer, session, echoed)
		}
		for _, secret := range append(echoed, clientSecret, base64.StdEncoding.EncodeToString([]byte(clientSecret))) {
			if strings.Contains(said, secret) {
				t.Errorf("%q: %q is in %s", answer, secret, said)
			}
		}
	}
}
