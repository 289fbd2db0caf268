package bridge

import (
	"slices"
	"strings"
)

// Bounds of scopes from outside.
const (
	MaxScopeLen    = 128 // bytes of one scope
	MaxScopes      = 128 // scopes of one key or token
	maxScopeSegs   = 8
	scopeWildcard  = "*"
	tieredResource = "svc"
)

// tiers are the capabilities in svc:<service>:<tier>, lowest first.
var tiers = []string{"read", "write", "admin"}

// Reserved scopes, which only an admin in person grants, by name.
//
// No wildcard covers them, and no preset and no role below admin includes them.
const (
	// ScopeActAs lets a key's access tokens name subjects other than the key's owner.
	ScopeActAs Scope = "key:act-as"
	// ScopeCreateOrganization lets a key create organization keys, which outlive it.
	ScopeCreateOrganization Scope = "key:create-organization"
)

// Reserved reports whether s can only be granted by name; see [ScopeActAs].
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

// Covers reports whether having s satisfies the required scope r.
//
// "*" covers one segment, and the rest if it comes last. In svc:<service>:<tier>, admin covers write and write covers read. A
// reserved scope is covered only by itself. The relation is reflexive and transitive.
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
			// A final "*" in the required scope stands for any number of segments; one segment does not cover that.
			if need[i] == scopeWildcard && i == len(need)-1 {
				return false
			}
			continue
		}
		if seg == need[i] {
			continue
		}
		// A leading "*" stands for svc as well; otherwise covering would not be transitive.
		if i == 2 && len(have) == 3 && len(need) == 3 && need[0] == tieredResource && tierCovers(seg, need[i]) {
			continue
		}
		return false
	}
	return len(have) == len(need)
}

// segments appends the scope's segments to a slice on the caller's stack, since Covers is called a lot.
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

// ParseScopes parses scopes separated by spaces, as in OAuth (RFC 6749 section 3.3).
//
// The result is sorted and has no duplicates.
func ParseScopes(s string) (Scopes, error) {
	return NewScopes(strings.Fields(s))
}

// NewScopes checks a list of scopes and returns it sorted, without duplicates.
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

// Covers reports whether any of the scopes covers r.
func (s Scopes) Covers(r Scope) bool {
	return slices.ContainsFunc(s, func(have Scope) bool { return have.Covers(r) })
}

// CoversAll reports whether every scope of r is covered.
func (s Scopes) CoversAll(r Scopes) bool {
	return !slices.ContainsFunc(r, func(need Scope) bool { return !s.Covers(need) })
}

// Cap returns the part of s that lies within a ceiling.
//
// These are the scopes of s that the ceiling covers, and the scopes of the ceiling that a wider scope of s covers. The result
// never covers anything that s or the ceiling does not.
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

// Strings returns the scopes as strings. It is never nil, so it encodes as a JSON array.
func (s Scopes) Strings() []string {
	out := make([]string, len(s))
	for i, scope := range s {
		out[i] = string(scope)
	}
	return out
}
