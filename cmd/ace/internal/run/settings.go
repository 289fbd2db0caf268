package run

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
)

// settings are the common variables, checked.
type settings struct {
	addr       string
	noPort     bool // ACE_ADDR=none: reached over links alone
	loopback   bool
	publicURLs []bridge.ServerURL
	dataDir    string
	stateDir   string // the data directory, if it belongs to this database
	database   string
	proxies    []netip.Prefix
	drain      time.Duration
}

// noAddr is the value of ACE_ADDR for a server without a port.
const noAddr = "none"

const (
	defaultDrain = 3 * time.Second // none on loopback, where no other replica takes over
	maxDrain     = 10 * time.Minute
)

// settings checks the common variables. It collects mistakes, so that one start names all of them.
func (e *CommonEnv) settings(role, addr string, wrong *[]string) settings {
	s := settings{addr: e.Addr, dataDir: e.DataDir}
	if s.addr == "" {
		s.addr = addr
	}
	s.noPort = role == "server" && s.addr == noAddr
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil && !s.noPort {
		*wrong = append(*wrong, "ACE_ADDR: it is not HOST:PORT")
	}
	s.loopback = profile.IsLoopback(host) || s.noPort
	for _, raw := range splitComma(e.PublicURL) {
		u, err := bridge.CanonicalURL(raw)
		if err != nil {
			*wrong = append(*wrong, "ACE_PUBLIC_URL: "+bridge.AsError(err).Detail)
			continue
		}
		s.publicURLs = append(s.publicURLs, u)
	}
	if e.PublicURL == "" && s.loopback && err == nil {
		s.publicURLs = loopbackURLs(e.scheme(), host, port)
	}
	if s.dataDir == "" {
		home, err := os.UserHomeDir()
		if err != nil && e.DatabaseURL.IsZero() {
			*wrong = append(*wrong, "ACE_DATA_DIR is not set, and there is no home directory for ~/.ace/"+role)
		}
		s.dataDir = filepath.Join(home, ".ace", role)
	}
	if e.DataDir != "" || e.DatabaseURL.IsZero() { // a database elsewhere has nothing to do with the default directory
		s.stateDir = s.dataDir
	}
	s.database = e.DatabaseURL.Reveal()
	if s.database == "" {
		s.database = "sqlite:" + filepath.Join(s.dataDir, role+".db")
	}
	s.proxies = prefixes("ACE_TRUSTED_PROXIES", e.TrustedProxies, wrong)
	s.drain = e.drain(s.loopback, wrong)
	if (e.TLSCert == "") != (e.TLSKey == "") {
		*wrong = append(*wrong, "ACE_TLS_CERT and ACE_TLS_KEY must be set together; one is missing")
	}
	if _, err := e.logger(io.Discard); err != nil {
		*wrong = append(*wrong, err.Error())
	}
	notYet(wrong, "ACE_METRICS_ADDR", e.MetricsAddr)
	return s
}

func (e *CommonEnv) drain(loopback bool, wrong *[]string) time.Duration {
	switch {
	case e.Drain == "" && loopback:
		return 0
	case e.Drain == "":
		return defaultDrain
	}
	d, err := time.ParseDuration(e.Drain)
	if err != nil || d < 0 || d > maxDrain {
		*wrong = append(*wrong, fmt.Sprintf("ACE_DRAIN: it is not a duration such as 5s, of at most %s", maxDrain))
	}
	return d
}

// notYet refuses a setting that this version cannot act on. If it were ignored, its owner would rely on it.
func notYet(wrong *[]string, name, value string) {
	if value != "" {
		*wrong = append(*wrong, name+" is not supported by this version")
	}
}

func (e *CommonEnv) scheme() string {
	if e.TLSCert != "" {
		return "https"
	}
	return "http"
}

func (e *CommonEnv) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(e.LogLevel)); err != nil {
		return nil, errors.New("ACE_LOG_LEVEL: it is not debug, info, warn or error")
	}
	options := &slog.HandlerOptions{Level: level}
	switch e.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, errors.New("ACE_LOG_FORMAT: it is not text or json")
}

// loopbackURLs are the URLs of a listener on loopback. The first is the one that it calls itself.
func loopbackURLs(scheme, host, port string) []bridge.ServerURL {
	var out []bridge.ServerURL
	for _, name := range []string{"localhost", "127.0.0.1", "::1", host} {
		u, err := bridge.CanonicalURL(scheme + "://" + net.JoinHostPort(name, port))
		if err == nil && (len(out) < 3 || !u.Same(out[0])) {
			out = append(out, u)
		}
	}
	return out
}

func splitComma(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func prefixes(name, value string, wrong *[]string) []netip.Prefix {
	var out []netip.Prefix
	for i, part := range splitComma(value) {
		p, err := netip.ParsePrefix(part)
		if addr, addrErr := netip.ParseAddr(part); addrErr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			*wrong = append(*wrong, fmt.Sprintf("%s: entry %d is not a CIDR such as 10.0.0.0/8", name, i+1))
			continue
		}
		if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 { // so that it matches plain IPv4 addresses
			p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

// origins reads ACE_ALLOWED_ORIGINS: browser origins, as they stand in an Origin header.
func origins(value string, wrong *[]string) []string {
	var out []string
	for i, origin := range splitComma(value) {
		u, err := bridge.CanonicalURL(origin)
		if err != nil || u.Origin() != string(u) {
			*wrong = append(*wrong, fmt.Sprintf("ACE_ALLOWED_ORIGINS: entry %d is not an origin such as https://app.company.com", i+1))
			continue
		}
		out = append(out, u.Origin())
	}
	return out
}

func parseUpstream(value string, wrong *[]string) *url.URL {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		*wrong = append(*wrong, "ACE_UPSTREAM_URL: it must be http://HOST or https://HOST, without a user or a query")
		return nil
	}
	return u
}
