package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strconv"
	"strings"
	"testing"
)

// selfExplaining are the codes whose detail is all that there is to say, or that nobody is shown.
var selfExplaining = map[string]bool{"cancelled": true, "answered": true}

// Every failure that this package makes says what fixes it. A wrong use of a command is given the command's help where it
// does not, in execute; what a cloud or a server answers is held by their own tests.
func TestErrorsHaveHints(t *testing.T) {
	files := token.NewFileSet()
	packages, err := parser.ParseDir(files, ".", func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0) //nolint:staticcheck // no types are needed
	if err != nil {
		t.Fatal(err)
	}
	made, hinted := map[*ast.CallExpr]string{}, map[ast.Expr]bool{}
	for _, p := range packages {
		ast.Inspect(p, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "WithHint" {
				hinted[s.X] = true
			}
			if code := errorCode(call); code != "" {
				made[call] = code
			}
			return true
		})
	}
	if len(made) < 40 {
		t.Fatalf("only %d errors were found", len(made))
	}
	for call, code := range made {
		if !hinted[call] && !selfExplaining[code] {
			t.Errorf("%s: the error %q has no hint", files.Position(call.Pos()), code)
		}
	}
}

// errorCode is the literal code of a call of bridge.E(kind, code, …) or refused(code, …), and empty for any other call.
func errorCode(call *ast.CallExpr) string {
	at := -1
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok && x.Name == "bridge" && f.Sel.Name == "E" {
			at = 1
		}
	case *ast.Ident:
		if f.Name == "refused" {
			at = 0
		}
	}
	if at < 0 || len(call.Args) <= at {
		return ""
	}
	literal, ok := call.Args[at].(*ast.BasicLit)
	if !ok {
		return ""
	}
	code, _ := strconv.Unquote(literal.Value)
	return code
}
