package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func fetch(t *testing.T, url string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Static().ServeHTTP(w, r)
	return w.Result()
}

// A file comes compressed to who takes that, for ever under its tag, and without one only when it is another.
func TestStatic(t *testing.T) {
	url, err := versioned("ace.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, accept := range []string{"", "gzip, deflate, br", "br, gzip;q=0", "identity"} {
		resp := fetch(t, url, "Accept-Encoding", accept)
		body := io.Reader(resp.Body)
		if compressed := resp.Header.Get("Content-Encoding") == "gzip"; compressed != (accept == "gzip, deflate, br") {
			t.Errorf("%q gets compressed: %v", accept, compressed)
		} else if compressed {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(body)
		if err != nil || string(text) != string(assets()["ace.css"].plain) || resp.Header.Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("%q gets %d bytes of %s (%v)", accept, len(text), resp.Header.Get("Content-Type"), err)
		}
		if cache := resp.Header.Get("Cache-Control"); cache != "public, max-age=31536000, immutable" || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q may keep it: %s", accept, cache)
		}
	}
	for _, url := range []string{"/static/ace.css", "/static/ace.css?v=0000000000000000"} {
		resp := fetch(t, url)
		if resp.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s may be kept: %s", url, resp.Header.Get("Cache-Control"))
		}
		if again := fetch(t, url, "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s is sent again: %d", url, again.StatusCode)
		}
		if other := fetch(t, url, "If-None-Match", resp.Header.Get("ETag"), "Accept-Encoding", "gzip"); other.StatusCode != http.StatusOK {
			t.Errorf("%s, compressed, passes for the plain one: %d", url, other.StatusCode)
		}
	}
	for _, url := range []string{"/static/", "/static/none.css", "/static/../web.go", "/static"} {
		if resp := fetch(t, url); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", url, resp.StatusCode)
		}
	}
	if _, err := versioned("none.css"); err == nil {
		t.Error("a file that is none has a URL")
	}
}
