package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// selfExplaining are the codes whose detail is all that there is to say, or that nobody is shown.
// A wrong use of a command gets its hint in execute.
var selfExplaining = map[string]bool{"CodeCancelled": true, "CodeAnswered": true, "CodeUsage": true, "CodeInputNeeded": true}

// Every failure that this package makes says what fixes it. A wrong use of a command is given the command's help where it
// does not, in execute; what a cloud or a server answers is held by their own tests.
func TestErrorsHaveHints(t *testing.T) {
	files := token.NewFileSet()
	made, hinted := map[*ast.CallExpr]string{}, map[ast.Expr]bool{}
	for _, name := range sources(t, ".") {
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
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

// sources lists the Go files below a folder, but for tests.
func sources(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			out = append(out, path)
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatal(out, err)
	}
	return out
}

// errorCode is the name of the constant code of a call of bridge.E(kind, code, …) or refused(code, …), and empty for any other call.
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
	constant, ok := call.Args[at].(*ast.SelectorExpr)
	if !ok || !strings.HasPrefix(constant.Sel.Name, "Code") {
		return ""
	}
	return constant.Sel.Name
}

// comingFlags are shown by hints before the command has them; remove a name here with the change that adds the flag.
var comingFlags = map[string]bool{"for-connection": true}

// Every command that a hint begins with, or names after a colon, exists and has the flags that are shown.
func TestHintsNameRealCommands(t *testing.T) {
	found := 0
	for _, root := range []string{".", "../../bridge", "../../server", "../../cloud"} {
		for _, file := range sources(t, root) {
			raw, err := os.ReadFile(file) //nolint:gosec // of this repository
			if err != nil {
				t.Fatal(err)
			}
			for _, hint := range regexp.MustCompile(`WithHint\("((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(string(raw), -1) {
				for _, m := range regexp.MustCompile(`(?:^|: )ace ([a-z][^;,:(]*)`).FindAllStringSubmatch(hint[1], -1) {
					found++
					words := strings.Fields(m[1])
					cmd, _, err := newApp(os.Stdin, os.Stdout, os.Stderr).rootCommand().Find(words)
					if err != nil || cmd.Name() == "ace" {
						t.Errorf("%s: there is no `ace %s`", file, m[1])
						continue
					}
					for _, word := range words {
						if name, isFlag := strings.CutPrefix(word, "--"); isFlag && cmd.Flag(name) == nil && !comingFlags[name] {
							t.Errorf("%s: `ace %s` has no --%s", file, m[1], name)
						}
					}
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d commands were found", found)
	}
}
