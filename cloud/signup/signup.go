package signup

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// NewAccount is what a new person enters about themselves.
type NewAccount struct {
	Name, Email string
	Password    bridge.Secret
}

// SignedUp is a new account: with a session if the link proved the address, otherwise waiting for that proof.
type SignedUp struct {
	Session  accounts.Session
	Waiting  bridge.Secret // cookie of the page where the mail can be sent again; see [accounts.Sessions.OpenUnproven]
	Verified bool          // the link proved the address: Session is set, and Waiting is not
	Mailed   bool          // a verification link was queued
}

// SignUp makes an account by an invitation, the one way for a person to make their own. A link that was mailed to the address
// proves it and opens a session of the dashboard; with any other link the account waits until the address is proven.
//
// An address that has an account already is refused with [bridge.CodeUserExists], an invitation for another address with
// [bridge.CodeInvitationForAnother]. That no mail can be sent is not an error; see [SignedUp].
func (st *Store) SignUp(ctx context.Context, token bridge.Secret, n NewAccount, actor audit.Actor) (SignedUp, error) {
	var out SignedUp
	email, err := bridge.CanonicalEmail(n.Email)
	if err != nil {
		return out, err
	}
	name, plain := bridge.PlainName(n.Name, schema.MaxName)
	if !plain {
		return out, accounts.ErrName
	}
	o, err := st.accounts.LookupInvitation(ctx, token) // before the work of hashing
	if err != nil {
		return out, err
	}
	if o.Email != "" && o.Email != email {
		return out, accounts.ForAnother(o, email)
	}
	hash, err := st.hasher.Hash(ctx, n.Password)
	if err != nil {
		return out, err
	}
	u := accounts.User{Email: email, Name: name}
	if u.ID, err = schema.NewID(); err != nil {
		return out, err
	}
	err = st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		out = SignedUp{Verified: o.Mailed}
		if !o.Mailed {
			out.Waiting, err = st.signUpUnproven(ctx, tx, token, u, hash)
			return err
		}
		by := actor
		by.ID, by.Org = "user:"+u.Email, o.Org
		if u, err = st.signUpProven(ctx, tx, u, hash, by, after); err != nil {
			return err
		}
		if _, err := st.joining.Take(ctx, tx, token, u, actor); err != nil {
			return err
		}
		out.Session, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: u.ID, Org: o.Org, Method: accounts.MethodBrowser}, actor)
		return err
	})
	if sqldb.IsUnique(err) || bridge.CodeOf(err) == accounts.ErrUserExists.Code {
		return SignedUp{}, bridge.E(bridge.Conflict, bridge.CodeUserExists, "there is an account with that e-mail address already").
			WithHint("sign in, and open this link again")
	}
	if err != nil {
		return SignedUp{}, err
	}
	if out.Verified {
		return out, nil
	}
	actor.ID, actor.Org = "user:"+u.Email, o.Org
	err = st.links.StartVerification(ctx, u.ID, actor)
	if out.Mailed = err == nil; err != nil { // the account exists, and the page offers to mail it again
		st.log.Warn("a new person could not be mailed", "error", err)
	}
	return out, nil
}

// signUpProven makes an account for a person with the link that was mailed to the address. It takes over an unproven account of
// that address.
func (st *Store) signUpProven(ctx context.Context, tx *sql.Tx, u accounts.User, hash string, actor audit.Actor, after *accounts.AfterCommit) (accounts.User, error) {
	made, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at)
		VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (email) DO NOTHING`, u.ID, u.Email, u.Name, hash, st.db.Now().Unix()))
	if err != nil || made {
		return u, sqldb.Wrap("make an account", err)
	}
	return st.joining.TakeOver(ctx, tx, u, hash, accounts.Handover{Reason: "address proven by an invitation", Actor: actor, After: after})
}

// signUpUnproven makes an account for a person whose link proves nothing, and lets the acceptance wait. It returns the cookie of
// the page that is left to them.
func (st *Store) signUpUnproven(ctx context.Context, tx *sql.Tx, token bridge.Secret, u accounts.User, hash string) (bridge.Secret, error) {
	o, err := st.accounts.Offered(ctx, tx, token)
	if err != nil {
		return bridge.Secret{}, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at) VALUES ($1, $2, $3, $4, $5, 0)`,
		u.ID, u.Email, u.Name, hash, st.db.Now().Unix()); err != nil {
		return bridge.Secret{}, err
	}
	if err := st.joining.Await(ctx, tx, o, u); err != nil {
		return bridge.Secret{}, err
	}
	return st.sessions.OpenUnproven(ctx, tx, u.ID)
}

// NewUser is a person whom the operator adds to an organization.
type NewUser struct {
	Email    string
	Name     string
	Password bridge.Secret
	Org      string      // slug; it is made if there is none
	Role     bridge.Role // empty: owner for the first in the organization, member otherwise
}

// AddedUser is a person whom the operator has added, with their role.
type AddedUser struct {
	accounts.User
	Role bridge.Role
}

// AddUser adds a person as a member of an organization. The operator vouches for the address, and takes over an unproven account
// that was made with it; a proven one is refused with [accounts.ErrUserExists].
func (st *Store) AddUser(ctx context.Context, actor audit.Actor, n NewUser) (AddedUser, error) {
	email, err := bridge.CanonicalEmail(n.Email)
	if err != nil {
		return AddedUser{}, err
	}
	if err := bridge.CheckOrg(n.Org); err != nil {
		return AddedUser{}, err
	}
	name, plain := bridge.PlainName(cmp.Or(n.Name, email[:strings.LastIndexByte(email, '@')]), schema.MaxName)
	if (n.Role != "" && !n.Role.Valid()) || !plain {
		return AddedUser{}, bridge.E(bridge.Invalid, bridge.CodeUserMalformed,
			"the role is not owner, admin, member or viewer, or the name is no plain text")
	}
	hash, err := st.hasher.Hash(ctx, n.Password)
	if err != nil {
		return AddedUser{}, err
	}
	u := AddedUser{User: accounts.User{Email: email, Name: name}}
	if u.ID, err = schema.NewID(); err != nil {
		return AddedUser{}, err
	}
	now := st.db.Now()
	err = st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		orgID, err := accounts.EnsureOrg(ctx, tx, n.Org, now)
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
		if u.User, err = st.vouchedByOperator(ctx, tx, u.User, hash, actor, after); err != nil {
			return err
		}
		if added, err := accounts.AddMember(ctx, tx, accounts.NewMember{OrgID: orgID, UserID: u.ID, Role: u.Role, Source: "operator"}, now); err != nil {
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
	if sqldb.IsUnique(err) || bridge.CodeOf(err) == accounts.ErrUserExists.Code {
		return AddedUser{}, accounts.ErrUserExists
	}
	if err != nil {
		return AddedUser{}, fmt.Errorf("add a user: %w", err)
	}
	return u, nil
}

// vouchedByOperator makes an account, or takes over an unproven one.
func (st *Store) vouchedByOperator(ctx context.Context, tx *sql.Tx, u accounts.User, hash string, actor audit.Actor, after *accounts.AfterCommit) (accounts.User, error) {
	now := st.db.Now().Unix()
	made, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at)
		VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (email) DO NOTHING`, u.ID, u.Email, u.Name, hash, now))
	if err != nil || made {
		return u, err
	}
	return st.joining.TakeOver(ctx, tx, u, hash, accounts.Handover{Reason: "address vouched for by the operator", Actor: actor, After: after})
}
