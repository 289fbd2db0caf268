// Package outbound decides, at each dial, which addresses the cloud may call.
//
// Customers name the servers that a cloud calls, so without rules anyone could use it to reach the cloud's own network. A name is
// judged by the address that it resolves to, at the moment of connecting, so neither a second DNS answer nor a redirect gets
// around the rules:
//
//	metadata services of cloud providers ──► never
//	loopback, on a cloud in development  ──► allowed
//	a range of ACE_RELAY_ALLOW           ──► allowed
//	this machine's own addresses         ──► never otherwise
//	public addresses                     ──► allowed, over https only
//	anything else                        ──► never
//
// An IPv6 address that carries an IPv4 address (NAT64, 6to4, Teredo and others) also needs permission for the address inside.
package outbound

import (
	"context"
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
	// Timeout bounds a call that the cloud makes on its own behalf.
	Timeout         = 8 * time.Second
	outboundDial    = 4 * time.Second
	outboundHeaders = 64 << 10
	outboundIdle    = 30 * time.Second
)

// ErrBlocked is the error of a call to an address that the cloud may not call.
var ErrBlocked = errors.New("the cloud may not call that address")

// alwaysDenied are addresses that no setting allows: metadata services of cloud providers.
var alwaysDenied = []netip.Prefix{
	netip.MustParsePrefix("169.254.169.254/32"), netip.MustParsePrefix("fd00:ec2::254/128"), // most providers; AWS
	netip.MustParsePrefix("168.63.129.16/32"),                                             // Azure
	netip.MustParsePrefix("169.254.170.2/32"),                                             // AWS: containers
	netip.MustParsePrefix("169.254.170.23/32"), netip.MustParsePrefix("fd00:ec2::23/128"), // AWS: pods
	netip.MustParsePrefix("fd20:ce::254/128"),                                           // Google
	netip.MustParsePrefix("100.100.100.200/32"),                                         // Alibaba
	netip.MustParsePrefix("169.254.0.23/32"),                                            // Tencent
	netip.MustParsePrefix("192.0.0.192/32"),                                             // Oracle
	netip.MustParsePrefix("169.254.42.42/32"), netip.MustParsePrefix("fd00:42::42/128"), // Scaleway
}

// Rules say which addresses the cloud may call.
//
// They are checked at dial time, when the address is final, so that a name cannot be rebound after the check. The zero value
// allows public addresses only.
type Rules struct {
	Loopback bool           // allow this machine, for a cloud in development
	Allow    []netip.Prefix // ranges that the operator allows
	resolver *net.Resolver  // nil: the system's; set by tests
}

var public = ssrf.New(ssrf.WithAnyPort())

// permits reports whether an address may be called. If it carries an IPv4 address to a translator, which calls that one instead,
// the address inside must be permitted too.
func (d Rules) permits(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	in := func(p netip.Prefix) bool { return p.Contains(addr) }
	if slices.ContainsFunc(alwaysDenied, in) {
		return false
	}
	if inner, ok := carried(addr); ok && !d.permits(inner) {
		return false
	}
	if (d.Loopback && addr.IsLoopback()) || slices.ContainsFunc(d.Allow, in) {
		return true
	}
	return !isOwn(addr) && public.SafeAddr(addr) == nil
}

// carriers are prefixes of IPv6 addresses that carry an IPv4 address, and the byte at which it starts.
var carriers = []struct {
	prefix netip.Prefix
	at     int
	invert byte
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12, 0},   // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12, 0}, // local-use NAT64 in its usual layout, RFC 8215
	{netip.MustParsePrefix("2002::/16"), 2, 0},       // 6to4, RFC 3056
	{netip.MustParsePrefix("2001::/32"), 12, 0xff},   // Teredo, RFC 4380
	{netip.MustParsePrefix("::/96"), 12, 0},          // IPv4-compatible, RFC 4291
}

// carried returns the IPv4 address inside an IPv6 address, if there is one.
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

// control implements net.Dialer.Control; it refuses addresses that are not permitted.
func (d Rules) control(network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") || !d.permits(target.Addr()) {
		return ErrBlocked
	}
	return nil
}

func (d Rules) dialer() *net.Dialer {
	return &net.Dialer{Timeout: outboundDial, Resolver: d.resolver, Control: d.control}
}

// dial connects to an address that is permitted. The name of a server that has no address is not even looked up.
func (d Rules) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if host, _, err := net.SplitHostPort(address); err == nil && bridge.ServerURL("https://"+host).LinkOnly() {
		return nil, ErrBlocked
	}
	return d.dialer().DialContext(ctx, network, address)
}

// Transport returns a transport that dials by the rules.
//
// It ignores proxies from the environment and does not decompress responses.
func (d Rules) Transport() *http.Transport {
	return &http.Transport{DialContext: d.dial, TLSHandshakeTimeout: outboundDial,
		ResponseHeaderTimeout: Timeout, MaxResponseHeaderBytes: outboundHeaders, IdleConnTimeout: outboundIdle,
		DisableCompression: true}
}

// Client returns the HTTP client with which the cloud calls customers' servers on its own behalf.
//
// It follows no redirects, requires https except where [Rules.Plain] allows http, and gives up after [Timeout].
func (d Rules) Client() *http.Client {
	transport := d.Transport()
	transport.MaxConnsPerHost = 8
	return &http.Client{
		Timeout:       Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &httpsOnly{rules: d, Transport: transport},
	}
}

// isOwn reports whether an address belongs to this machine. If it cannot tell, it says yes.
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

// httpsOnly refuses plain http, which would send a credential in the clear, except to loopback in development and to addresses in
// a range that the operator allows.
type httpsOnly struct {
	rules Rules
	*http.Transport
}

func (t *httpsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		server, err := bridge.CanonicalURL(r.URL.Scheme + "://" + r.URL.Host)
		if err != nil || !t.rules.Plain(server) {
			return nil, ErrBlocked
		}
	}
	return t.Transport.RoundTrip(r)
}

// Plain reports whether a server may be called without TLS: on loopback in development, or in an allowed range.
func (d Rules) Plain(server bridge.ServerURL) bool {
	if d.Loopback && server.Loopback() {
		return true
	}
	addr, err := netip.ParseAddr(server.URL().Hostname())
	return err == nil && slices.ContainsFunc(d.Allow, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}
