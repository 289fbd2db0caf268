package guard

import (
	"net/http"

	"github.com/acebridge/ace/bridge"
)

// forwardedPrefixes and forwardedNames are lower-case headers that claim where a request came from. Apps trust them, so
// none may pass as a client sent it.
var (
	forwardedPrefixes = []string{"x-forwarded-", "x-original-"}
	forwardedNames    = []string{"forwarded", "x-forwarded", "x-real-ip", "true-client-ip", "x-client-ip", "client-ip",
		"cf-connecting-ip", "x-cluster-client-ip", "fastly-client-ip"}
)

// StripForwarded removes the headers in which a client claims an origin, however they are spelled.
func StripForwarded(h http.Header) {
	for name := range h {
		if forwarded(name) {
			delete(h, name)
		}
	}
}

// forwarded reports whether a header claims an origin. It runs for each header of each request, hence the first switch.
func forwarded(name string) bool {
	switch name[:min(1, len(name))] {
	case "X", "x", "F", "f", "T", "t", "C", "c":
	default:
		return false // most headers
	}
	for _, prefix := range forwardedPrefixes {
		if bridge.FoldsToPrefix(name, prefix) {
			return true
		}
	}
	return forwardedName(name)
}

func forwardedName(name string) bool {
	for _, known := range forwardedNames {
		if len(name) == len(known) && bridge.FoldsToPrefix(name, known) {
			return true
		}
	}
	return false
}

// reserved reports whether an app could take a header for an X-Ace-* one. Proxies and apps may ignore case and read '_' or
// '.' as '-', so the folded name is compared.
func reserved(name string) bool { return bridge.FoldsToPrefix(name, "x-ace-") }

// ofProxies are headers that a proxy sets itself when it asks for a verdict, or is configured to remove (see configs/).
var ofProxies = map[string]bool{"X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Forwarded-Port": true,
	"X-Forwarded-Server": true, "X-Forwarded-Prefix": true, "X-Forwarded-Method": true, "X-Forwarded-Uri": true,
	"X-Original-Method": true, "X-Original-Uri": true, "X-Original-Url": true}

// CheckReserved refuses headers that an app could take for ace's own or a proxy's.
//
// It is for forward-auth, where another proxy forwards the request and may not strip them. X-Ace-Api-Key passes, since
// clients send it. The error has the code [bridge.CodeHeaderReserved].
func CheckReserved(h http.Header) error {
	for name := range h {
		switch canonical := http.CanonicalHeaderKey(name); {
		case canonical == bridge.HeaderAceAPIKey, ofProxies[canonical]:
		case reserved(name):
			return headerReserved("the header %.60q is one of ace's own", name)
		case forwarded(name) && (!forwardedName(name) || canonical != http.CanonicalHeaderKey(bridge.FoldHeader(name))):
			return headerReserved("the header %.60q describes the client, which only a proxy may do", name)
		}
	}
	return nil
}

func headerReserved(format, name string) error {
	return bridge.E(bridge.Forbidden, bridge.CodeHeaderReserved, format, name).WithHint("send the request without it")
}
