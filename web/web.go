// Package web owns the dashboard's look: templates, styles and scripts, embedded in the binary. It knows nothing of
// rules; it is given a view and writes a page.
package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// Page is the data that every page gets; View holds a page's own.
type Page struct {
	Title string
	Path  string // of the section, to mark it in the menu
	User  *User  // nil: nobody is signed in
	Flash string // a message about what was just done
	View  any
}

// User is the person at the top of the page.
type User struct {
	ID    string
	Email string
	Org   string
	Orgs  []string // the user's organizations, to switch between
	Admin bool
	Audit bool // may read the audit log
}

// organizations begin the name of an owner that is an organization.
const organizations = "org:"

var functions = template.FuncMap{
	"owner":          func(owner string) string { return strings.TrimPrefix(owner, organizations) },
	"organizational": func(owner string) bool { return strings.HasPrefix(owner, organizations) },
	"parts":          parts,
	"static":         versioned,
	"ago":            func(t time.Time) string { return ago(time.Since(t)) },
	"time":           func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"method": func(m string) string {
		if name, ok := methodNames[m]; ok {
			return name
		}
		return m
	},
	"host": func(s any) string {
		return strings.TrimPrefix(strings.TrimPrefix(fmt.Sprint(s), "https://"), "http://")
	},
}

// methodNames are the sign-in methods of sessions, in people's words.
var methodNames = map[string]string{"browser": "Browser", "provider": "Browser, through the organization", "device": "Terminal", "authorization_code": "Terminal",
	"password": "Terminal, with password", "developer_token": "Developer token"}

// part is a piece of a hint; hints mark commands with backticks.
type part struct {
	Text string
	Code bool
}

func parts(hint string) []part {
	var out []part
	for i, text := range strings.Split(hint, "`") {
		if text != "" {
			out = append(out, part{Text: text, Code: i%2 == 1})
		}
	}
	return out
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// pages holds a template set for each page: the layout, the shared parts, and the page's own blocks. They are parsed at the
// first request for a page, since most commands show none and would start later.
var pages = sync.OnceValue(func() map[string]*template.Template {
	out := map[string]*template.Template{}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is constant
	}
	for _, name := range names {
		page := strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".html")
		if page != "layout" {
			out[page] = template.Must(template.New("").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts/*.html", name))
		}
	}
	return out
})

// Render writes a page. Nothing is sent unless the whole page could be rendered. The answer to a GET is compressed for clients
// that accept it. The answer to a form is not: it may show a secret once, and a compressed length could reveal some of it.
func Render(w http.ResponseWriter, r *http.Request, status int, page string, p Page) error {
	t, ok := pages()[page]
	if !ok {
		return fmt.Errorf("there is no page %q", page)
	}
	var buf bytes.Buffer
	if err := t.ExecuteTemplate(&buf, "layout", p); err != nil {
		return fmt.Errorf("make the page %q: %w", page, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		return compress(w, buf.Bytes())
	}
	w.WriteHeader(status)
	_, err := buf.WriteTo(w)
	return err
}

// compressors use the fastest level, since a page is rendered for each request.
var compressors = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails only for an unknown level
	return w
}}

func compress(w io.Writer, page []byte) error {
	c := compressors.Get().(*gzip.Writer)
	defer compressors.Put(c)
	c.Reset(w)
	if _, err := c.Write(page); err != nil {
		return err
	}
	return c.Close()
}
