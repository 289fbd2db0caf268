package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/acebridge/ace/bridge"
)

// insideV4 are internal addresses: the first, the last or a typical one of each range.
var insideV4 = []string{
	"0.0.0.0", "0.0.0.1", "0.255.255.255", "10.0.0.0", "10.0.0.1", "10.96.0.1", "10.255.255.255", "100.64.0.0", "100.64.0.1", "100.100.100.200",
	"100.127.255.255", "127.0.0.0", "127.0.0.1", "127.0.0.53", "127.1.2.3", "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.0.1",
	"169.254.0.23", "169.254.42.42", "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.255.255", "172.16.0.0", "172.16.0.1",
	"172.17.0.1", "172.31.255.255", "192.0.0.0", "192.0.0.1", "192.0.0.192", "192.0.2.0", "192.0.2.1", "192.0.2.255", "192.88.99.1",
	"192.168.0.0", "192.168.0.1", "192.168.1.1", "192.168.255.255", "198.18.0.0", "198.18.0.1", "198.19.255.255", "198.51.100.1",
	"203.0.113.1", "203.0.113.255", "224.0.0.0", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.254", "255.255.255.255",
}

var insideV6 = []string{
	"::", "::1", "::2", "100::", "100::1", "fc00::", "fc00::1", "fd00::1", "fd00:ec2::254", "fd00:ec2::23", "fd00:42::42", "fd20:ce::254",
	"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::", "fe80::1", "fe80::a9fe:a9fe", "febf::1", "fec0::1", "ff00::", "ff01::1", "ff02::1",
	"ff05::1:3", "ff0e::1", "2001:db8::", "2001:db8::1", "2001::1", "2001:10::1", "2001:20::1", "2001:2::1", "3fff::1", "5f00::1", "64:ff9b:1::1", "4000::1",
	"::ffff:0:127.0.0.1", "1::1",
}

// hostileURLs returns spellings and wrappings of internal addresses.
func hostileURLs() []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, s := range insideV4 {
		add("https://%s", s)
		add("https://[::ffff:%s]", s)
		add("https://[64:ff9b::%s]", s)
		add("https://[::%s]", s)
		a := netip.MustParseAddr(s).As4()
		add("https://[2002:%02x%02x:%02x%02x::1]", a[0], a[1], a[2], a[3])
	}
	for _, s := range insideV6 {
		add("https://[%s]:8443", s)
	}
	for _, s := range []string{"127.0.0.1", "169.254.169.254", "10.0.0.1"} {
		a := netip.MustParseAddr(s).As4()
		n := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
		add("https://%d", n)                                       // one decimal number
		add("https://%#x", n)                                      // hexadecimal
		add("https://%#X", n)                                      // in capitals
		add("https://0%o", n)                                      // octal
		add("https://%#x.%#x.%#x.%#x", a[0], a[1], a[2], a[3])     // hexadecimal parts
		add("https://0%o.0%o.0%o.0%o", a[0], a[1], a[2], a[3])     // octal parts
		add("https://%03d.%03d.%03d.%03d", a[0], a[1], a[2], a[3]) // leading zeros
		add("https://%d.%d", a[0], n&0xffffff)                     // two parts
		add("https://%d.%d.%d", a[0], a[1], n&0xffff)              // three parts
		add("https://%s.", s)                                      // a trailing dot
		add("https://%s..", s)                                     // two
		add("https://%s%%25eth0", s)                               // a zone
		add("https://%s%%00.example.com", s)                       // NUL
		add("https://user@%s", s)                                  // userinfo
		add("https://example.com:443@%s", s)                       // that looks like a host
		add("https://example.com%%40%s", s)                        // and encoded
		add("https://example.com\\@%s", s)                         // a backslash
		add("https://%s\\.example.com", s)                         //
		add("https://%s#.example.com", s)                          // a fragment
		add("https://%s?.example.com", s)                          // a query
		add("https://%s;.example.com", s)                          //
		add("https://%s:0", s)                                     // port 0
		add("https://%s:65536", s)                                 // no port
		add("https://%s:-1", s)                                    //
		add("https://%s:443:80", s)                                // two ports
		add("https://%s: 443", s)                                  // a space
		add("https://%s\r\nHost: example.com", s)                  // CRLF
		add("https://%s%%0d%%0aHost:example.com", s)               // encoded
		add("https://%s\t", s)                                     //
		add("https://%s", strings.ReplaceAll(s, ".", "\u3002"))    // ideographic full stop
		add("https://%s", strings.ReplaceAll(s, ".", "\uff0e"))    // fullwidth full stop
		add("https://%s", strings.ReplaceAll(s, ".", "\uff61"))    // halfwidth
		add("https://%s", strings.ReplaceAll(s, "1", "\u2460"))    // circled digits
		add("https://%s", strings.ReplaceAll(s, "1", "\uff11"))    // fullwidth digits
		add("https://%s", strings.ReplaceAll(s, "1", "1\u00ad"))   // a soft hyphen
		add("https://%s", strings.ReplaceAll(s, "1", "1\u200b"))   // a zero-width space
		add("http://%s", s)                                        // plain
		add("HTTPS://%s", s)                                       //
		add("https:///%s", s)                                      // no host
		add("//%s", s)                                             // no scheme
		add("https:%s", s)                                         // opaque
		for _, scheme := range []string{"ftp", "file", "gopher", "dict", "ldap", "ws", "unix", "jar:https", "javascript", "data"} {
			add("%s://%s", scheme, s)
		}
	}
	return append(all, "https://[fe80::1%25eth0]", "https://[fe80::1%eth0]", "https://[::1%25lo]", "https://[::ffff:7f00:1]", "https://[0:0:0:0:0:ffff:a9fe:a9fe]",
		"https://[::ffff:0x7f.1]", "https://[::1", "https://::1]", "https://[127.0.0.1]", "https://[2001:0:a00:1::f5ff:fffe]", "https://[fe80::5efe:10.0.0.1]",
		"https://localhost", "https://LOCALHOST", "https://localhost.", "https://sub.localhost", "https://localhost.localdomain", "https://ip6-localhost",
		"https://loc\u00adalhost", "https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "https://metadata", "https://metadata.google.internal",
		"https://instance-data", "https://kubernetes.default.svc", "https://0", "https://00", "https://0x0", "https://1", "https://.", "https://", "https://*",
		"https://[::]", "https://[::ffff:0:0]", "http://public.test", "https://example.com/../..", "https://example.com/%2e%2e", "https://example.com//")
}

// fakeDNS answers queries for names, and counts them.
type fakeDNS struct{ asked atomic.Int64 }

func (d *fakeDNS) addresses(name string, of dnsmessage.Type) []string {
	asked := d.asked.Load()
	if of == dnsmessage.TypeA {
		asked = d.asked.Add(1)
	}
	switch {
	case strings.HasPrefix(name, "inside."):
		return []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:10.0.0.1"}
	case strings.HasPrefix(name, "mixed."):
		return []string{"127.0.0.2", "127.0.0.1", "::1"}
	case strings.HasPrefix(name, "rebind.") && asked > 1:
		return []string{"127.0.0.2"}
	}
	return []string{"127.0.0.1"}
}

func (d *fakeDNS) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 1<<10)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			q := m.Questions[0]
			for _, s := range d.addresses(q.Name.String(), q.Type) {
				a := netip.MustParseAddr(s)
				h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
				switch {
				case q.Type == dnsmessage.TypeA && a.Is4():
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
				case q.Type == dnsmessage.TypeAAAA && a.Is6():
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
				}
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestNothingInsideIsReached(t *testing.T) {
	names := &fakeDNS{}
	rules := Rules{resolver: names.resolver(t)}
	client := rules.Client()
	hostile := hostileURLs()
	if len(hostile) < 200 {
		t.Fatalf("only %d targets", len(hostile))
	}
	reached := 0
	for _, s := range append(hostile, "https://inside.test", "https://mixed.test", "https://other.test") {
		canonical, err := bridge.CanonicalURL(s)
		if err != nil {
			continue // refused at registration
		}
		reached++
		if err := get(t, client, string(canonical)); !errors.Is(err, ErrBlocked) {
			t.Errorf("%q, which is %s: %v", s, canonical, err)
		}
	}
	if reached < 200 {
		t.Errorf("only %d targets have come as far as the dial rules", reached)
	}
	t.Logf("%d hostile targets, %d of them past bridge.CanonicalURL", len(hostile), reached)
}

// TestNamesAreJudgedWhenDialed checks that a name which points elsewhere after it was checked, or to several addresses at
// once, leads to no forbidden address: here 127.0.0.1 is allowed, and 127.0.0.2 is not.
func TestNamesAreJudgedWhenDialed(t *testing.T) {
	names := &fakeDNS{}
	rules := Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, resolver: names.resolver(t)}
	allowed := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(allowed.Close)
	port := allowed.URL[strings.LastIndexByte(allowed.URL, ':'):]
	ln, err := net.Listen("tcp", "127.0.0.2"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		if conn, err := ln.Accept(); err == nil {
			_ = conn.Close()
			t.Error("127.0.0.2 was called")
		}
	}()
	reached := func(name string) bool {
		err := get(t, rules.Client(), "https://"+name+port)
		_, refused := errors.AsType[*tls.CertificateVerificationError](err) // the certificate does not have that name
		if !refused && !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: %v", name, err)
		}
		return refused
	}
	for i, want := range []bool{true, false, false} {
		if got := reached("rebind.test"); got != want {
			t.Errorf("call %d of a name that is rebound: reached %v", i, got)
		}
	}
	for range 3 {
		if !reached("mixed.test") {
			t.Error("the one allowed address of several is not reached")
		}
	}
}

// TestAllowOpensWhatItNames checks that a configured range is reachable, nothing else is, and metadata services never are.
func TestAllowOpensWhatItNames(t *testing.T) {
	everything := Rules{Loopback: true, Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	for _, denied := range alwaysDenied {
		a := denied.Addr()
		forms := []netip.Addr{a, a.WithZone("eth0")}
		if a.Is4() {
			v4 := a.As4()
			forms = append(forms, netip.AddrFrom16(a.As16()))
			for _, prefix := range []string{"64:ff9b::", "64:ff9b:1::", "::", "2600::5efe:0:0"} {
				raw := netip.MustParseAddr(prefix).As16()
				copy(raw[12:], v4[:])
				forms = append(forms, netip.AddrFrom16(raw))
			}
			to4 := netip.MustParseAddr("2002::").As16()
			copy(to4[2:], v4[:])
			teredo := netip.MustParseAddr("2001::").As16()
			for i, b := range v4 {
				teredo[12+i] = ^b
			}
			forms = append(forms, netip.AddrFrom16(to4), netip.AddrFrom16(teredo))
		}
		for _, form := range forms {
			if everything.permits(form) {
				t.Errorf("%s is reached as %s", a, form)
			}
		}
	}
	for _, name := range []string{"10.1.2.3", "::1", "fd00::1", "8.8.8.8", "64:ff9b::808:808", "64:ff9b::a00:1", "fe80::1"} {
		if !everything.permits(netip.MustParseAddr(name)) {
			t.Errorf("%s is not reached by who has named everything", name)
		}
	}

	one := Rules{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("64:ff9b::/96")}}
	for name, want := range map[string]bool{
		"10.1.0.0": true, "10.1.255.255": true, "::ffff:10.1.2.3": true, "64:ff9b::a01:203": true, "64:ff9b::808:808": true, "8.8.8.8": true, "2600::1": true,
		"10.0.255.255": false, "10.2.0.0": false, "64:ff9b::a02:0": false, "64:ff9b::7f00:1": false, "127.0.0.1": false, "::1": false, "192.168.0.1": false,
		"2002:0a01:0001::1": false, "169.254.0.1": false,
	} {
		if got := one.permits(netip.MustParseAddr(name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}

	// Over plain http the address itself must be named: a name could belong to anyone tomorrow.
	names := &fakeDNS{}
	loopback := Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, resolver: names.resolver(t)}
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(inside.Close)
	if err := get(t, loopback.Client(), inside.URL); err != nil {
		t.Error(err)
	}
	if err := get(t, loopback.Client(), strings.Replace(inside.URL, "127.0.0.1", "other.test", 1)); !errors.Is(err, ErrBlocked) {
		t.Errorf("plain http to a name: %v", err)
	}
	if names.asked.Load() != 0 {
		t.Error("the name was looked up")
	}
}
