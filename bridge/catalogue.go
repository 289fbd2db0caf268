package bridge

// Catalogue is what a server declares about scopes: here, the ceiling of each role.
type Catalogue struct {
	ceilings map[Role]Scopes
}

// BuiltinCatalogue serves a server without a catalogue file: reading and writing in the app, keys, and the audit log.
func BuiltinCatalogue() Catalogue {
	return Catalogue{ceilings: map[Role]Scopes{
		RoleViewer: {"app:read"},
		RoleMember: {"app:*"},
		RoleAdmin:  {"app:*", "audit:read", "key:*"},
		RoleOwner:  {"app:*", "audit:read", "key:*"},
	}}
}

// Ceiling is the most that a role may be granted; an unknown role may be granted nothing.
func (c Catalogue) Ceiling(r Role) Scopes { return c.ceilings[r] }
