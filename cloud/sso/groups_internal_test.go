package sso

import (
	"encoding/json"
	"maps"
	"testing"
)

// What a provider claims is read without a panic, and is never more than was claimed.
func FuzzGroups(f *testing.F) {
	for _, seed := range []string{`["a","b"]`, `"a"`, `7`, `null`, `[1,["a"],{"b":"c"},"d"]`, `{"a":"b"}`, `[`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := groups(raw)
		if len(got) > maxGroups {
			t.Errorf("%d groups", len(got))
		}
		for _, group := range got {
			if group == "" {
				t.Error("a group without a name")
			}
		}
		if len(got) > 0 && !json.Valid(raw) {
			t.Errorf("%q is read as %q", raw, got)
		}
	})
}

// What the page shows of the groups' roles is what it reads back.
func FuzzGroupLines(f *testing.F) {
	f.Add("ops = admin\ncn=dev,dc=acme = member\n")
	f.Add("=")
	f.Add("no role")
	f.Fuzz(func(t *testing.T, lines string) {
		first, err := readGroupLines(lines)
		if err != nil {
			return
		}
		again, err := readGroupLines(groupLines(first))
		if err != nil || !maps.Equal(first, again) {
			t.Errorf("%q is read as %v, and then as %v (%v)", lines, first, again, err)
		}
	})
}
