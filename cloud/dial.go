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
)

// errBlocked says that the cloud may not call an address.
var errBlocked = errors.New("the cloud may not call that address")

// alwaysDenied are addresses that no setting opens: metadata services of cloud providers.
var alwaysDenied = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"), netip.MustParsePrefix("169.254.169.254/32"),
	netip.MustParsePrefix("fd00:ec2::254/128"),
}

// newOutbound is the one HTTP client with which the cloud calls customers' servers. It would be a machine for requests
// into the cloud's own network if addresses were not checked where they are final, at dial time: no name can be rebound
// after that. It follows no redirect and no environment proxy, and speaks https only, except to this machine where the
// cloud itself runs on loopback.
func newOutbound(loopback bool, allow []netip.Prefix) *http.Client {
	public := ssrf.New(ssrf.WithAnyPort())
	dialer := &net.Dialer{Timeout: outboundDial, Control: func(network, address string, raw syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return errBlocked
		}
		addr := target.Addr().Unmap()
		in := func(p netip.Prefix) bool { return p.Contains(addr) }
		switch {
		case slices.ContainsFunc(alwaysDenied, in):
			return errBlocked
		case loopback && addr.IsLoopback(), slices.ContainsFunc(allow, in):
			return nil
		case isOwn(addr) || public.Safe(network, address, raw) != nil:
			return errBlocked
		}
		return nil
	}}
	return &http.Client{
		Timeout:       outboundTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &httpsOnly{loopback: loopback, allow: allow, base: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: outboundDial, ResponseHeaderTimeout: outboundTimeout,
			MaxResponseHeaderBytes: outboundHeaders, MaxConnsPerHost: 8, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		}},
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
	loopback bool
	allow    []netip.Prefix
	base     *http.Transport
}

func (t *httpsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !t.plainAllowed(r) {
		return nil, errBlocked
	}
	return t.base.RoundTrip(r)
}

func (t *httpsOnly) plainAllowed(r *http.Request) bool {
	server, err := bridge.CanonicalURL(r.URL.Scheme + "://" + r.URL.Host)
	if err != nil {
		return false
	}
	if t.loopback && server.Loopback() {
		return true
	}
	addr, err := netip.ParseAddr(r.URL.Hostname())
	return err == nil && slices.ContainsFunc(t.allow, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

// CloseIdleConnections lets http.Client's method of that name reach the transport.
func (t *httpsOnly) CloseIdleConnections() { t.base.CloseIdleConnections() }
