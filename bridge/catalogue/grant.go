package catalogue

import (
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"

	"github.com/acebridge/ace/bridge"
)

// Minter is who grants scopes to a key.
type Minter struct {
	Org    string
	Scopes bridge.Scopes
	// Admin: an admin or owner in person. A key is none, whatever its scopes.
	Admin bool
}

// Grant returns what a new key gets: the scopes of a preset, or those that were named, or of the default preset where
// neither was. What is unknown is refused with the nearest known scope, what is more than the minter's own is refused
// too, unless it comes from a preset that is capped. The key's organization is always part of what it gets.
func (c Catalogue) Grant(m Minter, preset string, wish []string) (bridge.Scopes, error) {
	scopes, err := bridge.NewScopes(wish)
	if err != nil {
		return nil, err
	}
	preset = presetName(preset)
	if preset == "" && !slices.ContainsFunc(scopes, func(s bridge.Scope) bool { return !s.Reserved() }) {
		if preset = c.file.DefaultPreset; preset == "" && len(scopes) == 0 {
			return nil, bridge.E(bridge.Invalid, bridge.CodeScopesMissing, "the key needs a preset or scopes").
				WithHint("take one of the presets %s, or scopes from: ace api-key scopes", strings.Join(c.Presets(), ", "))
		}
	}
	var out bridge.Scopes
	if preset != "" {
		of, ok := c.presets[preset]
		if !ok {
			return nil, bridge.E(bridge.Invalid, bridge.CodePresetUnknown, "there is no preset %q%s", preset, didYouMean(preset,
				c.Presets())).
				WithHint("take one of: %s", strings.Join(c.Presets(), ", "))
		}
		if c.file.Presets[preset].Capped {
			out = c.withoutAdmins(m, of.Cap(m.Scopes))
		} else if out, err = c.allowed(m, of); err != nil {
			return nil, err
		}
	}
	for _, s := range scopes { // those of presets are known
		if bridge.IsOrgScope(s) {
			continue
		}
		if err := c.CheckKnown(s); err != nil {
			return nil, err
		}
	}
	more, err := c.allowed(m, scopes)
	if err != nil {
		return nil, err
	}
	out = c.complete(m, append(slices.Clone(out), more...))
	if len(out) > bridge.MaxScopes {
		return nil, bridge.E(bridge.Invalid, bridge.CodeScopeMalformed, "the key would have more than %d scopes", bridge.MaxScopes)
	}
	return out, nil
}

// allowed checks each scope: of the minter's organization, within the minter's scopes, not for admins only.
func (c Catalogue) allowed(m Minter, scopes bridge.Scopes) (bridge.Scopes, error) {
	var out bridge.Scopes
	for _, s := range scopes {
		if bridge.IsOrgScope(s) {
			if s != bridge.OrgScope(m.Org) {
				return nil, bridge.E(bridge.Forbidden, bridge.CodeScopeOrganization, "a key is always of its own organization, which is %s",
					m.Org)
			}
			continue
		}
		if err := c.below(m, s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Within checks that a minter could grant the scopes that a key has already, so that nobody gets hold of more than their
// own by a new secret of an existing key. Scopes that the catalogue knows no longer count as well: a rule may ask for them.
func (c Catalogue) Within(m Minter, scopes bridge.Scopes) error {
	for _, s := range scopes {
		if bridge.IsOrgScope(s) {
			continue
		}
		if err := c.below(m, s); err != nil {
			return err
		}
	}
	return nil
}

// below checks one scope: within the minter's scopes, and not for admins only.
func (c Catalogue) below(m Minter, s bridge.Scope) error {
	if s.Reserved() {
		if m.Admin {
			return nil
		}
		return bridge.E(bridge.Forbidden, bridge.CodeScopeAdmin, "only an admin in person may grant the scope %s", s).
			WithHint("ask an admin, or use: ace server token --role admin")
	}
	if !m.Scopes.Covers(s) {
		return bridge.E(bridge.Forbidden, bridge.CodeScopeCeiling,
			"the scope %s is more than the minter's own, which are: %s", s, m.Scopes)
	}
	if only, ok := c.forAdmins(s); ok && !m.Admin {
		return bridge.E(bridge.Forbidden, bridge.CodeScopeAdmin, "the scope %s reaches %s, which only an admin may grant", s, only).
			WithHint("ask an admin, or use: ace server token --role admin")
	}
	return nil
}

// withoutAdmins is what of a capped preset a minter may grant.
func (c Catalogue) withoutAdmins(m Minter, scopes bridge.Scopes) bridge.Scopes {
	if m.Admin {
		return scopes
	}
	// A scope too wide to be granted whole is granted as the known scopes below it that are not for admins.
	var out, wide bridge.Scopes
	for _, s := range scopes {
		if _, reaches := c.forAdmins(s); reaches {
			wide = append(wide, s)
		} else {
			out = append(out, s)
		}
	}
	if len(wide) > 0 {
		for _, known := range c.plain {
			if wide.Covers(known) {
				out = append(out, known)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// complete adds what is always part of a key: each axis that it does not name, as far as its minter has it, and, where
// the catalogue knows that axis, its organization.
func (c Catalogue) complete(m Minter, scopes bridge.Scopes) bridge.Scopes {
	if len(scopes) == 0 {
		return nil
	}
	for _, axis := range c.axes {
		if !slices.ContainsFunc(scopes, func(s bridge.Scope) bool { return first(s) == first(axis) || first(s) == "*" }) {
			scopes = append(scopes, bridge.Scopes{axis}.Cap(m.Scopes)...)
		}
	}
	scopes = c.WithOrg(scopes, m.Org)
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// WithOrg makes an organization part of scopes, where the catalogue knows that axis, and every other one no part of them:
// that axis is never widened, whatever covers it. It copies what it changes.
func (c Catalogue) WithOrg(scopes bridge.Scopes, org string) bridge.Scopes {
	known := slices.Contains(c.known, "org:*")
	own := bridge.OrgScope(org)
	foreign := func(s bridge.Scope) bool { return bridge.IsOrgScope(s) && (s != own || !known) }
	if slices.ContainsFunc(scopes, foreign) {
		scopes = slices.DeleteFunc(slices.Clone(scopes), foreign)
	}
	if !known || len(scopes) == 0 || slices.Contains(scopes, own) {
		return scopes
	}
	return append(slices.Clone(scopes), own)
}

func first(s bridge.Scope) string {
	segment, _, _ := strings.Cut(string(s), ":")
	return segment
}

// forAdmins reports whether s reaches a scope that is for admins only, and which.
func (c Catalogue) forAdmins(s bridge.Scope) (bridge.Scope, bool) {
	for _, only := range c.admin {
		if s.Covers(only) || (strings.Contains(string(only), "*") && overlap(s, only)) {
			return only, true
		}
	}
	return "", false
}

// overlap reports whether there is a scope that both patterns match.
func overlap(a, b bridge.Scope) bool {
	left, right := strings.Split(string(a), ":"), strings.Split(string(b), ":")
	for i := 0; i < len(left) && i < len(right); i++ {
		restOfLeft, restOfRight := left[i] == "*" && i == len(left)-1, right[i] == "*" && i == len(right)-1
		if restOfLeft || restOfRight {
			return true
		}
		if left[i] != right[i] && left[i] != "*" && right[i] != "*" {
			return false
		}
	}
	return len(left) == len(right)
}

// CheckKnown refuses a scope that the catalogue does not declare, and names the nearest that it does. A scope with "*"
// is known when it reaches one that is.
func (c Catalogue) CheckKnown(s bridge.Scope) error {
	if _, declared := slices.BinarySearch(c.known, s); declared {
		return nil
	}
	segments := strings.Count(string(s), ":")
	for _, known := range c.known {
		if s.Covers(known) || (known.Covers(s) && strings.Count(string(known), ":") == segments) {
			return nil
		}
	}
	return bridge.E(bridge.Invalid, bridge.CodeScopeUnknown, "the scope %s does not exist here%s", s, didYouMean(string(s),
		c.known.Strings())).
		WithHint("ace api-key scopes lists them")
}

// GrantExpiry checks that the minter may let a key live until then; zero is never.
func (c Catalogue) GrantExpiry(m Minter, expires, now time.Time) error {
	for _, text := range c.file.AdminOnly.Expiries {
		days, _ := adminExpiry(text) // compile has read it
		longer := expires.IsZero() || (days > 0 && expires.Sub(now) >= time.Duration(days)*24*time.Hour)
		if longer && !m.Admin {
			what := "never expires"
			if days > 0 {
				what = "lives for " + text + " or longer"
			}
			return bridge.E(bridge.Forbidden, bridge.CodeExpiryAdmin, "only an admin may create a key that %s", what).
				WithHint("take a shorter expiry such as 90d, or use: ace server token --role admin")
		}
	}
	return nil
}

func (c *Catalogue) presetNames() []string {
	var names []string
	for name := range c.file.Presets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func didYouMean(word string, candidates []string) string {
	if n := Nearest(word, candidates); n != "" {
		return "; did you mean " + n + "?"
	}
	return ""
}

// Nearest returns the candidate that word was probably meant to be, or nothing.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", 4
	if len(word) > bridge.MaxScopeLen {
		return ""
	}
	for _, c := range candidates {
		d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(c))
		if len(word) > 2 && strings.HasPrefix(c, word) {
			d = min(d, 1)
		}
		if d < bestDistance && d < max(len(word), 2) {
			best, bestDistance = c, d
		}
	}
	return best
}
