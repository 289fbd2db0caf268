package bridge

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// ServerURL is the canonical URL of a server or a cloud.
//
// Scheme and host are in lower case; it has no default port and no trailing slash; the path is kept. Only [CanonicalURL] makes
// one, so two of them can be compared as strings.
type ServerURL string

const maxURL = 2048

func badURL(format string, args ...any) error {
	return E(Invalid, CodeURLMalformed, format, args...).
		WithHint("give the address people use, for example https://ace.company.com or http://localhost:7777")
}

// CanonicalURL checks a server's URL and returns its canonical form (RFC 3986 section 6.2).
//
// It refuses anything that could be read in two ways: credentials, a query or fragment, dot segments, empty segments, encoded
// slashes, backslashes, and IPv4 addresses in any form but dotted decimal. It also refuses characters in the path that a shell
// would act on. The brackets of an IPv6 address stay: within them a shell sees a single word.
func CanonicalURL(s string) (ServerURL, error) {
	canonical, err := canonicalize(s)
	if err != nil {
		return "", err
	}
	// Canonicalizing twice must change nothing; some names do not survive idna unchanged.
	if again, err := canonicalize(string(canonical)); err != nil || again != canonical {
		return "", badURL("the URL is not spelled in a way that can be compared")
	}
	return canonical, nil
}

// canonicalize does one pass; see CanonicalURL.
func canonicalize(s string) (ServerURL, error) {
	if s == "" || len(s) > maxURL {
		return "", badURL("the URL is empty or longer than %d bytes", maxURL)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f || s[i] == '\\' {
			return "", badURL("the URL holds a space, a control character or a backslash")
		}
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", badURL("the URL cannot be read: its host, its port or an escape in it is malformed") // net/url would repeat it
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", badURL("the URL must begin with http:// or https://")
	case u.Opaque != "" || u.Host == "":
		return "", badURL("the URL names no host")
	case u.User != nil:
		return "", badURL("the URL must not carry a user name or password")
	case strings.ContainsAny(s, "?#"):
		return "", badURL("the URL must not have a query or a fragment")
	}
	host, err := canonicalHost(u.Hostname(), strings.HasPrefix(u.Host, "["))
	if err != nil {
		return "", err
	}
	port, err := canonicalPort(u)
	if err != nil {
		return "", err
	}
	path, err := canonicalPath(u)
	if err != nil {
		return "", err
	}
	return ServerURL(u.Scheme + "://" + host + port + path), nil
}

// canonicalHost returns a host as an address in its shortest form, or as a domain name in A-labels.
func canonicalHost(host string, bracketed bool) (string, error) {
	if bracketed {
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", badURL("what is in brackets in the URL is not an IPv6 address")
		}
		return "[" + addr.String() + "]", nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
		return addr.String(), nil
	}
	ascii, ok := CanonicalDomain(host)
	if !ok {
		return "", badURL("the host of the URL is not a host name")
	}
	// If the last label is a number, resolvers take the whole for an address (0x7f.1, 2130706433).
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if last != "" && (last[0] >= '0' && last[0] <= '9') {
		if _, err := strconv.ParseUint(strings.TrimPrefix(last, "0x"), 16, 64); err == nil {
			return "", badURL("the host of the URL looks like an address in an unusual form")
		}
	}
	return ascii, nil
}

// CanonicalDomain returns the one spelling of a domain name that is compared and dialled.
//
// That is A-labels in lower case (RFC 5891) without a trailing dot. ok is false if the name is not a domain name.
func CanonicalDomain(name string) (string, bool) {
	ascii, err := idna.Lookup.ToASCII(name)
	ascii = strings.TrimSuffix(ascii, ".") // after ToASCII: the dot may have been one of another script
	ok := err == nil && len(ascii) <= 253
	for label := range strings.SplitSeq(ascii, ".") {
		ok = ok && label != "" && len(label) <= maxLabel
	}
	return ascii, ok
}

// maxLabel is the longest label in bytes (RFC 1035 section 2.3.4).
const maxLabel = 63

func canonicalPort(u *url.URL) (string, error) {
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return "", badURL("the URL has a colon but no port")
		}
		return "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", badURL("the port of the URL is not a number from 1 to 65535")
	}
	if (u.Scheme == "http" && n == 80) || (u.Scheme == "https" && n == 443) {
		return "", nil
	}
	return ":" + strconv.FormatUint(n, 10), nil
}

func canonicalPath(u *url.URL) (string, error) {
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	if strings.HasSuffix(path, "/") {
		return "", badURL("the path of the URL has empty segments")
	}
	if AmbiguousPath(path) {
		return "", badURL("the path of the URL can be read in more than one way")
	}
	if i := strings.IndexFunc(path, notPathRune); i >= 0 {
		return "", badURL("the path of the URL holds a %q, which a shell acts on; if it belongs there, write %%%02X", path[i:i+1], path[i])
	}
	return path, nil
}

// notPathRune reports whether a shell might act on a character of an escaped path (RFC 3986 section 3.3): commands for people
// to copy contain server URLs unquoted.
func notPathRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/%-._~:@=+,", r)
}

// AmbiguousPath reports whether a proxy and the app behind it might read an escaped path differently.
//
// It looks for dot segments (encoded ones too), empty segments, encoded slashes, backslashes and NUL.
func AmbiguousPath(escaped string) bool {
	if !strings.ContainsAny(escaped, `%\;`) && !strings.Contains(escaped, "//") && !strings.Contains(escaped, "/.") &&
		!strings.HasPrefix(escaped, ".") {
		return false // almost every path
	}
	lower := strings.ToLower(escaped)
	for _, bad := range []string{"//", "%2f", "%5c", "\\", "%00"} {
		if strings.Contains(lower, bad) {
			return true
		}
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(lower, "%2e", "."), "/") {
		// "..;x" is a dot segment to servers that know path parameters.
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}

// URL returns the parsed URL.
func (s ServerURL) URL() *url.URL {
	u, err := url.Parse(string(s))
	if err != nil {
		return &url.URL{} // cannot happen: CanonicalURL has parsed it
	}
	return u
}

// Join appends an absolute path.
func (s ServerURL) Join(path string) string { return string(s) + path }

// Origin returns scheme, host and port, as in a browser's Origin header (RFC 6454).
func (s ServerURL) Origin() string {
	u := s.URL()
	return u.Scheme + "://" + u.Host
}

// Loopback reports whether the host can only be this machine.
//
// That is localhost, *.localhost (RFC 6761) or a loopback address.
func (s ServerURL) Loopback() bool {
	host := s.URL().Hostname()
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// Same reports whether two URLs name the same server.
//
// They are equal, or differ only in whether they say localhost, 127.0.0.1 or [::1].
func (s ServerURL) Same(other ServerURL) bool {
	return s.loopbackForm() == other.loopbackForm()
}

// loopbackForm replaces 127.0.0.1 and [::1] by localhost.
func (s ServerURL) loopbackForm() ServerURL {
	u := s.URL()
	switch u.Hostname() {
	case "127.0.0.1", "::1":
		u.Host = strings.TrimSuffix("localhost:"+u.Port(), ":")
		return ServerURL(u.String())
	}
	return s
}
