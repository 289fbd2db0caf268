package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// User is a person with an account.
type User struct {
	ID    string
	Email string
	Name  string
	Shown Shown
}

// Shown is the proof that a person gave when they signed in. It is empty if someone else vouches for them, such as a provider.
type Shown struct {
	Password string // the hash that the password matched
	Both     bool   // they gave the second factor too
}

// Principal is the one who calls: a person as a member of one organization, in one session, or an API key of this cloud
// ([Store.KeyPrincipal]).
type Principal struct {
	UserID    string
	Email     string
	Name      string
	OrgID     string
	Org       string // slug
	Role      bridge.Role
	Member    string // ID of the membership; empty: an organization's API key
	SessionID string
	Method    string
	Provider  string    // ID of the sign-in provider that opened the session; empty: none
	Moves     int64     // how often the session has switched organizations
	ExpiresAt time.Time // of the session or key; zero: never

	Kind        bridge.KeyKind     // of the key; empty: a session
	Granted     bridge.Scopes      // to the key
	Key         bridge.Identity    // of the key
	Environment string             // live or test, whose connections a key sees; empty: both
	MakerID     string             // ID of the person who made the key; empty: a session or a personal access token
	Parents     [MaxParents]string // IDs of the keys that the key was made with, the nearest first
}

// Caller is a principal with the actor that the audit log names.
type Caller struct {
	Principal

	Actor audit.Actor
}

// As returns the principal as a caller whose changes are audited under an actor.
func (p Principal) As(actor audit.Actor) Caller { return Caller{p, actor} }

// MaxParents is the number of keys that may stand above another: a chain has at most four.
const MaxParents = 3

// RequireOwnSession refuses a session opened through an organization's sign-in provider: the provider vouches for the person
// there, and says nothing of their other organizations, their password or their second factor.
func (p Principal) RequireOwnSession() error {
	if p.Provider == "" {
		return nil
	}
	return bridge.E(bridge.Forbidden, bridge.CodeProviderSession,
		"you have signed in through the provider of %s, which counts for that organization only", p.Org).
		WithHint("sign out, and sign in with your password")
}

// Actor returns the principal as the audit log names them, with the address and ID of the request.
func (p Principal) Actor(address, requestID string) audit.Actor {
	a := audit.Actor{ID: "user:" + p.Email, Org: p.Org, Address: address, RequestID: requestID}
	switch p.Kind {
	case "":
	case bridge.KindPAT:
		a.Key = p.Key.KeyID.String()
	default:
		a.ID = p.Email
	}
	return a
}

// ActorOf returns a person as the actor of a change to their own account. An actor without an organization is logged in the
// person's first one by name.
func ActorOf(ctx context.Context, tx *sql.Tx, u User, actor audit.Actor) (audit.Actor, error) {
	actor.ID = "user:" + u.Email
	if actor.Org != "" {
		return actor, nil
	}
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(MIN(o.slug), '') FROM members m JOIN organizations o ON o.id = m.org_id
		WHERE m.user_id = $1`, u.ID).Scan(&actor.Org)
	return actor, sqldb.Wrap("look up an organization", err)
}

// ErrUserExists refuses an address that an account has already.
var ErrUserExists = bridge.E(bridge.Conflict, bridge.CodeUserExists, "there is a user with that e-mail address already")

// EnsureOrg returns the ID of an organization, which it makes if there is none with that slug.
func EnsureOrg(ctx context.Context, tx *sql.Tx, slug string, now time.Time) (string, error) {
	id, err := schema.NewID()
	if err != nil {
		return "", err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO organizations (id, slug, name, created_at) VALUES ($1, $2, $2, $3)
		ON CONFLICT (slug) DO NOTHING`, id, slug, now.Unix()); err != nil {
		return "", err
	}
	err = tx.QueryRowContext(ctx, "SELECT id FROM organizations WHERE slug = $1", slug).Scan(&id)
	return id, err
}

// confined reports whether the principal sees only its own organization: an API key, or a session of a sign-in provider.
func (p Principal) confined() bool { return p.Kind != "" || p.Provider != "" }

// Orgs lists the principal's organizations by slug: all of a person's, or only the one that a key or a provider's session is for.
func (st *Store) Orgs(ctx context.Context, p Principal) ([]api.Organization, error) {
	if p.confined() {
		o := api.Organization{ID: p.OrgID, Slug: p.Org, Role: string(p.Role)}
		if err := st.db.QueryRowContext(ctx, "SELECT name FROM organizations WHERE id = $1", p.OrgID).Scan(&o.Name); err != nil {
			return nil, fmt.Errorf("look up an organization: %w", err)
		}
		return []api.Organization{o}, nil
	}
	rows, err := st.db.QueryContext(ctx, `SELECT o.id, o.slug, o.name, m.role FROM members m
		JOIN organizations o ON o.id = m.org_id WHERE m.user_id = $1 ORDER BY o.slug`, p.UserID)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (api.Organization, error) {
		var o api.Organization
		if err := row.Scan(&o.ID, &o.Slug, &o.Name, &o.Role); err != nil {
			return o, err
		}
		return o, nil
	})
	return out, sqldb.Wrap("list organizations", err)
}

// UserByEmail finds a person by their address, in any spelling that can sign in.
func (st *Store) UserByEmail(ctx context.Context, email string) (User, error) {
	var u User
	err := st.db.QueryRowContext(ctx, "SELECT id, email, name FROM users WHERE email = $1", LoginEmail(email)).
		Scan(&u.ID, &u.Email, &u.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, bridge.E(bridge.NotFound, bridge.CodeUserUnknown, "there is no such user")
	}
	return u, err
}

// LoginEmail returns the address of a try to sign in, as it is looked up and counted. It is empty for input that cannot be an
// address, because that may be long or hold bytes that a text column refuses, or name an owner of connections that is no person.
func LoginEmail(s string) string {
	s = strings.TrimSpace(s)
	if email, err := bridge.CanonicalEmail(s); err == nil {
		return email
	}
	if !bridge.PlainText(s, 200) {
		return ""
	}
	if s = strings.ToLower(bridge.OneForm(s)); !IsPerson(s) {
		return ""
	}
	return s
}
