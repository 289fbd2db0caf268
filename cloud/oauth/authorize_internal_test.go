package oauth

import (
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
