package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Ctrl-C ends a login that waits for the browser, and the port with it.
func TestBrowserLoginInterrupted(t *testing.T) {
	cloud := newFakeCloud(t)
	cmd := newTerminal(t, "ACE_ENV="+cloud.URL).command("", "login", "--browser", "--no-connect")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, page := readPage(pipe)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != term.ExitInterrupted {
		t.Errorf("it exits with %d, want %d", code, term.ExitInterrupted)
	}
	if resp, err := http.Get(page); err == nil { //nolint:gosec,noctx // the page of the fake cloud, which leads to the port
		_ = resp.Body.Close()
		t.Errorf("the port still answers: %s", resp.Status)
	}
}

func TestBrowserLoginEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := callback{result: make(chan callbackResult, 1)}
		if _, err := c.wait(t.Context()); bridge.CodeOf(err) != "expired_token" {
			t.Errorf("a login that nobody comes back from: %v", err)
		}
	})
}

// Whatever comes to the port, only a code of this login from this cloud is taken, and only once.
func FuzzCallback(f *testing.F) {
	const state, issuer = "right-state", "https://cloud.example"
	f.Add("/callback?code=c&state=right-state&iss=https://cloud.example", "127.0.0.1:1")
	f.Add("/callback?code=c&state=wrong&iss=https://cloud.example", "127.0.0.1:1")
	f.Add("/callback?error=access_denied&state=right-state&iss=https://cloud.example", "127.0.0.1:1")
	f.Add("/callback?code=a&code=b&state=right-state", "evil.example")
	f.Add("//callback?%zz", "")
	f.Fuzz(func(t *testing.T, target, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		c := callback{host: "127.0.0.1:1", state: bridge.NewSecret(state), issuer: issuer, result: make(chan callbackResult, 1)}
		for range 2 {
			w := httptest.NewRecorder()
			c.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: u, Host: host, Header: http.Header{}})
			if strings.Contains(w.Body.String(), "code=") {
				t.Error("the page repeats what it was asked")
			}
		}
		select {
		case r := <-c.result:
			q := u.Query()
			if q.Get("state") != state || host != c.host || (r.err == nil && (q.Get("iss") != issuer || q.Get("code") == "")) {
				t.Errorf("%q of %q counts: %v", target, host, r.err)
			}
		default:
		}
		if len(c.result) > 0 {
			t.Error("two answers count")
		}
	})
}

// --qr shows the address on a terminal, for another device: no browser opens here.
func TestQR(t *testing.T) {
	cloud := newFakeCloud(t)
	text := onTerminal(t, 120, []string{"ACE_ENV=" + cloud.URL}, "login", "--qr", "--no-connect").exits(0)
	if strings.Count(text, "█") < 100 || !strings.Contains(text, "Open "+cloud.URL) {
		t.Error(text)
	}
}
