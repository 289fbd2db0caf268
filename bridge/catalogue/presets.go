package catalogue

import (
	"maps"
	"slices"

	"github.com/acebridge/ace/bridge"
)

// Bounds of a catalogue, in addition to bridge.MaxScopes for any list of scopes. A catalogue may come from an untrusted server,
// and each scope that it mentions is compared with each that it declares.
const (
	maxScopes  = 1000 // declared ones
	maxPresets = 100

	maxPresetName = 64 // bytes
	maxRules      = 2000
	maxExtends    = 16   // presets that one extends directly, and depth of extending
	maxNamed      = 5000 // scopes in presets, roles and rules, in total
	maxNames      = 5000 // names of operations and methods in rules, in total
)

// checkBounds refuses a catalogue that is too large, before anything is computed from it.
func checkBounds(f File) error {
	named, names := 0, 0
	for _, r := range f.Rules {
		names += len(r.Methods)
		named += len(r.Require)
		for _, list := range [][]Operation{r.Tools, r.Messages} {
			names += len(list)
			for _, o := range list {
				names += len(o.Names)
				named += len(o.Require)
			}
		}
	}
	extends := 0
	for _, sets := range []map[string]Preset{f.Presets, f.Roles} {
		for _, p := range sets {
			named += len(p.Scopes)
			extends = max(extends, len(p.Extends))
		}
	}
	for _, list := range []struct {
		what      string
		has, most int
	}{
		{"scopes", len(f.Scopes), maxScopes}, {"presets", len(f.Presets), maxPresets}, {"rules", len(f.Rules), maxRules},
		{"axes", len(f.Axes), bridge.MaxScopes}, {"scopes for admins only", len(f.AdminOnly.Scopes), bridge.MaxScopes},
		{"expiries for admins only", len(f.AdminOnly.Expiries), bridge.MaxScopes}, {"presets that one preset or role extends", extends, maxExtends},
		{"scopes in its presets, roles and rules", named, maxNamed}, {"methods and names of operations in its rules", names, maxNames},
	} {
		if list.has > list.most {
			return bad("the catalogue has more than %d %s", list.most, list.what)
		}
	}
	return nil
}

// resolver computes the scopes of presets and roles, each preset once, since presets may extend the same ones many times.
type resolver struct {
	*Catalogue
	heights map[string]int  // of resolved presets: how deep they extend others
	open    map[string]bool // presets being resolved
}

func compileSets(c *Catalogue) error {
	r := &resolver{Catalogue: c, heights: map[string]int{}, open: map[string]bool{}}
	if err := r.compilePresets(); err != nil {
		return err
	}
	return r.compileRoles()
}

// compilePresets resolves all presets and checks the default one.
func (r *resolver) compilePresets() error {
	if err := r.oneForm(); err != nil {
		return err
	}
	names := r.presetNames()
	for _, name := range names {
		if name == "" || !bridge.PlainText(name, maxPresetName) || !bridge.PlainText(r.file.Presets[name].Description, 500) {
			return bad("the preset %q needs a name and description of plain text", name)
		}
	}
	for _, name := range names {
		if _, err := r.preset("preset "+name, name, 0); err != nil {
			return err
		}
	}
	if d := r.file.DefaultPreset; d != "" && r.presets[d] == nil {
		return bad("default_preset: there is no preset %q", d)
	}
	return nil
}

// oneForm gives the presets the names by which they are looked up, and refuses two that get the same name.
func (r *resolver) oneForm() error {
	presets := make(map[string]Preset, len(r.file.Presets))
	for written, p := range r.file.Presets {
		name := presetName(written)
		if _, twice := presets[name]; twice {
			return bad("the preset %q appears twice, in two spellings", name)
		}
		presets[name] = p
	}
	r.file.Presets, r.file.DefaultPreset = presets, presetName(r.file.DefaultPreset)
	return nil
}

// presetName returns the name by which a preset is looked up.
func presetName(written string) string {
	name, _ := bridge.PlainName(written, maxPresetName)
	return name
}

// preset resolves a preset that is extended at this depth, and returns its height. Its scopes are then in r.presets.
func (r *resolver) preset(where, name string, depth int) (int, error) {
	height, known := r.heights[name]
	if r.open[name] || depth+height > maxExtends {
		return 0, bad("%s: presets extend each other in a circle, or too deeply", where)
	}
	if known {
		return height, nil
	}
	r.open[name] = true
	defer delete(r.open, name)
	scopes, height, err := r.resolve(where, r.file.Presets[name], depth)
	if err != nil {
		return 0, err
	}
	r.presets[name], r.heights[name] = scopes, height
	return height, nil
}

// resolve returns the scopes of a preset or role at this depth, and its height.
func (r *resolver) resolve(where string, p Preset, depth int) (bridge.Scopes, int, error) {
	out, err := r.scopes(where, p.Scopes)
	if err != nil {
		return nil, 0, err
	}
	height := 0
	for _, name := range p.Extends {
		name = presetName(name)
		if _, ok := r.file.Presets[name]; !ok {
			return nil, 0, bad("%s extends %q, which does not exist%s", where, name, didYouMean(name, r.presetNames()))
		}
		below, err := r.preset(where+" → "+name, name, depth+1)
		if err != nil {
			return nil, 0, err
		}
		height = max(height, below+1)
		out = append(out, r.presets[name]...)
	}
	if i := slices.IndexFunc(out, bridge.Scope.Reserved); i >= 0 {
		return nil, 0, bad("%s: %s is granted by name, by an admin in person; no preset or role can include it", where, out[i])
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) == 0 || len(out) > bridge.MaxScopes {
		return nil, 0, bad("%s has no scopes, or more than %d", where, bridge.MaxScopes)
	}
	return out, height, nil
}

// compileRoles resolves the ceilings of all four roles. Below admin, none may reach what is for admins only.
func (r *resolver) compileRoles() error {
	for _, name := range slices.Sorted(maps.Keys(r.file.Roles)) {
		role := bridge.Role(name)
		if !role.Valid() {
			return bad("roles: %q is not one of owner, admin, member, viewer", name)
		}
		scopes, _, err := r.resolve("role "+name, r.file.Roles[name], 0)
		if err != nil {
			return err
		}
		if !role.AtLeast(bridge.RoleAdmin) {
			for _, s := range scopes {
				if only, ok := r.forAdmins(s); ok {
					return bad("role %s: %s reaches %s, which is for admins only", name, s, only)
				}
			}
		}
		r.roles[role] = scopes
	}
	for _, role := range []bridge.Role{bridge.RoleOwner, bridge.RoleAdmin, bridge.RoleMember, bridge.RoleViewer} {
		if len(r.roles[role]) == 0 {
			return bad("roles: the role %s has no ceiling", role)
		}
	}
	return nil
}
