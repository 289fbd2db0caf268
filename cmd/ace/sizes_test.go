package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// limits are how large things may grow before they are divided.
const (
	packageLines   = 3000 // without tests
	fileLines      = 500
	functionLines  = 80
	typeMethods    = 40
	parameterCount = 6
)

// larger are the places that go beyond a limit, with the reason.
var larger = map[string]string{
	"bridge": "the vocabulary of all; 1,200 of its lines are the error codes with a sentence each, which stand beside their type",
}

// TestSizes holds that nothing outgrows the house: a package, a file, a function, a type, a list of parameters.
func TestSizes(t *testing.T) {
	lines, methods, over := map[string]int{}, map[string]int{}, map[string]bool{}
	check := func(what string, n, most int) {
		if n <= most {
			return
		}
		over[what] = true
		if larger[what] == "" {
			t.Errorf("%s has %d, and %d is the limit: divide it, or say in the table why not", what, n, most)
		}
	}
	root := filepath.Join("..", "..")
	for _, path := range sources(t, root) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path) //nolint:gosec // of this repository
		if err != nil {
			t.Fatal(err)
		}
		n := strings.Count(string(raw), "\n")
		check(name, n, fileLines)
		lines[filepath.Dir(name)] += n
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, raw, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			called := name + ":" + fn.Name.Name
			check(called+" in lines", files.Position(fn.End()).Line-files.Position(fn.Pos()).Line-1, functionLines)
			check(called+" in parameters", fn.Type.Params.NumFields(), parameterCount)
			if fn.Recv != nil {
				methods[filepath.Dir(name)+"."+receiver(fn.Recv.List[0].Type)]++
			}
		}
	}
	for dir, n := range lines {
		check(dir, n, packageLines)
	}
	for of, n := range methods {
		check(of, n, typeMethods)
	}
	for what := range larger {
		if !over[what] {
			t.Errorf("%s is within its limit now: take it out of the table", what)
		}
	}
}

// receiver is the name of a method's type.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return "?"
}
