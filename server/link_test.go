package server_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/server"
	"github.com/acebridge/ace/server/link"
)

const linkWithin = 20 * time.Second

// cloudOfLinks is the part of a cloud that servers which dial out see.
type cloudOfLinks struct {
	t     *testing.T
	url   bridge.ServerURL
	root  bridge.SigningRoot
	token bridge.JoinToken
	links *tunnel.Links

	mu       sync.Mutex
	requests []api.JoinRequest
	claims   bridge.ConnectClaims
	joined   string     // ID of the server
	key      bridge.Key // of the server, unsealed
	linkKeys []ed25519.PublicKey
	refuse   map[string]error // by path
	left     int
	lose     bool          // the answers that a join is completed
	ahead    time.Duration // of its clock
}

func newCloudOfLinks(t *testing.T) *cloudOfLinks {
	t.Helper()
	c := &cloudOfLinks{t: t, links: &tunnel.Links{}, refuse: map[string]error{}}
	var err error
	if c.root, err = bridge.ParseSigningRoot(bridge.NewSigningRoot()); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		err := c.refuse[r.URL.Path]
		c.mu.Unlock()
		if err != nil {
			api.WriteProblem(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	if c.url, err = bridge.CanonicalURL(ts.URL); err != nil {
		t.Fatal(err)
	}
	public, _ := c.root.TrustValues(c.url, "acme")
	if c.token, err = bridge.NewJoinToken(public); err != nil {
		t.Fatal(err)
	}
	acceptor := tunnel.NewAcceptor(tunnel.AcceptorConfig{Cloud: c.url, Challenges: tunnel.NewChallenges(bridge.NewSecret("challenges"), time.Now),
		Lookup: func(_ context.Context, keyID string) (string, []ed25519.PublicKey, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if keyID != c.key.ID.String() {
				return "", nil, nil
			}
			return "connection", c.linkKeys, nil
		}, Links: c.links})
	mux.HandleFunc("POST "+api.PathJoin, c.join)
	mux.HandleFunc("POST "+api.PathJoinDone, c.complete)
	mux.HandleFunc("GET "+api.PathLink, func(w http.ResponseWriter, r *http.Request) {
		if err := acceptor.Accept(w, r); err != nil {
			api.WriteProblem(w, err)
		}
	})
	signed := func(purpose tunnel.Purpose, do func(body []byte)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if _, err := acceptor.Verify(w, r, purpose, body); err != nil {
				api.WriteProblem(w, err)
				return
			}
			c.mu.Lock()
			do(body)
			c.mu.Unlock()
			w.WriteHeader(http.StatusNoContent)
		}
	}
	mux.HandleFunc("DELETE "+api.PathLink, signed(tunnel.Leave, func([]byte) { c.left++ }))
	mux.HandleFunc("POST "+api.PathLinkKeys, signed(tunnel.Rotate, func(body []byte) {
		var next api.LinkKey
		_ = json.Unmarshal(body, &next)
		c.linkKeys = append(c.linkKeys, c.publicKey(next.LinkKey))
	}))
	return c
}

func (c *cloudOfLinks) publicKey(text string) ed25519.PublicKey {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		c.t.Errorf("%q is no public key", text)
	}
	return raw
}

func (c *cloudOfLinks) join(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+c.token.Text().Reveal() {
		api.WriteProblem(w, bridge.E(bridge.Unauthenticated, bridge.CodeJoinTokenInvalid, "no such join token"))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var request api.JoinRequest
	_ = json.NewDecoder(r.Body).Decode(&request)
	c.requests = append(c.requests, request)
	if !c.proven(w, bridge.JoinProof{Server: request.ServerID}, request.Proofs) {
		return
	}
	c.claims = bridge.ConnectClaims{Times: bridge.NewTimes(time.Now().Add(c.ahead), time.Minute), Issuer: c.url, Org: "acme", Subject: "org:acme",
		Role: bridge.RoleAdmin, Scope: "*", KeyLife: 90 * 86400, JTI: bridge.NewTokenID()}.ForServer(bridge.ServerURL(request.ServerURL))
	c.claims.Sealing, _ = c.root.SealingKey(c.claims.JTI)
	token, err := c.root.SigningKey().SignConnect(c.claims)
	if err != nil {
		c.t.Error(err)
	}
	c.answer(w, api.JoinAnswer{Org: "acme", Organization: "Acme Inc.", ConnectToken: token.Disclose()})
}

func (c *cloudOfLinks) complete(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var request api.JoinComplete
	_ = json.NewDecoder(r.Body).Decode(&request)
	key, err := c.root.OpenSealed(request.SealedKey, c.claims.Binding())
	if err != nil || key.ID.String() != request.KeyID {
		c.t.Errorf("%+v: %v", request, err)
	}
	if !c.proven(w, bridge.JoinProof{Server: request.ServerID, LinkKey: request.LinkKey, KeyID: request.KeyID}, request.Proofs) {
		return
	}
	c.joined, c.key, c.linkKeys = request.ServerID, key, []ed25519.PublicKey{c.publicKey(request.LinkKey)}
	if c.lose {
		api.WriteProblem(w, bridge.E(bridge.Unavailable, bridge.CodeOfStatus(503), "a proxy is in trouble"))
		return
	}
	c.answer(w, api.Connection{ID: "connection", Name: "laptop", ServerURL: bridge.ServerURL(request.ServerURL)})
}

// proven answers a server that does not prove that it is the one which has joined. The caller holds mu.
func (c *cloudOfLinks) proven(w http.ResponseWriter, p bridge.JoinProof, proofs []string) bool {
	p.Cloud, p.Token = c.url, c.token.Hash()
	same, err := p.Verify(proofs, c.linkKeys)
	if err != nil {
		c.t.Error(err)
	}
	if c.joined == p.Server && !same {
		api.WriteProblem(w, bridge.E(bridge.Conflict, bridge.CodeJoinServerTaken, "it has joined already"))
		return false
	}
	return true
}

func (c *cloudOfLinks) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		c.t.Error(err)
	}
}

func (c *cloudOfLinks) fails(path string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse[path] = err
}

// access is an access token of the joined key.
func (c *cloudOfLinks) access(probe bool) bridge.Secret {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	claims := bridge.AccessClaims{Times: bridge.NewTimes(time.Now(), time.Minute), KeyID: c.key.ID, Subject: "ann@acme.test", Scope: "*", Probe: probe, Number: 1}
	if probe {
		claims.Subject = "org:acme"
	}
	token, err := c.key.SignAccess(claims.ForServer(c.claims.Server()))
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// over sends a request over the link and returns its status, its code and its body.
func (c *cloudOfLinks) over(method, path string, token bridge.Secret) (int, bridge.Code, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, string(c.claims.Server())+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := c.links.Transport("connection").RoundTrip(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var p api.Problem
	_ = json.Unmarshal(body, &p)
	return resp.StatusCode, p.Code, string(body)
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	late := time.After(linkWithin)
	for !so() {
		select {
		case <-look.C:
		case <-late:
			t.Fatal(what + ": not in time")
		}
	}
}

func (c *cloudOfLinks) untilLinks(n int) {
	c.t.Helper()
	until(c.t, "links", func() bool { return len(c.links.Of("connection")) == n })
}

func unconfigured(cfg *server.Config) { cfg.Trust = bridge.Trust{} }

func echoApp(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("X-Ace-Subject")+" "+r.Header.Get("X-Forwarded-For"))
}

// A server joins with a token alone, and is reached over its link; leaving undoes it on both sides.
func TestJoinAndLeave(t *testing.T) {
	cloud := newCloudOfLinks(t)
	f := start(t, http.HandlerFunc(echoApp), unconfigured)
	if resp, _ := f.do("GET", "/ace/readyz", ""); resp.StatusCode != 200 {
		t.Errorf("ready before a join: %s", resp.Status)
	}
	joined, err := f.server.Links().Join(t.Context(), audit.Actor{ID: "operator"}, cloud.token.Text(), "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if joined.Org != "acme" || joined.Organization != "Acme Inc." || joined.Connection != "connection" || !joined.ServerURL.LinkOnly() {
		t.Errorf("%+v", joined)
	}
	cloud.untilLinks(2)
	resp, body := f.do("GET", "/ace/readyz", "")
	if resp.StatusCode != 503 || f.code(body) != bridge.CodeLinkSilent {
		t.Errorf("before a probe: %s %s", resp.Status, body)
	}
	if resp, _ := f.do("GET", "/ace/readyz?exclude=tunnel", ""); resp.StatusCode != 200 {
		t.Errorf("without the tunnel: %s", resp.Status)
	}
	status, _, body := cloud.over("GET", "/ace/v1/me", cloud.access(true))
	if status != 200 || !strings.Contains(body, `"app":{"state":"up"}`) {
		t.Errorf("the probe: %d %s", status, body)
	}
	if resp, body := f.do("GET", "/ace/readyz", ""); resp.StatusCode != 200 {
		t.Errorf("after a probe: %s %s", resp.Status, body)
	}
	if status, _, body := cloud.over("GET", "/hello", cloud.access(false)); status != 200 || body != "GET /hello ann@acme.test unknown" {
		t.Errorf("the app: %d %q", status, body)
	}
	if status, _, body := cloud.over("GET", "/ace/v1/me", cloud.access(false)); status != 200 || strings.Contains(body, `"app"`) {
		t.Errorf("a member is told of the app: %d %s", status, body)
	}
	_, discovery := f.do("GET", "/.well-known/ace-server", "")
	if !strings.Contains(discovery, `"tunnel"`) || !strings.Contains(discovery, `"server_id":"`+cloud.requests[0].ServerID) {
		t.Error(discovery)
	}
	left, err := f.server.Links().Leave(t.Context(), audit.Actor{ID: "operator"}, false)
	if err != nil || left.Org != "acme" || !left.Told || cloud.left != 1 {
		t.Fatalf("%+v, %v, %d", left, err, cloud.left)
	}
	cloud.untilLinks(0)
	if resp, body := f.do("GET", "/ace/v1/me", "", "Authorization", "Bearer "+cloud.key.Text().Reveal()); resp.StatusCode != 401 {
		t.Errorf("its key after leaving: %s %s", resp.Status, body)
	}
	if resp, _ := f.do("GET", "/ace/readyz", ""); resp.StatusCode != 200 {
		t.Errorf("ready after leaving: %s", resp.Status)
	}
	if _, err := f.server.Links().Leave(t.Context(), audit.Actor{ID: "operator"}, false); bridge.CodeOf(err) != bridge.CodeNotJoined {
		t.Errorf("leaving twice: %v", err)
	}
	for _, action := range []string{"link.join", "link.leave"} {
		entries, _, err := audit.List(t.Context(), f.server.Database(), audit.Query{Org: "acme", Action: action})
		if err != nil || len(entries) != 1 || entries[0].Actor != "operator" {
			t.Errorf("%s: %+v (%v)", action, entries, err)
		}
	}
}

// The exchange and forward-auth are not for requests over a link, and ACE_TUNNEL_ALLOW narrows the rest.
func TestWhatComesOverALink(t *testing.T) {
	cloud := newCloudOfLinks(t)
	allow, err := link.ParseAllow("GET /open, * /api/v2")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*server.Config)
		rows   []struct {
			method, path string
			status       int
			code         bridge.Code
		}
	}{
		"all of the app": {nil, []struct {
			method, path string
			status       int
			code         bridge.Code
		}{
			{"POST", "/ace/v1/exchange", 403, bridge.CodeLinkForbidden},
			{"GET", "/ace/v1/verify", 403, bridge.CodeLinkForbidden},
			{"GET", "/a//b", 200, ""},
			{"DELETE", "/anything", 200, ""},
			{"GET", "/ace/v1/api-keys", 200, ""},
		}},
		"narrowed": {func(cfg *server.Config) { cfg.Tunnel.Allow = allow }, []struct {
			method, path string
			status       int
			code         bridge.Code
		}{
			{"POST", "/ace/v1/exchange", 403, bridge.CodeLinkForbidden},
			{"GET", "/ace/v1/verify", 403, bridge.CodeLinkForbidden},
			{"GET", "/open/a", 200, ""},
			{"HEAD", "/open", 200, ""},
			{"POST", "/open", 403, bridge.CodeLinkForbidden},
			{"GET", "/opened", 403, bridge.CodeLinkForbidden},
			{"DELETE", "/api/v2/x", 200, ""},
			{"GET", "/api", 403, bridge.CodeLinkForbidden},
			{"GET", "/open/../api", 400, bridge.CodePathAmbiguous},
			{"GET", "/open/%2e%2e/api", 400, bridge.CodePathAmbiguous},
			{"GET", "/open//x", 400, bridge.CodePathAmbiguous},
			{"GET", "/open%2fx", 400, bridge.CodePathAmbiguous},
			{"GET", "/open;x", 400, bridge.CodePathAmbiguous},
			{"GET", "/open%3bx", 400, bridge.CodePathAmbiguous},
			{"GET", "/open%5cx", 400, bridge.CodePathAmbiguous},
			{"GET", "/open%00", 400, bridge.CodePathAmbiguous},
			{"GET", "/ace/v1/api-keys", 403, bridge.CodeLinkForbidden},
			{"GET", "/ace/v1/me", 200, ""},
			{"GET", "/ace/v1/scopes", 200, ""},
			{"GET", "/ace/healthz", 200, ""},
			{"GET", "/.well-known/ace-server", 200, ""},
			{"DELETE", "/ace/v1/api-keys/" + uuid.NewString(), 403, bridge.CodeLinkForbidden},
			{"DELETE", "/ace/v1/api-keys/" + uuid.NewString() + "/access-tokens", 401, bridge.CodeStatementInvalid},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, http.HandlerFunc(echoApp), func(cfg *server.Config) {
				unconfigured(cfg)
				if c.change != nil {
					c.change(cfg)
				}
			})
			if _, err := f.server.Links().Join(t.Context(), audit.Actor{ID: "operator"}, cloud.token.Text(), ""); err != nil {
				t.Fatal(err)
			}
			until(t, "a link", func() bool { return len(cloud.links.Of("connection")) > 0 })
			for _, row := range c.rows {
				if status, code, body := cloud.over(row.method, row.path, cloud.access(false)); status != row.status || code != row.code && row.method != "HEAD" {
					t.Errorf("%s %s: %d %s", row.method, row.path, status, body)
				}
			}
			if _, err := f.server.Links().Leave(t.Context(), audit.Actor{ID: "operator"}, false); err != nil {
				t.Fatal(err)
			}
			cloud.untilLinks(0)
		})
	}
}

// A join that is interrupted leaves the server as it was, and a rerun with the same token completes it.
func TestJoinAgain(t *testing.T) {
	cloud := newCloudOfLinks(t)
	f := start(t, http.HandlerFunc(echoApp), unconfigured)
	links := f.server.Links()
	for _, path := range []string{api.PathJoin, api.PathJoinDone} {
		cloud.fails(path, bridge.E(bridge.Forbidden, bridge.CodeJoinOther, "used by another server"))
		_, err := links.Join(t.Context(), audit.Actor{ID: "operator"}, cloud.token.Text(), "")
		if bridge.CodeOf(err) != bridge.CodeJoinOther || !strings.HasPrefix(err.Error(), "the cloud ") {
			t.Errorf("%s: %v", path, err)
		}
		cloud.fails(path, nil)
		if _, discovery := f.do("GET", "/.well-known/ace-server", ""); !strings.Contains(discovery, `"configured":false`) {
			t.Errorf("%s: the server keeps trusting: %s", path, discovery)
		}
	}
	if _, err := links.Join(t.Context(), audit.Actor{ID: "operator"}, cloud.token.Text(), ""); err != nil {
		t.Fatal(err)
	}
	cloud.untilLinks(2)
	if n := len(cloud.requests); n != 2 || cloud.requests[0].ServerID != cloud.requests[1].ServerID {
		t.Errorf("%+v", cloud.requests)
	}
	other := newCloudOfLinks(t)
	if _, err := links.Join(t.Context(), audit.Actor{ID: "operator"}, other.token.Text(), ""); bridge.CodeOf(err) != bridge.CodeCloudPinned {
		t.Errorf("another cloud: %v", err)
	}
}

// background runs a server until the test ends, or until it is stopped.
func background(t *testing.T, s *server.Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			err = errors.Join(<-ran, s.Close())
		})
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// A joined server opens its link again by itself, rotates its key, and refuses another cloud; with another secret it says what is wrong.
func TestJoinedServerStartsAgain(t *testing.T) {
	cloud := newCloudOfLinks(t)
	var dsn string
	secret := bridge.NewSecret(bridge.RandomToken(32))
	configure := func() server.Config {
		return server.Config{DatabaseURL: dsn, JWTSecret: secret, Tunnel: server.Tunnel{Required: true, Links: 1}}
	}
	dsn = sqldbtest.SQLite(t)
	begin := func(cfg server.Config) (*server.Server, error) {
		return server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	}
	cfg := configure()
	cfg.Tunnel.Token = cloud.token.Text()
	told := make(chan api.Joined, 1)
	cfg.Tunnel.Joined = func(j api.Joined) { told <- j }
	s, err := begin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := background(t, s)
	if j := <-told; j.Connection != "connection" {
		t.Errorf("%+v", j)
	}
	cloud.untilLinks(1)
	if status, _, body := cloud.over("GET", "/ace/v1/me", cloud.access(true)); status != 200 || !strings.Contains(body, `"app":{"state":"none"}`) {
		t.Errorf("%d %s", status, body)
	}
	if _, err := s.Database().ExecContext(t.Context(), "UPDATE server_links SET rotated_at = 0"); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	cloud.untilLinks(0)

	s, err = begin(cfg) // with the token once more, which is used up
	if err != nil {
		t.Fatal(err)
	}
	stop = background(t, s)
	if j := <-told; j.Connection != "" || j.Org != "acme" {
		t.Errorf("joined again: %+v", j)
	}
	until(t, "the rotation", func() bool {
		var rotated int64
		err := s.Database().QueryRowContext(t.Context(), "SELECT rotated_at FROM server_links WHERE next_key = ''").Scan(&rotated)
		return err == nil && rotated != 0
	})
	cloud.untilLinks(1)
	cloud.mu.Lock()
	cloud.linkKeys = cloud.linkKeys[1:] // the overlap is over
	keys := len(cloud.linkKeys)
	cloud.mu.Unlock()
	if entries, _, err := audit.List(t.Context(), s.Database(), audit.Query{Org: "acme", Action: "link.rotate_key"}); err != nil || len(entries) != 1 || keys != 1 {
		t.Errorf("%+v (%v), %d keys", entries, err, keys)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}

	other, _ := newCloudOfLinks(t).root.TrustValues(cloud.url, "acme")
	wrong := configure()
	if wrong.Trust, err = bridge.ParseTrust(bridge.TrustSettings{PublicKey: other}); err != nil {
		t.Fatal(err)
	}
	if _, err := begin(wrong); bridge.CodeOf(err) != bridge.CodeCloudPinned {
		t.Errorf("another public key: %v", err)
	}
	cfg = configure()
	cfg.JWTSecret = bridge.NewSecret(bridge.RandomToken(32))
	if s, err = begin(cfg); err != nil {
		t.Fatal(err)
	}
	background(t, s)
	until(t, "the reason", func() bool {
		links := s.Links().Links()
		return len(links) == 1 && links[0].Links[0].Code == bridge.CodeLinkUnreadable
	})
	if err := s.Links().Ready(); bridge.CodeOf(err) != bridge.CodeNoLink || !strings.Contains(bridge.AsError(err).Hint, "ACE_JWT_SECRET") {
		t.Errorf("%v", err)
	}
}

// A revocation of the key, over the link or with a refusal of it, ends the join.
func TestRevokedFromTheCloud(t *testing.T) {
	cloud := newCloudOfLinks(t)
	f := start(t, nil, unconfigured)
	if _, err := f.server.Links().Join(t.Context(), audit.Actor{ID: "operator"}, cloud.token.Text(), ""); err != nil {
		t.Fatal(err)
	}
	cloud.untilLinks(2)
	if status, _, body := cloud.over("GET", "/ace/v1/me", cloud.access(true)); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	statement, err := cloud.key.SignRevocation("admin@acme.test", "disconnected", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := cloud.over("DELETE", "/ace/v1/api-keys/"+cloud.key.ID.String(), statement); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	cloud.untilLinks(0)
	until(t, "the trust", func() bool {
		_, discovery := f.do("GET", "/.well-known/ace-server", "")
		return strings.Contains(discovery, `"configured":false`)
	})
	if entries, _, err := audit.List(t.Context(), f.server.Database(), audit.Query{Org: "acme", Action: "link.leave"}); err != nil || len(entries) != 1 {
		t.Errorf("%+v (%v)", entries, err)
	}
}

// A cloud that cannot be told keeps a server from leaving, unless it is forced.
func TestLeaveWithoutTheCloud(t *testing.T) {
	cloud := newCloudOfLinks(t)
	f := start(t, nil, unconfigured)
	links := f.server.Links()
	if _, err := links.Join(t.Context(), audit.Actor{ID: "operator"}, cloud.token.Text(), ""); err != nil {
		t.Fatal(err)
	}
	cloud.fails(api.PathLink, bridge.E(bridge.Unavailable, bridge.CodeStopping, "the cloud stops"))
	if _, err := links.Leave(t.Context(), audit.Actor{ID: "operator"}, false); bridge.AsError(err).Kind != bridge.Unreachable {
		t.Errorf("%v", err)
	}
	left, err := links.Leave(t.Context(), audit.Actor{ID: "operator"}, true)
	if err != nil || left.Told {
		t.Errorf("%+v %v", left, err)
	}
}

// ACE_TUNNEL=on: an exchange answers with the key of a link, which is opened once the key was used.
func TestConnectedServerOpensLinks(t *testing.T) {
	cloud := newCloudOfLinks(t)
	f := start(t, nil, func(cfg *server.Config) {
		public, _ := cloud.root.TrustValues(cloud.url, "acme")
		cfg.Trust, _ = bridge.ParseTrust(bridge.TrustSettings{PublicKey: public})
		cfg.Tunnel.Mode = link.On
	})
	claims := bridge.ConnectClaims{Times: bridge.NewTimes(time.Now(), time.Minute), Issuer: cloud.url, Org: "acme", Subject: "ann", Email: "ann@acme.test",
		Role: bridge.RoleAdmin, Scope: "*", KeyLife: 86400, JTI: bridge.NewTokenID()}.ForServer(bridge.ServerURL(f.url))
	token, err := cloud.root.SigningKey().SignConnect(claims)
	if err != nil {
		t.Fatal(err)
	}
	resp, body := f.do("POST", "/ace/v1/exchange", "{}", "Authorization", "Bearer "+token.Reveal())
	var answer api.ExchangeAnswer
	if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != 201 || answer.LinkKey == "" {
		t.Fatalf("%s %s", resp.Status, body)
	}
	cloud.mu.Lock()
	cloud.key, err = bridge.ParseKey(answer.Key.Secret)
	cloud.linkKeys, cloud.claims = []ed25519.PublicKey{cloud.publicKey(answer.LinkKey)}, claims
	cloud.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.server.Links().Links()); n != 0 {
		t.Errorf("%d links before the first use", n)
	}
	if resp, body := f.do("GET", "/ace/v1/me", "", "X-Ace-Api-Key", answer.Key.Reveal()); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	cloud.untilLinks(2)
}

// A server gives up after so long without the link that it wants, and without a token that is refused it does not start to wait.
func TestGiveUp(t *testing.T) {
	cloud := newCloudOfLinks(t)
	cloud.fails(api.PathJoin, bridge.E(bridge.Unavailable, bridge.CodeStopping, "the cloud stops"))
	run := func(change func(*server.Tunnel)) error {
		cfg := server.Config{DatabaseURL: sqldbtest.SQLite(t), JWTSecret: bridge.NewSecret(bridge.RandomToken(32)),
			Tunnel: server.Tunnel{Required: true, Token: cloud.token.Text()}}
		change(&cfg.Tunnel)
		s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		return s.Run(t.Context())
	}
	if err := run(func(c *server.Tunnel) { c.GiveUp = 1 }); bridge.CodeOf(err) != bridge.CodeNoLink || !strings.Contains(err.Error(), "the cloud stops") {
		t.Errorf("%v", err)
	}
	cloud.fails(api.PathJoin, bridge.E(bridge.Unauthenticated, bridge.CodeJoinTokenEnded, "used up"))
	if err := run(func(*server.Tunnel) {}); bridge.CodeOf(err) != bridge.CodeJoinTokenEnded {
		t.Errorf("%v", err)
	}
}
