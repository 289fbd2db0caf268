package proxies

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/server"
)

// talks answers what takes more than a request and an answer.
func (p *proxied) talks(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-p.next:
			_, _ = io.WriteString(w, "data: two\n\n")
		case <-r.Context().Done():
		}
	case "/hang":
		if r.URL.RawQuery == "begun" {
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		p.hangs <- struct{}{}
		<-r.Context().Done()
		p.hangs <- struct{}{}
	case "/large":
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Large", strings.Repeat("x", largeHeader))
		_, _ = fmt.Fprint(w, n)
	case "/trailers":
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum, X-Ace-Subject")
		_ = json.NewEncoder(w).Encode(r.Trailer)
		w.Header().Set("X-Sum", "of the answer")
	default:
		return false
	}
	return true
}

// goneLines takes the lines of a log about clients that hung up.
type goneLines chan string

const maxGone = 100

func (l goneLines) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "status=499") {
		l <- string(line)
	}
	return len(line), nil
}

// wait waits for the line about a path.
func (l goneLines) wait(t *testing.T, path string) {
	t.Helper()
	for late := time.After(20 * time.Second); ; {
		select {
		case line := <-l:
			if strings.Contains(line, " path="+path+" ") {
				if !strings.Contains(line, "code=client_gone") || strings.Contains(line, "level=ERROR") {
					t.Errorf("it is logged as %s", line)
				}
				return
			}
		case <-late:
			t.Fatal("no line says that the client has hung up")
		}
	}
}

const (
	largeUpload = 3 << 20
	largeHeader = 60 << 10 // docs/apps.md: 64 KB with all others
)

// What cannot be tried without waiting is held as it stands in the file.
func TestNginxPatience(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../configs/nginx/forward-auth.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"proxy_read_timeout 1h;", "proxy_send_timeout 1h;", "client_max_body_size 0;", "proxy_request_buffering off;", "proxy_buffering off;",
		"proxy_buffer_size 64k;"} {
		if n := strings.Count(string(raw), "\n    "+setting); n != 1 { // of the whole server
			t.Errorf("%s stands there %d times", setting, n)
		}
	}
}

func userToken(t *testing.T, secret bridge.Secret, subject string) string {
	t.Helper()
	token, err := server.MintUserToken(secret, subject, bridge.RoleAdmin, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + token.Reveal()
}

// talk is a connection to a door.
type talk struct {
	*testing.T
	conn net.Conn
	in   *bufio.Reader
}

// begin sends the head of a request.
func (d door) begin(t *testing.T, credential, method, target, protocol string, lines ...string) *talk {
	t.Helper()
	conn, err := net.Dial("tcp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if credential != "" {
		lines = append(lines, credential)
	}
	if d.asks {
		lines = append(lines, "X-Forwarded-Method: "+method, "X-Forwarded-Uri: "+target)
		method, target = http.MethodGet, verifyEndpoint
	}
	k := &talk{t, conn, bufio.NewReader(conn)}
	k.send(method + " " + d.prefix + target + " " + protocol + "\r\nHost: " + d.address + "\r\n" + strings.Join(append(lines, "", ""), "\r\n"))
	return k
}

func (k *talk) send(text string) {
	k.Helper()
	if _, err := io.WriteString(k.conn, text); err != nil {
		k.Fatal(err)
	}
}

func (k *talk) answer() *http.Response {
	k.Helper()
	resp, err := http.ReadResponse(k.in, &http.Request{Method: http.MethodGet})
	if err != nil {
		k.Fatal(err)
	}
	return resp
}

// saw is what the app saw.
func (k *talk) saw(resp *http.Response) seen {
	k.Helper()
	var s seen
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		k.Fatalf("%s: %v: %.200s", resp.Status, err, body)
	}
	return s
}

func (d door) checkTalks(t *testing.T, app *proxied) {
	t.Run("a subject that is not ASCII", func(t *testing.T) {
		k := d.begin(t, d.jorg, "GET", "/items", "HTTP/1.1")
		resp, want := k.answer(), "UTF-8''J%C3%B6rg"
		if d.relayed() {
			want = "UTF-8''j%C3%B6rg%40acme.test"
		}
		got := resp.Header.Get(bridge.HeaderSubject)
		if !d.asks {
			got = k.saw(resp).Header.Get(bridge.HeaderSubject)
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		k := d.begin(t, d.credential, "GET", "/items?a=1;2", "HTTP/1.0")
		resp := k.answer()
		if len(resp.TransferEncoding) > 0 || resp.StatusCode != 200 && !d.asks {
			t.Errorf("%s %v", resp.Status, resp.TransferEncoding)
		}
		if !d.asks && k.saw(resp).URI != "/items?a=1;2" {
			t.Error("the app saw another URI")
		}
	})
	if d.asks {
		return // it sees neither body nor answer
	}
	t.Run("events", func(t *testing.T) {
		k := d.begin(t, d.credential, "GET", "/stream", "HTTP/1.1")
		resp := k.answer()
		one := make([]byte, len("data: one\n\n"))
		if _, err := io.ReadFull(resp.Body, one); err != nil || string(one) != "data: one\n\n" {
			t.Fatalf("%s %q %v", resp.Status, one, err)
		}
		app.next <- struct{}{} // only now comes the second
		if two, err := io.ReadAll(resp.Body); err != nil || string(two) != "data: two\n\n" {
			t.Errorf("%q %v", two, err)
		}
	})
	t.Run("a client that hangs up", func(t *testing.T) {
		for _, path := range []string{"/hang", "/hang?begun"} {
			k := d.begin(t, d.credential, "GET", path, "HTTP/1.1")
			<-app.hangs
			if path != "/hang" {
				_, _ = k.answer().Body.Read(make([]byte, 1))
			}
			_ = k.conn.Close()
			select {
			case <-app.hangs:
			case <-time.After(20 * time.Second):
				t.Fatal("the app was never told")
			}
			if d.log != nil {
				d.log.wait(t, d.prefix+"/hang")
			}
		}
	})
	t.Run("a large upload and large headers", func(t *testing.T) {
		k := d.begin(t, d.credential, "POST", "/large", "HTTP/1.1", fmt.Sprintf("Content-Length: %d", largeUpload))
		k.send(strings.Repeat("x", largeUpload))
		resp := k.answer()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != fmt.Sprint(largeUpload) || len(resp.Header.Get("X-Large")) != largeHeader {
			t.Errorf("%s %.100q %v", resp.Status, body, err)
		}
	})
	t.Run("trailers", func(t *testing.T) {
		k := d.begin(t, d.credential, "POST", "/trailers", "HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: X-Sum, X-Ace-Subject")
		k.send("5\r\nhello\r\n0\r\nX-Sum: of the request\r\nX-Ace-Subject: " + evil + "\r\n\r\n")
		resp := k.answer()
		body, err := io.ReadAll(resp.Body)
		var saw http.Header
		if err == nil {
			err = json.Unmarshal(body, &saw)
		}
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s %q %v", resp.Status, body, err)
		}
		request, answer := "of the request", "of the answer" // less what docs/security.md says
		switch d.name {
		case "nginx":
			request, answer = "", ""
		case "caddy":
			request = ""
		}
		if saw.Get("X-Sum") != request || saw.Get(bridge.HeaderSubject) != "" || resp.Trailer.Get("X-Sum") != answer {
			t.Errorf("the app saw %v, the client %v", saw, resp.Trailer)
		}
	})
	t.Run("Expect: 100-continue", func(t *testing.T) {
		lines := []string{"Content-Length: 5", "Expect: 100-continue"}
		k := d.begin(t, d.credential, "POST", "/items", "HTTP/1.1", lines...)
		if resp := k.answer(); resp.StatusCode != http.StatusContinue {
			t.Fatal(resp.Status)
		}
		k.send("hello")
		resp := k.answer()
		for resp.StatusCode == http.StatusContinue { // Caddy's own, and the app's
			resp = k.answer()
		}
		if saw := k.saw(resp); saw.Body != "hello" {
			t.Errorf("%+v", saw)
		}
		k = d.begin(t, "", "POST", "/items", "HTTP/1.1", lines...)
		resp = k.answer()                                                // before the body is sent
		if d.name == "nginx" && resp.StatusCode == http.StatusContinue { // it asks for the body, to throw it away
			k.send("hello")
			resp = k.answer()
		}
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("without a credential: %s", resp.Status)
		}
	})
}
