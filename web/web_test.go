package web

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParts(t *testing.T) {
	for _, c := range []struct {
		name, hint string
		want       []part
	}{
		{"nothing", "", nil},
		{"words", "wait a minute", []part{{Text: "wait a minute"}}},
		{"a command within", "run `ace login`, then retry", []part{{Text: "run "}, {"ace login", true}, {Text: ", then retry"}}},
		{"a command alone", "`ace login`", []part{{"ace login", true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, parts(c.hint)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The policy of the pages forbids inline script and style; a template that had some would break unnoticed.
func TestTemplatesHaveNothingInline(t *testing.T) {
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	parts, err := fs.Glob(templateFiles, "templates/parts/*.html")
	if err != nil || len(parts) == 0 {
		t.Fatal("no parts", err)
	}
	for _, name := range append(names, parts...) {
		text, err := templateFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, forbidden := range []string{" style=", "<style", " onclick=", " onsubmit=", "<script>", "javascript:", "https://cdn"} {
			if strings.Contains(string(text), forbidden) {
				t.Errorf("%s contains %q", name, forbidden)
			}
		}
	}
}

func TestRenderSendsNothingWhereThePageFails(t *testing.T) {
	w := httptest.NewRecorder()
	if err := Render(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody), 200, "connections", Page{View: struct{}{}}); err == nil {
		t.Fatal("a view without the page's fields was rendered")
	}
	if w.Body.Len() != 0 {
		t.Errorf("half a page was sent: %s", w.Body)
	}
}
