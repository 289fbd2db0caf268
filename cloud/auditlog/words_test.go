package auditlog

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ofServers are the actions that only a self-hosted server records.
var ofServers = map[string]bool{"key.exchange": true, "key.confirm": true}

// Each action that the sources record has words on the audit page and a place among its filters.
func TestActionsHaveWords(t *testing.T) {
	found := recorded(t, "..", filepath.Join("..", "..", "bridge", "keys"))
	if len(found) < 60 {
		t.Fatalf("only %d actions were found in the sources: %v", len(found), found)
	}
	for action, file := range found {
		if !Known(action) && !ofServers[action] {
			t.Errorf("%s, which %s records, has no words in words.go", action, file)
		}
	}
	for action := range words {
		if found[action] == "" && !strings.HasSuffix(action, ".mail") { // cloud/signin puts these together
			t.Errorf("%s has words, and nothing records it", action)
		}
	}
}

// recorded are the actions in the sources below the roots, each with a file that has it.
func recorded(t *testing.T, roots ...string) map[string]string {
	literal := regexp.MustCompile(`"([a-z_]+)\.[a-z_]+"`)
	nouns := map[string]bool{}
	for action := range words {
		noun, _, _ := strings.Cut(action, ".")
		nouns[noun] = true
	}
	found := map[string]string{}
	read := func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "words.go" {
			return err
		}
		source, err := os.ReadFile(file) //nolint:gosec // of this repository
		for line := range strings.Lines(string(source)) {
			for _, m := range literal.FindAllStringSubmatch(line, -1) {
				if nouns[m[1]] || strings.Contains(line, "Action: ") {
					found[strings.Trim(m[0], `"`)] = file
				}
			}
		}
		return err
	}
	for _, root := range roots {
		if err := filepath.WalkDir(root, read); err != nil {
			t.Fatal(err)
		}
	}
	return found
}
