package docs

import (
	"flag"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	papers "github.com/acebridge/ace/docs"
)

var update = flag.Bool("update", false, "write llms.txt")

// Every page is listed, under its own title.
func TestEveryPageIsListed(t *testing.T) {
	files, err := fs.Glob(papers.Files, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".md")
		i := slices.IndexFunc(entries, func(e entry) bool { return e.Name == name })
		if i < 0 {
			t.Errorf("docs/%s is not listed in entries", file)
			continue
		}
		if first, _, _ := strings.Cut(rendered()[name].markdown, "\n"); first != "# "+entries[i].Title {
			t.Errorf("docs/%s begins with %q, and is listed as %q", file, first, entries[i].Title)
		}
	}
}

// The list at the root of the repository is current, and the README says the same of each page.
// go test ./cloud/docs -run TestLists -update writes it.
func TestLists(t *testing.T) {
	now := strings.Replace(list(func(name string) string { return "docs/" + name + ".md" }), "## Documentation\n\n",
		"## Documentation\n\n- [README](README.md): what ace is, two commands to try it, a tour, a map of the code\n", 1)
	if *update {
		if err := os.WriteFile("../../llms.txt", []byte(now), 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
	}
	if file, err := os.ReadFile("../../llms.txt"); err != nil || string(file) != now {
		t.Errorf("llms.txt is not current (%v): go test ./cloud/docs -run TestLists -update", err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if line := "- [docs/" + e.Name + ".md](docs/" + e.Name + ".md): " + e.Line + "\n"; !strings.Contains(string(readme), line) {
			t.Errorf("the README has no line\n%s", line)
		}
	}
}

// The links of the served pages lead to served pages and to headings on them.
func TestLinksLead(t *testing.T) {
	links := regexp.MustCompile(`href="([^"#]*)(?:#([^"]*))?"`)
	found := 0
	for name, page := range rendered() {
		for _, m := range links.FindAllStringSubmatch(string(page.body), -1) {
			found++
			to := name
			if m[1] != "" {
				to = strings.TrimPrefix(m[1], "/docs/")
			}
			target, ok := rendered()[to]
			if !ok {
				t.Errorf("%s: the link %s leads to no page", name, m[0])
			} else if m[2] != "" && !strings.Contains(string(target.body), ` id="`+m[2]+`"`) {
				t.Errorf("%s: %s has no heading %q", name, to, m[2])
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d links were found", found)
	}
}

func TestToHTML(t *testing.T) {
	for _, tt := range []struct{ name, markdown, want string }{
		{"a link to a page", "[a](use.md)", `<p><a href="/docs/use">a</a></p>`},
		{"a link to a heading", "[a](use.md#keys)", `<p><a href="/docs/use#keys">a</a></p>`},
		{"a link on the page", "[a](#keys)", `<p><a href="#keys">a</a></p>`},
		{"a link elsewhere", "[a](https://example.com/b.md)", `<p><a href="https://example.com/b.md">a</a></p>`},
		{"a link to a file of the repository", "see [a `b`](../configs/x.md), c", `<p>see a <code>b</code>, c</p>`},
		{"a script's address", "[a](javascript:alert(1))", `<p>a</p>`},
		{"HTML", "a <b onclick=x>b</b>\n\n<script>x</script>\n", `<p>a b</p>`},
		{"a comment", "<!-- c -->\n\na", `<p>a</p>`},
		{"a heading", "## What dies?", `<h2 id="what-dies">What dies?</h2>`},
		{"a cell knows its column", "| the `a` | b |\n|---|---|\n| 1 | 2 |", `<td data-label="the a">1</td>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.TrimSpace(string(toHTML([]byte(tt.markdown)))); got != tt.want && !strings.Contains(got, tt.want+"\n") {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestAcceptsMarkdown(t *testing.T) {
	for accept, want := range map[string]bool{"": false, "*/*": false, "text/html,application/xhtml+xml,*/*;q=0.8": false,
		"text/markdown": true, "text/markdown, */*": true, "text/markdown, text/html;q=0.9": false} {
		if got := acceptsMarkdown(accept); got != want {
			t.Errorf("Accept: %s: %v", accept, got)
		}
	}
}
