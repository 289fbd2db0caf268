package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

func (p *Path) checkTLS(ctx context.Context) (string, error) {
	u := p.URL.URL()
	if u.Scheme != "https" {
		if p.MinTLS >= tls.VersionTLS13 && !p.URL.Loopback() {
			return "", bridge.E(bridge.Invalid, bridge.CodeLinkPlain, "%s is plain http, and a link goes over https", p.URL).
				WithHint("give the server the https URL of its cloud: ace org trust")
		}
		return "none: the URL is plain http", nil
	}
	conn, err := p.connect(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	secure := p.client(conn, u.Hostname())
	if err := secure.HandshakeContext(ctx); err != nil {
		return "", p.whyHandshake(ctx, err)
	}
	state := secure.ConnectionState()
	if err := p.judge(u.Hostname(), state); err != nil {
		return "", err
	}
	leaf := state.PeerCertificates[0]
	return fmt.Sprintf("%s; the certificate of %s is by %s, valid until %s", tls.VersionName(state.Version), subject(leaf),
		named(leaf.Issuer), leaf.NotAfter.UTC().Format(time.DateOnly)), nil
}

// client begins a handshake with any certificate and version: [Path.judge] refuses, and can name what it refuses. Nothing is sent
// over the connection.
func (p *Path) client(conn net.Conn, host string) *tls.Conn {
	return tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, Time: p.Now}) //nolint:gosec // see above
}

// whyHandshake explains a handshake that brought no certificate.
func (p *Path) whyHandshake(ctx context.Context, err error) error {
	why, fix := "the other side ends the handshake; a firewall may do so in its place", "have the firewall let TLS through to %s"
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &record):
		why, fix = "what listens there does not speak TLS", "use the http:// URL of %s, or set up TLS there"
	case ctx.Err() != nil:
		why = "the handshake is not answered; a firewall may hold it back"
	}
	return bridge.E(bridge.Unreachable, bridge.CodeTLSFailed, "%s: %s", p.address(), why).WithHint(fix, p.address())
}

// judge checks version and certificates as a client would.
func (p *Path) judge(host string, state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	if least := max(p.MinTLS, tls.VersionTLS12); state.Version < least {
		return bridge.E(bridge.Unreachable, bridge.CodeTLSOld, "%s speaks %s at most, and %s is needed; its certificate is by %s", host,
			tls.VersionName(state.Version), tls.VersionName(least), named(leaf.Issuer)).
			WithHint("turn on %s in the proxy in front of %s, or have the middlebox that opens TLS let it through", tls.VersionName(least), host)
	}
	options := x509.VerifyOptions{Roots: p.Roots, DNSName: host, CurrentTime: p.now(), Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(options)
	if err == nil {
		return nil
	}
	return p.whyUntrusted(host, leaf, err)
}

// whyUntrusted names the certificate that is refused, and who issued it: it may be a middlebox's.
func (p *Path) whyUntrusted(host string, leaf *x509.Certificate, err error) error {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	fault := func(code bridge.Code, format string, args ...any) *bridge.Error {
		return bridge.E(bridge.Unreachable, code, format, args...)
	}
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && p.now().Before(invalid.Cert.NotBefore):
		return fault(bridge.CodeTLSNotYet, "the certificate of %s, by %s, is valid from %s on, and this machine's clock says %s", subject(invalid.Cert),
			named(invalid.Cert.Issuer), invalid.Cert.NotBefore.UTC().Format(time.RFC3339), p.now().UTC().Format(time.RFC3339)).
			WithHint("set this machine's clock: timedatectl set-ntp true")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault(bridge.CodeTLSExpired, "the certificate of %s, by %s, has expired on %s", subject(invalid.Cert),
			named(invalid.Cert.Issuer), invalid.Cert.NotAfter.UTC().Format(time.RFC3339)).
			WithHint("renew the certificate of %s", host)
	case errors.As(err, &name):
		return fault(bridge.CodeTLSName, "the certificate is for %s, not for %s; it is by %s", subject(leaf), host, named(leaf.Issuer)).
			WithHint("use a host name that the certificate has, or get one for %s", host)
	}
	by := "by " + named(leaf.Issuer)
	if leaf.Issuer.String() == leaf.Subject.String() {
		by = "signed by itself"
	}
	return fault(bridge.CodeTLSUntrusted, "the certificate of %s is %s, which this machine does not trust: a private authority, or a middlebox that opens TLS",
		subject(leaf), by).
		WithHint("if that authority is your company's, add its certificate to those that this machine trusts, or set SSL_CERT_FILE=/path/to/ca.pem")
}

// subject names what a certificate is for.
func subject(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		more := ""
		if len(c.DNSNames) > 3 {
			more = ", …"
		}
		return bridge.Clip(strings.Join(c.DNSNames[:min(len(c.DNSNames), 3)], ", ")+more, longest)
	}
	return named(c.Subject)
}

// named writes a name in a certificate for people.
func named(n pkix.Name) string {
	name := cmp.Or(n.CommonName, strings.Join(n.OrganizationalUnit, " "), n.String(), "nobody")
	if org := strings.Join(n.Organization, " "); org != "" && org != name {
		name += " (" + org + ")"
	}
	return fmt.Sprintf("%q", bridge.Clip(name, longest))
}
