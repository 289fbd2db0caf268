package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/acebridge/ace/bridge"
)

// MaxFile is how large a catalogue may be, in bytes.
const MaxFile = 1 << 20

const (
	maxEntries = 2000 // of any one list
	maxExtends = 16   // depth
)

func bad(format string, args ...any) error {
	return bridge.E(bridge.Invalid, "catalogue_invalid", format, args...)
}

// Parse reads a catalogue from YAML or JSON. Unknown fields, unknown scopes in presets and roles, presets that extend
// each other in a circle, roles below admin that reach what is for admins only, and rules that could never match or
// never be met are refused, with the place named.
func Parse(data []byte) (Catalogue, error) {
	if len(data) > MaxFile {
		return Catalogue{}, bad("the catalogue is larger than %d KiB", MaxFile>>10)
	}
	// Aliases are checked before they are expanded: yaml.v3 bounds how much they may multiply.
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var f File
	if err := d.Decode(&f); err != nil {
		return Catalogue{}, bad("the catalogue cannot be read: %s", err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Catalogue{}, bad("the catalogue has more than one document")
	}
	return compile(f)
}

func compile(f File) (Catalogue, error) {
	c := Catalogue{file: f, presets: map[string]bridge.Scopes{}, roles: map[bridge.Role]bridge.Scopes{}}
	if n := max(len(f.Scopes), len(f.Presets), len(f.Rules), len(f.Axes), len(f.AdminOnly.Scopes)); n > maxEntries {
		return Catalogue{}, bad("a list of the catalogue has more than %d entries", maxEntries)
	}
	for _, step := range []func(*Catalogue) error{compileScopes, compilePresets, compileRoles, compileRules} {
		if err := step(&c); err != nil {
			return Catalogue{}, err
		}
	}
	return c, nil
}

var placeholder = regexp.MustCompile(`<[a-z][a-z0-9_-]*>`)

func compileScopes(c *Catalogue) error {
	if len(c.file.Scopes) == 0 {
		return bad("the catalogue declares no scopes")
	}
	for _, declared := range []map[string]string{c.file.Scopes, serverScopes} {
		for text, description := range declared {
			if !bridge.PlainText(description, 500) {
				return bad("the description of the scope %q is not at most 500 bytes of plain text", text)
			}
			scope, err := bridge.ParseScope(placeholder.ReplaceAllString(text, "*"))
			if err != nil {
				return bad("scopes: %q: %s", text, err)
			}
			c.known = append(c.known, scope)
		}
	}
	slices.Sort(c.known)
	c.known = slices.Compact(c.known)
	var err error
	if c.axes, err = c.scopes("axes", c.file.Axes); err != nil {
		return err
	}
	if c.admin, err = c.scopes("admin_only", c.file.AdminOnly.Scopes); err != nil {
		return err
	}
	for _, text := range c.file.AdminOnly.Expiries {
		if _, err := adminExpiry(text); err != nil {
			return err
		}
	}
	return nil
}

// scopes reads a list of scopes that must be known.
func (c *Catalogue) scopes(where string, list []string) (bridge.Scopes, error) {
	scopes, err := bridge.NewScopes(list)
	if err != nil {
		return nil, bad("%s: %s", where, err)
	}
	for _, s := range scopes {
		if err := c.CheckKnown(s); err != nil {
			return nil, bad("%s: %s", where, err)
		}
	}
	return scopes, nil
}

func compilePresets(c *Catalogue) error {
	for name, preset := range c.file.Presets {
		if name == "" || !bridge.PlainText(name, 64) || !bridge.PlainText(preset.Description, 500) {
			return bad("the preset %q needs a name and description of plain text", name)
		}
		scopes, err := c.resolve("preset "+name, preset, 0)
		if err != nil {
			return err
		}
		c.presets[name] = scopes
	}
	if d := c.file.DefaultPreset; d != "" && c.presets[d] == nil {
		return bad("default_preset: there is no preset %q", d)
	}
	return nil
}

func (c *Catalogue) resolve(where string, p Preset, depth int) (bridge.Scopes, error) {
	if depth > maxExtends {
		return nil, bad("%s: presets extend each other in a circle, or too deeply", where)
	}
	out, err := c.scopes(where, p.Scopes)
	if err != nil {
		return nil, err
	}
	for _, name := range p.Extends {
		base, ok := c.file.Presets[name]
		if !ok {
			return nil, bad("%s extends %q, which is not there%s", where, name, didYouMean(name, c.presetNames()))
		}
		more, err := c.resolve(where+" → "+name, base, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) == 0 || len(out) > bridge.MaxScopes {
		return nil, bad("%s has no scopes, or more than %d", where, bridge.MaxScopes)
	}
	return out, nil
}

func compileRoles(c *Catalogue) error {
	for name, p := range c.file.Roles {
		role := bridge.Role(name)
		if !role.Valid() {
			return bad("roles: %q is not one of owner, admin, member, viewer", name)
		}
		scopes, err := c.resolve("role "+name, p, 0)
		if err != nil {
			return err
		}
		if !role.AtLeast(bridge.RoleAdmin) {
			for _, s := range scopes {
				if only, ok := c.forAdmins(s); ok {
					return bad("role %s: %s reaches %s, which is for admins only", name, s, only)
				}
			}
		}
		c.roles[role] = scopes
	}
	for _, role := range []bridge.Role{bridge.RoleOwner, bridge.RoleAdmin, bridge.RoleMember, bridge.RoleViewer} {
		if len(c.roles[role]) == 0 {
			return bad("roles: the role %s has no ceiling", role)
		}
	}
	return nil
}

// adminExpiry reads an entry of admin_only.expiries in days; 0 stands for never.
func adminExpiry(text string) (int, error) {
	if text == "never" {
		return 0, nil
	}
	days, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
	if err != nil || days <= 0 || days > 36500 || !strings.HasSuffix(text, "d") {
		return 0, bad("admin_only: the expiry %q is neither never nor a number of days such as 365d", text)
	}
	return days, nil
}

func compileRules(c *Catalogue) error {
	if c.file.NoMatch != NoMatchDeny && c.file.NoMatch != NoMatchAuthenticated {
		return bad("no_match must be %s or %s: what happens to a request that no rule matches", NoMatchDeny, NoMatchAuthenticated)
	}
	for i, r := range c.file.Rules {
		compiled, err := c.compileRule(r)
		if err != nil {
			return fmt.Errorf("rule %d (%s): %w", i+1, r.Path, err)
		}
		compiled.name = fmt.Sprintf("rule %d (%s)", i+1, strings.TrimSpace(strings.Join(r.Methods, ",")+" "+r.Path))
		c.rules = append(c.rules, compiled)
	}
	return nil
}
