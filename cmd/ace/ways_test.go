package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestSelfCommand(t *testing.T) {
	const cached = "/somewhere/2f/2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c5e8d7a2f0c-d/ace"
	for name, c := range map[string]struct {
		path, typed string
		found       bool
		want        string
	}{
		"go run":                     {"/tmp/go-build123/b001/exe/ace", "/tmp/go-build123/b001/exe/ace", false, "go run ./cmd/ace"},
		"go run of a cached program": {cached, cached, false, "go run ./cmd/ace"},
		"installed":                  {"/usr/local/bin/ace", "ace", true, "ace"},
		"built here":                 {"/home/ada/ace/ace", "./ace", false, "./ace"},
		"a path with a space":        {"/home/ada/my ace/ace", "../my ace/ace", false, `"../my ace/ace"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := selfCommandOf(c.path, c.typed, c.found); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

// Variables that look like settings and are none are named, with the nearest that there is; values are not told.
func TestUnknownVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"ACE_UPSTREAM_ULR":         "did you mean ACE_UPSTREAM_URL?",
		"ACE_JWT_SECRET_FIEL":      "did you mean ACE_JWT_SECRET_FILE?",
		"ACE_PUBLIC_URLS":          "did you mean ACE_PUBLIC_URL?",
		"ACE_DATABASE":             "did you mean ACE_DATABASE_URL?",
		"ace_addr":                 "did you mean ACE_ADDR?",
		"ACE_SOMETHING_ELSE":       "does nothing",
		"ACE_KEY_FILE":             "does nothing",
		"ACE_ADDR":                 "",
		"ACE_DATABASE_URL_FILE":    "",
		"ACE_SMTP_URL":             "",
		"ACE_AUTH_KEY":             "",
		"ACE_KEY":                  "",
		"ACE_API_KEY_SERVICE_NAME": "",
		"ACE_TEST_REQUIRE":         "",
		"PLACE_ADDR":               "",
	} {
		t.Run(variable, func(t *testing.T) {
			lines := unknownVariables([]string{variable + "=canary"})
			if got := strings.Join(lines, "\n"); (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "canary") {
				t.Errorf("%q", got)
			}
		})
	}
}

// Every variable that the commands read is known.
func TestEveryVariableIsKnown(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(file) //nolint:gosec // of this package
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`"(ACE_[A-Z_]*[A-Z])"`).FindAllStringSubmatch(string(raw), -1) {
			if lines := unknownVariables([]string{name[1] + "=x"}); len(lines) > 0 {
				t.Errorf("%s: %s", file, lines[0])
			}
		}
	}
}
