package bridge_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

var update = flag.Bool("update", false, "write docs/errors.md")

const errorsPage = "../docs/errors.md"

// codes returns the constants of type Code, by name.
func codes(t *testing.T) map[string]bridge.Code {
	t.Helper()
	all := map[string]bridge.Code{}
	files, err := filepath.Glob("codes_*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" {
				value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				all[spec.Names[0].Name] = bridge.Code(value)
			}
			return true
		})
	}
	return all
}

// TestEveryCodeSaysWhatItMeans checks that each constant is in the table exactly once, with a status and a sentence.
func TestEveryCodeSaysWhatItMeans(t *testing.T) {
	seen := map[bridge.Code]string{}
	for name, code := range codes(t) {
		if seen[code] != "" {
			t.Errorf("%s and %s are both %s", name, seen[code], code)
		}
		seen[code] = name
		means := code.Means()
		if code.Status() == 0 || !strings.HasSuffix(means, ".") || strings.ToUpper(means[:1]) != means[:1] {
			t.Errorf("%s has the status %d and means %q", name, code.Status(), means)
		}
	}
}

// TestCodesAreConstants checks that no code is minted or compared as a literal, and that each constant is used.
func TestCodesAreConstants(t *testing.T) {
	names, known := codes(t), map[string]string{}
	for name, code := range names {
		known[string(code)] = name
	}
	used := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.HasPrefix(path, filepath.Join("..", "bridge", "codes_")) {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				used[id.Name] = true
			}
			for _, lit := range asCode(n) {
				if value, err := strconv.Unquote(lit.Value); err == nil && known[value] != "" {
					t.Errorf("%s: %s is the constant %s", fset.Position(lit.Pos()), lit.Value, known[value])
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		if !used[name] {
			t.Errorf("%s is nowhere used", name)
		}
	}
}

// asCode returns the literals that stand where a code belongs: after the kind of an error, in a field Code, as the code of a
// refusal, or in a comparison with a code.
func asCode(n ast.Node) (literals []*ast.BasicLit) {
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			literals = append(literals, lit)
		}
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		switch name := lastName(n.Fun); {
		case name == "E" && len(n.Args) > 1:
			add(n.Args[1])
		case (strings.HasPrefix(strings.ToLower(name), "refuse") || name == "bad" || name == "fail") && len(n.Args) > 1:
			add(n.Args[0])
			add(n.Args[1])
		case strings.HasPrefix(name, "oauth") && len(n.Args) > 0:
			add(n.Args[0])
		}
	case *ast.KeyValueExpr:
		if lastName(n.Key) == "Code" {
			add(n.Value)
		}
	case *ast.BinaryExpr:
		if isCode(n.X) {
			add(n.Y)
		} else if isCode(n.Y) {
			add(n.X)
		}
	case *ast.SwitchStmt:
		if n.Tag == nil || !isCode(n.Tag) {
			return nil
		}
		for _, clause := range n.Body.List {
			for _, e := range clause.(*ast.CaseClause).List {
				add(e)
			}
		}
	}
	return literals
}

func isCode(e ast.Expr) bool {
	if call, ok := e.(*ast.CallExpr); ok {
		return lastName(call.Fun) == "CodeOf"
	}
	sel, ok := e.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Code"
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// TestErrorsPage checks that docs/errors.md matches the constants; go test ./bridge -run TestErrorsPage -update rewrites it.
func TestErrorsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Error codes\n\nGenerated from the constants of package `bridge` by `go test ./bridge -run TestErrorsPage -update`.\n\n" +
		"Every error has a stable `code` for programs, a `detail` that says the cause and, where there is one, a `hint` that fixes it. The\n" +
		"first status is the usual one. *Retry* says that the same request may succeed later without anybody changing anything; where an\n" +
		"answer has `Retry-After`, wait that long. A command with `-o json` prints the code, and turns 401 into exit code 4, 403 into 5,\n" +
		"and 502, 503 and 504 into 6. A program that says no code of its own is reported as `http_` and its status.\n")
	for title, all := range bridge.Subjects() {
		fmt.Fprintf(&b, "\n## %s\n\n| code | status | retry | meaning |\n|---|---|---|---|\n", title)
		for _, code := range all {
			var statuses []string
			for _, kind := range code.Kinds() {
				if kind == bridge.PassedOn {
					statuses = append(statuses, "that of the other side")
				} else {
					statuses = append(statuses, strconv.Itoa(kind.Status()))
				}
			}
			retry := ""
			if code.Retry() {
				retry = "yes"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", code, strings.Join(statuses, ", "), retry, code.Means())
		}
	}
	if *update {
		if err := os.WriteFile(errorsPage, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(errorsPage)
	if err != nil || string(page) != b.String() {
		t.Errorf("docs/errors.md is not current: go test ./bridge -run TestErrorsPage -update (%v)", err)
	}
}
