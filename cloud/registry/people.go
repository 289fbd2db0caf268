package registry

import (
	"cmp"
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
)

// User is a person.
type User struct {
	ID    string
	Email string
	Name  string
	shown shown
}

// shown is what a person has proven at a sign-in. The zero value is no proof: somebody else vouches.
type shown struct {
	password string // the hash that it matched
	both     bool   // the second factor, too
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
	Member    string // ID of the membership; empty: an organization's API key
	SessionID string
	Method    string
	Provider  string    // ID of the sign-in provider that the session goes back to; empty: none
	Moves     int64     // how often the session went to another organization
	ExpiresAt time.Time // of the session or key; zero: never

	Kind        bridge.KeyKind     // of the key; empty: a session
	granted     bridge.Scopes      // to the key
	key         bridge.Identity    // of the key
	environment string             // whose connections a key sees; empty: of both
	makerID     string             // of the person who made the key; empty: a session, or a token, which is its person's own
	parents     [maxParents]string // IDs of the keys that the key was made with, the nearest first
}

// Caller is a principal with the actor that their doings are audited as.
type Caller struct {
	Principal

	Actor audit.Actor
}

// As is the principal as a caller whose doings are audited as the actor's.
func (p Principal) As(actor audit.Actor) Caller { return Caller{p, actor} }

// maxParents is how many keys may stand above another: a chain has at most four.
const maxParents = 3

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

// maxName bounds the names of people, organizations and connections, in bytes.
const maxName = 100

// AddedUser is a new person with the role that they got.
type AddedUser struct {
	User
	Role bridge.Role
}

// vouchedByOperator makes an account, or takes over one whose address nobody has proven: the operator vouches for the address.
func (r *Registry) vouchedByOperator(ctx context.Context, tx *sql.Tx, u User, hash string, actor audit.Actor, after *settled) (User, error) {
	now := r.cfg.Now().Unix()
	made, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at)
		VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (email) DO NOTHING`, u.ID, u.Email, u.Name, hash, now))
	if err != nil || made {
		return u, err
	}
	return r.takeOver(ctx, tx, u, hash, Handover{Reason: "address vouched for by the operator", Actor: actor, after: after})
}

var errUserExists = bridge.E(bridge.Conflict, "user_exists", "there is a user with that e-mail address already")

// AddUser adds a person as a member of an organization. The operator vouches for the address, also where somebody has signed
// up with it and never proven it.
func (r *Registry) AddUser(ctx context.Context, actor audit.Actor, n NewUser) (AddedUser, error) {
	email, err := bridge.CanonicalEmail(n.Email)
	if err != nil {
		return AddedUser{}, err
	}
	if err := bridge.CheckOrg(n.Org); err != nil {
		return AddedUser{}, err
	}
	name, plain := bridge.PlainName(cmp.Or(n.Name, email[:strings.LastIndexByte(email, '@')]), maxName)
	if (n.Role != "" && !n.Role.Valid()) || !plain {
		return AddedUser{}, bridge.E(bridge.Invalid, "user_malformed", "the role is not owner, admin, member or viewer, or the name is no plain text")
	}
	hash, err := r.hasher.hash(ctx, n.Password)
	if err != nil {
		return AddedUser{}, err
	}
	u := AddedUser{User: User{Email: email, Name: name}}
	if u.ID, err = newID(); err != nil {
		return AddedUser{}, err
	}
	now := r.cfg.Now()
	err = r.handTx(ctx, func(tx *sql.Tx, after *settled) error {
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
		actor := actor
		actor.Org = n.Org
		if u.User, err = r.vouchedByOperator(ctx, tx, u.User, hash, actor, after); err != nil {
			return err
		}
		if added, err := addMember(ctx, tx, orgID, u.ID, u.Role, "operator", now.Unix()); err != nil {
			return err
		} else if !added { // a membership that waited for the proof has started just now
			if n.Role != "" {
				if _, err := tx.ExecContext(ctx, "UPDATE members SET role = $1 WHERE org_id = $2 AND user_id = $3", string(n.Role), orgID, u.ID); err != nil {
					return err
				}
			}
			if err := tx.QueryRowContext(ctx, "SELECT role FROM members WHERE org_id = $1 AND user_id = $2", orgID, u.ID).Scan(&u.Role); err != nil {
				return err
			}
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "user.add", Target: "user:" + email,
			Details: map[string]string{"role": string(u.Role)}})
	})
	if sqldb.IsUnique(err) || bridge.CodeOf(err) == errUserExists.Code {
		return AddedUser{}, errUserExists
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

// confined reports whether the principal sees its organization alone: an API key, or what goes back to a sign-in provider.
func (p Principal) confined() bool { return p.Kind != "" || p.Provider != "" }

// Orgs lists the organizations of the principal, by name: all of a person's, or the one that a key or a provider's session is for.
func (r *Registry) Orgs(ctx context.Context, p Principal) ([]api.Organization, error) {
	if p.confined() {
		o := api.Organization{ID: p.OrgID, Slug: p.Org, Role: string(p.Role)}
		if err := r.db.QueryRowContext(ctx, "SELECT name FROM organizations WHERE id = $1", p.OrgID).Scan(&o.Name); err != nil {
			return nil, fmt.Errorf("look up an organization: %w", err)
		}
		return []api.Organization{o}, nil
	}
	rows, err := r.db.QueryContext(ctx, `SELECT o.id, o.slug, o.name, m.role FROM members m
		JOIN organizations o ON o.id = m.org_id WHERE m.user_id = $1 ORDER BY o.slug`, p.UserID)
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
	err := r.db.QueryRowContext(ctx, "SELECT id, email, name FROM users WHERE email = $1", LoginEmail(email)).
		Scan(&u.ID, &u.Email, &u.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, bridge.E(bridge.NotFound, "user_unknown", "there is no such user")
	}
	return u, err
}
