package registry

import (
	_ "embed"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

//go:embed scopes.yaml
var scopesFile []byte

// Scopes is the catalogue of a cloud: which scopes there are, and which a member of each role has.
var Scopes = func() catalogue.Catalogue {
	c, err := catalogue.Parse(scopesFile)
	if err != nil {
		panic(err) // it is embedded, and every test parses it
	}
	return c
}()

// Can reports whether the principal has a scope of [Scopes]. This is what every rule asks; a role is only a set of scopes.
func (p Principal) Can(need bridge.Scope) bool { return p.Scopes().Covers(need) }

// Scopes are what the principal may do: all that the role in the organization may.
func (p Principal) Scopes() bridge.Scopes { return Scopes.Ceiling(p.Role) }

// Need refuses a principal without the scope, and says who has it.
func (p Principal) Need(need bridge.Scope) error {
	switch {
	case p.Can(need):
		return nil
	case Scopes.Ceiling(bridge.RoleMember).Covers(need):
		return bridge.E(bridge.Forbidden, "role_viewer", "a viewer cannot do that").
			WithHint("ask an admin of %s for the role member", p.Org)
	}
	return bridge.E(bridge.Forbidden, "role_admin", "only an admin of %s may do that", p.Org)
}
