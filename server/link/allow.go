package link

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/guard"
)

const (
	maxRules    = 100
	maxRulePath = 1024
	anyMethod   = "*"
)

// Allow says which requests a server takes over a link (ACE_TUNNEL_ALLOW). The zero value takes all.
type Allow struct{ rules []rule }

// rule takes requests with a method to a path, and to all below it.
type rule struct {
	method string // or anyMethod
	path   string // decoded, without a slash at its end; "" is everything
}

var methodName = regexp.MustCompile(`^[A-Z][A-Z-]{0,31}$`)

// ParseAllow parses a comma-separated list such as "GET /, POST /orders, * /public". Paths match by whole segments.
func ParseAllow(text string) (Allow, error) {
	var a Allow
	if strings.TrimSpace(text) == "" {
		return a, nil
	}
	for entry := range strings.SplitSeq(text, ",") {
		if len(a.rules) == maxRules {
			return Allow{}, fmt.Errorf("it has more than %d entries", maxRules)
		}
		bad := func(why string) (Allow, error) {
			return Allow{}, fmt.Errorf("entry %d %s: it must be a method and a path, such as GET /orders or * /public", len(a.rules)+1, why)
		}
		method, path, ok := strings.Cut(strings.TrimSpace(entry), " ")
		path = strings.TrimSpace(path)
		switch {
		case !ok:
			return bad("has no method or no path")
		case method != anyMethod && !methodName.MatchString(method):
			return bad("does not begin with a method in capital letters, or *")
		case len(path) > maxRulePath || catalogue.Ambiguous(path) || strings.ContainsAny(path, " *"):
			return bad("has a path that does not begin with /, or that can be read in two ways")
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return bad("has a path that cannot be read")
		}
		a.rules = append(a.rules, rule{method, strings.TrimSuffix(decoded, "/")})
	}
	return a, nil
}

// Narrows reports whether anything is refused.
func (a Allow) Narrows() bool { return len(a.rules) > 0 }

// Check refuses a request that the server does not take over a link, or from which an app could take another one that it does
// not take.
func (a Allow) Check(w http.ResponseWriter, r *http.Request) error {
	if !a.Narrows() {
		return nil
	}
	escaped := r.URL.EscapedPath()
	if catalogue.Ambiguous(escaped) {
		return bridge.E(bridge.Invalid, bridge.CodePathAmbiguous,
			"the path can be read in more than one way, and ACE_TUNNEL_ALLOW of this server decides by paths")
	}
	path := r.URL.Path
	for _, rule := range a.rules {
		if rule.takes(r.Method, path) {
			return guard.RequireOwnMethod(w, r)
		}
	}
	if alwaysTaken(r, path) {
		return nil
	}
	return bridge.E(bridge.Forbidden, bridge.CodeLinkForbidden, "this server does not take %s %s over a link",
		bridge.Clip(r.Method, 32), bridge.Clip(bridge.Printable(escaped), 200)).
		WithHint("its operator says in ACE_TUNNEL_ALLOW what comes over a link")
}

func (l rule) takes(method, path string) bool {
	if l.method != anyMethod && l.method != method && (l.method != http.MethodGet || method != http.MethodHead) {
		return false
	}
	rest, ok := strings.CutPrefix(path, l.path)
	return ok && (rest == "" || rest[0] == '/')
}

// Requests without which a connection does not work or cannot be taken back.
const (
	pathMe        = "/ace/v1/me"
	pathKeys      = "/ace/v1/api-keys/"
	pathDiscovery = "/.well-known/ace-server"
)

// alwaysTaken reports whether a request comes over a link whatever ACE_TUNNEL_ALLOW says: probes, the catalogue, statements and
// the rotation of a key.
func alwaysTaken(r *http.Request, path string) bool {
	switch path {
	case pathMe, "/ace/v1/scopes", "/ace/healthz", pathDiscovery:
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}
	key, ok := strings.CutPrefix(path, pathKeys)
	if !ok {
		return false
	}
	id, what, _ := strings.Cut(key, "/")
	switch {
	case id == "":
		return false
	case what == "rotate":
		return r.Method == http.MethodPost
	case what == "access-tokens":
		return r.Method == http.MethodDelete
	}
	return what == "" && r.Method == http.MethodDelete && carriesRevocation(r.Header)
}

// carriesRevocation reports whether a request carries a revocation that a key has signed, not a person's credential.
func carriesRevocation(h http.Header) bool {
	presented, err := bridge.Credential(h)
	return err == nil && !presented.IsKey() && bridge.TokenType(presented.Value) == bridge.TypeRevocation
}

// refuse answers a request that does not come in.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	w.Header()[api.HeaderRequestID] = []string{api.TakeRequestID(r, nil)}
	api.WriteProblem(w, err)
}
