package dashboard

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Whatever the sources write into the log of a cloud has words on the audit page, and a place among its filters.
func TestActionsHaveWords(t *testing.T) {
	literal := regexp.MustCompile(`"([a-z_]+)\.[a-z_]+"`)
	nouns := map[string]bool{}
	for action := range auditWords {
		noun, _, _ := strings.Cut(action, ".")
		nouns[noun] = true
	}
	found := map[string]string{}
	for _, pattern := range []string{"*.go", "registry/*.go", "../bridge/keys/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(source)) {
				for _, m := range literal.FindAllStringSubmatch(line, -1) {
					if nouns[m[1]] || strings.Contains(line, "Action: ") {
						found[strings.Trim(m[0], `"`)] = file
					}
				}
			}
		}
	}
	if len(found) < 30 {
		t.Fatalf("only %d actions were found in the sources: %v", len(found), found)
	}
	for action, file := range found {
		if _, ok := auditWords[action]; !ok && action != "key.exchange" && action != "key.confirm" { // those of servers
			t.Errorf("%s, which %s writes, has no words in audit_words.go", action, file)
		}
	}
}
