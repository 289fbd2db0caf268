package bridge

import (
	"regexp"
	"slices"
)

// Role is a member's rank in an organization: owner > admin > member > viewer.
type Role string

// Roles, highest first.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
	RoleViewer Role = "viewer"
)

var roles = []Role{RoleViewer, RoleMember, RoleAdmin, RoleOwner}

// Valid reports whether r is one of the four roles.
func (r Role) Valid() bool { return slices.Contains(roles, r) }

// AtLeast reports whether r is min or above it. An unknown role is below all roles.
func (r Role) AtLeast(min Role) bool {
	have, need := slices.Index(roles, r), slices.Index(roles, min)
	return have >= 0 && need >= 0 && have >= need
}

// AtMost returns the lower of two roles.
func (r Role) AtMost(most Role) Role {
	if most.AtLeast(r) {
		return r
	}
	return most
}

var orgPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckOrg checks an organization's slug: a DNS label (RFC 1123) in lower case.
func CheckOrg(slug string) error {
	if !orgPattern.MatchString(slug) {
		return E(Invalid, CodeOrganizationMalformed,
			"an organization is named by 1 to 63 lower-case letters, digits and inner hyphens").
			WithHint("write it like acme or acme-labs; its name to show may be anything")
	}
	return nil
}
