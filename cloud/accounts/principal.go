package accounts

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb"
)

//go:embed scopes.yaml
var scopesFile []byte

// Scopes is the catalogue of the cloud's own scopes, and of those that each role has. It is read from scopes.yaml.
var Scopes = func() catalogue.Catalogue {
	c, err := catalogue.Parse(scopesFile)
	if err != nil {
		panic(err) // it is embedded, and every test parses it
	}
	return c
}()

// Can reports whether the principal has a scope of [Scopes]. Rules ask for scopes and not for roles.
func (p Principal) Can(need bridge.Scope) bool {
	byRole := Scopes.Ceiling(p.Role).Covers(need)
	switch p.Kind {
	case "":
		return byRole
	case bridge.KindPAT: // never more than its person has
		return byRole && p.Granted.Covers(need)
	}
	return p.Granted.Covers(need)
}

// Scopes are the scopes that the principal has: those of the role, or those that the key was given.
func (p Principal) Scopes() bridge.Scopes {
	switch p.Kind {
	case "":
		return Scopes.Ceiling(p.Role)
	case bridge.KindPAT:
		return p.Granted.Cap(Scopes.Ceiling(p.Role))
	}
	return p.Granted
}

// RequireScope refuses a principal without the scope, and says who has it.
func (p Principal) RequireScope(need bridge.Scope) error {
	switch {
	case p.Can(need):
		return nil
	case p.Kind != "" && !p.Granted.Covers(need):
		return catalogue.MissingScope(need).WithHint("use a key that has it: ace api-key create --cloud --scope %s", need)
	case Scopes.Ceiling(bridge.RoleMember).Covers(need):
		return bridge.E(bridge.Forbidden, bridge.CodeRoleViewer, "a viewer cannot do that").
			WithHint("ask an admin of %s for the role member", p.Org)
	}
	return bridge.E(bridge.Forbidden, bridge.CodeRoleAdmin, "only an admin of %s may do that", p.Org).
		WithHint("ask one; who that is says: ace org members")
}

// RequirePerson refuses an API key: profile and sessions are a person's own business.
func (p Principal) RequirePerson() error {
	if p.Kind == "" {
		return nil
	}
	return bridge.E(bridge.Forbidden, bridge.CodePersonOnly,
		"an API key cannot do that; a person who is logged in can").WithHint("ace login")
}

// Identity is the principal as bridge/keys sees who asks for a change of keys.
func (p Principal) Identity() bridge.Identity {
	if p.Kind != "" {
		id := p.Key
		id.Scopes = p.Scopes()
		return id
	}
	return bridge.Identity{Type: bridge.TypeUserToken, Subject: p.Email, Org: p.Org, Environment: bridge.EnvironmentLive,
		Role: p.Role, Scopes: p.Scopes()}
}

// KeyFacts are the facts about an API key of this cloud that its [bridge.Identity] lacks.
type KeyFacts struct {
	Name    string
	Owner   string      // e-mail address in the database; empty: the identity's subject
	Parents []uuid.UUID // the keys that it was made with, the nearest first
}

// KeyPrincipal returns the principal of a verified API key of this cloud: the person of a personal access token, or else the key
// itself in its organization. A token is bound to the membership in which it was made; a person who leaves and comes back makes a
// new one. Limits on the keys that a key was made with apply to it as well.
func (st *Store) KeyPrincipal(ctx context.Context, id bridge.Identity, of KeyFacts) (Principal, error) {
	id.Subject = cmp.Or(of.Owner, id.Subject)
	p := Principal{Kind: id.Kind, Org: id.Org, ExpiresAt: id.ExpiresAt, Granted: id.Scopes, Key: id}
	if id.Kind == bridge.KindPAT {
		p.Method = MethodPAT
		err := st.db.QueryRowContext(ctx, `SELECT u.id, u.email, u.name, o.id, m.id, m.role, t.provider_id FROM token_members t JOIN members m ON m.id = t.member_id
			JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.org_id
			WHERE t.key_id = $1 AND u.email = $2 AND o.slug = $3 AND u.verified_at <> 0 AND `+livesThrough("t.provider_id"),
			id.KeyID.String(), id.Subject, id.Org).Scan(&p.UserID, &p.Email, &p.Name, &p.OrgID, &p.Member, &p.Role, &p.Provider)
		if errors.Is(err, sql.ErrNoRows) {
			return Principal{}, bridge.E(bridge.Unauthenticated, bridge.CodeNotAMember,
				"the token has ended with its owner's membership in %s, or with the way in which they sign in", id.Org)
		}
		if err != nil {
			return Principal{}, fmt.Errorf("look up a token's person: %w", err)
		}
		p.Key.Role = p.Role
		return p, nil
	}
	// To servers a key is a member, whatever its scopes are here.
	p.Method, p.Role, p.Name = MethodAPIKey, bridge.RoleMember, of.Name
	p.UserID, p.Email = id.KeyID.String(), keyOwner+id.KeyID.String()
	p.Environment = id.Kind.Environment()
	for i, parent := range of.Parents {
		if i == MaxParents {
			return Principal{}, bridge.E(bridge.Unauthenticated, bridge.CodeChainTooLong,
				"the key was made with a chain of more than %d others", MaxParents)
		}
		p.Parents[i] = parent.String()
	}
	err := st.db.QueryRowContext(ctx, `SELECT o.id, COALESCE((SELECT u.id FROM users u WHERE u.email = $2), '')
		FROM organizations o WHERE o.slug = $1`, id.Org, id.Subject).Scan(&p.OrgID, &p.MakerID)
	if err != nil {
		return Principal{}, fmt.Errorf("look up a key's organization: %w", err)
	}
	return p, nil
}

// LockOwner makes transactions that register connections of one owner wait for each other. "One connection to a server" cannot be
// a unique constraint, because localhost and 127.0.0.1 are one server. The lock is a row, on both databases: a person's
// membership, or for a key or an organization its own row in users, which has no password.
func LockOwner(ctx context.Context, tx *sql.Tx, p Principal, now time.Time) error {
	if !IsPerson(p.Email) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at) VALUES ($1, $2, $3, '', $4)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name`, p.UserID, p.Email, p.Name, now.Unix()); err != nil {
			return fmt.Errorf("lock a key's connections: %w", err)
		}
		return nil
	}
	return lockMember(ctx, tx, p.OrgID, p.UserID)
}

// lockMember locks a membership until the transaction ends, so that the member is not removed meanwhile.
func lockMember(ctx context.Context, tx *sql.Tx, orgID, userID string) error {
	still, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE members SET joined_at = joined_at WHERE org_id = $1 AND user_id = $2",
		orgID, userID))
	if err != nil {
		return fmt.Errorf("lock a member: %w", err)
	}
	if !still {
		return errGone
	}
	return nil
}
