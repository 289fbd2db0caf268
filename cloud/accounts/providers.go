package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// A session and a token depend on the sign-in provider of their organization. The table of providers belongs to cloud/providers,
// above this package, and is read here all the same: each look-up of a session or token asks in the one statement that finds it,
// and a hook would be a second query with every request, and a second moment. These conditions are all that is read of it.

// RequireProvider refuses a key, and a person who may not change the organization: who sets the provider decides who gets in as
// whom.
func (p Principal) RequireProvider(org string) error {
	if err := p.RequirePerson(); err != nil {
		return err
	}
	return p.RequireUpdate(org)
}

// providerRequired is the SQL condition that member m came through the sign-in provider of an organization that takes no
// password from such members.
const providerRequired = `EXISTS (SELECT 1 FROM providers v WHERE v.org_id = m.org_id AND v.required AND m.source = 'provider')`

// providerLives is the SQL condition that a session or token opened through the sign-in provider ? is still good for member m:
// the organization still has that provider or, where ? is empty, does not require one.
const providerLives = `CASE WHEN ? <> '' THEN EXISTS (SELECT 1 FROM providers v WHERE v.id = ? AND v.org_id = m.org_id) ELSE NOT ` + providerRequired + ` END`

// livesThrough returns [providerLives] for a column or parameter.
func livesThrough(provider string) string { return strings.ReplaceAll(providerLives, "?", provider) }

// whyNoSession says why a person can have no session in an organization.
func whyNoSession(ctx context.Context, tx *sql.Tx, userID, org string) error {
	var slug string
	err := tx.QueryRowContext(ctx, `SELECT o.slug FROM members m JOIN organizations o ON o.id = m.org_id
		WHERE m.user_id = $1 AND ($2 = '' OR o.slug = $2) AND `+providerRequired+` ORDER BY o.slug LIMIT 1`, userID, org).Scan(&slug)
	if errors.Is(err, sql.ErrNoRows) {
		return bridge.E(bridge.Forbidden, bridge.CodeNotAMember, "you are not a member of that organization").WithHint("ace org list")
	}
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	return bridge.E(bridge.Forbidden, bridge.CodeProviderRequired,
		"%s takes no password: its members sign in through its own provider", slug).
		WithHint("choose “Continue with your organization” on the sign-in page")
}
