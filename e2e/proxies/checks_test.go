package proxies

import (
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/e2e/world"
)

// check is what holds behind every proxy.
func (p *proxied) check(t *testing.T) {
	key := p.key(t, api.CreateKeyRequest{})
	t.Run("allowed", func(t *testing.T) { p.checkAllowed(t, key) })
	t.Run("refused", func(t *testing.T) { p.checkRefused(t, key) })
	t.Run("spoofed identity", func(t *testing.T) { p.checkSpoofedIdentity(t, key) })
	t.Run("spoofed request", func(t *testing.T) { p.checkSpoofedRequest(t, key) })
	t.Run("paths", func(t *testing.T) { p.checkPaths(t, key) })
	t.Run("addresses", p.checkAddresses)
	t.Run("rate", p.checkRate)
	t.Run("websocket", func(t *testing.T) { p.checkSocket(t, key) })
	t.Run("own endpoints", func(t *testing.T) { p.checkOwnEndpoints(t, key) })
	t.Run("expiry", p.checkExpiry)
	t.Run("app down", func(t *testing.T) { p.checkAppDown(t, key) })
	t.Run("server in trouble", func(t *testing.T) { p.checkTrouble(t, key) })
	t.Run("server down", func(t *testing.T) { p.checkServerDown(t, key) })
}

func (p *proxied) checkAllowed(t *testing.T, key api.CreatedKey) {
	for _, credential := range []string{bearer(key), "X-Api-Key: " + key.Key.Reveal(),
		"X-Ace-Api-Key: " + key.Key.Reveal(), "x-ace-api-key: " + key.KeyID + "." + key.Key.Reveal()} {
		resp, saw := p.send(t, http.MethodGet, allowed, credential)
		if resp.StatusCode != http.StatusOK || saw.Method != http.MethodGet || saw.URI != allowed {
			t.Fatalf("%s: %d %+v", credential[:12], resp.StatusCode, saw)
		}
		p.checkIdentity(t, key, resp, saw)
	}
	if resp, _ := p.send(t, http.MethodHead, allowed, bearer(key)); resp.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %d", resp.StatusCode)
	}
	// A body passes to the app, past the endpoint that is asked.
	resp, saw := p.send(t, http.MethodPost, "/api/v1/wiki/query", bearer(key), "Content-Length: 5", "", "hello")
	if resp.StatusCode != http.StatusOK || saw.Method != http.MethodPost || saw.Body != "hello" {
		t.Errorf("POST: %d %+v", resp.StatusCode, saw)
	}
	resp, _ = p.send(t, http.MethodGet, "/api/v1/wiki/broken", bearer(key))
	if resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("the app's own 500 became %d", resp.StatusCode)
	}
	// A user token has no key ID, and the app sees none: neither a client's nor the name of a proxy's variable.
	resp, saw = p.send(t, http.MethodGet, allowed, "Authorization: Bearer "+p.token.Reveal())
	if resp.StatusCode != http.StatusOK || saw.Header.Get(bridge.HeaderSubject) != "ops" ||
		saw.Header.Get(bridge.HeaderKeyID) != "" {
		t.Errorf("%d %+v", resp.StatusCode, saw)
	}
}

var notForTheApp = []string{"Authorization", "X-Api-Key", "X-Original-Uri", "X-Original-Method", "X-Forwarded-Uri",
	"X-Forwarded-Method", "X-Forwarded-Prefix", "Forwarded", "True-Client-Ip"}

// shippedHeaders are the identity headers that the example for Traefik names, which are all.
func shippedHeaders(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("../../configs/traefik/dynamic.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		HTTP struct {
			Middlewares map[string]struct {
				ForwardAuth struct {
					AuthResponseHeaders []string `yaml:"authResponseHeaders"`
				} `yaml:"forwardAuth"`
			}
		}
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file.HTTP.Middlewares["ace-verify"].ForwardAuth.AuthResponseHeaders
}

// checkIdentity holds what the app saw and what the client got against the key.
func (p *proxied) checkIdentity(t *testing.T, key api.CreatedKey, resp *http.Response, saw seen) {
	t.Helper()
	requestID := resp.Header.Values("X-Request-Id")
	if len(requestID) != 1 || !api.SaneRequestID(requestID[0]) || requestID[0] == "the-apps-own" {
		t.Fatalf("X-Request-Id: %q", requestID)
	}
	want := map[string]string{bridge.HeaderKeyID: key.KeyID, bridge.HeaderSubject: key.Owner, bridge.HeaderOrg: key.Org,
		bridge.HeaderEnvironment: bridge.EnvironmentLive, bridge.HeaderScopes: strings.Join(key.Scopes, " "),
		bridge.HeaderRequestID: requestID[0]}
	if key.Owner == "" || key.Org == "" || len(want) != len(shippedHeaders(t)) {
		t.Fatalf("the key %+v is of no use here", key.APIKey)
	}
	for name, value := range want {
		if got := saw.Header.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if got := saw.Header.Values("X-Request-Id"); len(got) != 1 || got[0] != requestID[0] {
		t.Errorf("the app knows the request as %q, the client as %q", got, requestID)
	}
	if !strings.HasPrefix(saw.Host, "127.0.0.1") {
		t.Errorf("the app is asked as %q", saw.Host)
	}
	for name, list := range saw.Header {
		values := strings.Join(list, " ")
		folded := http.CanonicalHeaderKey(bridge.FoldHeader(name))
		_, identity := want[name]
		switch {
		case strings.HasPrefix(folded, "X-Ace-") && !identity, catalogue.Overrides(name),
			slices.Contains(notForTheApp, folded):
			t.Errorf("the app sees %s: %q", name, values)
		case strings.Contains(values, key.Key.Reveal()), strings.Contains(values, "192.0.2."):
			t.Errorf("the app sees what is not for it in %s", name)
		}
	}
	if got := resp.Header.Values(bridge.HeaderKeyExpires); len(got) != 0 {
		t.Errorf("the client is told that the key expires: %q", got)
	}
	if got := resp.Header.Values(bridge.HeaderSubject); len(got) != 0 {
		t.Errorf("the client sees identity headers: %q", got)
	}
}

func (p *proxied) checkRefused(t *testing.T, key api.CreatedKey) {
	challenge := func(resp *http.Response, want string) {
		t.Helper()
		if got := resp.Header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != want {
			t.Errorf("WWW-Authenticate: %q, want %s", got, want)
		}
		if got := resp.Header.Values("X-Request-Id"); len(got) != 1 || !api.SaneRequestID(got[0]) {
			t.Errorf("X-Request-Id: %q", got)
		}
	}
	const invalid = `Bearer realm="ace", error="invalid_token"`
	challenge(p.refused(t, 401, http.MethodGet, allowed), `Bearer realm="ace"`)
	challenge(p.refused(t, 401, http.MethodGet, allowed, "Authorization: Basic YTpi"), `Bearer realm="ace"`)
	challenge(p.refused(t, 401, http.MethodGet, allowed, bearer(key)+"x"), invalid)
	challenge(p.refused(t, 403, http.MethodPost, denied, bearer(key), "Content-Length: 0"),
		`Bearer realm="ace", error="insufficient_scope", scope="svc:tasks:write"`)
	// The proxy does not show the body, so that a rule which looks into it refuses.
	p.refused(t, 403, http.MethodPost, "/api/v1/mcp/tools/invoke", bearer(key), "Content-Length: 20",
		"Content-Type: application/json", "", `{"tool":"wiki_list"}`)
	// Two credentials, each good.
	p.refused(t, 400, http.MethodGet, allowed, bearer(key), "X-Api-Key: "+key.Key.Reveal())
	p.refused(t, 400, http.MethodGet, allowed, bearer(key), "X-Ace-Api-Key: "+key.Key.Reveal())
	p.refused(t, 400, http.MethodGet, allowed, "X-Api-Key: "+key.Key.Reveal(), "X-Ace-Api-Key: "+key.Key.Reveal())

	revoked := p.key(t, api.CreateKeyRequest{})
	if resp, _ := p.send(t, http.MethodGet, allowed, bearer(revoked)); resp.StatusCode != http.StatusOK {
		t.Errorf("before it is revoked: %d", resp.StatusCode)
	}
	if _, err := p.operator.RevokeKey(t.Context(), revoked.KeyID); err != nil {
		t.Fatal(err)
	}
	challenge(p.refused(t, 401, http.MethodGet, allowed, bearer(revoked)), invalid)

	// The client gets an ID by which the operator finds the cause.
	resp := p.refused(t, 403, http.MethodGet, denied, bearer(key), "X-Request-Id: chosen-by-the-client")
	id := resp.Header.Get("X-Request-Id")
	refusal, err := p.operator.Refusal(t.Context(), id)
	if err != nil || refusal.Path != denied || refusal.Address != "127.0.0.1" || id == "chosen-by-the-client" {
		t.Errorf("%q: %+v %v", id, refusal, err)
	}
}

// spoofedIdentity are spellings that some app takes for the identity header.
var spoofedIdentity = []string{"X-Ace-Subject: root", "x_ace_subject: root", "X-Ace_Subject: root",
	"X-Ace.Subject: root", "X.Ace.Subject: root", "X_Ace-Subject: root", "X-ACE-SUBJECT: root", "X-Ace-Scopes: *",
	"X-Ace-Key-Expires: root", "Connection: close, X-Ace-Subject, X-Ace-Key-Id, X-Ace-Scopes"}

// unstrippable reports whether the proxy passes a header on to the server's question, which refuses it.
func (p *proxied) unstrippable(header string) bool {
	return p.cannot && strings.HasPrefix(strings.ToLower(header), "x-ace-")
}

func (p *proxied) checkSpoofedIdentity(t *testing.T, key api.CreatedKey) {
	for _, spoofed := range spoofedIdentity {
		if p.unstrippable(spoofed) {
			p.refused(t, 403, http.MethodGet, allowed, bearer(key), spoofed)
			continue
		}
		resp, saw := p.send(t, http.MethodGet, allowed, bearer(key), spoofed)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", spoofed, resp.StatusCode)
			continue
		}
		p.checkIdentity(t, key, resp, saw)
		p.refused(t, 401, http.MethodGet, allowed, spoofed)
		p.refused(t, 403, http.MethodGet, denied, bearer(key), spoofed)
	}
}

// spoofedRequest are headers that say another request than the one that is made.
var spoofedRequest = []string{"X-Forwarded-Uri: /api/v1/wiki/pages", "X_Forwarded_Uri: /api/v1/wiki/pages",
	"X-Original-Uri: /api/v1/wiki/pages", "X-Original-URL: /api/v1/wiki/pages", "X-Rewrite-URL: /api/v1/wiki/pages",
	"X-Forwarded-Method: GET", "X-Original-Method: GET", "X-Http-Method-Override: GET", "X-HTTP-Method: GET",
	"X-Method-Override: GET", "X_Http_Method_Override: GET", "X-Forwarded-Prefix: /api/v1/wiki",
	"Connection: close, X-Forwarded-Uri, X-Forwarded-Method, X-Forwarded-For, X-Original-Uri", "X-Forwarded-Uri:",
	"X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Real-Ip: 192.0.2.1", "True-Client-Ip: 192.0.2.1",
	"X-Client-Ip: 192.0.2.1", "Cf-Connecting-Ip: 192.0.2.1", "X-Forwarded-Host: 192.0.2.1",
	"X-Forwarded-Proto: 192.0.2.1", "X-Forwarded-Port: 192.0.2.1", "X-Forwarded-Server: 192.0.2.1"}

func (p *proxied) checkSpoofedRequest(t *testing.T, key api.CreatedKey) {
	for _, spoofed := range spoofedRequest {
		p.refused(t, 403, http.MethodGet, denied, bearer(key), spoofed)
		p.refused(t, 403, http.MethodPost, "/api/v1/wiki/pages", bearer(key), "Content-Length: 0", spoofed)
		other := strings.NewReplacer("/api/v1/wiki/pages", denied, "GET", "DELETE").Replace(spoofed)
		resp, saw := p.send(t, http.MethodGet, allowed, bearer(key), other)
		switch {
		case resp.StatusCode == http.StatusOK && saw.URI == allowed && saw.Method == http.MethodGet:
			p.checkIdentity(t, key, resp, saw)
		case resp.StatusCode != http.StatusForbidden:
			t.Errorf("%s: %d %s %s", other, resp.StatusCode, saw.Method, saw.URI)
		}
	}
}

func (p *proxied) checkPaths(t *testing.T, key api.CreatedKey) {
	for _, path := range []string{
		"//api/v1/tasks/1", "/api/v1//tasks/1", "/api/v1/wiki/../tasks/1", "/api/v1/wiki/..%2ftasks/1",
		"/api/v1/wiki/%2e%2e/tasks/1", "/api/v1/wiki/.%2E/tasks/1", "/api/v1/wiki%2f..%2ftasks/1",
		"/api/v1/wiki/..;/tasks/1", "/api/v1/wiki;/../tasks/1", "/api/v1/wiki/x;/../../tasks/1",
		"/api/v1/tasks;x/1", "/api/v1/wiki/x%3b/..", "/api/v1/tasks/1;", "/api/v1/wiki/%5c..%5ctasks/1",
		"/api/v1/wiki/./../tasks/1", "/api/v1/%74asks/1", "/api/v1/tasks/1#/api/v1/wiki/pages",
		"/api/v1/wiki/x#/../../tasks/1", "/API/v1/wiki/pages", "/api/v1/tasks/1?/api/v1/wiki/pages",
		"/api/v1/wiki/%252e%252e/tasks/1%00", "/.well-known/ace-server/../../api/v1/tasks/1",
		"/ace/../api/v1/tasks/1", "/api/v1/wiki/\\..\\tasks/1", "http://" + p.proxy + "/api/v1/tasks/1",
		"/_ace_verify", "/_ace_verify/../api/v1/tasks/1"} {
		before := p.reached.Load()
		resp, saw := p.send(t, http.MethodGet, path, bearer(key))
		if resp.StatusCode < 400 || resp.StatusCode >= 500 || p.reached.Load() != before {
			t.Errorf("%s: %d; the app saw %s", path, resp.StatusCode, saw.URI)
		}
	}
}

func (p *proxied) checkAddresses(t *testing.T) {
	here := p.key(t, api.CreateKeyRequest{AllowFrom: []string{"127.0.0.1/32"}})
	elsewhere := p.key(t, api.CreateKeyRequest{AllowFrom: []string{"192.0.2.0/24"}})
	for _, spoofed := range []string{"X-Nothing: 1", "X-Forwarded-For: 192.0.2.1",
		"x-forwarded-for: 192.0.2.1, 127.0.0.1", "X_Forwarded_For: 192.0.2.1", "Forwarded: for=192.0.2.1",
		"X-Real-Ip: 192.0.2.1"} {
		if resp, _ := p.send(t, http.MethodGet, allowed, bearer(here), spoofed); resp.StatusCode != http.StatusOK {
			t.Errorf("from an allowed address, with %s: %d", spoofed, resp.StatusCode)
		}
		p.refused(t, 401, http.MethodGet, allowed, bearer(elsewhere), spoofed)
		// The way around: the server's own endpoint, through the same proxy.
		resp, _ := p.ownEndpoint(t, "/ace/v1/me", bearer(elsewhere), spoofed)
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("/ace/v1/me with %s: %d", spoofed, resp.StatusCode)
		}
	}
}

func (p *proxied) checkRate(t *testing.T) {
	key := p.key(t, api.CreateKeyRequest{Rate: "1/m"})
	if resp, _ := p.send(t, http.MethodGet, allowed, bearer(key)); resp.StatusCode != http.StatusOK {
		t.Errorf("the first: %d", resp.StatusCode)
	}
	resp := p.refused(t, 429, http.MethodGet, allowed, bearer(key))
	after := resp.Header.Values("Retry-After")
	if len(after) != 1 {
		t.Fatalf("Retry-After: %q", after)
	}
	if seconds, err := strconv.Atoi(after[0]); err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("Retry-After: %q", after)
	}
	if got := resp.Header.Values("X-Request-Id"); len(got) != 1 {
		t.Errorf("X-Request-Id: %q", got)
	}
}

func (p *proxied) checkSocket(t *testing.T, key api.CreatedKey) {
	conn, reader, resp := p.open(t, http.MethodGet, allowed, append([]string{bearer(key)}, world.Handshake...)...)
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("X-Saw-Subject") != key.Owner ||
		resp.Header.Get("Sec-Websocket-Accept") != world.SocketAccept(world.SocketKey) {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	for _, message := range []string{"hello", "again"} {
		if _, err := io.WriteString(conn, message); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(message))
		if _, err := io.ReadFull(reader, got); err != nil || string(got) != message {
			t.Fatalf("%q %v", got, err)
		}
	}
	p.refused(t, 401, http.MethodGet, allowed, world.Handshake...)
	p.refused(t, 403, http.MethodGet, denied, append([]string{bearer(key)}, world.Handshake...)...)
	_, _, resp = p.open(t, http.MethodGet, allowed, append([]string{bearer(key), "X-Ace-Subject: root",
		"Connection: X-Ace-Subject"}, world.Handshake...)...)
	if resp.StatusCode == http.StatusSwitchingProtocols && resp.Header.Get("X-Saw-Subject") != key.Owner {
		t.Errorf("a named header: %d %v", resp.StatusCode, resp.Header)
	}
	// The app would take it, and what follows would be a raw pipe past everything.
	_, _, resp = p.open(t, http.MethodGet, allowed, bearer(key), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
		"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
	if resp.StatusCode == http.StatusSwitchingProtocols {
		t.Error("h2c came to the app")
	}
}

// ownEndpoint sends a request to the server itself.
func (p *proxied) ownEndpoint(t *testing.T, target string, headers ...string) (*http.Response, string) {
	t.Helper()
	_, _, resp := p.open(t, http.MethodGet, target, headers...)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func (p *proxied) checkOwnEndpoints(t *testing.T, key api.CreatedKey) {
	resp, body := p.ownEndpoint(t, "/.well-known/ace-server")
	if resp.StatusCode != 200 || !strings.Contains(body, `"ace"`) {
		t.Errorf("discovery: %d %s", resp.StatusCode, body)
	}
	resp, body = p.ownEndpoint(t, "/ace/v1/me", bearer(key))
	if resp.StatusCode != 200 || !strings.Contains(body, key.KeyID) {
		t.Errorf("me: %d %s", resp.StatusCode, body)
	}
	// Nobody is to ask through the proxy, in its name, about a request that nobody makes.
	for _, kind := range []string{"X-Forwarded-", "X-Original-"} {
		resp, body := p.ownEndpoint(t, "/ace/v1/verify", bearer(key), kind+"Method: GET", kind+"Uri: "+allowed)
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("verify with %s*: %d %s", kind, resp.StatusCode, body)
		}
	}
}

func (p *proxied) checkExpiry(t *testing.T) {
	key := p.key(t, api.CreateKeyRequest{ExpiresIn: "10d"})
	p.ahead.Store(int64(5 * 24 * time.Hour)) // until checkTrouble puts it back
	resp, saw := p.send(t, http.MethodGet, allowed, bearer(key))
	want := key.ExpiresAt.UTC().Format(time.RFC3339)
	if got := resp.Header.Values(bridge.HeaderKeyExpires); len(got) != 1 || got[0] != want {
		t.Errorf("%s: %q, want %s", bridge.HeaderKeyExpires, got, want)
	}
	if got := saw.Header.Values(bridge.HeaderKeyExpires); len(got) != 0 {
		t.Errorf("the app sees %q", got)
	}
}

// problem is the code of a refusal, which every answer of ours has.
func (p *proxied) problem(t *testing.T, status int, headers ...string) (code bridge.Code, retryAfter string) {
	t.Helper()
	before := p.reached.Load()
	_, _, resp := p.open(t, http.MethodGet, allowed, headers...)
	e := bridge.AsError(api.ReadProblem(resp))
	if resp.StatusCode != status || p.reached.Load() != before || len(resp.Header.Values("X-Request-Id")) != 1 || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d, want %d; %d requests came to the app; %v", resp.StatusCode, status, p.reached.Load()-before, resp.Header)
	}
	return e.Code, resp.Header.Get("Retry-After")
}

// A server that cannot answer says so in its own words.
func (p *proxied) checkTrouble(t *testing.T, key api.CreatedKey) {
	p.ahead.Store(0) // behind what it was
	if code, after := p.problem(t, 503, bearer(key)); code != "clock_behind" || after == "" {
		t.Errorf("%s, Retry-After %q", code, after)
	}
}

func (p *proxied) checkAppDown(t *testing.T, key api.CreatedKey) {
	p.app.Close()
	if code, _ := p.problem(t, 502, bearer(key)); code != "upstream_unreachable" {
		t.Error(code)
	}
}

// Where the server cannot be asked, nothing passes.
func (p *proxied) checkServerDown(t *testing.T, key api.CreatedKey) {
	p.server.Close()
	status, want := 503, bridge.Code("authority_lost")
	if !p.cannot { // Caddy has one answer for both
		status, want = 502, "upstream_unreachable"
	}
	if code, _ := p.problem(t, status, bearer(key)); code != want {
		t.Error(code)
	}
}
