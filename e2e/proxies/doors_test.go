package proxies

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/e2e/world"
	"github.com/acebridge/ace/server"
)

// door is one way to the app.
type door struct {
	name       string
	address    string
	prefix     string    // of the path
	credential string    // a header
	jorg       string    // a header: the credential of somebody whose name is not ASCII
	log        goneLines // nil: it has none
	asks       bool      // it only says whether a request may pass: forward-auth, asked directly
}

// relayed reports whether the door is the cloud's relay.
func (d door) relayed() bool { return d.name == "relay" || d.name == "tunnel" }

// here is what is different in a row at a door. The relay is the same over a link as without one.
func (d door) here(row doorRow) at {
	if _, own := row.doors[d.name]; !own && d.relayed() {
		return row.doors["relay"]
	}
	return row.doors[d.name]
}

// at is what is different at one door, which is a limit that docs/security.md names.
type at struct {
	status int    // 0: as everywhere
	code   string // "": as everywhere
	uri    string // as the app sees it
	skip   bool   // the door has no such thing
}

// doorRow is a behaviour that is alike at every door. A request is sent byte for byte.
type doorRow struct {
	name, method, target string
	headers              []string // lines; after an empty one comes the body
	anonymous            bool     // without a credential
	status               int      // 0: 200
	code                 string   // of the refusal
	doors                map[string]at
	answer               map[string]string // headers of the answer; "-": there is none
	app                  map[string]string // headers as the app sees them; "-": there is none
}

// evil is a value that the app must never see.
const evil = "evil-value"

const pageOrigin = "https://page.example"

var freeRows = slices.Concat([]doorRow{
	{name: "query with a semicolon", method: "DELETE", target: "/items?ids=1;2"},
	{name: "query with a bare percent", method: "GET", target: "/items?q=100%"},
	{name: "query with invalid escapes", method: "GET", target: "/items?a=%zz&b&&=&%"},
	{name: "empty query", method: "GET", target: "/items?"},
	{name: "plus and escapes in the query", method: "GET", target: "/items?a+b=c+d%20e%2B&x=%2F%3b"},
	{name: "brackets and quotes in the query", method: "GET", target: "/items?a[]=1&b=\"x\"|y"},
	{name: "raw UTF-8 in the query", method: "GET", target: "/items?q=\u00e4"},
	{name: "question marks in the query", method: "GET", target: "/items?a=?b?/..//c"},
	{name: "encoded slash", method: "GET", target: "/a%2Fb%2fc"},
	{name: "semicolons in the path", method: "GET", target: "/a;v=1/b;"},
	{name: "encoded question mark and hash", method: "GET", target: "/a%3Fb%23c"},
	{name: "sub-delimiters", method: "GET", target: "/a:b@c!$&'()*+,="},
	{name: "escapes that need none", method: "GET", target: "/%61%7e%2d/b"},
	{name: "raw UTF-8 in the path", method: "GET", target: "/\u00e4", doors: map[string]at{"caddy": {uri: "/%C3%A4"}}},
	{name: "characters that net/url encodes", method: "GET", target: "/a\"b|c^d`{e}", doors: map[string]at{"caddy": {uri: "/a%22b%7Cc%5Ed%60%7Be%7D"}}},
	{name: "empty segments", method: "GET", target: "/a//b/"},
	{name: "method HEAD", method: "HEAD", target: "/items"},
	{name: "method MKCOL", method: "MKCOL", target: "/items"},
	{name: "CONNECT", method: "CONNECT", target: "/items", status: 405, code: "method_not_allowed",
		doors: map[string]at{"verify": {status: 403}}},
	{name: "TRACE", method: "TRACE", target: "/items", status: 405, code: "method_not_allowed",
		doors: map[string]at{"verify": {status: 403}}},
	{name: "no credential", method: "GET", target: "/items", anonymous: true, status: 401, code: "credential_missing",
		doors: map[string]at{"relay": {code: "not_signed_in"}}},
	{name: "two credentials", method: "GET", target: "/items", headers: []string{"X-Ace-Api-Key: x"}, status: 400, code: "credential_ambiguous",
		doors: map[string]at{"verify": {status: 403}}},
	{name: "WebSocket", method: "GET", target: "/items", headers: world.Handshake, status: 101, app: map[string]string{"Upgrade": "-"}},
	{name: "page of an allowed origin", method: "GET", target: "/items", headers: []string{"Origin: " + pageOrigin},
		answer: map[string]string{"Access-Control-Allow-Origin": pageOrigin, "Access-Control-Allow-Credentials": "-"},
		doors:  map[string]at{"guard": {skip: true}}},
	{name: "page of another origin", method: "GET", target: "/items", headers: []string{"Origin: https://other.example"},
		answer: map[string]string{"Access-Control-Allow-Origin": "-", "Access-Control-Allow-Credentials": "-"},
		doors:  map[string]at{"guard": {skip: true}}},
	{name: "refusal for an allowed origin", method: "GET", target: "/items", headers: []string{"Origin: " + pageOrigin}, anonymous: true,
		status: 401, code: "credential_missing", answer: map[string]string{"Access-Control-Allow-Origin": pageOrigin},
		doors: map[string]at{"guard": {skip: true}, "relay": {code: "not_signed_in"}}},
	{name: "preflight of an allowed origin", method: "OPTIONS", target: "/items", anonymous: true, status: 204,
		headers: []string{"Origin: " + pageOrigin, "Access-Control-Request-Method: QUERY", "Access-Control-Request-Headers: x-api-key"},
		answer:  map[string]string{"Access-Control-Allow-Origin": pageOrigin, "Access-Control-Allow-Methods": "QUERY", "Access-Control-Allow-Headers": "x-api-key"},
		doors:   map[string]at{"guard": {skip: true}}},
	{name: "preflight of another origin", method: "OPTIONS", target: "/items", anonymous: true, status: 401, code: "credential_missing",
		headers: []string{"Origin: https://other.example", "Access-Control-Request-Method: GET"},
		answer:  map[string]string{"Access-Control-Allow-Origin": "-"}, doors: map[string]at{"guard": {skip: true}, "relay": {skip: true}}},
}, methodRows(), strippedRows(), upgradeRows(), reservedRows(), ownRows())

func methodRows() (rows []doorRow) {
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "COPY", "MOVE", "SEARCH",
		"QUERY", "REPORT", "PURGE", "M-SEARCH", "VERSION-CONTROL", "X-ODD"} {
		rows = append(rows, doorRow{name: "method " + method, method: method, target: "/items?a=1"})
	}
	return rows
}

// strippedRows are headers that no client may send to the app.
func strippedRows() (rows []doorRow) {
	for _, name := range []string{"X-Ace-Role", "X-Ace-Subject", "x-ace-org", "X-Ace-Key-Expires", "X-Ace-Client", "X-Ace-", "X-Ace-Anything-New"} {
		refused := at{status: 403, code: "header_reserved"}
		rows = append(rows, doorRow{name: "header " + name, method: "GET", target: "/items", headers: []string{name + ": " + evil},
			doors: map[string]at{"nginx": refused, "verify": refused}})
	}
	for _, name := range []string{"X_Ace_Role", "X-Ace_Subject", "X.Ace.Scopes", "X_Forwarded_For", "X_Real_Ip", "X_Forwarded_User", "X.Original.Uri"} {
		rows = append(rows, doorRow{name: "header " + name, method: "GET", target: "/items", headers: []string{name + ": " + evil},
			doors: map[string]at{"verify": {status: 403, code: "header_reserved"}}})
	}
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
		"X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "X-Forwarded-Ssl", "X-Forwarded-Anything"} {
		refused := at{status: 403, code: "header_reserved"}
		rows = append(rows, doorRow{name: "header " + name, method: "GET", target: "/items", headers: []string{name + ": " + evil},
			doors: map[string]at{"nginx": refused, "verify": refused}})
	}
	for _, name := range []string{"X-Original-Host", "X-Original-Forwarded-For"} {
		rows = append(rows, doorRow{name: "header " + name, method: "GET", target: "/items", headers: []string{name + ": " + evil},
			doors: map[string]at{"nginx": {status: 403, code: "header_reserved"}, "verify": {status: 403, code: "header_reserved"}}})
	}
	for _, name := range []string{"X-Forwarded-Uri", "X-Forwarded-Method", "X-Original-Uri", "X-Original-Method", "X-Original-Url", "X-Rewrite-Url",
		"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
		"X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded", "Forwarded", "X-Real-Ip", "True-Client-Ip",
		"X-Client-Ip", "Client-Ip", "Cf-Connecting-Ip", "X-Cluster-Client-Ip", "Fastly-Client-Ip"} {
		rows = append(rows, doorRow{name: "header " + name, method: "GET", target: "/items", headers: []string{name + ": " + evil},
			doors: map[string]at{"verify": {skip: true}}}) // the proxy's to remove
	}
	return rows
}

// upgradeRows are offers to upgrade that are dropped.
func upgradeRows() (rows []doorRow) {
	for name, lines := range map[string][]string{
		"h2c":                {"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		"TLS":                {"Connection: Upgrade", "Upgrade: TLS/1.2"},
		"several tokens":     {"Connection: Upgrade", "Upgrade: h2c, TLS/1.3, websocket"},
		"two headers":        {"Connection: keep-alive, upgrade", "Upgrade: h2c", "Upgrade: websocket"},
		"an unknown one":     {"Connection: Upgrade", "Upgrade: x-odd/7"},
		"without Connection": {"Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
	} {
		rows = append(rows, doorRow{name: "upgrade to " + name, method: "GET", target: "/items", headers: lines,
			app: map[string]string{"Upgrade": "-", "Http2-Settings": "-"}})
	}
	return rows
}

// reservedRows are spellings of the server's own paths, by any method. The relay calls the server, whose paths they are; a
// guarded app has paths of its own.
func reservedRows() (rows []doorRow) {
	for _, target := range []string{"/ace", "/ace/", "/ace/x", "/ace/v1/verify/x", "/ACE/v1/me", "/%61ce/v1/me", "//ace/v1/me", "/x/../ace/v1/me", "/./ace/x",
		"/ace;x/v1/me", "/ace%2Fv1%2Fme", "/x/%2e%2e/ace/y", "/.well-known/ace-server/x", "/.well-known//ace-server", "/.Well-Known/ace-server"} {
		for _, method := range []string{"GET", "MKCOL", "HEAD"} {
			other := at{status: anyRefusal}
			rows = append(rows, doorRow{name: "reserved " + method + " " + target, method: method, target: target, status: 404,
				doors: map[string]at{"guard": {skip: true}, "relay": {skip: true}, "nginx": other, "caddy": other, "verify": {status: 403}, "gateway": other}})
		}
	}
	return rows
}

// ownRows are spellings of the paths that a link keeps for itself; to the others they are paths of the app.
func ownRows() (rows []doorRow) {
	for _, target := range []string{"/.ace-link/http1", "/.ace-link/ask?a=b", "/%2eace-link/%68ttp1", "//.ace-link/http1", "/.ACE-link"} {
		for _, method := range []string{"POST", "GET", "HEAD"} {
			rows = append(rows, doorRow{name: "own " + method + " " + target, method: method, target: target,
				doors: map[string]at{"tunnel": {status: 403, code: "link_forbidden"}}})
		}
	}
	return rows
}

const anyRefusal = -1 // 4xx

// ruledRows are those where rules decide, of the catalogue services.
var ruledRows = func() (rows []doorRow) {
	for _, path := range []string{"/api/v1/wiki//x", "/api/v1/wiki/%2e%2e/tasks/1", "/api/v1/wiki/..%2ftasks", "/api/v1/wiki/x%2fy", "/api/v1/wiki/x;y",
		"/api/v1/wiki/%5c..", "/api/v1/wiki/..;/x"} {
		rows = append(rows, doorRow{name: "ambiguous " + path, method: "GET", target: path, status: 400, code: "path_ambiguous",
			doors: map[string]at{"verify": {status: 403}}})
	}
	return append(rows,
		doorRow{name: "allowed", method: "GET", target: allowed},
		doorRow{name: "allowed HEAD", method: "HEAD", target: allowed},
		doorRow{name: "h2c", method: "GET", target: allowed, headers: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}},
		doorRow{name: "no rule", method: "GET", target: "/nothing", status: 403, code: "access_denied"},
		doorRow{name: "scope missing", method: "GET", target: denied, status: 403, code: "scope_missing",
			doors: map[string]at{"relay": {skip: true}}}) // the admin's connection has every scope
}()

// TestDoors runs every row at every door.
func TestDoors(t *testing.T) {
	t.Parallel()
	for name, world := range map[string]struct {
		scopes catalogue.Catalogue
		rows   []doorRow
	}{"without rules": {catalogue.Builtin(), freeRows}, "with rules": {servicesCatalogue(t), ruledRows}} {
		t.Run(name, func(t *testing.T) {
			doors, app := openDoors(t, world.scopes)
			for _, d := range doors {
				t.Run(d.name, func(t *testing.T) {
					if !app.rules {
						d.checkTalks(t, app)
					}
					for _, row := range world.rows {
						if !d.here(row).skip {
							d.check(t, app, row)
						}
					}
				})
			}
		})
	}
}

// openDoors starts every door to one app that a machine can have, and says which it cannot.
func openDoors(t *testing.T, scopes catalogue.Catalogue) ([]door, *proxied) {
	t.Helper()
	p := newProxied(t, scopes)
	key, jorg := bearer(p.key(t, api.CreateKeyRequest{})), userToken(t, p.secret, "Jörg")
	doors := []door{{name: "verify", address: p.server.Listener.Addr().String(), credential: key, jorg: jorg, asks: true}}
	for _, proxy := range []struct {
		name  string
		start func(*proxied, *testing.T, string)
	}{{"nginx", (*proxied).startNginx}, {"caddy", (*proxied).startCaddy}} {
		t.Run("start "+proxy.name, func(t2 *testing.T) {
			program := world.Installed(t2, proxy.name)
			ln, _ := world.ListenLoopback(t)
			p.proxy = ln.Addr().String()
			_ = ln.Close()
			proxy.start(p, t, program)
			doors = append(doors, door{name: proxy.name, address: p.proxy, credential: key, jorg: jorg})
		})
	}
	doors = append(doors, door{name: "guard", address: p.guarded(t), credential: key, jorg: jorg})
	return append(doors, p.behindCloud(t, scopes)...), p
}

// guarded is the address of the app behind bridge/guard, which asks the server.
func (p *proxied) guarded(t *testing.T) string {
	t.Helper()
	remote, err := guard.NewRemote(guard.RemoteConfig{Server: bridge.ServerURL("http://" + p.server.Listener.Addr().String()), Key: p.token})
	if err != nil {
		t.Fatal(err)
	}
	g := guard.New(guard.Config{Verifier: remote})
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{}, 2)
	for _, run := range []func(context.Context) error{remote.Run, g.Run} {
		go func() { _ = run(ctx); ran <- struct{}{} }()
	}
	ts := httptest.NewServer(g.Wrap(http.HandlerFunc(p.echo)))
	t.Cleanup(func() { ts.Close(); stop(); <-ran; <-ran })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 { // until it has heard from the server
		resp, err := http.Get(ts.URL + allowed) //nolint:noctx // a test's
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized {
			resp, err := http.DefaultClient.Do(p.keyed(t, ts.URL+allowed))
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				return ts.Listener.Addr().String()
			}
		}
		<-tick.C
	}
	t.Fatal("the guard never heard from the server")
	return ""
}

func (p *proxied) keyed(t *testing.T, to string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token.Reveal())
	return r
}

// behindCloud is a gateway in front of the app, the relay of a cloud in front of the gateway, and the relay in front of another
// gateway that has no address: it has joined the cloud, and is reached over its link.
func (p *proxied) behindCloud(t *testing.T, scopes catalogue.Catalogue) []door {
	t.Helper()
	upstream, err := url.Parse(p.app.URL)
	if err != nil {
		t.Fatal(err)
	}
	log := make(goneLines, maxGone)
	w := world.NewOf(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), func(c *cloud.Config) { c.AllowedOrigins = []string{pageOrigin} },
		func(c *server.Config) {
			c.Upstream, c.Catalogue, c.AllowedOrigins = upstream, scopes, []string{pageOrigin}
		}, slog.New(slog.NewTextHandler(log, nil)))
	w.Run()
	request := api.CreateKeyRequest{Name: "doors"}
	if p.rules {
		request.Scopes = []string{"svc:wiki:read"}
	}
	key, err := w.Operator.CreateKey(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	connection := w.Connect(w.Admin)
	w.Person("jörg", bridge.RoleAdmin)
	w.Share(connection)
	tokens := map[string]string{}
	for _, name := range []string{"admin@acme.test", "jörg@acme.test"} {
		token, _, err := w.Cloud.DeveloperToken(t.Context(), name, "acme")
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = "Authorization: Bearer " + token.Reveal()
	}
	address, prefix := strings.TrimPrefix(string(w.CloudURL), "http://"), "/v1/connections/"
	linked := p.joined(t, w, server.Config{Upstream: upstream, Catalogue: scopes, AllowedOrigins: []string{pageOrigin}})
	return []door{{name: "gateway", address: strings.TrimPrefix(string(w.URL), "http://"), credential: bearer(key), jorg: userToken(t, w.JwtSecret, "Jörg"), log: log},
		{name: "relay", address: address, prefix: prefix + connection.ID + "/relay", credential: tokens["admin@acme.test"], jorg: tokens["jörg@acme.test"], log: log},
		{name: "tunnel", address: address, prefix: prefix + linked + "/relay", credential: tokens["admin@acme.test"], jorg: tokens["jörg@acme.test"], log: log}}
}

// joined starts a server without an address, and returns the ID of its connection once its link is up.
func (p *proxied) joined(t *testing.T, w *world.World, cfg server.Config) string {
	t.Helper()
	token, err := w.Admin.CreateJoinToken(t.Context(), api.JoinTokenRequest{Share: true})
	if err != nil {
		t.Fatal(err)
	}
	joined := make(chan string, 1)
	cfg.DatabaseURL, cfg.JWTSecret, cfg.Version, cfg.Now = sqldbtest.SQLite(t), bridge.NewSecret(bridge.RandomToken(32)), "test", w.Now
	cfg.Tunnel = server.Tunnel{Required: true, Token: token.Token.Secret, JoinNow: true, Joined: func(j api.Joined) { joined <- j.Connection }}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan struct{})
	go func() { defer close(ran); _ = s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ran; _ = s.Close() })
	select {
	case id := <-joined:
		return p.online(t, w, id)
	case <-time.After(time.Minute):
		t.Fatal("the server has not joined")
		return ""
	}
}

// online waits until the cloud has probed a connection over its link.
func (p *proxied) online(t *testing.T, w *world.World, id string) string {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for late := time.After(time.Minute); ; {
		c, err := w.Admin.Connection(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if c.Status == "online" {
			return id
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("the connection is not online: %+v", c)
		}
	}
}

// send sends a row's request and returns the answer with its body.
func (d door) send(t *testing.T, row doorRow) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	method, target := row.method, d.prefix+row.target
	var lines []string
	if !row.anonymous {
		lines = append(lines, d.credential)
	}
	if d.asks {
		method, target = http.MethodGet, verifyEndpoint
		lines = append(lines, "X-Forwarded-Method: "+row.method, "X-Forwarded-Uri: "+row.target)
		if row.method == http.MethodOptions && row.anonymous { // as the proxies do
			method = row.method
		}
	}
	request := method + " " + target + " HTTP/1.1\r\nHost: " + d.address + "\r\n" + strings.Join(append(lines, row.headers...), "\r\n") + "\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", row.name, err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, nil
	}
	body, _ := io.ReadAll(resp.Body)
	return resp, body
}

const verifyEndpoint = "/ace/v1/verify"

func (d door) check(t *testing.T, app *proxied, row doorRow) {
	t.Helper()
	here, before := d.here(row), app.reached.Load()
	resp, body := d.send(t, row)
	want := here.status
	if want == 0 {
		want = row.status
	}
	if want == 0 {
		want = http.StatusOK
	}
	passes := want == http.StatusOK || want == http.StatusSwitchingProtocols
	if d.asks && passes {
		want = http.StatusNoContent
	}
	switch {
	case want == anyRefusal && resp.StatusCode >= 400 && resp.StatusCode < 500, resp.StatusCode == want:
	case want == anyRefusal && resp.StatusCode == http.StatusOK && app.reached.Load() == before: // the server's own
	default:
		t.Errorf("%s: %d, want %d: %.200s", row.name, resp.StatusCode, want, body)
		return
	}
	for name, value := range row.answer {
		if got := strings.Join(resp.Header.Values(name), "|"); got != value && (value != "-" || got != "") {
			t.Errorf("%s: the answer has %s: %q, want %s", row.name, name, got, value)
		}
	}
	if !passes {
		if app.reached.Load() != before {
			t.Errorf("%s: it came to the app", row.name)
		}
		d.checkCode(t, row, resp, body)
		return
	}
	if d.asks || resp.StatusCode == http.StatusSwitchingProtocols || row.method == http.MethodHead {
		return
	}
	d.checkSeen(t, row, body)
}

// checkCode holds that a refusal is a problem document with its code, whoever answers.
func (d door) checkCode(t *testing.T, row doorRow, resp *http.Response, body []byte) {
	t.Helper()
	code := row.code
	if here := d.here(row).code; here != "" {
		code = here
	}
	if code == "" {
		return
	}
	if got := resp.Header.Get("Content-Type"); got != api.ContentTypeProblem {
		t.Errorf("%s: the refusal is %q: %.200s", row.name, got, body)
	}
	if ids := resp.Header.Values("X-Request-Id"); len(ids) != 1 || !api.SaneRequestID(ids[0]) {
		t.Errorf("%s: the refusal has the IDs %q", row.name, ids)
	}
	if row.method == http.MethodHead {
		return
	}
	var problem api.Problem
	if err := json.Unmarshal(body,
		&problem); err != nil || problem.Code != bridge.Code(code) || !d.asks && problem.Status != resp.StatusCode || problem.RequestID != cmp.Or(resp.Header.Get(api.HeaderRelayRequestID), resp.Header.Get("X-Request-Id")) {
		t.Errorf("%s: %s, want the code %s", row.name, body, code)
	}
}

func (d door) checkSeen(t *testing.T, row doorRow, body []byte) {
	t.Helper()
	var saw seen
	if err := json.Unmarshal(body, &saw); err != nil {
		t.Errorf("%s: %v: %.200s", row.name, err, body)
		return
	}
	uri := row.target
	if other := d.here(row).uri; other != "" {
		uri = other
	}
	if saw.URI != uri || saw.Method != row.method {
		t.Errorf("%s: the app saw %s %q, want %s %q", row.name, saw.Method, saw.URI, row.method, uri)
	}
	for name, values := range saw.Header {
		if slices.Contains(values, evil) {
			t.Errorf("%s: the app saw %s: %q", row.name, name, values)
		}
		if folded := http.CanonicalHeaderKey(bridge.FoldHeader(name)); len(values) > 1 && (strings.HasPrefix(folded, "X-Ace-") || strings.HasPrefix(folded, "X-Forwarded-")) {
			t.Errorf("%s: the app saw %s %d times", row.name, name, len(values))
		}
	}
	for name, value := range row.app {
		if got := saw.Header.Get(name); got != value && (value != "-" || got != "") {
			t.Errorf("%s: the app saw %s: %q, want %s", row.name, name, got, value)
		}
	}
}
