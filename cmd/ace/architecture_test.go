package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const architecturePage = "../../docs/architecture.md"

// levels are the packages from top to bottom: one imports only what stands in a lower row.
var levels = [][]string{
	{"cmd/ace", "e2e", "e2e/browser", "e2e/proxies", "e2e/scenario", "e2e/scripts", "e2e/terminal"},
	{"cmd/ace/internal/auth", "cmd/ace/internal/checkup", "cmd/ace/internal/complete", "cmd/ace/internal/connections", "cmd/ace/internal/keys", "cmd/ace/internal/login", "cmd/ace/internal/menu", "cmd/ace/internal/org", "cmd/ace/internal/run", "cmd/ace/internal/scan", "e2e/world"},
	{"cmd/ace/internal/connector", "cmd/ace/internal/selfcheck", "cmd/ace/internal/target"},
	{"server", "cloud", "cmd/ace/internal/cmdline", "cmd/ace/internal/preview", "cmd/ace/internal/profile", "cmd/ace/internal/report"},
	{"cloud/dashboard", "cloud/docs", "cloud/settings", "cloud/login", "cloud/v1", "cloud/oauth", "cloud/sso", "cloud/live", "cloud/internal/roomtest", "cmd/ace/internal/term", "cmd/ace/internal/unit"},
	{"cloud/relay", "cloud/servers", "cloud/page", "cloud/internal/storetest", "cmd/ace/internal/files", "cmd/ace/internal/outsidetest", "cmd/ace/internal/sample"},
	{"cloud/registry"},
	{"cloud/who", "cloud/preview", "cloud/upkeep"},
	{"cloud/tokens", "cloud/joins"},
	{"cloud/connections", "cloud/providers", "cloud/signup"},
	{"cloud/signin"},
	{"cloud/addresses"},
	{"cloud/factors", "cloud/joining"},
	{"cloud/accounts"},
	{"cloud/outbox", "cloud/lockout", "cloud/links"},
	{"cloud/vault", "server/link", "cloud/passwords", "cloud/presence", "cloud/outbound", "cloud/periodic", "cloud/mail", "cloud/auditlog", "docs", "web"},
	{"cloud/schema"},
	{"bridge/connect", "bridge/doctor", "bridge/guard", "bridge/keyhttp", "bridge/tunnel"},
	{"bridge/keys"},
	{"bridge/keys/table"},
	{"bridge/keys/record", "bridge/keys/timeline", "bridge/audit", "bridge/apiclient", "bridge/catalogue", "bridge/sqldb/sqldbtest", "bridge/benchtest"},
	{"bridge/keys/statements", "bridge/catalogue/mcp", "bridge/mark", "bridge/sqldb"},
	{"bridge/api"},
	{"bridge/api/serving"},
	{"bridge"},
}

func levelOf(name string) int {
	return slices.IndexFunc(levels, func(names []string) bool { return slices.Contains(names, name) })
}

// TestArchitecture holds docs/architecture.md to the code; go test ./cmd/ace -run TestArchitecture -update writes its table of
// packages and its picture.
func TestArchitecture(t *testing.T) {
	packages := ourPackages(t)
	page, err := os.ReadFile(architecturePage)
	if err != nil {
		t.Fatal(err)
	}
	now := string(page)
	for name, part := range map[string]string{"rooms": roomsTable(packages), "arrows": picture(packages)} {
		begin, end := "<!-- "+name+": generated -->\n", "<!-- "+name+": end -->"
		before, rest, ok := strings.Cut(now, begin)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("the page has no place for %q", name)
		}
		now = before + begin + part + end + after
	}
	if *update {
		if err := os.WriteFile(architecturePage, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if now != string(page) {
		t.Error("docs/architecture.md is not current: go test ./cmd/ace -run TestArchitecture -update")
	}
	t.Run("arrows point down", func(t *testing.T) { checkLevels(t, packages) })
	t.Run("functions exist", func(t *testing.T) { checkNames(t, now) })
	t.Run("files entered twice are marked", func(t *testing.T) { checkWalks(t, now) })
}

// ourPackage is a package as the page needs it; names are without the module's path.
type ourPackage struct {
	name, doc string
	imports   []string
}

func ourPackages(t *testing.T) (all []ourPackage) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Doc", "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Doc string
			Imports         []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		ours := ourPackage{name: strings.TrimPrefix(p.ImportPath, modulePath+"/"), doc: p.Doc}
		for _, i := range p.Imports {
			if name, ok := strings.CutPrefix(i, modulePath+"/"); ok {
				ours.imports = append(ours.imports, name)
			}
		}
		all = append(all, ours)
	}
	slices.SortStableFunc(all, func(a, b ourPackage) int {
		return cmp.Or(cmp.Compare(levelOf(a.name), levelOf(b.name)), strings.Compare(a.name, b.name))
	})
	return all
}

// checkLevels checks what is imported, and what the table of imports allows, against the levels.
func checkLevels(t *testing.T, packages []ourPackage) {
	for _, p := range packages {
		from := levelOf(p.name)
		if from < 0 {
			t.Errorf("%s has no level", p.name)
		}
		for _, to := range p.imports {
			if levelOf(to) <= from {
				t.Errorf("%s imports %s, which is not below it", p.name, to)
			}
		}
		for _, allowed := range mayImport[p.name] {
			for _, to := range packages {
				under := strings.HasSuffix(allowed, "/") && strings.HasPrefix(to.name, allowed)
				if (to.name == allowed || under) && to.name != p.name && levelOf(to.name) <= from {
					t.Errorf("mayImport lets %s import %s, which is not below it", p.name, to.name)
				}
			}
		}
	}
}

func roomsTable(packages []ourPackage) string {
	b := new(strings.Builder)
	b.WriteString("| level | package | subject |\n|---|---|---|\n")
	for _, p := range packages {
		if p.doc == "" {
			continue // tests only
		}
		_, doc, _ := strings.Cut(p.doc, " ") // Package, Command
		_, doc, _ = strings.Cut(doc, " ")
		doc = strings.TrimPrefix(doc, "is ")
		fmt.Fprintf(b, "| %d | `%s` | %s |\n", levelOf(p.name)+1, p.name, strings.ToUpper(doc[:1])+strings.ReplaceAll(doc[1:], "|", `\|`))
	}
	return b.String()
}

// picture draws the imports in Mermaid. All of bridge is one node, and an import that a longer way implies is left out.
func picture(packages []ourPackage) string {
	node := func(name string) string {
		if name == "bridge" || strings.HasPrefix(name, "bridge/") {
			return "bridge/*"
		}
		return name
	}
	arrows := map[string][]string{}
	for _, p := range packages {
		for _, to := range p.imports {
			if from, to := node(p.name), node(to); from != to && !slices.Contains(arrows[from], to) {
				arrows[from] = append(arrows[from], to)
			}
		}
	}
	var reaches func(from, to string) bool
	reaches = func(from, to string) bool {
		return from == to || slices.ContainsFunc(arrows[from], func(next string) bool { return reaches(next, to) })
	}
	b := new(strings.Builder)
	b.WriteString("```mermaid\nflowchart TD\n")
	for _, p := range packages {
		from := node(p.name)
		if from == "bridge/*" {
			continue
		}
		slices.Sort(arrows[from])
		for _, to := range arrows[from] {
			if !slices.ContainsFunc(arrows[from], func(next string) bool { return next != to && reaches(next, to) }) {
				fmt.Fprintf(b, "  %s[%q] --> %s[%q]\n", nodeID(from), from, nodeID(to), to)
			}
		}
	}
	b.WriteString("```\n")
	return b.String()
}

func nodeID(name string) string { return strings.NewReplacer("/", "_", "*", "all").Replace(name) }

// namedRow is a row of a table of the page that names a file and, in the next cell, functions.
var namedRow = regexp.MustCompile("(?m)^\\|([^|\n]*)\\| `([a-z0-9_/]+\\.[a-z]+)` \\|([^|\n]*)\\|([^|\n]*)\\|$")

var quoted = regexp.MustCompile("`([^`]+)`")

const (
	decisions = 10 // rows of "Where is it decided?" that ask a question
	fewest    = 50 // rows in all, so that a broken pattern does not pass
)

func checkNames(t *testing.T, page string) {
	rows := namedRow.FindAllStringSubmatch(page, -1)
	if len(rows) < fewest {
		t.Errorf("only %d rows name a file", len(rows))
	}
	known := map[string][]string{}
	for _, row := range rows {
		file := row[2]
		if _, read := known[file]; !read {
			known[file] = functionsOf(t, file)
		}
		for _, name := range quoted.FindAllStringSubmatch(row[3], -1) {
			if !slices.Contains(known[file], name[1]) {
				t.Errorf("%s has no %s", file, name[1])
			}
		}
		if path.Ext(file) == ".go" && !quoted.MatchString(row[3]) {
			t.Errorf("the row of %s names no function: %s", file, row[0])
		}
	}
	_, index, _ := strings.Cut(page, "## Where is it decided?")
	asked := 0
	for _, row := range namedRow.FindAllStringSubmatch(index, -1) {
		if strings.TrimSpace(row[1]) != "" {
			asked++
		}
	}
	if asked != decisions {
		t.Errorf("%d questions are answered, not %d", asked, decisions)
	}
}

// functionsOf lists the functions of a file, methods as Type.Method; of a file that is not Go, nothing.
func functionsOf(t *testing.T, file string) (names []string) {
	t.Helper()
	name := filepath.Join("..", "..", filepath.FromSlash(file))
	if path.Ext(file) != ".go" {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is no %s", file)
		}
		return nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			name := f.Name.Name
			if f.Recv != nil {
				name = receiver(f.Recv.List[0].Type) + "." + name
			}
			names = append(names, name)
		}
	}
	return names
}

// checkWalks checks that a row of a walk says "again" or "back" exactly where its file has been entered before.
func checkWalks(t *testing.T, page string) {
	_, page, _ = strings.Cut(page, "## Three walks")
	page, _, _ = strings.Cut(page, "\n## ")
	parts := strings.Split(page, "\n### ")
	const walks = 3
	if len(parts) != walks+2 {
		t.Fatalf("%d sections: the beginning of every request and %d walks are expected", len(parts)-1, walks)
	}
	start := namedRow.FindAllStringSubmatch(parts[1], -1)
	for _, walk := range parts[2:] {
		title, _, _ := strings.Cut(walk, "\n")
		seen, last := map[string]bool{}, ""
		for i, row := range append(slices.Clip(start), namedRow.FindAllStringSubmatch(walk, -1)...) {
			file, what := row[2], strings.TrimSpace(row[4])
			marked := strings.HasPrefix(what, "again: ") || strings.HasPrefix(what, "back: ")
			if marked != seen[file] || file == last {
				t.Errorf("%s: row %d, %s: entered before: %t, marked: %t", title, i+1, file, seen[file], marked)
			}
			if number := strconv.Itoa(i + 1); strings.TrimSpace(row[1]) != number {
				t.Errorf("%s: row %s is number %s", title, row[1], number)
			}
			seen[file], last = true, file
		}
	}
}
