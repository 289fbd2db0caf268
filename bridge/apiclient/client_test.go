package apiclient

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// How a client treats responses that are not what it asked for.
func TestClientRefusals(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	tests := []struct {
		name   string
		code   bridge.Code
		answer http.HandlerFunc
	}{
		{"redirect", "redirected", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }},
		{"a page", "answer_unexpected", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
		{"a problem", "key_invalid", func(w http.ResponseWriter, _ *http.Request) {
			api.WriteProblem(w, bridge.E(bridge.Unauthenticated, "key_invalid", "no"))
		}},
		{"a status alone", "http_418", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.answer)
			defer srv.Close()
			_, err := NewServer(bridge.ServerURL(srv.URL), bridge.NewSecret("key"), api.ClientConfig{}).Me(t.Context())
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
	_, err := NewServer(bridge.ServerURL(srv.URL), bridge.Secret{}, api.ClientConfig{}).Discovery(t.Context())
	if e := bridge.AsError(err); e.Kind != bridge.Unreachable || e.Hint == "" {
		t.Errorf("the error is %v of kind %s", e, e.Kind)
	}
}

// Metadata of another cloud, or with endpoints that anyone on the way could read, is refused.
func TestMetadata(t *testing.T) {
	const https = "https://cloud.example.com"
	for name, c := range map[string]struct {
		change func(m map[string]string, self string)
		code   bridge.Code
	}{
		"its own":           {func(map[string]string, string) {}, ""},
		"https elsewhere":   {func(m map[string]string, _ string) { m["token_endpoint"] = https + "/token" }, ""},
		"another issuer":    {func(m map[string]string, _ string) { m["issuer"] = https }, "issuer_mismatch"},
		"no issuer":         {func(m map[string]string, _ string) { delete(m, "issuer") }, "issuer_mismatch"},
		"plain http":        {func(m map[string]string, _ string) { m["authorization_endpoint"] = "http://cloud.example.com/a" }, "metadata_malformed"},
		"a script":          {func(m map[string]string, _ string) { m["authorization_endpoint"] = "javascript:alert(1)" }, "metadata_malformed"},
		"no token endpoint": {func(m map[string]string, _ string) { delete(m, "token_endpoint") }, "metadata_malformed"},
		"a user in an URL":  {func(m map[string]string, self string) { m["jwks_uri"] = "https://" + self + "@evil.example/" }, "metadata_malformed"},
	} {
		var m map[string]string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.PathMetadata {
				t.Errorf("%s: asked for %s", name, r.URL.Path)
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(m)
		}))
		m = map[string]string{"issuer": srv.URL, "authorization_endpoint": srv.URL + "/a", "device_authorization_endpoint": srv.URL + "/d",
			"token_endpoint": srv.URL + "/t", "revocation_endpoint": srv.URL + "/r", "jwks_uri": srv.URL + "/j"}
		c.change(m, "ace")
		_, err := NewCloud(bridge.ServerURL(srv.URL), bridge.Secret{}, api.ClientConfig{}).Metadata(t.Context())
		if got := bridge.CodeOf(err); got != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
		srv.Close()
	}
}

// The header that a credential travels in: an API key is never sent as a bearer token, whichever side is called.
func TestCredentialHeader(t *testing.T) {
	key := bridge.NewKey(bridge.KindLive, uuid.New())
	pat := bridge.NewKey(bridge.KindPAT, uuid.New())
	var seen http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	defer srv.Close()
	base := bridge.ServerURL(srv.URL)
	server := NewServer(base, bridge.Secret{}, api.ClientConfig{})
	cloud := NewCloud(base, bridge.Secret{}, api.ClientConfig{})
	tests := []struct{ name, credential, header, value string }{
		{"a key", key.Text().Reveal(), bridge.HeaderAceAPIKey, key.Text().Reveal()},
		{"a key with its ID", key.ID.String() + "." + key.Text().Reveal(), bridge.HeaderAceAPIKey, key.ID.String() + "." + key.Text().Reveal()},
		{"a personal access token", pat.Text().Reveal(), bridge.HeaderAceAPIKey, pat.Text().Reveal()},
		{"a mistyped key", "ace_live_x", bridge.HeaderAceAPIKey, "ace_live_x"},
		{"a token", "eyJ.eyJ.x", bridge.HeaderAuthorization, "Bearer eyJ.eyJ.x"},
		{"anything else", "opaque", bridge.HeaderAuthorization, "Bearer opaque"},
		{"nothing", "", "", ""},
	}
	for _, tt := range tests {
		secret := bridge.NewSecret(tt.credential)
		calls := map[string]func() error{
			"server": func() error { _, err := server.As(secret).Me(t.Context()); return err },
			"cloud":  func() error { _, err := cloud.As(secret).Me(t.Context()); return err },
		}
		if tt.header != "" {
			calls["connection"] = func() error { // the cloud names the header
				_, err := server.As(bridge.NewSecret("own")).MeWith(t.Context(), api.Credential{Header: bridge.HeaderAPIKey, Value: secret.Disclose()})
				return err
			}
		}
		for name, do := range calls {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{tt.header: tt.value}
			if name == "connection" {
				want = map[string]string{bridge.HeaderAPIKey: tt.credential}
			}
			for _, h := range []string{bridge.HeaderAuthorization, bridge.HeaderAPIKey, bridge.HeaderAceAPIKey} {
				if got := seen.Get(h); got != want[h] {
					t.Errorf("%s to the %s: %s is %q, want %q", tt.name, name, h, got, want[h])
				}
			}
		}
	}
}
