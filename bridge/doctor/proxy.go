package doctor

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/acebridge/ace/bridge"
)

// Proxies are the variables that name HTTP proxies, as Go's HTTP client reads them.
type Proxies struct {
	cfg  httpproxy.Config
	from map[string]string // the variable that each scheme's proxy comes from
}

// ReadProxies reads HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in upper case first, then in lower case. get returns a variable.
func ReadProxies(get func(name string) string) Proxies {
	p := Proxies{from: map[string]string{}}
	first := func(names ...string) (name, value string) {
		for _, name := range names {
			if value := get(name); value != "" {
				return name, value
			}
		}
		return "", ""
	}
	p.from["https"], p.cfg.HTTPSProxy = first("HTTPS_PROXY", "https_proxy")
	p.from["http"], p.cfg.HTTPProxy = first("HTTP_PROXY", "http_proxy")
	_, p.cfg.NoProxy = first("NO_PROXY", "no_proxy")
	return p
}

// of returns the proxy for a URL, and the variable that names it; nil means none. Go's HTTP client passes over a malformed
// variable, and here it is an error.
func (p Proxies) of(u *url.URL) (proxy *url.URL, variable string, err error) {
	variable = p.from[u.Scheme]
	valid := p.cfg
	valid.HTTPSProxy, valid.HTTPProxy = "http://localhost", "http://localhost"
	if exempt, err := valid.ProxyFunc()(u); variable == "" || exempt == nil {
		return nil, variable, err
	}
	proxy, err = p.cfg.ProxyFunc()(u)
	if err == nil && (proxy == nil || proxy.Hostname() == "" || proxyPort(proxy) == "") {
		err = errProxy
	}
	return proxy, variable, err
}

var errProxy = errors.New("that is not the URL of a proxy")

// plain returns a proxy's address without its user and password.
func plain(proxy *url.URL) string { return proxy.Scheme + "://" + proxy.Host }

// proxyPort is the port of a proxy, as Go's HTTP client chooses it.
func proxyPort(proxy *url.URL) string {
	if port := proxy.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[proxy.Scheme]
}

// checkProxy says which proxy is used, and asks it for the connection.
func (p *Path) checkProxy(ctx context.Context) (string, error) {
	u := p.URL.URL()
	proxy, variable, err := p.Proxies.of(u)
	switch {
	case err != nil:
		return "", bridge.E(bridge.Invalid, bridge.CodeProxyMalformed, "%s does not hold the URL of a proxy", variable).
			WithHint("export %s=http://proxy.company.com:3128", variable)
	case proxy == nil && variable != "":
		return "none: " + u.Hostname() + " is exempt from " + variable, nil
	case proxy == nil:
		return "none", nil
	}
	p.proxy, p.variable = proxy, variable
	conn, err := p.throughProxy(ctx)
	if err != nil {
		return "", err
	}
	_ = conn.Close()
	return plain(proxy) + ", from " + variable, nil
}

// throughProxy connects to the URL's host through the proxy. For http it connects to the proxy only, which takes the requests.
func (p *Path) throughProxy(ctx context.Context) (net.Conn, error) {
	proxy := p.proxy
	unreachable := func(why string) error {
		return bridge.E(bridge.Unreachable, bridge.CodeProxyUnreachable, "the proxy %s (%s) cannot be reached: %s", plain(proxy), p.variable, why).
			WithHint("check the proxy's address, or go without: unset %s", p.variable)
	}
	if strings.HasPrefix(proxy.Scheme, "socks5") {
		return p.throughSocks(ctx, unreachable)
	}
	conn, err := p.dialer()(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), proxyPort(proxy)))
	if err != nil {
		return nil, unreachable(whyDial(err).why)
	}
	if proxy.Scheme == "https" {
		secure := p.client(conn, proxy.Hostname())
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, unreachable("it does not speak TLS")
		}
		if err := p.judge(proxy.Hostname(), secure.ConnectionState()); err != nil {
			_ = conn.Close()
			return nil, unreachable(bridge.AsError(err).Detail)
		}
		conn = secure
	}
	if p.URL.URL().Scheme == "http" {
		return conn, nil
	}
	status, err := connectTo(ctx, conn, p.address(), proxy)
	if err != nil {
		_ = conn.Close()
		return nil, unreachable("it does not answer as an HTTP proxy does")
	}
	if status == http.StatusOK {
		return conn, nil
	}
	_ = conn.Close()
	return nil, p.refusedByProxy(status)
}

// refusedByProxy explains a proxy's status.
func (p *Path) refusedByProxy(status int) error {
	name := plain(p.proxy) + " (" + p.variable + ")"
	switch {
	case status == http.StatusProxyAuthRequired:
		return bridge.E(bridge.Forbidden, bridge.CodeProxyRefused, "the proxy %s wants another user and password (407)", name).
			WithHint("export %s=%s://USER:PASSWORD@%s", p.variable, p.proxy.Scheme, p.proxy.Host)
	case status >= http.StatusInternalServerError:
		return bridge.E(bridge.Unreachable, bridge.CodeProxyFailed, "the proxy %s cannot reach %s (%d)", name, p.address(), status).
			WithHint("check the address, or whether the proxy itself may go to %s", p.address())
	}
	return bridge.E(bridge.Forbidden, bridge.CodeProxyRefused, "the proxy %s does not let %s through (%d)", name, p.address(), status).
		WithHint("have the proxy's operator allow %s; if there is a direct way: export NO_PROXY=%s", p.address(), p.URL.URL().Hostname())
}

// connectTo sends a CONNECT request (RFC 9110 section 9.3.6) and returns the answer's status.
func connectTo(ctx context.Context, conn net.Conn, address string, proxy *url.URL) (status int, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
		defer func() { _ = conn.SetDeadline(noDeadline) }()
	}
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := r.WithContext(ctx).Write(conn); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, maxHead), r) //nolint:bodyclose // its body is the connection itself
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}
