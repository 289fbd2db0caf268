package cloud_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// firstLoad bounds the bytes that a browser with an empty cache loads for its first page.
const firstLoad = 100 << 10

// A browser fetches the page, what it links to, and the modules that its scripts import.
func TestFirstLoad(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	for i := range 60 { // more than a page lists
		key := bridge.NewKey(bridge.KindSK, uuid.New()).Text().Disclose()
		if _, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: fmt.Sprintf("https://server-%d.acme.test", i), APIKey: &key}); err != nil {
			t.Fatal(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}} // what comes is what is counted
	t.Cleanup(client.CloseIdleConnections)
	total, seen := 0, map[string]bool{}
	links := regexp.MustCompile(`(?:<link rel="(?:icon|stylesheet)" href|<script type="module" src|<img src)="([^"]+)"`)
	imports := regexp.MustCompile(`(?:from|import|import\() ?"(\./[^"]+)"`)
	var fetch func(at string)
	fetch = func(at string) {
		if seen[at] {
			return
		}
		seen[at] = true
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip")
		req.Header.Set("Cookie", cookie)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: %d, %q, %v", at, resp.StatusCode, resp.Header.Get("Content-Encoding"), err)
		}
		total += len(raw)
		t.Logf("%6d %s", len(raw), strings.TrimPrefix(at, f.url))
		unpacked, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(unpacked)
		if err != nil {
			t.Fatal(err)
		}
		pattern := links
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/javascript") {
			pattern = imports
		} else if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			return
		}
		base, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			next, err := base.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			fetch(next.String())
		}
	}
	fetch(f.url + "/connections")
	if len(seen) < 5 || total > firstLoad {
		t.Errorf("the first load is %d bytes in %d files, and at most %d are meant", total, len(seen), firstLoad)
	}
}
