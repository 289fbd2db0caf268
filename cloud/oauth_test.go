// Tests of the authorization server together with other packages: the sign-in before it, and the keys that sign sessions.
// The authorization server alone is tested in cloud/oauth.

package cloud_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
)

const redirectURI = "http://127.0.0.1:49152/callback"

// discovered is the configuration of an unmodified OAuth client that knows nothing but the cloud's metadata.
func (f *fixture) discovered(style oauth2.AuthStyle) (*oauth2.Config, map[string]any) {
	f.t.Helper()
	resp, body := f.do("GET", "/.well-known/oauth-authorization-server", "")
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil || resp.StatusCode != 200 || m["issuer"] != f.url {
		f.t.Fatalf("metadata: %d %s", resp.StatusCode, body)
	}
	at := func(name string) string {
		endpoint, _ := m[name].(string)
		if !strings.HasPrefix(endpoint, f.url+"/") {
			f.t.Errorf("%s is %q", name, endpoint)
		}
		return endpoint
	}
	return &oauth2.Config{ClientID: api.CLIClientID, RedirectURL: redirectURI, Endpoint: oauth2.Endpoint{
		AuthURL: at("authorization_endpoint"), TokenURL: at("token_endpoint"),
		DeviceAuthURL: at("device_authorization_endpoint"), AuthStyle: style}}, m
}

func (f *fixture) decide(userCode, action, cookie string) {
	f.t.Helper()
	resp, body := f.do("POST", "/device", url.Values{"user_code": {userCode}, "action": {action}}.Encode(), "Content-Type", formType, "Cookie", cookie)
	if resp.StatusCode != 200 {
		f.t.Fatalf("%s: %d %s", action, resp.StatusCode, body)
	}
}

// A person who is not signed in signs in first, and comes back to the same authorization request.
func TestAuthorizationSignsInFirst(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cfg, _ := f.discovered(oauth2.AuthStyleInParams)
	asked := strings.TrimPrefix(cfg.AuthCodeURL("a state&more", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), f.url)
	resp, _ := f.do("GET", asked, "")
	to, err := resp.Location()
	if err != nil || to.Path != "/login" {
		t.Fatalf("%d %v", resp.StatusCode, to)
	}
	resp, _ = f.do("POST", "/login", url.Values{"email": {"ann@acme.test"}, "password": {password}, "next": {to.Query().Get("next")}}.Encode(), "Content-Type", formType)
	if got := resp.Header.Get("Location"); got != asked {
		t.Errorf("after signing in: %q, want %q", got, asked)
	}
}

func (f *fixture) deviceTokens() map[string]any {
	f.t.Helper()
	d, err := f.cloud.Registry().Sessions.StartDevice(f.t.Context(), accounts.DeviceStart{ClientID: api.CLIClientID})
	if err != nil {
		f.t.Fatal(err)
	}
	f.decide(d.UserCode, "approve", f.signIn())
	status, answer := f.oauth("/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "client_id": {api.CLIClientID}, "device_code": {d.DeviceCode.Reveal()}})
	if status != 200 {
		f.t.Fatalf("%d %v", status, answer)
	}
	return answer
}

// A new first key in ACE_CLOUD_SIGNING_KEY signs from then on; tokens signed by the older key are accepted until they expire.
func TestSigningKeyRotation(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	kids := func() []string {
		resp, body := f.do("GET", "/.well-known/jwks.json", "")
		if resp.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("the keys are cached as %q", resp.Header.Get("Cache-Control"))
		}
		var set struct {
			Keys []struct{ Kid, Kty, Crv, X, Use, Alg string }
		}
		if err := json.Unmarshal([]byte(body), &set); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, k := range set.Keys {
			if raw, err := base64.RawURLEncoding.DecodeString(k.X); err != nil || len(raw) != 32 || k.Kty != "OKP" || k.Crv != "Ed25519" || k.Use != "sig" {
				t.Errorf("a key is %+v", k)
			}
			out = append(out, k.Kid)
		}
		return out
	}
	kidOf := func(token bridge.Secret) string {
		head, _, _ := strings.Cut(token.Reveal(), ".")
		raw, err := base64.RawURLEncoding.DecodeString(head)
		var h struct{ Kid string }
		if err != nil || json.Unmarshal(raw, &h) != nil {
			t.Fatal(head)
		}
		return h.Kid
	}
	status := func(token bridge.Secret) int {
		resp, _ := f.do("GET", "/v1/me", "", "Authorization", "Bearer "+token.Reveal())
		return resp.StatusCode
	}
	before, older, olderKey := f.token, kids(), f.cfg.SigningKey
	newer := "2" + strings.TrimPrefix(bridge.NewSigningRoot().Reveal(), "1")
	f.cfg.SigningKey = bridge.NewSecret(newer + "," + olderKey.Reveal())
	f.restart()
	after, _, err := f.cloud.DeveloperToken(context.Background(), "ann@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	both := kids()
	if len(older) != 1 || len(both) != 2 || both[0] != kidOf(before) || both[1] != kidOf(after) || kidOf(before) == kidOf(after) {
		t.Errorf("keys %v, then %v; tokens of %s, then %s", older, both, kidOf(before), kidOf(after))
	}
	if status(before) != 200 || status(after) != 200 {
		t.Errorf("with both keys: the older token gets %d, the newer %d", status(before), status(after))
	}
	f.cfg.SigningKey = bridge.NewSecret(newer)
	f.restart()
	if status(before) != 401 || status(after) != 200 {
		t.Errorf("with the newer key alone: the older token gets %d, the newer %d", status(before), status(after))
	}
	f.cfg.SigningKey = olderKey
	f.restart()
	if status(after) != 401 {
		t.Errorf("a token of a key that is not known gets %d", status(after))
	}
}
