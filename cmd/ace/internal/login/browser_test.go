package login

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/acebridge/ace/bridge"
)

func TestBrowserLoginEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := callback{result: make(chan callbackResult, 1)}
		if _, err := c.wait(t.Context()); bridge.CodeOf(err) != "expired_token" {
			t.Errorf("a login that nobody comes back from: %v", err)
		}
	})
}

// Of all that may come to the port, only a code of this login from this cloud is taken, and only once.
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
