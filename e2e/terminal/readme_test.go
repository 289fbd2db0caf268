package terminal

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// Every catalogue that the papers show is one.
func TestPapersCatalogues(t *testing.T) {
	t.Parallel()
	papers, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, paper := range append(papers, "../../README.md") {
		t.Run(filepath.Base(paper), func(t *testing.T) {
			raw, err := os.ReadFile(paper) //nolint:gosec // of this repository
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(raw, -1) {
				found++
				if _, err := catalogue.Parse(m[1]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if found == 0 {
		t.Error("the papers show no catalogue")
	}
}

func section(t *testing.T, paper, heading string) string {
	t.Helper()
	raw, err := os.ReadFile("../../" + paper) //nolint:gosec // of this repository
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(raw), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", paper, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// What the tour shows after its login works as it is typed, in that order.
func TestTheTourAsTyped(t *testing.T) {
	t.Parallel()
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	ace := world.NewTerminal(t, "ACE_ENV="+string(w.CloudURL))
	ace.Must("", "auth", "login-token", "--token", w.TokenOf("admin"))
	here := strings.TrimPrefix(string(w.URL), "http://127.0.0.1")
	ran := 0
	for _, m := range regexp.MustCompile(`(?m)^\$ \./ace (.*)$`).FindAllStringSubmatch(section(t, "README.md", "The five-minute tour"), -1) {
		if m[1] == "login" {
			continue
		}
		ace.Must("", strings.Fields(strings.ReplaceAll(m[1], "localhost:7777", "localhost"+here))...)
		ran++
	}
	if ran < 4 {
		t.Errorf("only %d commands were run", ran)
	}
}

// Every heading of the troubleshooting is text that somebody can have seen: it is in a message of the product.
func TestTroubleshootingIsAboutRealMessages(t *testing.T) {
	t.Parallel()
	var product strings.Builder
	for _, dir := range []string{"cmd", "bridge", "cloud", "server", "web"} {
		err := filepath.WalkDir("../../"+dir, func(path string, d fs.DirEntry, err error) error {
			ext := filepath.Ext(path)
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || (ext != ".go" && ext != ".js" && ext != ".html") {
				return err
			}
			raw, err := os.ReadFile(path) //nolint:gosec // of this repository
			for line := range strings.Lines(string(raw)) {
				if !strings.HasPrefix(strings.TrimSpace(line), "//") {
					product.WriteString(line)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	headings := regexp.MustCompile(`(?ms)^\*\*(.*?)\*\*`).FindAllStringSubmatch(section(t, "docs/operate.md", "Troubleshooting"), -1)
	if len(headings) < 5 {
		t.Fatalf("only %d headings were found", len(headings))
	}
	for _, h := range headings {
		quoted := regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(h[1], -1)
		if len(quoted) == 0 {
			t.Errorf("the heading %q quotes no message", h[1])
		}
		for _, q := range quoted {
			if !strings.Contains(product.String(), q[1]) {
				t.Errorf("%q is in no message", q[1])
			}
		}
	}
}
