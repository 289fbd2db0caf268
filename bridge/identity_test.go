package bridge_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

func TestHeaderText(t *testing.T) {
	for text, want := range map[string]string{
		"ann@acme.test": "ann@acme.test", "key:1 of ann": "key:1 of ann", "": "", "100%": "100%",
		"Jörg":          "UTF-8''J%C3%B6rg",
		"J%C3%B6rg":     "J%C3%B6rg",
		"UTF-8''ann":    "UTF-8''UTF-8%27%27ann",
		"utf-8''ann":    "UTF-8''utf-8%27%27ann",
		" ann":          "UTF-8''%20ann",
		"a\r\nX: y":     "UTF-8''a%0D%0AX%3A%20y",
		"日本 (a@b.test)": "UTF-8''%E6%97%A5%E6%9C%AC%20%28a%40b.test%29",
	} {
		if got := bridge.HeaderText(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		h := http.Header{}
		bridge.Identity{Subject: text}.SetHeaders(h, "id")
		if got := h.Get(bridge.HeaderSubject); got != want {
			t.Errorf("%q: the app sees %s", text, got)
		}
	}
}

// FuzzHeaderText checks that each text can be decoded again, so no two texts share an encoding.
func FuzzHeaderText(f *testing.F) {
	f.Add("Jörg")
	f.Add("UTF-8''%41")
	f.Fuzz(func(t *testing.T, s string) {
		got := bridge.HeaderText(s)
		back, err := got, error(nil)
		if rest, encoded := strings.CutPrefix(got, "UTF-8''"); encoded {
			back, err = url.PathUnescape(rest)
		}
		if err != nil || back != s {
			t.Errorf("%q is %q, and comes back as %q", s, got, back)
		}
	})
}
