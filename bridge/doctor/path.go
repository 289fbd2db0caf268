package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/proxy"

	"github.com/acebridge/ace/bridge"
)

// maxHead bounds the head of a proxy's answer.
const maxHead = 16 << 10

var noDeadline time.Time

// Path is the way from this machine to a URL. Its checks are called NAME_proxy, NAME_dns, NAME_tcp and NAME_tls.
type Path struct {
	Name    string           // of what is at the end: "cloud"; required
	URL     bridge.ServerURL // required
	Proxies Proxies          // the zero value: none
	MinTLS  uint16           // 0: TLS 1.2. Links want 1.3
	Roots   *x509.CertPool   // nil: those that the machine trusts

	// Lookup and Dial replace the machine's resolver and network in tests; nil means the machine's.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Now    func() time.Time // nil: the machine's clock

	proxy    *url.URL // found by the first check; nil: none
	variable string   // that names it
}

// Last is the name of the last check: whatever needs the path needs it.
func (p *Path) Last() string { return p.Name + "_tls" }

// Checks are those of the way, in order.
func (p *Path) Checks() []Check {
	name := func(step string) string { return p.Name + "_" + step }
	return []Check{
		{Name: name("proxy"), Title: p.Name + ": proxy", Do: p.checkProxy},
		{Name: name("dns"), Title: p.Name + ": DNS", Needs: []string{name("proxy")}, Do: p.checkDNS},
		{Name: name("tcp"), Title: p.Name + ": TCP", Needs: []string{name("proxy"), name("dns")}, Do: p.checkTCP},
		{Name: name("tls"), Title: p.Name + ": TLS", Needs: []string{name("tcp")}, Do: p.checkTLS},
	}
}

// Transport returns a transport that goes the same way.
func (p *Path) Transport() *http.Transport {
	return &http.Transport{
		Proxy:               func(*http.Request) (*url.URL, error) { return p.proxy, nil },
		DialContext:         p.dialer(),
		TLSClientConfig:     &tls.Config{RootCAs: p.Roots, MinVersion: max(p.MinTLS, tls.VersionTLS12), Time: p.Now}, //nolint:gosec // 1.2 or more
		TLSHandshakeTimeout: Limit,
		DisableKeepAlives:   true,
	}
}

func (p *Path) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

func (p *Path) dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	if p.Dial != nil {
		return p.Dial
	}
	return new(net.Dialer).DialContext
}

// address is the host and port of the URL.
func (p *Path) address() string {
	u := p.URL.URL()
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (p *Path) checkDNS(ctx context.Context) (string, error) {
	host := p.URL.URL().Hostname()
	if p.proxy != nil {
		return "the proxy looks the name up", nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return "not needed: the URL has an address", nil
	}
	lookup := p.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addrs, err := lookup(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Name: host, IsNotFound: true}
	}
	if err != nil {
		return "", bridge.E(bridge.Unreachable, bridge.CodeDNSFailed, "the name %s cannot be looked up: %s", host, whyDNS(err)).
			WithHint("check the spelling of the name, and the DNS servers of this machine: getent hosts %s", host)
	}
	var names []string
	for _, a := range addrs[:min(len(addrs), 4)] {
		names = append(names, a.Unmap().String())
	}
	return host + " is " + strings.Join(names, ", "), nil
}

func whyDNS(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no DNS server knows it"
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "the DNS server does not answer"
	}
	return "the DNS server does not give an address"
}

func (p *Path) checkTCP(ctx context.Context) (string, error) {
	if p.proxy != nil {
		return "through the proxy", nil
	}
	conn, err := p.connect(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	return conn.RemoteAddr().String() + " answers", nil
}

// connect opens a connection to the URL's host, the way that the checks before have found.
func (p *Path) connect(ctx context.Context) (net.Conn, error) {
	if p.proxy != nil {
		return p.throughProxy(ctx)
	}
	conn, err := p.dialer()(ctx, "tcp", p.address())
	if err == nil {
		return conn, nil
	}
	d := whyDial(err)
	return nil, bridge.E(bridge.Unreachable, d.code, "%s cannot be reached: %s", p.address(), d.why).WithHint(d.fix, p.address())
}

// undialed explains why there is no connection.
type undialed struct {
	code     bridge.Code
	why, fix string
}

func whyDial(err error) undialed {
	var timeout net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return undialed{bridge.CodeDNSFailed, "its name is not known", "check the name in %s"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return undialed{bridge.CodeDialRefused, "nothing listens there", "start what should listen at %s, or correct the port"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return undialed{bridge.CodeDialTimeout, "no answer in time; a firewall may drop the traffic", "have the firewall let this machine out to %s"}
	}
	return undialed{bridge.CodeDialUnreachable, "there is no way to it from this machine", "check this machine's network and routes to %s: ip route"}
}

// throughSocks connects through a SOCKS5 proxy.
func (p *Path) throughSocks(ctx context.Context, unreachable func(why string) error) (net.Conn, error) {
	var auth *proxy.Auth
	if user := p.proxy.User; user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	socks, err := proxy.SOCKS5("tcp", net.JoinHostPort(p.proxy.Hostname(), proxyPort(p.proxy)), auth, forward{p.dialer()})
	if err != nil {
		return nil, unreachable("it is not a SOCKS5 proxy")
	}
	dialer, ok := socks.(proxy.ContextDialer)
	if !ok {
		return nil, unreachable("it is not a SOCKS5 proxy")
	}
	conn, err := dialer.DialContext(ctx, "tcp", p.address())
	if err != nil {
		return nil, unreachable("it does not connect to " + p.address())
	}
	return conn, nil
}

// forward dials a proxy.
type forward struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial implements [proxy.Dialer].
func (f forward) Dial(network, address string) (net.Conn, error) {
	return f.dial(context.Background(), network, address)
}

// DialContext implements [proxy.ContextDialer].
func (f forward) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f.dial(ctx, network, address)
}
