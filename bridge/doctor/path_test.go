package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/doctor"
)

const (
	cloudURL  = bridge.ServerURL("https://cloud.test")
	serverURL = bridge.ServerURL("https://ace.test")
)

// network is what the checks of a test meet. Its zero value is a network without a fault: a test changes what is to be wrong.
type network struct {
	authority  pkix.Name                        // who issues certificates; trusted if it has no name
	host       string                           // that the certificates are for; empty: the right one
	from, to   time.Duration                    // when they are valid, from now on; zero: an hour ago, and in an hour
	max        uint16                           // TLS version
	plain      bool                             // no TLS
	proxy      string                           // the value of HTTPS_PROXY
	proxyUser  string                           // that the proxy wants
	proxySays  int                              // the proxy's status; 0: it connects
	lookup     error                            // of DNS
	dial       func(ctx context.Context) error  // in place of the network
	cloud      func(w http.ResponseWriter) bool // the cloud's answer; true: it is complete
	server     func(w http.ResponseWriter) bool // the server's answer; true: it is complete
	discovery  func(d *api.Discovery)           // changes the server's discovery
	trust      bridge.Trust                     // of a server, against the cloud's keys
	minTLS     uint16
	url        bridge.ServerURL // of the cloud
	listenerAt map[string]string
	ca         *x509.Certificate
	caKey      *ecdsa.PrivateKey
	proxied    atomic.Int64 // connections through the proxy
}

// issue makes a certificate of the network's authority.
func (n *network) issue(t *testing.T, host string) tls.Certificate {
	t.Helper()
	if n.host != "" {
		host = n.host
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if n.from != 0 || n.to != 0 {
		from, to = time.Now().Add(n.from), time.Now().Add(n.to)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: to}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, n.ca, key.Public(), n.caKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// newAuthority makes a certificate that issues others.
func newAuthority(t *testing.T, name pkix.Name) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, NotBefore: time.Now().Add(-time.Hour * 24 * 365),
		NotAfter: time.Now().Add(time.Hour * 24 * 365), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return ca, key
}

// serve answers for a host of the network.
func (n *network) serve(t *testing.T, host string, h http.Handler) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if n.plain {
		srv.Start()
	} else {
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{n.issue(t, host)}, MinVersion: min(n.max, tls.VersionTLS12), MaxVersion: n.max} //nolint:gosec // what is tested
		srv.StartTLS()
	}
	t.Cleanup(srv.Close)
	n.listenerAt[host+":443"] = srv.Listener.Addr().String()
	n.listenerAt[host+":80"] = srv.Listener.Addr().String()
}

// path returns a path through the network.
func (n *network) path(name string, u bridge.ServerURL, roots *x509.CertPool) *doctor.Path {
	return &doctor.Path{
		Name: name, URL: u, MinTLS: n.minTLS, Roots: roots,
		Proxies: doctor.ReadProxies(func(name string) string { return map[string]string{"HTTPS_PROXY": n.proxy}[name] }),
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, n.lookup
		},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if n.dial != nil {
				if err := n.dial(ctx); err != nil {
					return nil, err
				}
			}
			if to := n.listenerAt[address]; to != "" {
				address = to
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
}

// startProxy starts an HTTP proxy that does CONNECT.
func (n *network) startProxy(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		switch {
		case n.proxyUser != "" && user+":"+password != n.proxyUser:
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		case n.proxySays != 0:
			w.WriteHeader(n.proxySays)
			return
		}
		to, err := net.Dial("tcp", n.listenerAt[r.Host])
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = to.Close() }()
		n.proxied.Add(1)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = from.Close() }()
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from) }()
		_, _ = io.Copy(from, to)
	}))
	t.Cleanup(srv.Close)
	n.listenerAt["proxy.test:3128"] = srv.Listener.Addr().String()
}

// run checks the network, as a person's machine does.
func (n *network) run(t *testing.T) doctor.Report {
	t.Helper()
	n.listenerAt = map[string]string{}
	n.ca, n.caKey = newAuthority(t, n.authority)
	roots := x509.NewCertPool()
	if n.authority.CommonName == "" {
		roots.AddCert(n.ca)
	}
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		t.Fatal(err)
	}
	public, _ := root.TrustValues(cloudURL, "acme")
	if n.trust.Issuer == "" {
		if n.trust, err = bridge.ParseTrust(bridge.TrustSettings{PublicKey: public}); err != nil {
			t.Fatal(err)
		}
	}
	n.serve(t, "cloud.test", cloudHandler(n, root))
	n.serve(t, "ace.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.server != nil && n.server(w) {
			return
		}
		d := api.Discovery{Product: "ace", Version: "v1", PublicURL: serverURL, PublicURLs: []bridge.ServerURL{serverURL}, Time: time.Now(),
			Exchange: api.DiscoveryExchange{Configured: true, Issuer: cloudURL, Org: "acme"}}
		if n.discovery != nil {
			n.discovery(&d)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(d)
	}))
	n.startProxy(t)
	if n.url == "" {
		n.url = cloudURL
	}
	cloud := &doctor.Cloud{Path: n.path("cloud", n.url, roots)}
	server := &doctor.Server{Path: n.path("server", serverURL, roots), Cloud: cloud, Org: func() string { return "acme" }}
	checks := append(cloud.Checks(), cloud.CheckTrust("trust", "trust", n.trust))
	return doctor.Run(t.Context(), 2*time.Second, append(checks, server.Checks()...), nil)
}

// cloudHandler answers as a cloud does.
func cloudHandler(n *network, root bridge.SigningRoot) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.cloud != nil && n.cloud(w) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		at := cloudURL.Join
		if r.URL.Path == "/jwks" {
			keys := []map[string]string{}
			for kid, key := range root.VerificationKeys() {
				keys = append(keys, map[string]string{"kid": kid, "kty": "OKP", "crv": "Ed25519", "x": b64(key)})
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": string(cloudURL), "authorization_endpoint": at("/a"),
			"device_authorization_endpoint": at("/d"), "token_endpoint": at("/t"), "revocation_endpoint": at("/r"), "jwks_uri": at("/jwks")})
	})
}

// otherTrust is what a server of another cloud trusts.
func otherTrust(t *testing.T) bridge.Trust {
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		t.Fatal(err)
	}
	public, _ := root.TrustValues(cloudURL, "acme")
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: public})
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func status(code int) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool { w.WriteHeader(code); return true }
}

// TestFaults puts one fault at a time into a network, and checks which check finds it, its code, and that cause and fix name what
// a person needs.
func TestFaults(t *testing.T) {
	const hour = time.Hour
	for name, tt := range map[string]struct {
		net          *network
		check        string
		code         bridge.Code
		cause, fix   string
		alsoSkipped  string // by this fault
		alsoFailedIs string // another check that meets the same fault
	}{
		"DNS":               {&network{lookup: &net.DNSError{IsNotFound: true}}, "cloud_dns", bridge.CodeDNSFailed, "no DNS server knows it", "getent hosts cloud.test", "cloud_tcp", "server_dns"},
		"DNS is silent":     {&network{lookup: &net.DNSError{IsTimeout: true}}, "cloud_dns", bridge.CodeDNSFailed, "does not answer", "", "cloud", "server_dns"},
		"a malformed proxy": {&network{proxy: "http://%zz"}, "cloud_proxy", bridge.CodeProxyMalformed, "HTTPS_PROXY", "export HTTPS_PROXY=", "cloud_dns", "server_proxy"},
		"no proxy there":    {&network{proxy: "http://127.0.0.1:1"}, "cloud_proxy", bridge.CodeProxyUnreachable, "nothing listens", "unset HTTPS_PROXY", "cloud_tls", "server_proxy"},
		"a proxy wants a password": {&network{proxy: "http://ada:secret@proxy.test:3128", proxyUser: "a:b"}, "cloud_proxy", bridge.CodeProxyRefused, "407",
			"USER:PASSWORD@proxy.test:3128", "cloud", "server_proxy"},
		"a proxy forbids":         {&network{proxy: "http://proxy.test:3128", proxySays: 403}, "cloud_proxy", bridge.CodeProxyRefused, "403", "NO_PROXY=cloud.test", "cloud", "server_proxy"},
		"a proxy cannot reach it": {&network{proxy: "proxy.test:3128", proxySays: 503}, "cloud_proxy", bridge.CodeProxyFailed, "503", "cloud.test:443", "cloud", "server_proxy"},
		"nothing listens": {&network{dial: func(context.Context) error { return &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }}, "cloud_tcp", bridge.CodeDialRefused,
			"nothing listens there", "cloud.test:443", "cloud_tls", "server_tcp"},
		"a black hole": {&network{dial: func(context.Context) error { return context.DeadlineExceeded }}, "cloud_tcp", bridge.CodeDialTimeout,
			"firewall", "cloud.test:443", "cloud_tls", "server_tcp"},
		"no route": {&network{dial: func(context.Context) error { return &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH} }}, "cloud_tcp", bridge.CodeDialUnreachable,
			"no way", "ip route", "cloud_tls", "server_tcp"},
		"a middlebox": {&network{authority: pkix.Name{CommonName: "Corp Inspection CA", Organization: []string{"Corp"}}}, "cloud_tls", bridge.CodeTLSUntrusted,
			`by "Corp Inspection CA (Corp)"`, "SSL_CERT_FILE", "cloud", "server_tls"},
		"an expired certificate":     {&network{from: -2 * hour, to: -hour}, "cloud_tls", bridge.CodeTLSExpired, "has expired on", "renew", "cloud", "server_tls"},
		"a certificate of tomorrow":  {&network{from: hour, to: 2 * hour}, "cloud_tls", bridge.CodeTLSNotYet, "this machine's clock says", "timedatectl", "cloud", "server_tls"},
		"another host's certificate": {&network{host: "other.test"}, "cloud_tls", bridge.CodeTLSName, "is for other.test, not for cloud.test", "cloud.test", "cloud", "server_tls"},
		"old TLS":                    {&network{max: tls.VersionTLS12, minTLS: tls.VersionTLS13}, "cloud_tls", bridge.CodeTLSOld, "TLS 1.2 at most, and TLS 1.3", "middlebox", "cloud", "server_tls"},
		"very old TLS":               {&network{max: tls.VersionTLS10}, "cloud_tls", bridge.CodeTLSOld, "TLS 1.0 at most", "", "cloud", "server_tls"},
		"no TLS":                     {&network{plain: true}, "cloud_tls", bridge.CodeTLSFailed, "does not speak TLS", "http://", "cloud", "server_tls"},
		"a link over plain http":     {&network{url: "http://cloud.test", minTLS: tls.VersionTLS13}, "cloud_tls", bridge.CodeLinkPlain, "plain http", "ace org trust", "cloud", "server_trust"},
		"no cloud":                   {&network{cloud: status(http.StatusNotFound)}, "cloud", bridge.CodeNotACloud, "not an ace cloud", "ace org trust", "cloud_clock", ""},
		"a cloud in trouble":         {&network{cloud: status(http.StatusBadGateway)}, "cloud", bridge.CodeCloudUnreachable, "status 502", "", "cloud_clock", ""},
		"a clock": {&network{cloud: func(w http.ResponseWriter) bool {
			w.Header().Set("Date", time.Now().Add(5*time.Minute).UTC().Format(http.TimeFormat))
			return false
		}}, "cloud_clock", bridge.CodeClockSkewed, "behind the cloud's", "timedatectl", "", "server_clock"},
		"the server's clock": {&network{discovery: func(d *api.Discovery) { d.Time = d.Time.Add(-2 * time.Minute) }}, "server_clock", bridge.CodeClockSkewed,
			"behind the cloud's", "on the server: timedatectl", "", ""},
		"no server": {&network{server: status(http.StatusNotFound)}, "server", bridge.CodeNotAce, "not an ace server", "ace server", "server_trust", ""},
		"a server by another name": {&network{discovery: func(d *api.Discovery) { d.PublicURLs = []bridge.ServerURL{"https://other.test"} }}, "server",
			bridge.CodeServerURLUnknown, "it is https://other.test", "ACE_PUBLIC_URL", "server_trust", ""},
		"no trust": {&network{discovery: func(d *api.Discovery) { d.Exchange = api.DiscoveryExchange{} }}, "server_trust", bridge.CodeServerNoCloudSecret,
			"trusts no cloud", "ace org trust", "", ""},
		"another cloud": {&network{discovery: func(d *api.Discovery) { d.Exchange.Issuer = "https://cloud.other" }}, "server_trust", bridge.CodeServerOtherCloud,
			"https://cloud.other", "ace login --env https://cloud.other", "", ""},
		"another organization": {&network{discovery: func(d *api.Discovery) { d.Exchange.Org = "other" }}, "server_trust", bridge.CodeServerOtherOrg, `"other"`,
			"ace org switch other", "", ""},
		"another key": {&network{trust: otherTrust(t)}, "trust", bridge.CodeServerOtherSecret, "none of the keys", "ace org trust", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			report := tt.net.run(t)
			var found bool
			for _, r := range report.Checks {
				switch {
				case r.Name == tt.check:
					found = true
					if r.State != doctor.Failed || r.Code != tt.code || !strings.Contains(r.Cause, tt.cause) || !strings.Contains(r.Fix, tt.fix) || r.Fix == "" {
						t.Errorf("%+v", r)
					}
				case r.Name == tt.alsoSkipped && r.State != doctor.Skipped:
					t.Errorf("%s is not skipped: %+v", r.Name, r)
				case r.State == doctor.Failed && r.Name != tt.alsoFailedIs:
					t.Errorf("one fault, and %+v failed as well", r)
				}
				if strings.Contains(r.Cause+r.Fix, "secret@") || strings.Contains(r.Cause+r.Fix, "ada") {
					t.Errorf("%+v tells the proxy's password", r)
				}
			}
			if !found || report.OK {
				t.Errorf("%+v", report)
			}
		})
	}
}

// TestFine checks networks without a fault: direct, and through proxies.
func TestFine(t *testing.T) {
	for name, tt := range map[string]struct {
		net   *network
		check string
		found string
	}{
		"direct":                {&network{}, "cloud_dns", "cloud.test is 192.0.2.7"},
		"direct TLS":            {&network{minTLS: tls.VersionTLS13}, "cloud_tls", `TLS 1.3; the certificate of cloud.test is by "nobody"`},
		"no proxy":              {&network{}, "cloud_proxy", "none"},
		"a proxy":               {&network{proxy: "http://proxy.test:3128", lookup: &net.DNSError{}}, "cloud_proxy", "http://proxy.test:3128, from HTTPS_PROXY"},
		"a proxy that asks who": {&network{proxy: "http://a:b@proxy.test:3128", proxyUser: "a:b"}, "cloud_proxy", "http://proxy.test:3128, from HTTPS_PROXY"},
		"trust":                 {&network{}, "trust", "organization acme of https://cloud.test, key pk1.1"},
		"the server":            {&network{}, "server", "https://ace.test is an ace server, version v1"},
		"its trust":             {&network{}, "server_trust", "your organization acme of https://cloud.test"},
	} {
		t.Run(name, func(t *testing.T) {
			report := tt.net.run(t)
			for _, r := range report.Checks {
				if r.State != doctor.OK || r.Name == tt.check && !strings.Contains(r.Found, tt.found) {
					t.Errorf("%+v", r)
				}
			}
			if !report.OK || (tt.net.proxy != "") != (tt.net.proxied.Load() > 0) {
				t.Errorf("%d went through the proxy: %+v", tt.net.proxied.Load(), report)
			}
		})
	}
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
