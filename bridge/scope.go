package bridge

import (
	"slices"
	"strings"
)

// Bounds on scopes from outside.
const (
	MaxScopeLen    = 128 // bytes of one scope
	MaxScopes      = 128 // scopes of one key or token
	maxScopeSegs   = 8
	scopeWildcard  = "*"
	tieredResource = "svc"
)

// tiers are the ordered capabilities of svc:<service>:<tier>.
var tiers = []string{"read", "write", "admin"}

// The scopes that only an admin in person grants, by name: no wildcard covers them, no preset and no role below admin holds them.
const (
	// ScopeActAs lets the access tokens of a key name subjects other than the key's owner.
	ScopeActAs Scope = "key:act-as"
	// ScopeCreateOrganization lets a key make organization keys, which outlive it.
	ScopeCreateOrganization Scope = "key:create-organization"
)

// Reserved reports whether s is granted by name only; see [ScopeActAs].
func (s Scope) Reserved() bool { return s == ScopeActAs || s == ScopeCreateOrganization }

// Scope is one permission: segments of [a-z0-9._-]+ or "*", joined by colons.
type Scope string

// ParseScope checks the form of one scope.
func ParseScope(s string) (Scope, error) {
	bad := func(why string) (Scope, error) {
		if len(s) > MaxScopeLen {
			s = s[:MaxScopeLen] + "…"
		}
		return "", E(Invalid, CodeScopeMalformed, "%q is not a scope: %s", s, why)
	}
	if s == "" || len(s) > MaxScopeLen {
		return bad("it is empty or longer than 128 bytes")
	}
	segments := strings.Split(s, ":")
	if len(segments) > maxScopeSegs {
		return bad("it has more than 8 segments")
	}
	for _, seg := range segments {
		if seg == scopeWildcard {
			continue
		}
		if seg == "" || strings.IndexFunc(seg, notScopeRune) >= 0 {
			return bad("segments are lower-case letters, digits and . _ -, or a single *")
		}
	}
	return Scope(s), nil
}

func notScopeRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
}

// Covers reports whether holding the scope s satisfies the required scope r: "*" covers one segment and a last "*"
// covers the rest; in svc:<service>:<tier> admin covers write covers read. A reserved scope is covered by itself alone. The
// relation is reflexive and transitive.
func (s Scope) Covers(r Scope) bool {
	if s.Reserved() || r.Reserved() {
		return s == r
	}
	have, need := s.segments(make([]string, 0, maxScopeSegs)), r.segments(make([]string, 0, maxScopeSegs))
	for i, seg := range have {
		if i >= len(need) {
			return false
		}
		if seg == scopeWildcard {
			if i == len(have)-1 {
				return true
			}
			// A last "*" of the required scope stands for any number of segments, which one segment does not cover.
			if need[i] == scopeWildcard && i == len(need)-1 {
				return false
			}
			continue
		}
		if seg == need[i] {
			continue
		}
		// A "*" in front stands for svc as well; otherwise covering would not be transitive.
		if i == 2 && len(have) == 3 && len(need) == 3 && need[0] == tieredResource && tierCovers(seg, need[i]) {
			continue
		}
		return false
	}
	return len(have) == len(need)
}

// segments appends the scope's segments, to a list on the caller's stack: Covers is called a lot.
func (s Scope) segments(to []string) []string {
	for seg := range strings.SplitSeq(string(s), ":") {
		to = append(to, seg)
	}
	return to
}

func tierCovers(have, need string) bool {
	h, n := slices.Index(tiers, have), slices.Index(tiers, need)
	return h >= 0 && n >= 0 && h >= n
}

// Scopes is a set of scopes: a key's, a token's, or a ceiling. The zero value grants nothing.
type Scopes []Scope

// ParseScopes reads scopes as OAuth writes them, separated by spaces (RFC 6749 section 3.3), and returns them sorted
// and without repetition.
func ParseScopes(s string) (Scopes, error) {
	return NewScopes(strings.Fields(s))
}

// NewScopes checks a list of scopes and returns it sorted and without repetition.
func NewScopes(list []string) (Scopes, error) {
	if len(list) > MaxScopes {
		return nil, E(Invalid, CodeScopeMalformed, "more than %d scopes", MaxScopes)
	}
	out := make(Scopes, 0, len(list))
	for _, s := range list {
		scope, err := ParseScope(s)
		if err != nil {
			return nil, err
		}
		out = append(out, scope)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Covers reports whether one of the scopes covers r.
func (s Scopes) Covers(r Scope) bool {
	return slices.ContainsFunc(s, func(have Scope) bool { return have.Covers(r) })
}

// CoversAll reports whether every scope of r is covered.
func (s Scopes) CoversAll(r Scopes) bool {
	return !slices.ContainsFunc(r, func(need Scope) bool { return !s.Covers(need) })
}

// Cap returns what of s lies within the ceiling: the scopes of s that the ceiling covers, and the scopes of the ceiling
// that lie below a wider scope of s. The result never covers what s or the ceiling does not cover.
func (s Scopes) Cap(ceiling Scopes) Scopes {
	var out Scopes
	for _, have := range s {
		if ceiling.Covers(have) {
			out = append(out, have)
		}
	}
	for _, max := range ceiling {
		if s.Covers(max) {
			out = append(out, max)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// String joins the scopes with spaces, as OAuth does.
func (s Scopes) String() string {
	if len(s) == 1 {
		return string(s[0])
	}
	return strings.Join(s.Strings(), " ")
}

// Strings returns the scopes as plain strings; never nil, so that it encodes as an empty JSON array.
func (s Scopes) Strings() []string {
	out := make([]string, len(s))
	for i, scope := range s {
		out[i] = string(scope)
	}
	return out
}
