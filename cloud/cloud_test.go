package cloud_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/vault"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

const password = "correct horse battery"

type fixture struct {
	t     *testing.T
	cloud *cloud.Cloud
	url   string
	token bridge.Secret // of an admin
	http  *http.Client  // follows no redirect
	cfg   cloud.Config
	serve func(http.Handler) // what answers from now on
	log   slog.Handler       // of the cloud from its next start on; nil: discarded

	mu  sync.Mutex
	now time.Time
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func start(t *testing.T, dsn string) *fixture {
	t.Helper()
	return startWith(t, dsn, func(*cloud.Config) {})
}

func startWith(t *testing.T, dsn string, change func(*cloud.Config)) *fixture {
	t.Helper()
	f := startFresh(t, dsn, change)
	if _, err := f.cloud.Registry().SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "ann@acme.test",
		Password: bridge.NewSecret(password), Org: "acme", Role: bridge.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.token, _, err = f.cloud.DeveloperToken(t.Context(), "ann@acme.test", "acme"); err != nil {
		t.Fatal(err)
	}
	return f
}

// startFresh starts a cloud with nobody in it.
func startFresh(t *testing.T, dsn string, change func(*cloud.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Now(), http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	var handler atomic.Pointer[http.Handler]
	f.serve = func(h http.Handler) { handler.Store(&h) }
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*handler.Load()).ServeHTTP(w, r)
	}))
	f.url = ts.URL
	keys, err := vault.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	f.cfg = cloud.Config{PublicURL: bridge.ServerURL(f.url), DatabaseURL: dsn, EncryptionKeys: keys,
		SigningKey: bridge.NewSigningRoot(), Version: "test", Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}, Now: f.clock}
	change(&f.cfg)
	f.restart()
	t.Cleanup(func() { ts.Close(); _ = f.cloud.Close() })
	return f
}

// restart is a cloud with the settings of now, over the same database, in place of the one before.
func (f *fixture) restart() {
	f.t.Helper()
	if f.cloud != nil {
		_ = f.cloud.Close()
	}
	var err error
	log := f.log
	if log == nil {
		log = slog.DiscardHandler
	}
	if f.cloud, err = cloud.New(f.t.Context(), f.cfg, slog.New(log)); err != nil {
		f.t.Fatal(err)
	}
	f.serve(f.cloud.Handler())
}

func (f *fixture) client() *apiclient.Cloud {
	return apiclient.NewCloud(bridge.ServerURL(f.url), f.token, api.ClientConfig{})
}

func (f *fixture) do(method, path, body string, headers ...string) (*http.Response, string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := f.http.Do(req)
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

const formType = "application/x-www-form-urlencoded"

// signIn returns the cookie of a new session of the admin's.
func (f *fixture) signIn() string { return f.signInAs("ann@acme.test") }

func (f *fixture) signInAs(email string) string {
	f.t.Helper()
	resp, body := f.do("POST", "/login", url.Values{"email": {email}, "password": {password}}.Encode(), "Content-Type", formType)
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 2 {
		f.t.Fatalf("sign in: %d %s", resp.StatusCode, body)
	}
	c := resp.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		f.t.Errorf("the cookie is %v", c)
	}
	return c.Name + "=" + c.Value
}

func TestWhoIsHeard(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie, bearer := f.signIn(), "Bearer "+f.token.Reveal()
	host := strings.TrimPrefix(f.url, "http://")
	cases := map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"nobody":                {"GET", "/v1/me", nil, 401},
		"a session token":       {"GET", "/v1/me", []string{"Authorization", bearer}, 200},
		"a cookie":              {"GET", "/v1/me", []string{"Cookie", cookie}, 200},
		"junk":                  {"GET", "/v1/me", []string{"Authorization", "Bearer x.y.z"}, 401},
		"another host":          {"GET", "/v1/me", []string{"Authorization", bearer, "Host", "evil.example"}, 400},
		"localhost":             {"GET", "/v1/me", []string{"Authorization", bearer, "Host", strings.Replace(host, "127.0.0.1", "localhost", 1)}, 200},
		"another port":          {"GET", "/v1/me", []string{"Authorization", bearer, "Host", "127.0.0.1:1"}, 400},
		"another site's form":   {"POST", "/v1/developer-tokens", []string{"Cookie", cookie, "Sec-Fetch-Site", "cross-site"}, 403},
		"another origin":        {"POST", "/v1/developer-tokens", []string{"Cookie", cookie, "Origin", "https://evil.example"}, 403},
		"our own page":          {"POST", "/v1/developer-tokens", []string{"Cookie", cookie, "Sec-Fetch-Site", "same-origin"}, 201},
		"a token from a token":  {"POST", "/v1/developer-tokens", []string{"Authorization", bearer}, 403},
		"a page without cookie": {"GET", "/connections", []string{"Authorization", bearer}, 303},
		"health by address":     {"GET", "/healthz", []string{"Host", "10.0.0.1"}, 200},
	}
	for name, c := range cases {
		if resp, body := f.do(c.method, c.path, "", c.headers...); resp.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, body, c.status)
		}
	}
	if resp, _ := f.do("POST", "/logout", "", "Cookie", cookie); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("sign out: %d", resp.StatusCode)
	}
	if resp, _ := f.do("GET", "/v1/me", "", "Cookie", cookie); resp.StatusCode != 401 {
		t.Errorf("the cookie lives on after signing out: %d", resp.StatusCode)
	}
	f.advance(accounts.DeveloperLife)
	if resp, _ := f.do("GET", "/v1/me", "", "Authorization", bearer); resp.StatusCode != 401 {
		t.Errorf("the developer token lives on after three hours: %d", resp.StatusCode)
	}
}

func TestLoginIsLimited(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	form := url.Values{"email": {"ann@acme.test"}, "password": {"wrong password"}}.Encode()
	last := 0
	for range 12 {
		resp, _ := f.do("POST", "/login", form, "Content-Type", formType)
		last = resp.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the twelfth wrong password answers %d", last)
	}
}

// oauth posts to an OAuth endpoint and returns the error code of the answer.
func (f *fixture) oauth(path string, form url.Values) (int, map[string]any) {
	f.t.Helper()
	resp, body := f.do("POST", path, form.Encode(), "Content-Type", formType)
	answer := map[string]any{}
	if err := json.Unmarshal([]byte(body), &answer); err != nil && body != "" {
		f.t.Fatalf("%s: %s", path, body)
	}
	return resp.StatusCode, answer
}

// A probe reports the right status and cause for each way that a server fails.
func TestProbes(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	redirect := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	t.Cleanup(redirect.Close)
	for name, c := range map[string]struct{ url, status, cause string }{
		"online":            {answer(200, `{"type":"access_token"}`), "online", ""},
		"another product":   {answer(200, "<html>"), "offline", "not an ace server"},
		"refused key":       {answer(401, "{}"), "unauthorized", "API key is invalid or expired"},
		"server error":      {answer(500, ""), "offline", "answers with an error"},
		"wrong path":        {answer(404, ""), "offline", "unexpected answer"},
		"redirect":          {redirect.URL, "offline", "unexpected answer"},
		"nothing listens":   {"http://" + closed.Addr().String(), "offline", "nothing answers"},
		"no such name":      {"https://ace.invalid", "offline", "not found"},
		"a private address": {"https://10.1.2.3", "unknown", "may not call"},
		"plain http":        {"http://ace.example.com", "unknown", "may not call"},
		"metadata":          {"https://169.254.169.254", "unknown", "may not call"},
	} {
		key := bridge.NewKey(bridge.KindSK, uuid.New()).Text().Disclose()
		connection, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: c.url, APIKey: &key})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checked, err := f.client().Check(t.Context(), connection.ID)
		if err != nil || checked.Status != c.status || !strings.Contains(checked.Cause, c.cause) {
			t.Errorf("%s: %q %q (%v)", name, checked.Status, checked.Cause, err)
		}
		if checked.Status != "online" && checked.Hint == "" {
			t.Errorf("%s: no hint", name)
		}
	}
}

// A server that was unreachable gets the revocation once it is back, without anyone asking.
func TestRevocationIsDeliveredLater(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	apiKey := bridge.NewKey(bridge.KindSK, uuid.New())
	key := apiKey.Text().Disclose()
	connection, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: "http://" + address, APIKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	removed, err := f.client().Delete(t.Context(), connection.ID)
	if err != nil || removed.Revocation == nil || removed.Revocation.Status != "pending" {
		t.Fatalf("%v %+v", err, removed.Revocation)
	}
	delivered := make(chan error, 1)
	if ln, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	back := &httptest.Server{Listener: ln, Config: &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		_, err := bridge.VerifyRevocation(bridge.NewSecret(bearer), apiKey.PublicKey())
		select {
		case delivered <- err:
		default:
		}
		_, _ = io.WriteString(w, "{}")
	})}}
	back.Start()
	t.Cleanup(back.Close)
	f.advance(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { _ = f.cloud.Run(ctx); close(stopped) }()
	select {
	case err := <-delivered:
		if err != nil {
			t.Errorf("the delivered revocation does not verify: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the revocation was not delivered")
	}
	cancel()
	<-stopped
}
