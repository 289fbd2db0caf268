package cloud

import (
	"encoding/json"
	"maps"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// Whatever passes as a redirect_uri leads to this machine, and can stand in a policy as it is.
func FuzzRedirectURI(f *testing.F) {
	for _, seed := range []string{"http://127.0.0.1:80/", "http://[::1]:65535/a/b", "http://127.0.0.1:1@evil.example/", "http://127.0.0.1:0/",
		"http://127.0.0.1:80/;x", "http://127.0.0.1:80//evil.example", "http://127.0.0.1:80/%2e%2e", "http://localhost:80/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkRedirectURI(s) != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Port() == "" || u.String() != s {
			t.Fatalf("%q is taken", s)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err != nil || !addr.IsLoopback() {
			t.Errorf("%q leads elsewhere", s)
		}
		if strings.ContainsAny(s, " ;,'\"\\\t\n") {
			t.Errorf("%q has characters of a policy", s)
		}
	})
}

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
