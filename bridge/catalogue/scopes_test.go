package catalogue_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

// TestAdminOnlyPatternsOverlap checks that scopes for admins only cannot be reached by a pattern that merely overlaps with them.
func TestAdminOnlyPatternsOverlap(t *testing.T) {
	c, err := catalogue.Parse([]byte(`
scopes: {"node:<id>": n, "secret:<env>:<op>": s, "job:run": j, "swarm:register": r}
roles: {viewer: {scopes: ["job:run"]}, member: {scopes: ["job:run"]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}
admin_only: {scopes: ["node:*", "secret:*:read"]}
no_match: deny
`))
	if err != nil {
		t.Fatal(err)
	}
	m := catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"*"}} // a key is not an admin, however wide its scopes
	for scope, want := range map[string]bridge.Code{"*:register": "scope_admin", "secret:prod:*": "scope_admin", "*": "scope_admin",
		"secret:prod:read": "scope_admin", "secret:prod:write": "", "job:run": "", "job:*": ""} {
		if _, err := c.Grant(m, "", []string{scope}); bridge.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", scope, err, want)
		}
	}
	m.Admin = true
	if _, err := c.Grant(m, "", []string{"*:register"}); err != nil {
		t.Errorf("an admin: %v", err)
	}
}

// TestOrganizationIsNeverWidened checks that the organization of scopes is the key's own, whatever covers it.
func TestOrganizationIsNeverWidened(t *testing.T) {
	c := shipped(t, "services")
	for _, wide := range []string{"org:rival", "org:*", "org:rival svc:wiki:read org:acme"} {
		scopes, err := bridge.ParseScopes(wide + " svc:tasks:read")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.WithOrg(scopes, "acme") {
			if bridge.IsOrgScope(s) && s != "org:acme" {
				t.Errorf("%s becomes %s", wide, c.WithOrg(scopes, "acme"))
			}
		}
	}
	full, err := c.Grant(catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"*"}}, "full", nil)
	if err != nil || full.Covers("org:rival") {
		t.Errorf("a key's preset full gives %v (%v)", full, err)
	}
}

// TestReservedScopes checks that the reserved scopes exist in every catalogue, and that only an admin in person grants them,
// by name.
func TestReservedScopes(t *testing.T) {
	custom, err := catalogue.Parse([]byte(`{name: x, scopes: {"a:b": x}, presets: {all: {scopes: ["*"], capped: true}}, no_match: authenticated,
		roles: {viewer: {scopes: ["a:b"]}, member: {scopes: ["a:b", "key:*"]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]catalogue.Catalogue{"builtin": catalogue.Builtin(), "custom": custom} {
		for _, s := range []bridge.Scope{bridge.ScopeActAs, bridge.ScopeCreateOrganization} {
			if c.CheckKnown(s) != nil || c.File().Scopes[string(s)] == "" {
				t.Errorf("%s: %s does not exist", name, s)
			}
			admin := catalogue.Minter{Org: "acme", Scopes: c.Ceiling(bridge.RoleAdmin), Admin: true}
			if got, err := c.Grant(admin, "", []string{string(s)}); err != nil || !got.Covers(s) {
				t.Errorf("%s: an admin grants %s: %v, %v", name, s, got, err)
			}
			for who, m := range map[string]catalogue.Minter{
				"a member":        {Org: "acme", Scopes: bridge.Scopes{"a:b", "key:*"}},
				"a key with all":  {Org: "acme", Scopes: bridge.Scopes{"*"}},
				"a key that does": {Org: "acme", Scopes: bridge.Scopes{"*", s}},
			} {
				if _, err := c.Grant(m, "", []string{string(s)}); bridge.CodeOf(err) != "scope_admin" {
					t.Errorf("%s: %s grants %s: %v", name, who, s, err)
				}
				if err := c.Within(m, bridge.Scopes{s}); bridge.CodeOf(err) != "scope_admin" {
					t.Errorf("%s: %s reissues %s: %v", name, who, s, err)
				}
			}
			for _, wish := range []string{"*", "key:*"} {
				if got, err := c.Grant(catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"*"}, Admin: true}, "", []string{wish}); err != nil || got.Covers(s) {
					t.Errorf("%s: %s gives %s: %v, %v", name, wish, s, got, err)
				}
			}
			for _, preset := range c.Presets() {
				if got, err := c.Grant(admin, preset, nil); err == nil && got.Covers(s) {
					t.Errorf("%s: the preset %s gives %s", name, preset, s)
				}
			}
			for _, role := range []bridge.Role{bridge.RoleViewer, bridge.RoleMember, bridge.RoleAdmin, bridge.RoleOwner} {
				if c.Ceiling(role).Covers(s) {
					t.Errorf("%s: the role %s holds %s", name, role, s)
				}
			}
		}
	}
	for name, file := range map[string]string{
		"preset": `{name: x, scopes: {"a:b": x}, presets: {p: {scopes: ["key:act-as"]}}, no_match: deny, roles: {viewer: {scopes: ["a:b"]}, member: {scopes: ["a:b"]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}}`,
		"role":   `{name: x, scopes: {"a:b": x}, presets: {p: {scopes: ["a:b"]}}, no_match: deny, roles: {viewer: {scopes: ["a:b"]}, member: {scopes: ["a:b", "key:create-organization"]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}}`,
	} {
		if _, err := catalogue.Parse([]byte(file)); bridge.CodeOf(err) != "catalogue_invalid" {
			t.Errorf("a %s holds a reserved scope: %v", name, err)
		}
	}
}

// TestPresetsInOneForm checks that all spellings of a preset's name are the same preset.
func TestPresetsInOneForm(t *testing.T) {
	const file = `
scopes: {app:read: r}
presets: {"zoe\u0308": {scopes: ["app:read"], capped: true}, more: {extends: ["zo\u00eb"]}OTHER}
default_preset: "zo\u00eb"
roles: {viewer: {scopes: ["app:read"]}, member: {extends: ["zoe\u0308"]}, admin: {extends: [more]}, owner: {extends: [more]}}
no_match: deny
`
	c, err := catalogue.Parse([]byte(strings.Replace(file, "OTHER", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	m := catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"app:read"}}
	for _, name := range []string{"", "zo\u00eb", "zoe\u0308", " zo\u00eb\n", "more"} {
		if _, err := c.Grant(m, name, nil); err != nil {
			t.Errorf("%+q: %v", name, err)
		}
	}
	if _, known := c.Preset("zoe\u0308"); !known || c.File().DefaultPreset != "zo\u00eb" {
		t.Error("a preset is not found by another spelling")
	}
	if _, err := catalogue.Parse([]byte(strings.Replace(file, "OTHER", `, "zo\u00eb": {scopes: ["app:read"]}`, 1))); err == nil || !strings.Contains(err.Error(), "two spellings") {
		t.Errorf("two presets of one name: %v", err)
	}
}
