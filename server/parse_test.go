package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

// FuzzOriginalRequest checks that, whatever a proxy sends, the decision is about one method and one path that nobody reads in
// two ways, and that no two headers contradict each other.
func FuzzOriginalRequest(f *testing.F) {
	f.Add("X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/a?b", "X-Original-Uri", "")
	f.Add("X-Original-Method", "GET", "X-Original-Uri", "/a", "X_Forwarded_Uri", "/b")
	f.Add("x.forwarded.method", "GET", "X-FORWARDED-URI", "/%2e%2e/", "X-Forwarded-Method", "POST")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, n3, v3 string) {
		h := http.Header{}
		said := map[string]map[string]bool{}
		for _, pair := range [][2]string{{n1, v1}, {n2, v2}, {n3, v3}} {
			h[pair[0]] = append(h[pair[0]], pair[1])
			folded := strings.Replace(bridge.FoldHeader(pair[0]), "x-original-", "x-forwarded-", 1)
			if said[folded] == nil {
				said[folded] = map[string]bool{}
			}
			if pair[1] != "" {
				said[folded][pair[1]] = true
			}
		}
		method, uri, err := originalRequest(h)
		if err != nil {
			return
		}
		if len(said["x-forwarded-method"]) != 1 || len(said["x-forwarded-uri"]) != 1 {
			t.Errorf("%q says different things, and is read as %s %s", h, method, uri)
		}
		if !catalogue.ValidMethod(method) || !strings.HasPrefix(uri, "/") || strings.ContainsAny(uri, " #\\\r\n\t\x00") {
			t.Errorf("%q is read as %q %q", h, method, uri)
		}
	})
}

func FuzzParseLeaks(f *testing.F) {
	f.Add([]byte(`{"token":"ace_live_x"}`))
	f.Add([]byte(`[{"token":"x","type":"t","url":"u","source":"s"}]`))
	f.Add([]byte(` [ `))
	f.Fuzz(func(t *testing.T, raw []byte) {
		found, err := parseLeaks(raw)
		if err == nil && len(found) > maxLeaks {
			t.Errorf("%d leaks in one report", len(found))
		}
		for _, l := range found {
			if err == nil && l.Token.IsZero() {
				t.Error("a leak without a token")
			}
		}
	})
}
