package bridge_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

func TestCanonicalURL(t *testing.T) {
	cases := map[string]string{
		"HTTPS://Ace.Company.COM:443/":         "https://ace.company.com",
		"http://localhost:80":                  "http://localhost",
		"http://localhost:7777/":               "http://localhost:7777",
		"https://a.example/Path/":              "https://a.example/Path",
		"https://bücher.example":               "https://xn--bcher-kva.example",
		"http://[::1]:7777":                    "http://[::1]:7777",
		"http://[0:0:0:0:0:0:0:1]":             "http://[::1]",
		"https://a.example.":                   "https://a.example",
		"http://127.0.0.1:07777":               "http://127.0.0.1:7777",
		"https://a.example/x%20y":              "https://a.example/x%20y",
		"":                                     "",
		"ftp://a.example":                      "",
		"//a.example":                          "",
		"a.example":                            "",
		"https://user:pw@a.example":            "",
		"https://a.example?x":                  "",
		"https://a.example#x":                  "",
		"https://a.example?":                   "",
		"https://a.example/../b":               "",
		"https://a.example/%2e%2e/b":           "",
		"https://a.example//":                  "",
		"https://a.example/a//b":               "",
		"https://a.example/a%2Fb":              "",
		"https://a.example\\@b.example":        "",
		"https://a.example/\r\nHost: x":        "",
		"http://\x87":                          "",
		"http://0..":                           "",
		"http://a..example":                    "",
		"http://2130706433":                    "",
		"http://0x7f.1":                        "",
		"http://127.1":                         "",
		"http://0177.0.0.1":                    "",
		"http://[fe80::1%25eth0]":              "",
		"http://a.example:0":                   "",
		"http://a.example:99999":               "",
		"http://a.example:":                    "",
		"http://" + strings.Repeat("a", 300):   "",
		"http://" + strings.Repeat("a.", 2000): "",
	}
	for in, want := range cases {
		got, err := bridge.CanonicalURL(in)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q becomes %q (%v), want %q", in, got, err, want)
		}
	}
}

func TestSameServer(t *testing.T) {
	cases := []struct {
		a, b bridge.ServerURL
		want bool
	}{
		{"http://localhost:7777", "http://127.0.0.1:7777", true}, {"http://localhost:7777", "http://[::1]:7777", true},
		{"http://localhost:7777", "http://localhost:7778", false}, {"http://localhost:7777", "https://localhost:7777", false},
		{"http://127.0.0.2:7777", "http://localhost:7777", false}, {"https://a.example", "https://a.example/x", false},
		{"http://localhost", "http://127.0.0.1", true},
	}
	for _, c := range cases {
		if c.a.Same(c.b) != c.want || c.b.Same(c.a) != c.want {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}

func FuzzCanonicalURL(f *testing.F) {
	for _, s := range []string{"https://a.example", "http://LOCALHOST:80/", "http://[::ffff:127.0.0.1]:1/x", "https://ä.example/é", "http://%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := bridge.CanonicalURL(s)
		if err != nil {
			return
		}
		again, err := bridge.CanonicalURL(string(u))
		if err != nil || again != u {
			t.Errorf("%q becomes %q, and that %q (%v)", s, u, again, err)
		}
		if parsed := u.URL(); parsed.Host == "" || parsed.User != nil || parsed.RawQuery != "" || bridge.AmbiguousPath(parsed.EscapedPath()) {
			t.Errorf("%q was taken: %q", s, u)
		}
	})
}
