package api_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func TestProblemGoesBothWays(t *testing.T) {
	want := &bridge.Error{Kind: bridge.TooMany, Code: "slow", Detail: "too fast", Hint: "wait", RetryAfter: 3 * time.Second,
		Err: errors.New("hidden cause")}
	w := httptest.NewRecorder()
	api.WriteProblem(w, want)
	if strings.Contains(w.Body.String(), "hidden") {
		t.Error("the answer shows the hidden cause")
	}
	got := bridge.AsError(api.ReadProblem(w.Result()))
	if got.Kind != want.Kind || got.Code != want.Code || got.Detail != want.Detail || got.Hint != want.Hint || got.RetryAfter != want.RetryAfter {
		t.Errorf("%+v came back as %+v", want, got)
	}
	w = httptest.NewRecorder()
	api.WriteProblem(w, errors.New("password=hunter2"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("an unknown error: %d %s", w.Code, w.Body)
	}
}

func TestWebBase(t *testing.T) {
	var log strings.Builder
	e := api.NewEcho(slog.New(slog.NewTextHandler(&log, nil)), api.Web{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	e.GET("/ip", func(c echo.Context) error { return c.String(200, c.RealIP()) })
	e.GET("/panic", func(echo.Context) error { panic("boom") })
	e.POST("/body", func(c echo.Context) error {
		v, err := api.Decode[struct {
			Name string `json:"name"`
		}](c)
		if err != nil {
			return err
		}
		return c.String(200, v.Name)
	})
	do := func(method, path, from, body string, headers ...string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.RemoteAddr = from
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w.Result()
	}
	text := func(r *http.Response) string {
		raw, _ := io.ReadAll(r.Body)
		return string(raw)
	}
	const proxy, stranger = "10.1.2.3:99", "192.0.2.9:99"
	if got := text(do("GET", "/ip", proxy, "", "X-Forwarded-For", "203.0.113.5")); got != "203.0.113.5" {
		t.Errorf("through a trusted proxy the client is %s", got)
	}
	if got := text(do("GET", "/ip", stranger, "", "X-Forwarded-For", "203.0.113.5")); got != "192.0.2.9" {
		t.Errorf("a stranger says who it is: %s", got)
	}
	if got := do("GET", "/ip", proxy, "", "X-Request-Id", "given-id-1").Header.Get("X-Request-Id"); got != "given-id-1" {
		t.Errorf("the proxy's request ID became %q", got)
	}
	for _, id := range []string{"given-id-1", "a\"b", strings.Repeat("x", 100)} {
		if got := do("GET", "/ip", stranger, "", "X-Request-Id", id).Header.Get("X-Request-Id"); got == id || got == "" {
			t.Errorf("a stranger's request ID %q became %q", id, got)
		}
	}
	if r := do("GET", "/panic?key=secret-in-query", stranger, ""); r.StatusCode != 500 || strings.Contains(text(r), "boom") {
		t.Error("a panic is not answered, or shown")
	}
	if strings.Contains(log.String(), "secret-in-query") {
		t.Error("the query is logged")
	}
	for body, want := range map[string]int{`{"name":"x"}`: 200, `{"nome":"x"}`: 400, `{"name":"x"} {}`: 400, `[]`: 400, "{": 400, `{"NAME":"x"}`: 400, `{"name":"x","name":"x"}`: 400,
		`{"name":"x","n\u0061me":"x"}`: 400, "{\"name\":\"\xff\"}": 400, "": 200,
		`{"name":"` + strings.Repeat("x", 300<<10) + `"}`: 413} {
		if r := do("POST", "/body", stranger, body, "Content-Type", "application/json"); r.StatusCode != want {
			t.Errorf("a body of %d bytes: %d, want %d", len(body), r.StatusCode, want)
		}
	}
	if r := do("POST", "/body", stranger, `{"name":"x"}`, "Content-Type", "text/plain"); r.StatusCode != 400 {
		t.Errorf("another media type: %d", r.StatusCode)
	}
	if r := do("GET", "/nowhere", stranger, ""); r.StatusCode != 404 || r.Header.Get("Content-Type") != api.ContentTypeProblem {
		t.Errorf("not found: %d %s", r.StatusCode, r.Header.Get("Content-Type"))
	}
}

func TestTextOnly(t *testing.T) {
	var answer echo.HandlerFunc
	e := api.NewEcho(slog.New(slog.DiscardHandler), api.Web{Foreign: func(path string) echo.HandlerFunc {
		if strings.HasPrefix(path, "/app/") {
			return answer
		}
		return nil
	}})
	answer = func(c echo.Context) error {
		if strings.HasPrefix(c.Request().Header.Get("Content-Type"), "application/json") {
			if _, err := api.Decode[map[string]string](c); err != nil {
				return err
			}
		}
		return c.NoContent(http.StatusNoContent)
	}
	e.Any("/*", answer)
	for _, tt := range []struct {
		target, body string
		want         int
	}{
		{"/v1/keys/caf%C3%A9?cursor=%E2%82%AC&empty", "", 204},
		{"/v1/keys/%00", "", 400},
		{"/v1/keys/a%2Fb%00", "", 400},
		{"/v1/keys/%ff", "", 400},
		{"/v1/keys?cursor=%00", "", 400},
		{"/v1/keys?cursor=a&cursor=%c3%28", "", 400},
		{"/v1/keys?cursor=\xff", "", 400},
		{"/v1/keys?%00=x", "", 400},
		{"/v1/keys?a=%zz&b=%00", "", 400},
		{"/app/%00?x=%ff", "", 204},
		{"/app%2fx?x=%ff", "", 400},
		{"/v1/keys", `{"name":"a\u0000b"}`, 400},
		{"/v1/keys", `{"a\u0000b":"name"}`, 400},
		{"/v1/keys", `{"name":"a\\u0000b"}`, 204},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(tt.body))
		u, err := r.URL.Parse(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		if tt.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		code := ""
		if w.Code == http.StatusBadRequest {
			code = string(bridge.CodeOf(api.ReadProblem(w.Result())))
		}
		if w.Code != tt.want || (tt.want == 400 && code != "text_malformed") {
			t.Errorf("%s %s: %d %s, want %d", tt.target, tt.body, w.Code, code, tt.want)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := api.NewRequestID()
		if !api.SaneRequestID(id) || seen[id] {
			t.Fatalf("%q is not sane, or there already", id)
		}
		seen[id] = true
	}
}
