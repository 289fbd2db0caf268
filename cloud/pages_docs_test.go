package cloud_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// The documentation is public: pages for people, Markdown for programs, under the same policy as any page.
func TestDocumentation(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	const html, markdown = "text/html; charset=utf-8", "text/markdown; charset=utf-8"
	for _, tt := range []struct {
		name, path string
		status     int
		mediaType  string
		has        string
		headers    []string
	}{
		{"the list", "/docs", 200, html, `<a href="/docs/use">Using ace</a>`, nil},
		{"a page", "/docs/use", 200, html, `<h1 id="using-ace">Using ace</h1>`, nil},
		{"a page, signed in", "/docs/use", 200, html, `<a href="/members"`, []string{"Cookie", cookie}},
		{"a page, by a browser", "/docs/errors", 200, html, `<code>not_found</code>`, []string{"Accept", "text/html,*/*;q=0.8"}},
		{"a page, by an agent", "/docs/use", 200, markdown, "# Using ace\n", []string{"Accept", "text/markdown, */*"}},
		{"its Markdown", "/docs/use.md", 200, markdown, "# Using ace\n", nil},
		{"its Markdown, by a browser", "/docs/use.md", 200, markdown, "# Using ace\n", []string{"Accept", "text/html"}},
		{"the list for language models", "/llms.txt", 200, "text/plain; charset=utf-8", ": [Using ace](" + f.url + "/docs/use.md): ", nil},
		{"no page", "/docs/nothing", 404, "application/problem+json", `"not_found"`, nil},
		{"no page, by a browser", "/docs/nothing", 404, html, "There is no page", []string{"Accept", "text/html"}},
		{"a way out", "/docs/..%2fREADME.md", 404, "application/problem+json", `"not_found"`, nil},
		{"the way there", "/login", 200, html, `<a href="/docs" >Documentation</a>`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := f.do(http.MethodGet, tt.path, "", tt.headers...)
			has := strings.TrimPrefix(tt.has, ": ")
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.mediaType || !strings.Contains(body, has) {
				t.Errorf("%s %q: %.300s", resp.Status, resp.Header.Get("Content-Type"), body)
			}
			policy := "default-src 'none'"
			if tt.mediaType == html {
				policy = "default-src 'self'; base-uri 'none'"
			}
			if got := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(got, policy) {
				t.Errorf("the policy is %q", got)
			}
		})
	}
}

// Every link of the list leads to a page, and every link in the list for programs leads to Markdown.
func TestDocumentationListsLead(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	for path, link := range map[string]string{"/docs": `href="(/docs/[a-z]+)"`, "/llms.txt": regexp.QuoteMeta(f.url) + `(/docs/[a-z]+\.md)`} {
		_, body := f.do(http.MethodGet, path, "")
		found := regexp.MustCompile(link).FindAllStringSubmatch(body, -1)
		if len(found) < 9 {
			t.Errorf("%s names %d pages", path, len(found))
		}
		for _, m := range found {
			if resp, _ := f.do(http.MethodGet, m[1], ""); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s is %s", path, m[1], resp.Status)
			}
		}
	}
}
