package accounts

import (
	"context"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/schema"
)

// API keys and organizations own connections, and each has a row in users for that. The row has no password, and no address that
// can be mailed to: its email is "key:" with the ID of the key, or "org:" with the slug of the organization.
const (
	keyOwner = "key:"
	orgOwner = "org:"
)

// People is the SQL condition that a row of users is that of a person.
const People = "(email NOT LIKE '" + keyOwner + "%' AND email NOT LIKE '" + orgOwner + "%')"

// IsPerson reports whether a row of users with that email is that of a person.
func IsPerson(email string) bool {
	return !strings.HasPrefix(email, keyOwner) && !strings.HasPrefix(email, orgOwner)
}

// MethodJoin is the method of a [Principal] that is an organization.
const MethodJoin = "join"

// OrganizationPrincipal returns an organization as the owner of the connections of servers that have joined it. Nobody can sign in
// as it.
func OrganizationPrincipal(ctx context.Context, q schema.Queryer, orgID string) (Principal, error) {
	p := Principal{UserID: orgID, OrgID: orgID, Role: bridge.RoleAdmin, Method: MethodJoin}
	if err := q.QueryRowContext(ctx, "SELECT slug, name FROM organizations WHERE id = $1", orgID).Scan(&p.Org, &p.Name); err != nil {
		return Principal{}, fmt.Errorf("look up an organization: %w", err)
	}
	p.Email = orgOwner + p.Org
	return p, nil
}
