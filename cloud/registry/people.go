package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// User is a person.
type User struct {
	ID    string
	Email string
	Name  string
}

// Principal is who calls: a person as a member of one organization, in one session, or an API key of this cloud; see
// [Registry.KeyPrincipal].
type Principal struct {
	UserID    string
	Email     string
	Name      string
	OrgID     string
	Org       string // slug
	Role      bridge.Role
	SessionID string
	Method    string
	Provider  string    // ID of the sign-in provider that the session goes back to; empty: none
	Moves     int64     // how often the session went to another organization
	ExpiresAt time.Time // of the session or key; zero: never

	Kind        bridge.KeyKind  // of the key; empty: a session
	granted     bridge.Scopes   // to the key
	key         bridge.Identity // of the key
	environment string          // whose connections a key sees; empty: of both
	makerID     string          // of the person who made the key; empty: a session, or a token, which is its person's own
}

// NeedOwn refuses a session that goes back to the sign-in provider of an organization: the provider vouches for the person
// there, and says nothing of their other organizations, their password or their second factor.
func (p Principal) NeedOwn() error {
	if p.Provider == "" {
		return nil
	}
	return bridge.E(bridge.Forbidden, "provider_session", "you have signed in through the provider of %s, which counts for that organization only", p.Org).
		WithHint("sign out, and sign in with your password")
}

// Actor is the principal in the audit log.
func (p Principal) Actor(address, requestID string) audit.Actor {
	a := audit.Actor{ID: "user:" + p.Email, Org: p.Org, Address: address, RequestID: requestID}
	switch p.Kind {
	case "":
	case bridge.KindPAT:
		a.Key = p.key.KeyID.String()
	default:
		a.ID = p.Email
	}
	return a
}

// NewUser says whom to add to which organization.
type NewUser struct {
	Email    string
	Name     string
	Password bridge.Secret
	Org      string      // made if there is none
	Role     bridge.Role // empty: owner for the first in the organization, member otherwise
}

func canonicalEmail(s string) (string, error) {
	address, err := mail.ParseAddress(s)
	if err != nil || address.Address != s || len(s) > 200 || !bridge.PlainText(s, 200) {
		return "", bridge.E(bridge.Invalid, "email_malformed", "that is not an e-mail address")
	}
	return strings.ToLower(s), nil
}

// AddedUser is a new person with the role that they got.
type AddedUser struct {
	User
	Role bridge.Role
}

// AddUser adds a person as a member of an organization.
func (r *Registry) AddUser(ctx context.Context, actor audit.Actor, n NewUser) (AddedUser, error) {
	email, err := canonicalEmail(n.Email)
	if err != nil {
		return AddedUser{}, err
	}
	if err := bridge.CheckOrg(n.Org); err != nil {
		return AddedUser{}, err
	}
	if (n.Role != "" && !n.Role.Valid()) || !bridge.PlainText(n.Name, 100) {
		return AddedUser{}, bridge.E(bridge.Invalid, "user_malformed", "the role is not owner, admin, member or viewer, or the name is no plain text")
	}
	hash, err := r.hasher.hash(ctx, n.Password)
	if err != nil {
		return AddedUser{}, err
	}
	if n.Name == "" {
		n.Name, _, _ = strings.Cut(email, "@")
	}
	u := AddedUser{User: User{Email: email, Name: n.Name}}
	if u.ID, err = newID(); err != nil {
		return AddedUser{}, err
	}
	now := r.cfg.Now()
	err = r.db.Tx(ctx, func(tx *sql.Tx) error {
		orgID, err := ensureOrg(ctx, tx, n.Org, now)
		if err != nil {
			return err
		}
		if u.Role = n.Role; u.Role == "" {
			var others bool
			if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM members WHERE org_id = $1)", orgID).Scan(&others); err != nil {
				return err
			}
			if u.Role = bridge.RoleOwner; others {
				u.Role = bridge.RoleMember
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at)
			VALUES ($1, $2, $3, $4, $5, $5)`, u.ID, u.Email, u.Name, hash, now.Unix()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO members (org_id, user_id, role, joined_at) VALUES ($1, $2, $3, $4)`,
			orgID, u.ID, string(u.Role), now.Unix()); err != nil {
			return err
		}
		actor.Org = n.Org
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "user.add", Target: "user:" + email,
			Details: map[string]string{"role": string(u.Role)}})
	})
	if sqldb.IsUnique(err) {
		return AddedUser{}, bridge.E(bridge.Conflict, "user_exists", "there is a user with that e-mail address already")
	}
	if err != nil {
		return AddedUser{}, fmt.Errorf("add a user: %w", err)
	}
	return u, nil
}

func ensureOrg(ctx context.Context, tx *sql.Tx, slug string, now time.Time) (string, error) {
	id, err := newID()
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

// Orgs lists the organizations of a person, by name.
func (r *Registry) Orgs(ctx context.Context, userID string) ([]api.Organization, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT o.id, o.slug, o.name, m.role FROM members m
		JOIN organizations o ON o.id = m.org_id WHERE m.user_id = $1 ORDER BY o.slug`, userID)
	if err != nil {
		return nil, fmt.Errorf("list organizations: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := []api.Organization{}
	for rows.Next() {
		var o api.Organization
		if err := rows.Scan(&o.ID, &o.Slug, &o.Name, &o.Role); err != nil {
			return nil, fmt.Errorf("list organizations: %w", err)
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

// UserByEmail finds a person.
func (r *Registry) UserByEmail(ctx context.Context, email string) (User, error) {
	var u User
	err := r.db.QueryRowContext(ctx, "SELECT id, email, name FROM users WHERE email = $1", strings.ToLower(email)).
		Scan(&u.ID, &u.Email, &u.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, bridge.E(bridge.NotFound, "user_unknown", "there is no such user")
	}
	return u, err
}
