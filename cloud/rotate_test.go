package cloud_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/accounts"
)

const day = 24 * time.Hour

// rotating is a server with a connection whose key is about to expire, and answers of its own.
type rotating struct {
	*fixture
	connection api.Connection
	key, fresh bridge.Key
	rotate, me handlerOfNow
	asked      atomic.Int64 // for a rotation
}

// handlerOfNow is a handler that a test may replace, even while a retried request is running.
type handlerOfNow struct {
	now atomic.Pointer[http.HandlerFunc]
}

func (h *handlerOfNow) set(f http.HandlerFunc) { h.now.Store(&f) }

func (h *handlerOfNow) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*h.now.Load())(w, r) }

func startRotating(t *testing.T) *rotating {
	t.Helper()
	r := &rotating{fixture: start(t, sqldbtest.SQLite(t)), key: bridge.NewKey(bridge.KindSK, uuid.New())}
	r.fresh = bridge.NewKey(bridge.KindSK, r.key.ID)
	r.rotate.set(r.honest)
	r.me.set(r.accept(func() bridge.Key { return r.fresh }))
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.Method + " " + req.URL.Path {
		case "POST /ace/v1/api-keys/" + r.key.ID.String() + "/rotate":
			r.asked.Add(1)
			r.rotate.ServeHTTP(w, req)
		case "GET /ace/v1/me":
			r.me.ServeHTTP(w, req)
		default:
			t.Errorf("the server is asked for %s %s", req.Method, req.URL.Path)
		}
	}))
	t.Cleanup(ts.Close)
	key := r.key.Text().Disclose()
	var err error
	if r.connection, err = r.client().Register(t.Context(), api.RegisterRequest{ServerURL: ts.URL, APIKey: &key}); err != nil {
		t.Fatal(err)
	}
	r.me.set(r.accept(func() bridge.Key { return r.key }))
	if r.connection, err = r.client().Check(t.Context(), r.connection.ID); err != nil || r.connection.ExpiresAt == nil {
		t.Fatalf("the probe does not find out when the key ends: %+v (%v)", r.connection, err)
	}
	r.me.set(r.accept(func() bridge.Key { return r.fresh }))
	r.later(76 * day)
	return r
}

// later lets time pass, and signs the admin in again.
func (r *rotating) later(d time.Duration) {
	r.t.Helper()
	r.advance(d)
	var err error
	if r.token, _, err = r.cloud.DeveloperToken(r.t.Context(), "ann@acme.test", "acme"); err != nil {
		r.t.Fatal(err)
	}
}

func answerJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func answerKey(key bridge.Key) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, api.CreatedKey{Key: key.Text().Disclose(), APIKey: api.APIKey{KeyID: key.ID.String()}})
	}
}

// honest rotates the key if the request is signed by the key itself and can be repeated.
func (r *rotating) honest(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get(bridge.HeaderAceAPIKey) != r.key.Text().Reveal() || len(req.Header.Get(api.HeaderIdempotencyKey)) < 40 {
		r.t.Errorf("the rotation is asked for with %v", req.Header)
	}
	answerKey(r.fresh)(w, req)
}

// accept takes access tokens of one secret, and says that it is valid for 90 days.
func (r *rotating) accept(of func() bridge.Key) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		presented, err := bridge.Credential(req.Header)
		key := of()
		if err == nil {
			_, err = bridge.VerifyAccess(presented.Value, key.PublicKey(), []bridge.ServerURL{bridge.ServerURL("http://" + req.Host)}, r.clock())
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		now := r.clock()
		answerJSON(w, api.Identity{Type: bridge.TypeAccessToken, KeyID: key.ID.String(), KeyIssuedAt: &now, KeyExpiresAt: new(now.Add(90 * day))})
	}
}

// try makes one round of rotations and returns the connection and which secret is in use.
func (r *rotating) try() (c api.Connection, fresh bool) {
	r.t.Helper()
	if err := cloud.RotateKeys(r.cloud, r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	c, err := r.client().Connection(r.t.Context(), r.connection.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	cred, err := r.client().Credential(r.t.Context(), c.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	for key, is := range map[*bridge.Key]bool{&r.key: false, &r.fresh: true} {
		if _, err := bridge.VerifyAccess(cred.Value.Secret, key.PublicKey(), []bridge.ServerURL{c.ServerURL}, r.clock()); err == nil {
			return c, is
		}
	}
	r.t.Fatal("a secret is in use that nobody knows")
	return c, false
}

func TestRotation(t *testing.T) {
	r := startRotating(t)
	c, fresh := r.try()
	if !fresh || c.Rotation != nil || c.ExpiresAt == nil || c.ExpiresAt.Sub(r.clock()).Round(time.Minute) != 90*day {
		t.Errorf("it is not rotated: %+v", c)
	}
	if r.try(); r.asked.Load() != 1 {
		t.Errorf("%d rotations", r.asked.Load())
	}
}

// The old secret stays in use until a new one has passed its test, whatever the server answers. People see our reasons for a
// failure, never the server's text.
func TestRotationByAHostileServer(t *testing.T) {
	other := bridge.NewKey(bridge.KindSK, uuid.New())
	const evil = "evil\x1b[2J<script>alert(1)</script>"
	problem := func(status int, code bridge.Code) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", api.ContentTypeProblem)
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(api.Problem{Code: code, Detail: evil, Hint: evil})
		}
	}
	raw := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	_, _ = zip.Write(bytes.Repeat([]byte(" "), 32<<20))
	_ = zip.Close()
	r := startRotating(t)
	wrongKind := bridge.NewKey(bridge.KindLive, r.key.ID)
	mistyped := strings.Replace(r.fresh.Text().Reveal(), "ace_sk_", "ace_pat_", 1)
	type answers struct {
		rotate, me http.HandlerFunc
		cause      string
	}
	const noKey, noTest, noAce = "something other than a new secret", "does not accept the new secret", "something other"
	cases := map[string]answers{
		"another key":      {rotate: answerKey(other), cause: noKey},
		"another kind":     {rotate: answerKey(wrongKind), cause: noKey},
		"the same secret":  {rotate: answerKey(r.key), cause: noKey},
		"a damaged secret": {rotate: raw(200, "application/json", `{"key":"`+mistyped+`"}`), cause: noKey},
		"no secret":        {rotate: raw(200, "application/json", `{}`), cause: noKey},
		"null":             {rotate: raw(200, "application/json", `null`), cause: noKey},
		"no content":       {rotate: raw(204, "application/json", ``), cause: noKey},
		"garbage":          {rotate: raw(200, "application/json", "\x00\xff"), cause: noKey},
		"a page":           {rotate: raw(200, "text/html", evil), cause: noKey},
		"an odd status":    {rotate: raw(418, "text/html", evil), cause: noKey},
		"not found":        {rotate: raw(404, "text/html", evil), cause: noKey},
		"a huge body":      {rotate: raw(200, "application/json", `{"key":"`+strings.Repeat("x", 1<<20)+`"}`), cause: noKey},
		"deep":             {rotate: raw(200, "application/json", strings.Repeat("[", 60<<10)), cause: noKey},
		"a bomb": {rotate: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, cause: noKey},
		"a redirect": {rotate: func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "/ace/v1/me", http.StatusTemporaryRedirect)
		}, cause: "redirect"},
		"endless headers": {rotate: func(w http.ResponseWriter, _ *http.Request) {
			for range 2000 {
				w.Header().Add("X-Evil", strings.Repeat("x", 100))
			}
		}, cause: "nothing answers"},
		"hangs up":      {rotate: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, cause: "nothing answers"},
		"refuses":       {rotate: problem(401, "key_invalid"), cause: "does not accept the key any more"},
		"is old":        {rotate: problem(409, "key_of_connection"), cause: "version"},
		"lacks scope":   {rotate: problem(403, "scope_missing"), cause: "version"},
		"overtaken":     {rotate: problem(403, "minter_rotated"), cause: "another secret"},
		"fails":         {rotate: problem(500, "internal"), cause: "answers with an error"},
		"is busy":       {rotate: problem(429, "too_many"), cause: "answers with an error"},
		"odd problem":   {rotate: problem(400, evil), cause: noKey},
		"a dead secret": {me: r.accept(func() bridge.Key { return r.key }), cause: noTest},
		"another in the test": {me: func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, api.Identity{Type: bridge.TypeAccessToken, KeyID: other.ID.String()})
		}, cause: "another key"},
		"garbage in the test":   {me: raw(200, "text/html", evil), cause: noAce},
		"an error in the test":  {me: problem(503, "unavailable"), cause: "answers with an error"},
		"a hang-up in the test": {me: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, cause: "nothing answers"},
	}
	for name, c := range cases {
		r.rotate.set(r.honest)
		r.me.set(r.accept(func() bridge.Key { return r.fresh }))
		if c.rotate != nil {
			r.rotate.set(c.rotate)
		}
		if c.me != nil {
			r.me.set(c.me)
		}
		asked := r.asked.Load()
		got, fresh := r.try()
		if fresh || r.asked.Load() == asked {
			t.Errorf("%s: the new secret is in use: %v, asked %d times", name, fresh, r.asked.Load()-asked)
			continue
		}
		if got.Rotation == nil || !strings.Contains(got.Rotation.Cause, c.cause) || !strings.Contains(got.Rotation.Hint, "ace connect --server ") ||
			strings.Contains(got.Rotation.Cause+got.Rotation.Hint, "evil") {
			t.Errorf("%s: the cause is %+v, want %q", name, got.Rotation, c.cause)
		}
		r.later(6 * time.Hour)
	}
	if _, body := r.do("GET", "/v1/audit?limit=500", "", "Authorization", r.bearer()); strings.Contains(body, "evil") || !strings.Contains(body, "connection.rotate_failed") {
		t.Errorf("the audit log: %s", body)
	}
	r.rotate.set(r.honest)
	r.me.set(r.accept(func() bridge.Key { return r.fresh }))
	if got, fresh := r.try(); !fresh || got.Rotation != nil {
		t.Errorf("after all that an honest answer does not do: %+v", got.Rotation)
	}
}

// If the cloud may not call a server, it warns before the key expires, and reports it once it has.
func TestRotationOfWhatTheCloudMayNotCall(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) { c.PublicURL = "https://cloud.example.com" })
	ctx, rules := t.Context(), f.cloud.Registry()
	u, err := rules.Accounts.UserByEmail(ctx, "ann@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	session, err := rules.Sessions.OpenSession(ctx, u.ID, "acme", accounts.MethodBrowser, audit.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	p := session.Principal
	const server = "http://localhost:7777"
	claims, err := rules.Connections.ConnectClaims(ctx, p, server)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := bridge.Seal(claims.Sealing, claims.Binding(), bridge.NewKey(bridge.KindSK, uuid.New()))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := rules.Connections.Register(ctx, p.As(audit.Actor{}), api.RegisterRequest{ServerURL: server, SealedKey: sealed})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after  time.Duration
		warned bool
		status string
	}{{75 * day, false, "unknown"}, {2 * day, true, "unknown"}, {13 * day, true, "unauthorized"}} {
		f.advance(step.after)
		for _, work := range []func(*cloud.Cloud, context.Context) error{cloud.RotateKeys, cloud.ProbeStale} {
			if err := work(f.cloud, ctx); err != nil {
				t.Fatal(err)
			}
		}
		if c, err = rules.Connections.Connection(ctx, p, c.ID); err != nil {
			t.Fatal(err)
		}
		warned := c.Rotation != nil && strings.Contains(c.Rotation.Cause, "the cloud may not call") && c.Rotation.Hint == "ace connect --server "+server
		if warned != step.warned || c.Status != step.status || step.status == "unauthorized" && c.Hint != "ace connect --server "+server {
			t.Errorf("after %s: %s, %s, %s, %+v", step.after, c.Status, c.Cause, c.Hint, c.Rotation)
		}
	}
}

// A key that its server always reports as about to expire is rotated at most once an hour.
func TestRotationOfWhatAlwaysEnds(t *testing.T) {
	r := startRotating(t)
	r.rotate.set(func(w http.ResponseWriter, req *http.Request) {
		answerKey(bridge.NewKey(bridge.KindSK, r.key.ID))(w, req)
	})
	r.me.set(func(w http.ResponseWriter, _ *http.Request) {
		now := r.clock()
		answerJSON(w, api.Identity{Type: bridge.TypeAccessToken, KeyID: r.key.ID.String(), KeyIssuedAt: new(now.Add(-80 * day)), KeyExpiresAt: new(now.Add(time.Minute))})
	})
	for range 20 {
		if err := cloud.RotateKeys(r.cloud, t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := r.client().Check(t.Context(), r.connection.ID); err != nil {
			t.Fatal(err)
		}
		r.advance(6 * time.Minute)
	}
	if n := r.asked.Load(); n != 2 {
		t.Errorf("%d rotations in two hours", n)
	}
}
