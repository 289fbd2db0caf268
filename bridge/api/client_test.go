package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/acebridge/ace/bridge"
)

// What a client makes of answers that are not the one it asked for.
func TestClientRefusals(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	tests := []struct {
		name, code string
		answer     http.HandlerFunc
	}{
		{"redirect", "redirected", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }},
		{"a page", "answer_unexpected", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
		{"a problem", "key_invalid", func(w http.ResponseWriter, _ *http.Request) {
			WriteProblem(w, bridge.E(bridge.Unauthenticated, "key_invalid", "no"))
		}},
		{"a status alone", "http_418", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.answer)
			defer srv.Close()
			_, err := NewServerClient(bridge.ServerURL(srv.URL), bridge.NewSecret("key"), ClientConfig{}).Me(t.Context())
			if got := bridge.CodeOf(err); got != tt.code {
				t.Errorf("the error is %q (%v), want %q", got, err, tt.code)
			}
		})
	}
	if elsewhere != 0 {
		t.Error("a credentialed call followed a redirect")
	}
}

func TestClientUnreachable(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	_, err := NewServerClient(bridge.ServerURL(srv.URL), bridge.Secret{}, ClientConfig{}).Discovery(t.Context())
	if e := bridge.AsError(err); e.Kind != bridge.Unreachable || e.Hint == "" {
		t.Errorf("the error is %v of kind %s", e, e.Kind)
	}
}
