package relay

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/guard"
)

// fromBrowser are headers in which a browser says which page a request comes from, and with whose credentials. They describe the
// dashboard and this cloud; a server that heeds them would take a member's program for another site's page.
var fromBrowser = []string{"Authorization", "Cookie", "Cookie2", "Origin", "Referer", "Proxy-Authorization", "Service-Worker",
	"Service-Worker-Navigation-Preload", "Upgrade-Insecure-Requests"}

// stripRequest removes from a request what is meant for the cloud or describes it.
func stripRequest(h http.Header) {
	guard.StripInbound(h)
	guard.StripForwarded(h)
	for _, name := range fromBrowser {
		delete(h, name)
	}
	for name := range h {
		// A careless server could take these for a credential of ours, in any spelling.
		if folds(name, "x-api-key") || folds(name, "authorization") || folds(name, "cookie") ||
			strings.HasPrefix(name, "Sec-Fetch-") || strings.HasPrefix(name, "Sec-Ch-") {
			delete(h, name)
		}
	}
}

// folds reports whether a header's name could be taken for another one, given in lower case.
func folds(name, other string) bool {
	return len(name) == len(other) && bridge.FoldsToPrefix(name, other)
}

// rewrite turns the member's request into the request to the server. It runs after hop-by-hop headers are removed, so
// "Connection: X-Api-Key" cannot remove ours.
func (l *calls) rewrite(p *httputil.ProxyRequest) {
	call, _ := guard.Admitted[*relayed](p.In.Context())
	out := p.Out
	guard.Aim(p, call.target.url, call.path)
	out.Host = ""
	stripRequest(out.Header)
	out.Header[http.CanonicalHeaderKey(call.terms.Credential.Header)] = []string{call.terms.Credential.Value.Reveal()}
	out.Header["Via"] = append(out.Header["Via"][:len(out.Header["Via"]):len(out.Header["Via"])], "1.1 "+l.name)
	guard.PassTrailer(p.In, out, stripRequest)
}

// ofTheOrigin are response headers that a browser applies to the origin of the response, which is the cloud's: headers that store
// state, report, redirect, or change what the dashboard's origin may do.
var ofTheOrigin = []string{"Set-Cookie", "Set-Cookie2", "Clear-Site-Data", "Service-Worker-Allowed", "Strict-Transport-Security",
	"Content-Security-Policy", "Content-Security-Policy-Report-Only", "Permissions-Policy", "Permissions-Policy-Report-Only",
	"Feature-Policy", "Document-Policy", "Require-Document-Policy", "Referrer-Policy", "X-Frame-Options", "X-Xss-Protection",
	"Origin-Agent-Cluster", "Origin-Trial", "Accept-Ch", "Critical-Ch", "Accept-Ch-Lifetime", "Alt-Svc", "Nel", "Report-To",
	"Reporting-Endpoints", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Expect-Ct", "Refresh", "Sourcemap", "X-Sourcemap",
	"Speculation-Rules", "Supports-Loading-Mode", "Use-As-Dictionary", "No-Vary-Search", "Set-Login", "Activate-Storage-Access",
	"Observe-Browsing-Topics", "X-Dns-Prefetch-Control", "X-Permitted-Cross-Domain-Policies", "Timing-Allow-Origin",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Content-Location", "Pragma", "Expires", "X-Accel-Redirect", "X-Sendfile"}

// stripAnswer removes the response headers that are not the server's to set.
func stripAnswer(h http.Header) {
	for _, name := range ofTheOrigin {
		delete(h, name)
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, "Cross-Origin-") || strings.HasPrefix(name, "Sec-") &&
			!strings.HasPrefix(name, "Sec-Websocket-") || strings.HasPrefix(name, "Attribution-Reporting-") ||
			strings.HasPrefix(name, "X-Accel-") || bridge.FoldsToPrefix(name, "x-ace-") {
			delete(h, name)
		}
	}
	delete(h, api.HeaderRequestID) // already set by us, like the next one
	delete(h, "X-Content-Type-Options")
}

// answerHeaders are set on every response of a server. Only copies of the values are handed out.
var answerHeaders = http.Header{
	// If a browser ever shows the response as a page, it has no origin, no scripts, and loads nothing.
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; sandbox"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
	"Cache-Control":                {"no-store"}, // a cached response would outlive the access
	api.HeaderRelay:                {api.RelayServer},
}

var errStatus = errors.New("the status of the server's response is not valid")

// answer turns the server's response into the response to the member.
func (l *calls) answer(resp *http.Response) error {
	call, _ := guard.Admitted[*relayed](resp.Request.Context())
	if resp.StatusCode < http.StatusOK && resp.StatusCode != http.StatusSwitchingProtocols {
		return errStatus // such a response cannot be forwarded
	}
	l.count(call, resp.StatusCode >= http.StatusInternalServerError, time.Since(call.began))
	h := resp.Header
	serverID := h.Get(api.HeaderRequestID)
	stripAnswer(h)
	maps.Copy(h, answerHeaders)
	if api.SaneRequestID(serverID) {
		h[api.HeaderRelayRequestID] = []string{serverID}
	}
	l.location(call, resp)
	if challenge := h["Www-Authenticate"]; len(challenge) > 1 || len(challenge) == 1 && !bearerChallenge.MatchString(challenge[0]) {
		delete(h, "Www-Authenticate")
	}
	if resp.StatusCode == http.StatusUnauthorized {
		l.suspect(call) // the connection's key may have died
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil // a 101 has a connection instead of a body
	}
	stripAnswer(resp.Trailer)
	if len(resp.Trailer) > 0 {
		delete(h, "Content-Length") // HTTP/2 has both; over HTTP/1.1 there are trailers after chunks only
	}
	resp.Body = &guard.EndedBody{ReadCloser: resp.Body, Ended: func() { stripAnswer(resp.Trailer) }}
	return nil
}

// bearerChallenge matches the only challenge that is forwarded (RFC 6750 section 3): for Basic, a browser would ask for a
// password in the cloud's name.
var bearerChallenge = regexp.MustCompile(`^Bearer( [a-z_]+="[^"\\]*"(, ?[a-z_]+="[^"\\]*")*)?$`)

// location keeps a redirect within the relay. A redirect to anywhere else loses its target, so that nobody follows it with the
// relay's powers and the dashboard sends nobody there.
func (l *calls) location(call *relayed, resp *http.Response) {
	values := resp.Header["Location"]
	delete(resp.Header, "Location")
	if len(values) != 1 || values[0] == "" || !bridge.PlainText(values[0], maxLocation) {
		return
	}
	to, err := resp.Request.URL.Parse(values[0])
	if err != nil || to.User != nil || to.Opaque != "" {
		return
	}
	origin, err := bridge.CanonicalURL(to.Scheme + "://" + to.Host)
	escaped := to.EscapedPath()
	rest, below := strings.CutPrefix(escaped, call.target.url.EscapedPath())
	if err != nil || string(origin) != call.target.server.Origin() || !below || (rest != "" && rest[0] != '/') ||
		bridge.AmbiguousPath(escaped) {
		return
	}
	location := relayPrefix + call.terms.Connection + "/relay/" + strings.TrimPrefix(rest, "/")
	if to.RawQuery != "" {
		location += "?" + to.RawQuery
	}
	if to.Fragment != "" {
		location += "#" + to.EscapedFragment()
	}
	resp.Header["Location"] = []string{location}
}

const maxLocation = 8 << 10
