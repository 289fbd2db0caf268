// Package outsidetest checks, for tests, how text from outside is read: variables, files, streams, flags and arguments.
package outsidetest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// Reader reads a text that comes from outside in its way.
type Reader struct {
	Name string
	Read func(t *testing.T, raw string) (string, error)
	Env  bool // it is a variable, which holds no NUL
	Kept bool // it keeps white space, but line ends at the end
}

// Check fails where a reader keeps white space, line ends or a byte-order mark, or does not name another encoding.
func Check(t *testing.T, readers []Reader) {
	t.Helper()
	for _, r := range readers {
		t.Run(r.Name, func(t *testing.T) {
			for _, raw := range []string{"value", "value\n", "value\r\n", "\ufeffvalue\n", "\ufeffvalue", " \tvalue ", "value\u00a0"} {
				if want := "value"; r.Kept {
					want = strings.TrimPrefix(strings.TrimRight(raw, "\r\n"), "\ufeff")
					if got, err := r.Read(t, raw); err != nil || got != want {
						t.Errorf("%q: %q %v", raw, got, err)
					}
				} else if got, err := r.Read(t, raw); err != nil || got != want {
					t.Errorf("%q: %q %v", raw, got, err)
				}
			}
			bad := map[string]string{"\xff\xfevalue": "UTF-16", "value\xe9": "UTF-8"}
			if !r.Env {
				bad[UTF16("value")] = "UTF-16"
				bad["value\x00\x00\x01"] = "NUL"
			}
			for _, raw := range slices.Sorted(maps.Keys(bad)) {
				_, err := r.Read(t, raw)
				if err == nil || !strings.Contains(err.Error(), bad[raw]) {
					t.Errorf("%q: %v, want %s", raw, err, bad[raw])
				}
			}
		})
	}
}

// UTF16 is a text as some editors and shells of Windows save it.
func UTF16(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// FileOf is an open file with a text in it.
func FileOf(t *testing.T, raw string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path) //nolint:gosec // of the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
