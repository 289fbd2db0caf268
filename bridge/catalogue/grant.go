package catalogue

import (
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"

	"github.com/acebridge/ace/bridge"
)

// Minter is the caller who grants scopes to a key.
type Minter struct {
	Org    string
	Scopes bridge.Scopes
	// Admin: an admin or owner in person. A key is never an admin, whatever its scopes.
	Admin bool
}

// Grant returns the scopes of a new key.
//
// They are those of the preset, those that were named, or those of the default preset if neither was given; the key's
// organization is always added. An unknown scope is refused with the nearest known one. A scope beyond the minter's own is
// refused too, unless it comes from a capped preset.
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
	for _, s := range scopes { // scopes of presets are known
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

// allowed checks each scope: within the minter's organization and scopes, and not for admins only.
func (c Catalogue) allowed(m Minter, scopes bridge.Scopes) (bridge.Scopes, error) {
	var out bridge.Scopes
	for _, s := range scopes {
		if bridge.IsOrgScope(s) {
			if s != bridge.OrgScope(m.Org) {
				return nil, bridge.E(bridge.Forbidden, bridge.CodeScopeOrganization, "a key always belongs to its own organization, which is %s",
					m.Org)
			}
			continue
		}
		if err := c.requireGrantable(m, s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Within checks that a minter could grant the scopes a key already has.
//
// That keeps anyone from getting more than their own by a new secret for an existing key. Scopes that the catalogue no longer
// declares count as well, since a rule may require them.
func (c Catalogue) Within(m Minter, scopes bridge.Scopes) error {
	for _, s := range scopes {
		if bridge.IsOrgScope(s) {
			continue
		}
		if err := c.requireGrantable(m, s); err != nil {
			return err
		}
	}
	return nil
}

// requireGrantable checks one scope: within the minter's scopes, and not for admins only.
func (c Catalogue) requireGrantable(m Minter, s bridge.Scope) error {
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

// withoutAdmins returns the part of a capped preset that a minter may grant.
func (c Catalogue) withoutAdmins(m Minter, scopes bridge.Scopes) bridge.Scopes {
	if m.Admin {
		return scopes
	}
	// A scope too wide to be granted as a whole is granted as the known scopes below it that are not for admins only.
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

// complete adds what every key has: each axis that it does not name, as far as its minter has it, and its organization, if the
// catalogue knows that axis.
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

// WithOrg restricts the organization axis of scopes to one organization.
//
// If the catalogue knows that axis, the organization is added; any other one is removed, whatever covers it. Scopes are copied
// before they are changed.
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

// forAdmins reports whether s reaches a scope that is for admins only, and which one.
func (c Catalogue) forAdmins(s bridge.Scope) (bridge.Scope, bool) {
	for _, only := range c.admin {
		if s.Covers(only) || (strings.Contains(string(only), "*") && overlap(s, only)) {
			return only, true
		}
	}
	return "", false
}

// overlap reports whether any scope matches both patterns.
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

// CheckKnown refuses a scope that the catalogue does not declare, and suggests the nearest one.
//
// A scope with "*" is known if it reaches a declared one.
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

// GrantExpiry checks that the minter may create a key with this expiry; zero is never.
func (c Catalogue) GrantExpiry(m Minter, expires, now time.Time) error {
	for _, text := range c.file.AdminOnly.Expiries {
		days, _ := adminExpiry(text) // cannot fail: compile has parsed it
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

// Nearest returns the candidate that word was probably meant to be, or "".
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
