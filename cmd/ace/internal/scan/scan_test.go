package scan

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

// A key is found wherever it stands in a file that is read in several windows, once, and at its right place.
func TestScanAcrossWindows(t *testing.T) {
	key := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal()
	for _, before := range []int{0, 1, scanWindow - scanOverlap - 1, scanWindow - scanOverlap, scanWindow - scanOverlap + 1,
		scanWindow - len(key), scanWindow - 40, scanWindow - 1, scanWindow, scanWindow + 1, 2*scanWindow - scanOverlap} {
		text := strings.Repeat(".", before/2) + "\n" + strings.Repeat(".", max(0, before-before/2-1))
		if before == 0 {
			text = ""
		}
		var r result
		if err := scanReader(context.Background(), "f", strings.NewReader(text+key+" and more"), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != 1 {
			t.Errorf("a key after %d bytes is found %d times", before, len(r.Findings))
			continue
		}
		line, column := position([]byte(text), 1, 1)
		if f := r.Findings[0]; f.Line != line || f.Column != column {
			t.Errorf("after %d bytes it is said to be at %d:%d, and is at %d:%d", before, f.Line, f.Column, line, column)
		}
		r = result{}
		if err := scanReader(context.Background(), "f", strings.NewReader(text+"x"+key), &r); err != nil || len(r.Findings) != 0 {
			t.Errorf("after %d bytes the end of a longer word is taken for a key (%v)", before, err)
		}
	}
}

// A join token is found as well, in any encoding, and its secret is not shown.
func TestScanJoinTokens(t *testing.T) {
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		t.Fatal(err)
	}
	public, _ := root.TrustValues("https://cloud.example.com", "acme")
	token, err := bridge.NewJoinToken(public)
	if err != nil {
		t.Fatal(err)
	}
	text := token.Text().Reveal()
	wide := strings.Join(strings.Split("ACE_JOIN_TOKEN="+text+"\n", ""), "\x00\x00\x00") + "\x00\x00\x00"
	for name, c := range map[string]struct {
		text string
		want int
	}{"plain": {"token: " + text + "\n", 1}, "quoted": {`{"token":"` + text + `"}`, 1}, "UTF-32": {wide, 1}, "cut off": {text[:len(text)-1], 0},
		"after a window": {strings.Repeat(".", scanWindow-20) + text, 1}, "the end of a longer word": {"x" + text, 0}} {
		var r result
		if err := scanReader(context.Background(), "f", strings.NewReader(c.text), &r); err != nil || len(r.Findings) != c.want {
			t.Errorf("%s: %d found (%v)", name, len(r.Findings), err)
			continue
		}
		for _, f := range r.Findings {
			if f.Kind != "join_token" || f.Prefix != "ace_jt1" || f.KeyID != "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}
