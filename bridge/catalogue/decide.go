package catalogue

import (
	"io"
	"net/http"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// Request is what a decision looks at.
type Request struct {
	Method   string
	Path     string // escaped, as it was sent, without the query
	RawQuery string
	Header   http.Header
	// Length is the length of the body in bytes if it is known in advance; otherwise negative.
	Length int64
	// Body reads the whole body, up to a bound that its owner sets; nil if the body cannot be seen.
	Body func() ([]byte, error)
	// Watch inserts a reader in front of the body, which may cut it off before the app reads on; nil if that is impossible.
	Watch func(through func(io.Reader) io.Reader)
}

// refuse makes a refusal whose exact cause only the operator sees.
func refuse(code bridge.Code, format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Forbidden, bridge.CodeAccessDenied, "this request is not allowed").
		Because(bridge.E(bridge.Forbidden, code, format, args...))
}

// overrides are headers from which some apps take another method or path than the one that was decided about.
var overrides = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Method", "Http-Method-Override", "Method-Override",
	"X-Http-Path-Override", "X-Original-Url", "X-Override-Url", "X-Rewrite-Url", "X-Rewrite-Uri"}

// Overrides reports whether a header could make a careless app see another request.
func Overrides(name string) bool {
	for _, o := range overrides {
		if len(name) == len(o) && strings.EqualFold(bridge.FoldHeader(name), o) {
			return true
		}
	}
	return false
}

// ValidMethod reports whether rules can match a method: it is in upper case, as all registered ones are.
func ValidMethod(method string) bool { return methodPattern.MatchString(method) }

var connectionOptions = map[string]bool{"": true, "close": true, "keep-alive": true, "upgrade": true, "te": true}

// Decide returns nil if an identity may make a request, or a refusal of kind Forbidden.
//
// A missing scope has the code scope_missing and names the scope. Any other refusal has the code access_denied and hides its
// cause, which names the rule, for the operator. A request that can be read in two ways may also be of kind Invalid.
func (c Catalogue) Decide(id bridge.Identity, r Request) error {
	if !c.HasRules() {
		return nil
	}
	parts, err := c.readPath(r.Path)
	if err != nil {
		return err
	}
	if err := checkUnambiguous(r); err != nil {
		return err
	}
	for i := range c.rules {
		rule := &c.rules[i]
		switch matches, exactly := rule.matches(r.Method, parts); {
		case matches && exactly:
			return rule.decide(id, r, parts)
		case matches:
			return refuse(bridge.CodePathAmbiguous, "the path differs from %s only in case or Unicode form: %q", rule.name,
				bridge.Clip(r.Path, maxShown))
		}
	}
	if c.file.NoMatch == NoMatchAuthenticated {
		return nil
	}
	return refuse(bridge.CodeNoRule, "no rule matches %s %s, and no_match is deny", bridge.Clip(r.Method, maxShown),
		bridge.Clip(r.Path, maxShown))
}

// RequireOwnMethod refuses a request with a header or a parameter from which some apps take another method or path than its own.
func RequireOwnMethod(r Request) error {
	for name := range r.Header {
		if err := requireNoOverride(name); err != nil {
			return err
		}
	}
	return checkParameters(r)
}

func requireNoOverride(header string) error {
	if !Overrides(header) {
		return nil
	}
	return refuse(bridge.CodeOverrideHeader, "the header %s could make the app treat the request as a different one", bridge.Clip(header, maxShown))
}

// checkUnambiguous refuses what an app could read differently from the rules.
func checkUnambiguous(r Request) error {
	if !ValidMethod(r.Method) {
		return refuse(bridge.CodeMethodMalformed, "the method is not in upper case: %q", bridge.Clip(r.Method, maxShown))
	}
	for name, values := range r.Header {
		if err := requireNoOverride(name); err != nil {
			return err
		}
		if name != "Connection" {
			continue
		}
		// A proxy removes the headers that Connection names (RFC 9110 section 7.6.1), so the app would not receive what was
		// decided about.
		for option := range strings.SplitSeq(strings.Join(values, ","), ",") {
			if option = strings.ToLower(strings.TrimSpace(option)); !connectionOptions[option] {
				return refuse(bridge.CodeValueAmbiguous, "the header Connection would remove the header %s", bridge.Clip(option, maxShown))
			}
		}
	}
	return checkParameters(r)
}

// decide applies one rule, and names it in the cause of a refusal.
func (r *rule) decide(id bridge.Identity, req Request, parts []string) error {
	v := &values{rule: r, request: req, parts: parts}
	err := r.check(id, v)
	if err == nil {
		return nil
	}
	e := bridge.AsError(err)
	if e.Kind != bridge.Forbidden {
		return err // for example, the body could not be read
	}
	cause := e
	if inner := bridge.AsError(e.Err); e.Err != nil && inner.Code != bridge.CodeInternal {
		cause = inner
	}
	return e.Because(bridge.E(bridge.Forbidden, cause.Code, "%s: %s", r.name, cause.Detail))
}

// check decides by one rule, without naming it in the refusal.
func (r *rule) check(id bridge.Identity, v *values) error {
	if r.tool == "" {
		return requireCovered(id, r.require, v)
	}
	if bare, err := r.withoutMessage(v); bare || err != nil {
		if err == nil {
			err = requireCovered(id, r.ofTheRequest(), v)
		}
		return err
	}
	calls, err := v.calls()
	if err != nil {
		return err
	}
	// No call of a batch passes before all of them are checked.
	for _, call := range calls {
		v.call = call
		list := r.tools
		if call.message {
			list = r.messages
		}
		if err := checkName(call.name); err != nil {
			return err
		}
		o, ok := find(list, call.name)
		if !ok && call.message && r.protocol(call.name) {
			if err := requireCovered(id, r.ofTheRequest(), v); err != nil {
				return err
			}
			continue
		}
		if !ok {
			return refuse(bridge.CodeOperationUnknown, "no rule says what the operation %q needs", bridge.Clip(call.name, maxShown))
		}
		if err := requireCovered(id, r.require, v); err != nil {
			return err
		}
		if err := requireCovered(id, o.require, v); err != nil {
			return err
		}
	}
	return nil
}

// requireCovered refuses an identity that lacks one of the scopes, after filling in the request's values.
func requireCovered(id bridge.Identity, require []template, v *values) error {
	for _, t := range require {
		need, err := t.fill(v)
		if err != nil {
			return err
		}
		if !id.Covers(need) {
			return MissingScope(need)
		}
	}
	return nil
}

// MissingScope is the refusal of a credential that lacks a scope (insufficient_scope, RFC 6750 section 3.1).
func MissingScope(need bridge.Scope) *bridge.Error {
	e := bridge.E(bridge.Forbidden, bridge.CodeScopeMissing, "this needs the scope %s, which the credential does not have", need)
	e.Scope = need
	return e
}
