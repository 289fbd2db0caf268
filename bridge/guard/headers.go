package guard

import (
	"net/http"

	"github.com/acebridge/ace/bridge"
)

// forwardedPrefixes and forwardedNames are folded headers that say where a request came from, or from whom. Apps believe
// them, so that none passes as a client sent it.
var (
	forwardedPrefixes = []string{"x-forwarded-", "x-original-"}
	forwardedNames    = []string{"forwarded", "x-forwarded", "x-real-ip", "true-client-ip", "x-client-ip", "client-ip",
		"cf-connecting-ip", "x-cluster-client-ip", "fastly-client-ip"}
)

// StripForwarded removes what a client says of where its request came from, in whichever spelling.
func StripForwarded(h http.Header) {
	for name := range h {
		if forwarded(name) {
			delete(h, name)
		}
	}
}

func forwarded(name string) bool {
	switch name[:min(1, len(name))] {
	case "X", "x", "F", "f", "T", "t", "C", "c":
	default:
		return false // as many are
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

// reserved reports whether a header may pass for one of ours: a proxy or an app may take '_' and '.' for '-' and ignore
// case, so the folded name counts.
func reserved(name string) bool { return bridge.FoldsToPrefix(name, "x-ace-") }

// ofProxies are the headers that a proxy sets itself where it asks for a verdict, or is told to remove in configs/.
var ofProxies = map[string]bool{"X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Forwarded-Port": true,
	"X-Forwarded-Server": true, "X-Forwarded-Prefix": true, "X-Forwarded-Method": true, "X-Forwarded-Uri": true,
	"X-Original-Method": true, "X-Original-Uri": true, "X-Original-Url": true}

// CheckReserved refuses every header that an app could take for one of ours, or for another proxy's word about the caller.
// It is for where somebody else hands the request on, who may not strip it; X-Ace-Api-Key is the one that clients send.
func CheckReserved(h http.Header) error {
	for name := range h {
		switch canonical := http.CanonicalHeaderKey(name); {
		case canonical == bridge.HeaderAceAPIKey, ofProxies[canonical]:
		case reserved(name):
			return headerReserved("the header %.60q is one of ace's own", name)
		case forwarded(name) && (!forwardedName(name) || canonical != http.CanonicalHeaderKey(bridge.FoldHeader(name))):
			return headerReserved("the header %.60q says something of the client that only a proxy may say", name)
		}
	}
	return nil
}

func headerReserved(format, name string) error {
	return bridge.E(bridge.Forbidden, bridge.CodeHeaderReserved, format, name).WithHint("send the request without it")
}
