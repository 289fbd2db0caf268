package keys

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func TestKeyTree(t *testing.T) {
	keys := func(pairs ...string) (out []api.APIKey) { // "key parent"
		for _, p := range pairs {
			id, parent, _ := strings.Cut(p, " ")
			out = append(out, api.APIKey{KeyID: id, Name: id, Parent: parent})
		}
		return out
	}
	for _, c := range []struct {
		name string
		keys []api.APIKey
		want string
	}{
		{"none", nil, ""},
		{"no parents", keys("c", "b", "a"), "c0 b0 a0"},
		{"below their parents, in their order", keys("d b", "c a", "b a", "a"), "a0 c1 b1 d2"},
		{"a parent that is not listed", keys("c x", "b c", "a"), "c0 b1 a0"},
		{"no end", keys("a b", "b a", "c"), "c0 a0 b1"},
		{"its own parent", keys("a a"), "a0"},
	} {
		var got []string
		for _, k := range tree(c.keys) {
			got = append(got, fmt.Sprint(k.KeyID, k.depth))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}

func TestKeyTableSaysWhatKeysAre(t *testing.T) {
	for _, c := range []struct {
		key  api.APIKey
		want string // the column
		life string
	}{
		{api.APIKey{Kind: "sk", Owner: "ann"}, "connection", "connection: the personal keys made with it end with it"},
		{api.APIKey{Kind: "live"}, "-", ""}, // of an older server
		{api.APIKey{Kind: "live", Lineage: "organization"}, "organization", "organization: outlives people and connections"},
		{api.APIKey{Kind: "live", Lineage: "personal", Owner: "ann", Subject: "ann"}, "personal", "personal: ends with the access of ann"},
		{api.APIKey{Kind: "live", Lineage: "personal", Owner: "ann", Subject: "bob", Parent: "p"}, "personal of bob, made with p",
			"personal: ends with the key p that it was made with, and with the access of bob"},
		{api.APIKey{Kind: "live", Lineage: "personal", Subject: "b\x1b[1m", ParentUnknown: true}, "personal, parent unknown of b�[1m", ""},
	} {
		var out strings.Builder
		w := tabwriter.NewWriter(&out, 0, 8, 1, '|', 0)
		keyTable(w, []api.APIKey{c.key}, "")
		_ = w.Flush()
		_, line, _ := strings.Cut(out.String(), "\n")
		if got := strings.FieldsFunc(line, func(r rune) bool { return r == '|' })[4]; got != c.want {
			t.Errorf("%+v: %q, want %q", c.key, got, c.want)
		}
		if got := lives(c.key); c.life != "" && got != c.life {
			t.Errorf("%+v: %q, want %q", c.key, got, c.life)
		}
	}
}

// For keys made before parents were recorded, the list names the commands that end each.
func TestListNotesOrphans(t *testing.T) {
	orphan := func(id string) api.APIKey {
		return api.APIKey{KeyID: id, Kind: "live", Lineage: "personal", Subject: "bob", ParentUnknown: true}
	}
	dead := orphan("c")
	dead.Ended = &api.KeyEnd{}
	for _, c := range []struct {
		name string
		keys []api.APIKey
		want string
	}{
		{"none", []api.APIKey{{KeyID: "a"}, dead}, ""},
		{"one", []api.APIKey{orphan("a"), dead}, "1 personal key has no known parent"},
		{"two", []api.APIKey{orphan("a"), orphan("b")}, "2 personal keys have no known parent"},
	} {
		file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
		if err != nil {
			t.Fatal(err)
		}
		(&Group{Term: term.New(os.Stdin, os.Stdout, file)}).noteOrphans(target.Keys{Flags: " --server https://s"}, c.keys)
		_ = file.Close()
		raw, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		got := string(raw)
		if !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") || c.want != "" && !strings.Contains(got, "ace api-key revoke a --server https://s") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
