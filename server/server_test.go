package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/server"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, keys.Migrate) }

const cloudURL bridge.ServerURL = "https://cloud.example.com"

// fixture is a server over HTTP with an app behind it.
type fixture struct {
	t      *testing.T
	url    string
	host   string
	root   bridge.SigningRoot
	secret bridge.Secret
	admin  bridge.Secret
	server *server.Server
	stop   func() // ends it, as the end of the test does
}

func start(t *testing.T, app http.Handler, change func(*server.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, secret: bridge.NewSecret(bridge.RandomToken(32))}
	var err error
	if f.root, err = bridge.ParseSigningRoot(bridge.NewSigningRoot()); err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewUnstartedServer(nil)
	f.host = ts.Listener.Addr().String()
	f.url = "http://" + f.host
	public, secret := f.root.TrustValues(cloudURL, "acme")
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: public, JWTSecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{PublicURLs: []bridge.ServerURL{bridge.ServerURL(f.url)}, DatabaseURL: sqldbtest.SQLite(t),
		Trust: trust, JWTSecret: f.secret, AllowedOrigins: []string{"https://extra.example"}, Version: "test"}
	if app != nil {
		upstream := httptest.NewServer(app)
		t.Cleanup(upstream.Close)
		if cfg.Upstream, err = url.Parse(upstream.URL); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(&cfg)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f.server = s
	ts.Config.Handler = s.Handler()
	ts.Start()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan struct{})
	go func() { _ = s.Run(ctx); close(ran) }()
	f.stop = sync.OnceFunc(func() { ts.CloseClientConnections(); ts.Close(); stop(); <-ran; _ = s.Close() })
	t.Cleanup(f.stop)
	f.admin = f.userToken(bridge.RoleAdmin, time.Now())
	return f
}

func (f *fixture) userToken(role bridge.Role, issued time.Time) bridge.Secret {
	f.t.Helper()
	token, err := server.MintUserToken(f.secret, "ops", role, time.Hour, issued)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// do sends a request, with headers given as name and value pairs, and returns the response with its body.
func (f *fixture) do(method, path, body string, headers ...string) (*http.Response, string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp, string(raw)
}

func (f *fixture) code(body string) bridge.Code {
	var p api.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		return bridge.Code("no problem document: " + body)
	}
	return p.Code
}

func (f *fixture) claims() bridge.ConnectClaims {
	return bridge.ConnectClaims{Times: bridge.NewTimes(time.Now(), 5*time.Minute), Issuer: cloudURL, Org: "acme", Subject: "u1",
		Email: "ann@example.com", Role: bridge.RoleMember, Scope: "*", KeyLife: 3600, JTI: bridge.NewTokenID(),
	}.ForServer(bridge.ServerURL(f.url))
}

func (f *fixture) connectToken(c bridge.ConnectClaims) string {
	f.t.Helper()
	token, err := f.root.SigningKey().SignConnect(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return token.Reveal()
}

// key creates an API key as the operator.
func (f *fixture) key() string {
	f.t.Helper()
	resp, body := f.do(http.MethodPost, "/ace/v1/api-keys", `{"name":"ci"}`, "Authorization", "Bearer "+f.admin.Reveal())
	var created struct{ Key string }
	if err := json.Unmarshal([]byte(body), &created); err != nil || resp.StatusCode != http.StatusCreated || created.Key == "" {
		f.t.Fatalf("create a key: %d %s", resp.StatusCode, body)
	}
	return created.Key
}

func TestExchange(t *testing.T) {
	f := start(t, nil, nil)
	claims := f.claims()
	sealing, err := f.root.SealingKey(claims.JTI)
	if err != nil {
		t.Fatal(err)
	}
	claims.Sealing = sealing
	token := f.connectToken(claims)
	resp, body := f.do(http.MethodPost, "/ace/v1/exchange", `{"name":"laptop"}`, "Authorization", "Bearer "+token)
	var answer api.ExchangeAnswer
	if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if strings.Contains(body, `"key":`) || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the key is in the clear, or may be cached: %s", body)
	}
	key, err := f.root.OpenSealed(answer.SealedKey, claims.Binding())
	if err != nil || key.Kind != bridge.KindSK {
		t.Fatalf("the sealed key does not open: %v", err)
	}
	if life := time.Until(answer.ExpiresAt); life > time.Hour || life < 59*time.Minute {
		t.Errorf("the key lives %v, the token allowed an hour", life)
	}
	if fmt.Sprint(answer.Scopes) != "[app:*]" {
		t.Errorf("a member's key has %v", answer.Scopes)
	}
	if _, body := f.do(http.MethodGet, "/ace/v1/me", "", "X-Api-Key", key.Text().Reveal()); !strings.Contains(body, `"subject":"ann@example.com"`) {
		t.Errorf("me: %s", body)
	}
	if resp, body := f.do(http.MethodPost, "/ace/v1/exchange", "", "Authorization", "Bearer "+token); resp.StatusCode != 401 || f.code(body) != "connect_token_used" {
		t.Errorf("a second exchange: %d %s", resp.StatusCode, body)
	}
	if resp, body := f.do(http.MethodGet, "/ace/v1/me", "", "Authorization", "Bearer "+f.connectToken(f.claims())); resp.StatusCode != 401 {
		t.Errorf("a cloud JWT is taken for a regular call: %d %s", resp.StatusCode, body)
	}
}

// TestExchangeChecks runs every check of a connect token over HTTP, with both kinds of cloud secret; each refusal has its own
// code.
func TestExchangeChecks(t *testing.T) {
	for _, kind := range []string{"pk1.1", "cs1.acme.1"} {
		f := start(t, nil, nil)
		key, ok := f.root.ConnectKey(cloudURL, "acme", []string{kind})
		if !ok {
			t.Fatal(kind)
		}
		for want, change := range map[bridge.Code]func(*bridge.ConnectClaims){
			"":                 func(*bridge.ConnectClaims) {},
			"connect_issuer":   func(c *bridge.ConnectClaims) { c.Issuer = "https://evil.example" },
			"connect_org":      func(c *bridge.ConnectClaims) { c.Org = "rival" },
			"connect_audience": func(c *bridge.ConnectClaims) { *c = c.ForServer("https://other.example") },
			"connect_subject":  func(c *bridge.ConnectClaims) { c.Subject = "" },
			"connect_role":     func(c *bridge.ConnectClaims) { c.Role = "root" },
			"connect_scope":    func(c *bridge.ConnectClaims) { c.Scope = "" },
			"connect_jti":      func(c *bridge.ConnectClaims) { c.JTI = "short" },
			"connect_key_life": func(c *bridge.ConnectClaims) { c.KeyLife = -1 },
			"connect_clock":    func(c *bridge.ConnectClaims) { c.Times = bridge.NewTimes(time.Now().Add(time.Minute), time.Minute) },
			"connect_expired":  func(c *bridge.ConnectClaims) { c.Times = bridge.NewTimes(time.Now().Add(-time.Hour), time.Minute) },
			"connect_lifetime": func(c *bridge.ConnectClaims) { c.Times = bridge.NewTimes(time.Now(), time.Hour) },
		} {
			claims := f.claims()
			change(&claims)
			token, err := key.SignConnect(claims)
			if err != nil {
				t.Fatal(err)
			}
			resp, body := f.do(http.MethodPost, "/ace/v1/exchange", "", "Authorization", "Bearer "+token.Reveal())
			if want == "" && resp.StatusCode != http.StatusCreated || want != "" && (resp.StatusCode != 401 || f.code(body) != want) {
				t.Errorf("%s: %d %s, want %q", kind, resp.StatusCode, body, want)
			}
		}
	}
	f := start(t, nil, func(c *server.Config) { c.Trust = bridge.Trust{} })
	if resp, body := f.do(http.MethodPost, "/ace/v1/exchange", "", "Authorization", "Bearer "+f.connectToken(f.claims())); resp.StatusCode != 503 || f.code(body) != "exchange_not_configured" {
		t.Errorf("without a cloud secret: %d %s", resp.StatusCode, body)
	}
}

func TestExchangeRefusalsAreAudited(t *testing.T) {
	f := start(t, nil, nil)
	expired, viewer := f.claims(), f.claims()
	expired.Times = bridge.NewTimes(time.Now().Add(-time.Hour), time.Minute)
	viewer.Role = bridge.RoleViewer
	cases := []struct {
		token  string
		code   bridge.Code
		status int
	}{
		{f.connectToken(expired), "connect_expired", 401}, {f.connectToken(viewer), "connect_role_viewer", 403},
		{f.admin.Reveal(), "connect_type", 401}, {"junk", "connect_malformed", 401},
		{f.connectToken(f.claims().ForServer("https://other.example")), "connect_audience", 401},
	}
	for _, c := range cases {
		resp, body := f.do(http.MethodPost, "/ace/v1/exchange", "", "Authorization", "Bearer "+c.token)
		if resp.StatusCode != c.status || f.code(body) != c.code {
			t.Errorf("%d %s, want %d %s", resp.StatusCode, body, c.status, c.code)
		}
		_, log := f.do(http.MethodGet, "/ace/v1/audit?action=key.exchange", "", "X-Api-Key", f.admin.Reveal())
		if !strings.Contains(log, string(`"outcome":"`+c.code+`"`)) {
			t.Errorf("%s is not in the audit log: %s", c.code, log)
		}
	}
	if _, body := f.do(http.MethodGet, "/ace/v1/api-keys", "", "X-Api-Key", f.admin.Reveal()); !strings.Contains(body, `"items":[]`) {
		t.Errorf("a refused exchange has left a key: %s", body)
	}
}

func TestUserTokens(t *testing.T) {
	f := start(t, nil, nil)
	other, err := server.MintUserToken(bridge.NewSecret(bridge.RandomToken(32)), "ops", bridge.RoleAdmin, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token  bridge.Secret
		status int
	}{
		"admin": {f.admin, 200}, "member": {f.userToken(bridge.RoleMember, time.Now()), 403},
		"expired": {f.userToken(bridge.RoleAdmin, time.Now().Add(-time.Hour)), 401}, "other secret": {other, 401},
	} {
		if resp, body := f.do(http.MethodGet, "/ace/v1/api-keys", "", "Authorization", "Bearer "+c.token.Reveal()); resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		} else if c.status != 200 && !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), `Bearer realm="ace"`) {
			t.Errorf("%s: WWW-Authenticate: %q", name, resp.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestAKeyMintsNothingAboveItself(t *testing.T) {
	f := start(t, nil, nil)
	_, body := f.do(http.MethodPost, "/ace/v1/api-keys", `{"name":"minter","scopes":["key:create","app:read"]}`, "X-Api-Key", f.admin.Reveal())
	var minter struct{ Key string }
	if err := json.Unmarshal([]byte(body), &minter); err != nil || minter.Key == "" {
		t.Fatal(body)
	}
	for body, want := range map[string]int{
		`{"name":"a","scopes":["app:read"]}`: 201, `{"name":"b","scopes":["app:write"]}`: 403, `{"name":"c","scopes":["*"]}`: 403,
		`{"name":"d","scopes":["app:read"],"expires_in":"never"}`: 403, `{"name":"e","scopes":["A"]}`: 400, `{"nome":"x"}`: 400,
		`{"name":"f","kind":"sk"}`: 400, `{"name":"g"} x`: 400,
	} {
		if resp, answer := f.do(http.MethodPost, "/ace/v1/api-keys", body, "X-Api-Key", minter.Key); resp.StatusCode != want {
			t.Errorf("%s: %d %s", body, resp.StatusCode, answer)
		}
	}
}

func TestHealth(t *testing.T) {
	f := start(t, nil, nil)
	for _, path := range []string{"/ace/healthz", "/ace/readyz"} {
		if resp, body := f.do(http.MethodGet, path, ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, body := f.do(http.MethodGet, "/.well-known/ace-server", ""); !strings.Contains(body, `"org":"acme"`) || resp.StatusCode != http.StatusOK {
		t.Errorf("discovery: %d %s", resp.StatusCode, body)
	}
}

func TestCORS(t *testing.T) {
	f := start(t, nil, nil)
	for origin, allowed := range map[string]bool{"https://cloud.example.com": true, "https://extra.example": true,
		"https://evil.example": false, "null": false, "https://cloud.example.com.evil.example": false} {
		resp, _ := f.do(http.MethodOptions, "/anything", "", "Origin", origin, "Access-Control-Request-Method", "DELETE",
			"Access-Control-Request-Headers", "x-api-key", "Access-Control-Request-Private-Network", "true")
		got := resp.Header.Get("Access-Control-Allow-Origin")
		if (got == origin) != allowed || got == "*" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", origin, resp.Header)
		}
		if allowed && (resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Private-Network") != "true" ||
			resp.Header.Get("Access-Control-Allow-Headers") != "x-api-key") {
			t.Errorf("%s: preflight: %d %v", origin, resp.StatusCode, resp.Header)
		}
	}
}

func TestCORSKnowsLoopbackByItsNames(t *testing.T) {
	f := start(t, nil, func(c *server.Config) {
		root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
		if err != nil {
			t.Fatal(err)
		}
		public, _ := root.TrustValues("http://127.0.0.1:7700", "acme")
		if c.Trust, err = bridge.ParseTrust(bridge.TrustSettings{PublicKey: public}); err != nil {
			t.Fatal(err)
		}
	})
	for origin, allowed := range map[string]bool{"http://127.0.0.1:7700": true, "http://localhost:7700": true, "http://[::1]:7700": true,
		"http://localhost:7701": false, "https://localhost:7700": false, "http://localhost.evil.example:7700": false, "http://LOCALHOST:7700": false} {
		resp, _ := f.do(http.MethodGet, "/ace/v1/me", "", "Origin", origin)
		if (resp.Header.Get("Access-Control-Allow-Origin") == origin) != allowed {
			t.Errorf("%s: %v", origin, resp.Header)
		}
	}
}
