package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/registry"
)

// canary is a secret that must not be found anywhere, in no spelling.
type canary struct {
	name  string
	forms [][]byte
}

func newCanary(name, secret string) canary {
	c := canary{name: name}
	for _, plain := range []string{secret, strings.ToLower(secret), strings.ToUpper(secret)} {
		c.forms = append(c.forms, []byte(plain), []byte(url.QueryEscape(plain)))
	}
	c.forms = append(c.forms, []byte(hex.EncodeToString([]byte(secret))))
	for shift := range 3 { // base64 of a text with the secret in it has one of three spellings
		padded := append(bytes.Repeat([]byte{'.'}, shift), secret...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(padded)
			const edge = 4 // where the neighbours have a say
			c.forms = append(c.forms, []byte(text[edge:len(text)-edge]))
		}
	}
	slices.SortFunc(c.forms, bytes.Compare)
	c.forms = slices.CompactFunc(c.forms, bytes.Equal)
	return c
}

func (c canary) in(text []byte) bool {
	return slices.ContainsFunc(c.forms, func(form []byte) bool { return bytes.Contains(text, form) })
}

// keepingLog keeps what is logged, down to the last detail.
type keepingLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *keepingLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *keepingLog) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes())
}

// TestASharedKeyIsFoundNowhere shares connections with keys that are known here, calls everything that there is to call as
// people who must not see them, and looks for the keys in all that comes back, in the logs and in the database.
func TestASharedKeyIsFoundNowhere(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": sqldbtest.SQLite, "postgres": sqldbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			huntCanaries(t, dsn(t))
		})
	}
}

func huntCanaries(t *testing.T, dsn string) {
	log := &keepingLog{}
	w := newLoggedWorld(t, dsn, sqldbtest.SQLite(t), nil, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ctx := t.Context()
	created, err := w.operator.CreateKey(ctx, api.CreateKeyRequest{Name: "canary", Preset: "full", ExpiresIn: "90d"})
	if err != nil {
		t.Fatal(err)
	}
	key := created.Key.Reveal()
	const plainSecret = "canary+plain/key=of.a.plain~server"
	got := make(chan http.Header, 64)
	plain := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case got <- r.Header.Clone():
		default:
		}
		rw.Header().Set("Location", "/elsewhere")
		rw.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(plain.Close)
	hunt := &hunt{t: t, w: w, canaries: []canary{newCanary("the ace key", key), newCanary("its secret", key[len("ace_live_")+22:]),
		newCanary("the plain key", plainSecret)}}

	shared := registry.Organization
	for _, request := range []api.RegisterRequest{
		{ServerURL: string(w.url), Name: "of-an-ace-server", APIKey: &created.Key},
		{ServerURL: plain.URL, Name: "of-a-plain-server", APIKey: new(bridge.NewSecret(plainSecret).Disclose())},
	} {
		connection, err := w.admin.Register(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: &shared}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.admin.Check(ctx, connection.ID); err != nil {
			t.Fatal(err)
		}
		hunt.ids = append(hunt.ids, connection.ID)
	}
	boss, err := w.admin.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hunt.ids = append(hunt.ids, created.KeyID, boss.ID)

	for _, email := range []string{"member@acme.test", "viewer@acme.test"} {
		hunt.callEverything(email)
	}
	if header := <-got; header.Get(bridge.HeaderAPIKey) != plainSecret {
		t.Errorf("the plain server got %q: the key was not in use, and the test says nothing", header.Get(bridge.HeaderAPIKey))
	}
	hunt.look("the log", log.bytes())
	hunt.look("the database", dump(t, dsn))
}

// hunt calls things, and looks for canaries in what comes back.
type hunt struct {
	t        *testing.T
	w        *world
	canaries []canary
	ids      []string    // that go into addresses
	answers  map[int]int // by status
}

func (h *hunt) look(where string, text []byte) {
	h.t.Helper()
	for _, c := range h.canaries {
		if c.in(text) {
			h.t.Errorf("%s is found in %s", c.name, where)
		}
	}
}

// cookie signs a person in.
func (h *hunt) cookie(email string) string {
	h.t.Helper()
	h.w.advance(time.Minute) // logins are limited
	status, header := h.send(http.MethodPost, "/login", url.Values{"email": {email}, "password": {testPassword}}.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	cookie, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	if cookie == "" {
		h.t.Fatalf("%s is not signed in: %d %v", email, status, header)
	}
	return cookie
}

// send makes one request and looks at all of its answer. Streams are read for as long as they bring something at once.
func (h *hunt) send(method, path, body string, header http.Header) (status int, answer http.Header) {
	h.t.Helper()
	const streams = 500 * time.Millisecond
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, string(h.w.cloudURL)+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header = header
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		defer time.AfterFunc(streams, cancel).Stop()
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, context.Canceled) {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	var all bytes.Buffer
	all.Write(text)
	_ = resp.Header.Write(&all)
	_ = resp.Trailer.Write(&all)
	h.look(method+" "+path, all.Bytes())
	if h.answers != nil {
		h.answers[resp.StatusCode]++
	}
	return resp.StatusCode, resp.Header
}

// addresses are those of a route, with every ID that is known in the place of each parameter.
func (h *hunt) addresses(route string) []string {
	var out []string
	first := strings.Index(route, ":")
	if first < 0 {
		return []string{strings.ReplaceAll(route, "*", "whoami")}
	}
	name, rest, _ := strings.Cut(route[first+1:], "/")
	if rest != "" {
		rest = "/" + rest
	}
	values := h.ids
	switch name {
	case "org":
		values = []string{"acme"}
	case "action":
		values = []string{"check", "share", "unshare", "rename", "key", "rotate", "revive", "revoke", "delete", "remove", "role"}
	}
	for _, value := range values {
		for _, after := range h.addresses(rest) {
			out = append(out, route[:first]+value+after)
		}
	}
	return out
}

// callEverything calls every route of the cloud as somebody: what only reads first, as the rest may end their access.
func (h *hunt) callEverything(email string) {
	h.t.Helper()
	routes := h.w.cloud.Handler().(*echo.Echo).Routes()
	routes = append(routes, &echo.Route{Method: http.MethodGet, Path: "/v1/connections/:id/relay/*"}) // by any method, and no route
	reads := func(r *echo.Route) bool { return r.Method == http.MethodGet }
	slices.SortFunc(routes, func(a, b *echo.Route) int {
		if reads(a) != reads(b) {
			return map[bool]int{true: -1, false: 1}[reads(a)]
		}
		return strings.Compare(a.Path+a.Method, b.Path+b.Method)
	})
	h.answers = map[int]int{}
	cookie, token := h.cookie(email), h.token(email)
	for _, route := range routes {
		method := route.Method
		if strings.HasSuffix(route.Path, "/*") && !strings.Contains(route.Path, "relay") {
			continue
		}
		if !reads(route) { // it may have ended the session of the one before
			cookie, token = h.cookie(email), h.token(email)
		}
		if method == echo.RouteNotFound {
			method = http.MethodGet
		}
		for _, path := range h.addresses(route.Path) {
			h.call(method, path, token, cookie)
		}
	}
	if few := 40; h.answers[http.StatusOK] < few || h.answers[http.StatusInternalServerError] > 0 {
		h.t.Errorf("%s got these answers, by status: %v", email, h.answers)
	}
}

// token is a session token of a person's.
func (h *hunt) token(email string) string {
	h.t.Helper()
	token, _, err := h.w.cloud.DeveloperToken(h.t.Context(), email, "acme")
	if err != nil {
		h.t.Fatal(err)
	}
	return token.Reveal()
}

func (h *hunt) call(method, path, token, cookie string) {
	h.t.Helper()
	if strings.HasPrefix(path, "/v1/") {
		h.send(method, path, "{}", http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}})
		h.send(method, path, "", http.Header{"Cookie": {cookie}, "X-Ace-Relay": {"1"}, "Sec-Fetch-Site": {"same-origin"}})
		return
	}
	h.send(method, path, "", http.Header{"Cookie": {cookie}, "Accept": {"text/html"}, "Sec-Fetch-Site": {"same-origin"}, "Content-Type": {"application/x-www-form-urlencoded"}})
}

// dump is all that a database holds, as whoever has its files or a backup sees it.
func dump(t *testing.T, dsn string) []byte {
	t.Helper()
	if path, found := strings.CutPrefix(dsn, "sqlite:"); found {
		var all []byte
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) == 0 {
			t.Fatal("no database files", err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		return all
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var all string
	err = db.QueryRowContext(t.Context(), "SELECT database_to_xml(true, false, '')::text").Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(all)
}

func TestCanariesAreFound(t *testing.T) {
	const secret = "s3cret/with+signs=and.more"
	c := newCanary("it", secret)
	for name, text := range map[string]string{
		"plain": "x" + secret + "y", "upper case": strings.ToUpper(secret), "in a query": "?k=" + url.QueryEscape(secret),
		"hex": hex.EncodeToString([]byte("a" + secret)), "base64": base64.StdEncoding.EncodeToString([]byte("user:" + secret + "!")),
		"base64url": base64.RawURLEncoding.EncodeToString([]byte("ab" + secret)),
	} {
		if !c.in([]byte(text)) {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
	if c.in([]byte("s3cret")) {
		t.Error("a part is found")
	}
}
