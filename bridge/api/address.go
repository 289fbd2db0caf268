package api

import (
	"iter"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// UnknownAddress stands for a client address that cannot be read. No address allowlist lets it pass.
const UnknownAddress = "unknown"

// maxHops bounds how many entries of X-Forwarded-For are read.
const maxHops = 64

// ClientAddress returns the IP address that a request comes from.
//
// It is the peer's address, or what trusted proxies report in X-Forwarded-For. That list is read from the right, past trusted
// proxies. If the entry that counts cannot be read, the address is [UnknownAddress], never that of a proxy.
func ClientAddress(r *http.Request, trusted []netip.Prefix) string {
	address, _ := clientAddress(r, trusted)
	return address
}

// clientAddress is ClientAddress, and also counts the proxies between the client and the peer.
func clientAddress(r *http.Request, trusted []netip.Prefix) (address string, beyond int) {
	peer, ok := peerAddress(r)
	switch {
	case !ok:
		return UnknownAddress, 0
	case len(trusted) == 0 || !trusts(trusted, peer):
		return peer.String(), 0
	}
	lines, given := r.Header["X-Forwarded-For"]
	if !given {
		if len(r.Header["Forwarded"]) > 0 { // a proxy that adds no X-Forwarded-For may pass on a Forwarded header from anyone
			return UnknownAddress, 0
		}
		return peer.String(), 0
	}
	client, found := netip.Addr{}, false
	hops := 0
	for entry := range fromTheRight(lines) {
		addr, ok := parseNode(entry)
		if hops++; !ok || hops > maxHops {
			return UnknownAddress, hops - 1
		}
		if client, found = addr, true; !trusts(trusted, addr) {
			return client.String(), hops - 1
		}
	}
	if !found {
		return UnknownAddress, 0
	}
	return client.String(), hops - 1
}

// addressOf adapts ClientAddress to echo.
func addressOf(trusted []netip.Prefix) echo.IPExtractor {
	return func(r *http.Request) string { return ClientAddress(r, trusted) }
}

// peerAddress is the peer's address without a zone, since a zone means nothing outside this machine.
func peerAddress(r *http.Request) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr().Unmap().WithZone(""), err == nil
}

func trusts(trusted []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseNode parses an entry of X-Forwarded-For: an IP address, with or without a port (RFC 7239 section 6).
func parseNode(s string) (netip.Addr, bool) {
	host := s
	switch i := strings.LastIndexByte(s, ':'); {
	case strings.HasPrefix(s, "["):
		var rest string
		host, rest, _ = strings.Cut(s[1:], "]")
		if !strings.HasSuffix(s[:len(s)-len(rest)], "]") || !strings.Contains(host, ":") || (rest != "" && !isNodePort(rest)) {
			return netip.Addr{}, false
		}
	case i >= 0 && strings.IndexByte(s, ':') == i: // one colon: an IPv4 address and a port
		host = s[:i]
		if !isNodePort(s[i:]) || strings.Contains(host, ":") {
			return netip.Addr{}, false
		}
	}
	addr, err := netip.ParseAddr(host)
	zoned := addr.Zone() != "" // read before Unmap, which drops it
	addr = addr.Unmap()
	if err != nil || zoned || addr.IsUnspecified() || addr.IsMulticast() {
		return netip.Addr{}, false
	}
	return addr, true
}

var obfuscatedPort = regexp.MustCompile(`^_[0-9A-Za-z._-]{1,64}$`)

// isNodePort reports whether s is a colon and a port, or an obfuscated port (RFC 7239 section 6.3).
func isNodePort(s string) bool {
	port, ok := strings.CutPrefix(s, ":")
	if !ok {
		return false
	}
	if obfuscatedPort.MatchString(port) {
		return true
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil && len(port) <= 5
}

// FromTrusted reports whether a request's peer is a trusted proxy.
func FromTrusted(r *http.Request, trusted []netip.Prefix) bool {
	peer, ok := peerAddress(r)
	return ok && trusts(trusted, peer)
}

// ForwardedScheme returns the scheme the client used, http or https.
//
// Trusted proxies report it in X-Forwarded-Proto. The first entry of a list counts, since the outermost proxy terminates TLS;
// an unreadable one counts as http. Use it to build URLs, not to decide about access.
func ForwardedScheme(r *http.Request, trusted []netip.Prefix) string {
	if said := r.Header["X-Forwarded-Proto"]; len(said) > 0 && FromTrusted(r, trusted) {
		switch strings.ToLower(firstEntry(said)) {
		case "https", "wss":
			return "https"
		}
		return "http"
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

var plainHost = regexp.MustCompile(`^(?:[0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$`)

// ForwardedHost returns the host the client asked for.
//
// It is what the first trusted proxy behind the client reports in X-Forwarded-Host, or else the request's own Host.
func ForwardedHost(r *http.Request, trusted []netip.Prefix) string {
	if said := r.Header["X-Forwarded-Host"]; len(said) > 0 && FromTrusted(r, trusted) {
		if host := forwardedEntry(r, trusted, said); plainHost.MatchString(host) {
			return host
		}
	}
	return r.Host
}

// forwardedEntry is the entry at the client's position in X-Forwarded-For, counted from the right: everything further left
// may have been written by the client. A proxy that sets the header instead of appending makes the list shorter.
func forwardedEntry(r *http.Request, trusted []netip.Prefix, lines []string) string {
	last := ""
	_, beyond := clientAddress(r, trusted)
	for entry := range fromTheRight(lines) {
		if last = unquoted(entry); beyond == 0 {
			return last
		}
		beyond--
	}
	return last
}

// fromTheRight yields the entries of a list header, which may span several lines, last one first.
func fromTheRight(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			for rest, more := line, true; more; {
				var entry string
				if i := strings.LastIndexByte(rest, ','); i >= 0 {
					rest, entry = rest[:i], rest[i+1:]
				} else {
					entry, more = rest, false
				}
				if entry = strings.Trim(entry, " \t"); entry != "" && !yield(entry) {
					return
				}
			}
		}
	}
}

// firstEntry is the first entry of a list header, which may span several lines.
func firstEntry(lines []string) string {
	for _, line := range lines {
		for entry := range strings.SplitSeq(line, ",") {
			if entry = strings.Trim(entry, " \t"); entry != "" {
				return unquoted(entry)
			}
		}
	}
	return ""
}

// unquoted strips the quotes that some proxies put around an entry.
func unquoted(s string) string {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
