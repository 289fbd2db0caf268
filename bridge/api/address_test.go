package api_test

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func TestClientAddress(t *testing.T) {
	const proxy = "127.0.0.1:999"
	for _, c := range []struct {
		name, peer, want string
		lines            []string
	}{
		{"no header: the proxy itself", proxy, "127.0.0.1", nil},
		{"IPv4", proxy, "203.0.113.9", []string{"203.0.113.9"}},
		{"IPv4 and port", proxy, "203.0.113.9", []string{"203.0.113.9:5555"}},
		{"IPv4 and a name for a port", proxy, "203.0.113.9", []string{"203.0.113.9:_p1"}},
		{"IPv6", proxy, "2001:db8::1", []string{"2001:DB8:0::1"}},
		{"IPv6 in brackets", proxy, "2001:db8::1", []string{"[2001:db8::1]"}},
		{"IPv6 and port", proxy, "2001:db8::1", []string{"[2001:db8::1]:443"}},
		{"mapped", proxy, "203.0.113.9", []string{"::ffff:203.0.113.9"}},
		{"mapped and port", proxy, "203.0.113.9", []string{"[::ffff:203.0.113.9]:80"}},
		{"past a trusted one", proxy, "203.0.113.9", []string{"192.0.2.1, 203.0.113.9 , 10.0.0.1:80"}},
		{"past a trusted one that is mapped", proxy, "203.0.113.9", []string{"203.0.113.9,::ffff:10.0.0.1"}},
		{"several lines", proxy, "203.0.113.9", []string{"192.0.2.1", "203.0.113.9", "10.0.0.1"}},
		{"empty entries", proxy, "203.0.113.9", []string{"203.0.113.9,, ,", ""}},
		{"all trusted: the first", proxy, "10.0.0.7", []string{"10.0.0.7, 127.0.0.1"}},
		{"mapped peer", "[::ffff:127.0.0.1]:1", "203.0.113.9", []string{"203.0.113.9"}},
		{"a stranger's header", "192.0.2.9:1", "192.0.2.9", []string{"127.0.0.1"}},
		{"a stranger with a zone", "[fe80::1%eth0]:1", "fe80::1", nil},
		{"unknown", proxy, "unknown", []string{"unknown"}},
		{"hidden", proxy, "unknown", []string{"_secret"}},
		{"hidden behind a readable one", proxy, "unknown", []string{"127.0.0.1, unknown"}},
		{"unreadable one in the middle", proxy, "unknown", []string{"203.0.113.9, junk, 10.0.0.1"}},
		{"nothing", proxy, "unknown", []string{""}},
		{"commas", proxy, "unknown", []string{", ,", ","}},
		{"zone", proxy, "unknown", []string{"fe80::1%eth0"}},
		{"zone in brackets", proxy, "unknown", []string{"[fe80::1%25eth0]:1"}},
		{"quotes", proxy, "unknown", []string{`"203.0.113.9"`}},
		{"quoted IPv6 and port", proxy, "unknown", []string{`"[::1]:80"`}},
		{"a comma in quotes", proxy, "unknown", []string{`"127.0.0.1, 203.0.113.9"`}},
		{"a hidden name with a port", proxy, "unknown", []string{"_hidden:80"}},
		{"unknown with a port", proxy, "unknown", []string{"unknown:80"}},
		{"unknown in capitals", proxy, "unknown", []string{"Unknown"}},
		{"syntax of Forwarded", proxy, "unknown", []string{"for=203.0.113.9"}},
		{"mapped with a zone", proxy, "unknown", []string{"::ffff:203.0.113.9%eth0"}},
		{"mapped loopback", proxy, "unknown", []string{"junk, ::ffff:127.0.0.1"}},
		{"IPv4 inside IPv6, which is not mapped", proxy, "::7f00:1", []string{"::127.0.0.1"}},
		{"IPv4 behind NAT64", proxy, "64:ff9b::7f00:1", []string{"64:ff9b::127.0.0.1"}},
		{"octal", proxy, "unknown", []string{"0177.0.0.1"}},
		{"hexadecimal", proxy, "unknown", []string{"0x7f.0.0.1"}},
		{"a part over 255", proxy, "unknown", []string{"203.0.113.256"}},
		{"a dot at the end", proxy, "unknown", []string{"203.0.113.9."}},
		{"other digits", proxy, "unknown", []string{"\u0662\u0660\u0663.0.113.9"}},
		{"two ports", proxy, "unknown", []string{"203.0.113.9:80:90"}},
		{"a port of nonsense", proxy, "unknown", []string{"203.0.113.9:http"}},
		{"a port with zeros", proxy, "unknown", []string{"203.0.113.9:000080"}},
		{"a port of nonsense behind brackets", proxy, "unknown", []string{"[2001:db8::1]:"}},
		{"brackets twice", proxy, "unknown", []string{"[[2001:db8::1]]:80"}},
		{"a prefix", proxy, "unknown", []string{"203.0.113.0/24"}},
		{"a name", proxy, "unknown", []string{"localhost"}},
		{"a URL", proxy, "unknown", []string{"http://203.0.113.9"}},
		{"NUL", proxy, "unknown", []string{"203.0.113.9\x00"}},
		{"line end", proxy, "unknown", []string{"127.0.0.1\n203.0.113.9"}},
		{"multicast", proxy, "unknown", []string{"ff02::1"}},
		{"semicolons", proxy, "unknown", []string{"127.0.0.1;203.0.113.9"}},
		{"an empty entry at the end", proxy, "203.0.113.9", []string{"203.0.113.9,"}},
		{"an empty line at the end", proxy, "203.0.113.9", []string{"203.0.113.9", ""}},
		{"a readable one behind junk of the client", proxy, "203.0.113.9", []string{"junk, 203.0.113.9"}},
		{"leading zeros", proxy, "unknown", []string{"127.0.0.01"}},
		{"short form", proxy, "unknown", []string{"127.1"}},
		{"number", proxy, "unknown", []string{"2130706433"}},
		{"port without digits", proxy, "unknown", []string{"203.0.113.9:"}},
		{"port too high", proxy, "unknown", []string{"203.0.113.9:65536"}},
		{"port signed", proxy, "unknown", []string{"203.0.113.9:+80"}},
		{"bracket open", proxy, "unknown", []string{"[2001:db8::1"}},
		{"bracket and junk", proxy, "unknown", []string{"[2001:db8::1]x"}},
		{"IPv4 in brackets", proxy, "unknown", []string{"[203.0.113.9]"}},
		{"unspecified", proxy, "unknown", []string{"0.0.0.0"}},
		{"another space", proxy, "unknown", []string{"203.0.113.9\u00a0"}},
		{"too many", proxy, "unknown", []string{"203.0.113.9" + strings.Repeat(",10.0.0.1", 5000)}},
		{"no peer", "", "unknown", []string{"203.0.113.9"}},
		{"peer of a socket", "@", "unknown", nil},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.lines != nil {
			r.Header["X-Forwarded-For"] = c.lines
		}
		if got := api.ClientAddress(r, proxies); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	r := &http.Request{RemoteAddr: proxy, Header: http.Header{"Forwarded": {"for=203.0.113.9"}}}
	if got := api.ClientAddress(r, proxies); got != "unknown" {
		t.Errorf("another header than the one that is read: %q", got)
	}
	if bridge.AddressKey(api.UnknownAddress) != bridge.AddressKey("") {
		t.Error("clients without an address do not share a limit")
	}
}

func TestForwardedScheme(t *testing.T) {
	const client, inner = "203.0.113.9", "10.0.0.2"
	for _, c := range []struct {
		through []string // X-Forwarded-For
		said    []string
		tls     bool
		want    string
	}{
		{nil, nil, false, "http"}, {nil, nil, true, "https"}, {nil, []string{"https"}, false, "https"}, {nil, []string{"HTTPS"}, false, "https"},
		{nil, []string{"wss"}, false, "https"}, {nil, []string{"WSS"}, false, "https"}, {nil, []string{`"https"`}, false, "https"}, {nil, []string{"ws"}, true, "http"},
		{nil, []string{"httpsx"}, true, "http"}, {nil, []string{""}, true, "http"}, {nil, []string{"junk"}, false, "http"}, {nil, []string{"HTTP"}, true, "http"},
		{nil, []string{`"https`}, false, "http"}, {nil, []string{`"`}, false, "http"}, {nil, []string{"ht tps"}, false, "http"},
		// The outermost proxy's entry is the first, however many of the others add theirs.
		{nil, []string{"https,http"}, false, "https"}, {[]string{client}, []string{" https , http"}, false, "https"}, {nil, []string{`"HTTPS", http`}, false, "https"},
		{[]string{client + ", " + inner}, []string{"https", "http"}, false, "https"}, {[]string{client}, []string{"wss,http"}, false, "https"},
		{[]string{client}, []string{"http,https"}, true, "http"}, {[]string{client}, []string{"junk, https , "}, true, "http"}, {nil, []string{" , https"}, false, "https"},
	} {
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{}}
		if c.said != nil {
			r.Header["X-Forwarded-Proto"] = c.said
		}
		if c.through != nil {
			r.Header["X-Forwarded-For"] = c.through
		}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := api.ForwardedScheme(r, proxies); got != c.want {
			t.Errorf("%q through %q (TLS %v): %q, want %q", c.said, c.through, c.tls, got, c.want)
		}
		if r.RemoteAddr = "192.0.2.1:1"; api.ForwardedScheme(r, proxies) != map[bool]string{true: "https", false: "http"}[c.tls] {
			t.Errorf("%q: a stranger is believed", c.said)
		}
	}
}

func TestForwardedHost(t *testing.T) {
	for _, c := range []struct{ through, said, want string }{
		{"", "app.test:8443", "app.test:8443"}, {"203.0.113.9", "evil.test, app.test", "app.test"}, {"203.0.113.9, 10.0.0.2", "evil.test, app.test, inner", "app.test"},
		{"203.0.113.9, 10.0.0.2", "app.test", "app.test"}, {"203.0.113.9", `"app.test"`, "app.test"}, {"203.0.113.9", "evil/../x", "own"}, {"203.0.113.9", "", "own"},
	} {
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Host: "own", Header: http.Header{"X-Forwarded-Host": {c.said}}}
		if c.through != "" {
			r.Header.Set("X-Forwarded-For", c.through)
		}
		if got := api.ForwardedHost(r, proxies); got != c.want {
			t.Errorf("%q through %q: %q, want %q", c.said, c.through, got, c.want)
		}
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("203.0.113.9:5555", "[::1]:80")
	f.Add("unknown", "")
	f.Fuzz(func(t *testing.T, one, two string) {
		r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {one, two}}}
		r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"] = []string{two, one}, []string{one, two}
		if scheme := api.ForwardedScheme(r, proxies); scheme != "http" && scheme != "https" || strings.ContainsAny(api.ForwardedHost(r, proxies), ", \"") {
			t.Errorf("%q %q: %s", one, two, scheme)
		}
		got := api.ClientAddress(r, proxies)
		if got == api.UnknownAddress {
			return
		}
		if addr, err := netip.ParseAddr(got); err != nil || addr.Zone() != "" || addr.Is4In6() || addr.String() != got {
			t.Errorf("%q %q: %q", one, two, got)
		}
	})
}
