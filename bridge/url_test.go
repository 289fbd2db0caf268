package bridge_test

import (
	"fmt"
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
		"https://a.example/~x/a-b_c.d:@=+,":    "https://a.example/~x/a-b_c.d:@=+,",
		"https://a.example/%24%28id%29%27":     "https://a.example/%24%28id%29%27",
		"https://a.example/`\"<>|^{}":          "https://a.example/%60%22%3C%3E%7C%5E%7B%7D",
		"https://BU\u0308CHER.example":         "https://xn--bcher-kva.example",
		"https://xn--BCHER-KVA.example":        "https://xn--bcher-kva.example",
		"https://bücher。example．":              "https://xn--bcher-kva.example",
		"https://ａｃｅ.example":                  "https://ace.example",
		"https://b%C3%BCcher.example":          "https://xn--bcher-kva.example",
		"https://straße.example":               "https://xn--strae-oqa.example",
		"https://a.example..":                  "",
		"https://.a.example":                   "",
		"https://１２７.0.0.1":                    "",
		"https://a\u200db.example":             "",
		"https://xn--a.example":                "",
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

// TestCanonicalURLRepeatsNothing checks that errors do not quote the URL: somebody may have pasted a secret.
func TestCanonicalURLRepeatsNothing(t *testing.T) {
	const canary = "canary-7f3a"
	for _, in := range []string{canary, "https://" + canary + "_x", "https://" + canary + "..x", "https://u:" + canary + "@h", "https://h:" + canary, "https://[" + canary + "]",
		"https://h/?x=" + canary, "https://h/%zz" + canary, "https://" + canary + ".0x7f", "https://h/" + canary + "$", canary + "://h", "https://h/" + canary + "//x",
		"https://h/" + canary + "\n", "https://" + canary + "%zz", "https://" + canary + strings.Repeat("a", 70) + ".example"} {
		if _, err := bridge.CanonicalURL(in); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// TestCanonicalURLInShells checks that a shell acts on nothing in a server's URL, since people copy commands with URLs in them.
func TestCanonicalURLInShells(t *testing.T) {
	for _, c := range "$&'();!*[]" {
		_, err := bridge.CanonicalURL("https://a.example/x" + string(c) + "y")
		if bridge.CodeOf(err) != "url_malformed" || !strings.Contains(err.Error(), fmt.Sprintf("holds a %q", string(c))) || !strings.Contains(err.Error(), fmt.Sprintf("write %%%X", c)) {
			t.Errorf("%c in a path: %v", c, err)
		}
	}
	for _, c := range "$&'();!*[]{}<>|`\"~^=, \t\n" {
		for _, text := range []string{"https://a" + string(c) + "b.example", "https://" + string(c) + "a.example/x", "https://a.example" + string(c) + ":1", "https://[::1" + string(c) + "]", "https://a.example:1" + string(c)} {
			if u, err := bridge.CanonicalURL(text); err == nil {
				t.Errorf("%q is taken: %s", text, u)
			}
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
	for _, s := range []string{"https://a.example", "http://LOCALHOST:80/", "http://[::ffff:127.0.0.1]:1/x", "https://ä.example/é", "http://%41",
		"https://a.example/$(id)", "https://a.example/%24%28id%29;x", "http://a.example/['`\"|&!*~{}]"} {
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
		// No character that a shell acts on, except the brackets of an address.
		text := string(u)
		if host := u.URL().Hostname(); strings.Contains(host, ":") {
			text = strings.Replace(text, "["+host+"]", "", 1)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("|&;<>()$`\\\"'*?[]#{}!^", r) }); i >= 0 {
			t.Errorf("%q becomes %q, on which a shell acts", s, u)
		}
	})
}
