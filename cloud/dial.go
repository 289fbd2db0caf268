package cloud

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"github.com/acebridge/ace/bridge"
)

const (
	outboundTimeout = 8 * time.Second
	outboundDial    = 4 * time.Second
	outboundHeaders = 64 << 10
	outboundIdle    = 30 * time.Second
)

// errBlocked says that the cloud may not call an address.
var errBlocked = errors.New("the cloud may not call that address")

// alwaysDenied are addresses that no setting opens: metadata services of cloud providers.
var alwaysDenied = []netip.Prefix{
	netip.MustParsePrefix("169.254.169.254/32"), netip.MustParsePrefix("fd00:ec2::254/128"), // nearly all; AWS
	netip.MustParsePrefix("168.63.129.16/32"),                                             // Azure
	netip.MustParsePrefix("169.254.170.2/32"),                                             // AWS: containers
	netip.MustParsePrefix("169.254.170.23/32"), netip.MustParsePrefix("fd00:ec2::23/128"), // AWS: pods
	netip.MustParsePrefix("fd20:ce::254/128"),                                           // Google
	netip.MustParsePrefix("100.100.100.200/32"),                                         // Alibaba
	netip.MustParsePrefix("169.254.0.23/32"),                                            // Tencent
	netip.MustParsePrefix("192.0.0.192/32"),                                             // Oracle
	netip.MustParsePrefix("169.254.42.42/32"), netip.MustParsePrefix("fd00:42::42/128"), // Scaleway
}

// dialRules say which addresses the cloud may call. It would be a machine for requests into the cloud's own network if
// addresses were not checked where they are final, at dial time: no name can be rebound after that.
type dialRules struct {
	loopback bool           // this machine, for a cloud in development
	allow    []netip.Prefix // what the operator has named
	resolver *net.Resolver  // nil: the system's
}

var public = ssrf.New(ssrf.WithAnyPort())

// permits reports whether an address may be called. One that carries an IPv4 address to a translator, which calls that in
// its place, is as good as the one inside.
func (d dialRules) permits(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	in := func(p netip.Prefix) bool { return p.Contains(addr) }
	if slices.ContainsFunc(alwaysDenied, in) {
		return false
	}
	if inner, ok := carried(addr); ok && !d.permits(inner) {
		return false
	}
	if (d.loopback && addr.IsLoopback()) || slices.ContainsFunc(d.allow, in) {
		return true
	}
	return !isOwn(addr) && public.SafeAddr(addr) == nil
}

// carriers are prefixes under which IPv6 addresses carry an IPv4 address, and at which byte.
var carriers = []struct {
	prefix netip.Prefix
	at     int
	invert byte
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12, 0},   // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12, 0}, // NAT64 of a network's own, RFC 8215, as it is mostly laid out
	{netip.MustParsePrefix("2002::/16"), 2, 0},       // 6to4, RFC 3056
	{netip.MustParsePrefix("2001::/32"), 12, 0xff},   // Teredo, RFC 4380
	{netip.MustParsePrefix("::/96"), 12, 0},          // IPv4-compatible, RFC 4291
}

func carried(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr.IsLoopback() || addr.IsUnspecified() {
		return netip.Addr{}, false
	}
	raw := addr.As16()
	for _, c := range carriers {
		if c.prefix.Contains(addr) {
			v4 := [4]byte(raw[c.at : c.at+4])
			for i := range v4 {
				v4[i] ^= c.invert
			}
			return netip.AddrFrom4(v4), true
		}
	}
	if raw[8]&^0x02 == 0 && raw[9] == 0 && raw[10] == 0x5e && raw[11] == 0xfe { // ISATAP, RFC 5214
		return netip.AddrFrom4([4]byte(raw[12:])), true
	}
	return netip.Addr{}, false
}

// control implements net.Dialer.Control.
func (d dialRules) control(network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") || !d.permits(target.Addr()) {
		return errBlocked
	}
	return nil
}

func (d dialRules) dialer() *net.Dialer {
	return &net.Dialer{Timeout: outboundDial, Resolver: d.resolver, Control: d.control}
}

// transport is one that dials by the rules. It knows no environment proxy, and leaves answers as compressed as they come.
func (d dialRules) transport() *http.Transport {
	return &http.Transport{DialContext: d.dialer().DialContext, TLSHandshakeTimeout: outboundDial,
		ResponseHeaderTimeout: outboundTimeout, MaxResponseHeaderBytes: outboundHeaders, IdleConnTimeout: outboundIdle,
		DisableCompression: true}
}

// client is the HTTP client with which the cloud itself calls customers' servers. It follows no redirect.
func (d dialRules) client() *http.Client {
	transport := d.transport()
	transport.MaxConnsPerHost = 8
	return &http.Client{
		Timeout:       outboundTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &httpsOnly{rules: d, Transport: transport},
	}
}

// isOwn reports whether addr is one of this machine's.
func isOwn(addr netip.Addr) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == addr
	})
}

// httpsOnly refuses plain http, which would carry a credential in the clear, except to loopback in development and to
// addresses in a range that the operator has named.
type httpsOnly struct {
	rules dialRules
	*http.Transport
}

func (t *httpsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		server, err := bridge.CanonicalURL(r.URL.Scheme + "://" + r.URL.Host)
		if err != nil || !t.rules.plain(server) {
			return nil, errBlocked
		}
	}
	return t.Transport.RoundTrip(r)
}

// plain reports whether a server may be called without TLS.
func (d dialRules) plain(server bridge.ServerURL) bool {
	if d.loopback && server.Loopback() {
		return true
	}
	addr, err := netip.ParseAddr(server.URL().Hostname())
	return err == nil && slices.ContainsFunc(d.allow, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}
