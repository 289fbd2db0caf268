package term

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// SelfCommand returns what a person types to run this program again. It is the name if the shell finds this program by it,
// otherwise the path that was typed, or go run.
func SelfCommand() string {
	const name = "ace"
	path, err := os.Executable()
	if err != nil {
		return name
	}
	found, err := exec.LookPath(name)
	return selfCommandOf(filepath.ToSlash(path), os.Args[0], err == nil && sameFile(found, path))
}

// goRunPath matches where go run builds. That is a temporary directory, or since Go 1.24 the build cache, wherever that is.
var goRunPath = regexp.MustCompile(`/go-build|/[0-9a-f]{2}/[0-9a-f]{64}-d/[^/]+$`)

// Temporary reports whether a program is where go run builds.
func Temporary(path string) bool { return goRunPath.MatchString(filepath.ToSlash(path)) }

func selfCommandOf(path, typed string, found bool) string {
	switch {
	case found:
		return "ace"
	case goRunPath.MatchString(path):
		return "go run ./cmd/ace"
	case strings.ContainsAny(typed, `/\`):
		return Argument(typed)
	}
	return "ace"
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
