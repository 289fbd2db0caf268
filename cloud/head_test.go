package cloud_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// HEAD is answered wherever GET is: pages, files, health, the API, refusals and unknown addresses.
func TestHead(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	connection, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: "https://s.test", APIKey: new(bridge.NewSecret("a-key").Disclose())})
	if err != nil {
		t.Fatal(err)
	}
	parameters := strings.NewReplacer(":org", "acme", ":id", connection.ID, "/*", "/ace.css")
	paths := []string{"/nowhere", "/v1/nowhere", "/static/nowhere"}
	for _, route := range f.cloud.Handler().(*echo.Echo).Routes() {
		if route.Method == http.MethodGet {
			paths = append(paths, parameters.Replace(route.Path))
		}
	}
	cookie := f.signIn()
	for who, headers := range map[string][]string{"a stranger": nil, "somebody signed in": {"Cookie", cookie}, "a program": {"Authorization", "Bearer " + f.token.Reveal()}} {
		for _, path := range paths {
			if path == "/v1/connections/events" { // it would not end
				continue
			}
			get, _ := f.do(http.MethodGet, path, "", headers...)
			head, body := f.do(http.MethodHead, path, "", headers...)
			if head.StatusCode != get.StatusCode || body != "" || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || head.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s to %s: %s %q, and GET %s %q", path, who, head.Status, head.Header.Get("Content-Type"), get.Status, get.Header.Get("Content-Type"))
			}
			if post, _ := f.do(http.MethodHead, "/oauth/token", "", headers...); post.StatusCode != http.StatusMethodNotAllowed {
				t.Fatalf("HEAD where there is no GET: %s", post.Status)
			}
		}
	}
	if head, body := f.do(http.MethodHead, "/v1/connections/events", "", "Authorization", "Bearer "+f.token.Reveal()); head.StatusCode != 200 || body != "" {
		t.Errorf("a stream: %s", head.Status)
	}
}
