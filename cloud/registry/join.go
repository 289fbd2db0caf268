package registry

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// take uses an invitation up, for one of those who come with its link, and makes them a member.
func (r *Registry) take(ctx context.Context, tx *sql.Tx, token bridge.Secret, u User, actor audit.Actor) (OfferedInvitation, error) {
	o, err := r.offered(ctx, tx, token)
	if err != nil {
		return o, err
	}
	if o.Email != "" && o.Email != u.Email {
		return o, forAnother(o, u.Email)
	}
	now := r.cfg.Now()
	if err := lockOrg(ctx, tx, o.orgID); err != nil {
		return o, err
	}
	taken, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE invitations SET state = 'accepted' WHERE id = $1 AND state = 'open' AND expires_at > $2",
		o.id, now.Unix()))
	if err != nil {
		return o, fmt.Errorf("accept an invitation: %w", err)
	}
	if !taken {
		return o, errInvitation
	}
	added, err := addMember(ctx, tx, o.orgID, u.ID, bridge.Role(o.Role), sourceInvitation, now.Unix())
	if err != nil {
		return o, err
	}
	if proven, err := isProven(ctx, tx, u.ID); err != nil || !proven {
		return o, cmp.Or(err, error(errUnproven))
	}
	if !added {
		return o, bridge.E(bridge.Conflict, "already_member", "you are a member of %s already", o.Org).WithHint("ace org switch %s", o.Org)
	}
	actor.ID, actor.Org = "user:"+u.Email, o.Org
	return o, audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "invitation.accept", Target: "invitation:" + o.id,
		Details: map[string]string{"role": o.Role}})
}

func forAnother(o OfferedInvitation, email string) error {
	return bridge.E(bridge.Forbidden, "invitation_for_another", "this invitation is for %s, and not for %s", o.Email, email).
		WithHint("sign in as %s, or ask %s for another one", o.Email, o.InvitedBy)
}

// AcceptInvitation makes the person who is signed in a member. Their address is proven, or they would be nobody; see
// [Registry.AcceptUnproven].
func (r *Registry) AcceptInvitation(ctx context.Context, caller Caller, token bridge.Secret) (api.Organization, error) {
	var out api.Organization
	if err := caller.alone(); err != nil {
		return out, err
	}
	err := r.tx(ctx, func(tx *sql.Tx) error {
		o, err := r.take(ctx, tx, token, User{ID: caller.UserID, Email: caller.Email}, caller.Actor)
		if err != nil {
			return err
		}
		out = api.Organization{ID: o.orgID, Slug: o.Org, Name: o.OrgName, Role: o.Role}
		return nil
	})
	if err != nil {
		return api.Organization{}, err
	}
	return out, nil
}

// NewAccount is what a new person says of themselves.
type NewAccount struct {
	Name, Email string
	Password    bridge.Secret
}

// SignedUp is a new person's first session, where the link that they came with has proven the address. Otherwise the account is
// nobody yet: Waiting opens the page where the mail can be sent again, a first one having been Mailed where the cloud sends any.
type SignedUp struct {
	Session          Session
	Waiting          bridge.Secret
	Verified, Mailed bool
}

// SignUp makes an account by an invitation, the one way for a person to make their own. The link that was mailed to the address
// proves it, and opens a session on the dashboard; with any other the account is nobody until the address is proven.
func (r *Registry) SignUp(ctx context.Context, token bridge.Secret, n NewAccount, actor audit.Actor) (SignedUp, error) {
	var out SignedUp
	email, err := bridge.CanonicalEmail(n.Email)
	if err != nil {
		return out, err
	}
	name, plain := bridge.PlainName(n.Name, maxName)
	if !plain {
		return out, errName
	}
	o, err := r.LookupInvitation(ctx, token) // before the work of hashing
	if err != nil {
		return out, err
	}
	if o.Email != "" && o.Email != email {
		return out, forAnother(o, email)
	}
	hash, err := r.hasher.hash(ctx, n.Password)
	if err != nil {
		return out, err
	}
	u := User{Email: email, Name: name}
	if u.ID, err = newID(); err != nil {
		return out, err
	}
	err = r.handTx(ctx, func(tx *sql.Tx, after *settled) error {
		out = SignedUp{Verified: o.mailed}
		if !o.mailed {
			out.Waiting, err = r.signUpUnproven(ctx, tx, token, u, hash)
			return err
		}
		by := actor
		by.ID, by.Org = "user:"+u.Email, o.Org
		if u, err = r.signUpProven(ctx, tx, u, hash, by, after); err != nil {
			return err
		}
		if _, err := r.take(ctx, tx, token, u, actor); err != nil {
			return err
		}
		out.Session, err = r.openSession(ctx, tx, opening{userID: u.ID, org: o.Org, method: MethodBrowser}, actor)
		return err
	})
	if sqldb.IsUnique(err) || bridge.CodeOf(err) == errUserExists.Code {
		return SignedUp{}, bridge.E(bridge.Conflict, "user_exists", "there is an account with that e-mail address already").
			WithHint("sign in, and open this link again")
	}
	if err != nil {
		return SignedUp{}, err
	}
	if out.Verified {
		return out, nil
	}
	actor.ID, actor.Org = "user:"+u.Email, o.Org
	err = r.StartVerification(ctx, u.ID, actor)
	if out.Mailed = err == nil; err != nil { // the account is there, and the mail can be asked for again
		r.log.Warn("a new person could not be mailed", "error", err)
	}
	return out, nil
}

// signUpProven makes an account of somebody who has come with the link that was mailed to the address. An account that somebody
// else has made with it and never proven is theirs now.
func (r *Registry) signUpProven(ctx context.Context, tx *sql.Tx, u User, hash string, actor audit.Actor, after *settled) (User, error) {
	made, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at)
		VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (email) DO NOTHING`, u.ID, u.Email, u.Name, hash, r.cfg.Now().Unix()))
	if err != nil || made {
		return u, wrapped("make an account", err)
	}
	return r.takeOver(ctx, tx, u, hash, Handover{Reason: "address proven by an invitation", Actor: actor, after: after})
}

// takeOver gives an account whose address nobody has proven to the one who proves it now, with a name and password of theirs.
func (r *Registry) takeOver(ctx context.Context, tx *sql.Tx, u User, hash string, h Handover) (User, error) {
	if err := tx.QueryRowContext(ctx, "SELECT id FROM users WHERE email = $1", u.Email).Scan(&u.ID); err != nil {
		return u, fmt.Errorf("take an account over: %w", err)
	}
	h.User = u
	first, err := r.prove(ctx, tx, h)
	if err != nil {
		return u, err
	}
	if !first {
		return u, errUserExists
	}
	_, err = tx.ExecContext(ctx, "UPDATE users SET name = $1, password = $2 WHERE id = $3", u.Name, hash, u.ID)
	return u, wrapped("take an account over", err)
}

// signUpUnproven makes an account of somebody who has come with a link that proves nothing, and lets the invitation wait.
func (r *Registry) signUpUnproven(ctx context.Context, tx *sql.Tx, token bridge.Secret, u User, hash string) (bridge.Secret, error) {
	o, err := r.offered(ctx, tx, token)
	if err != nil {
		return bridge.Secret{}, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at) VALUES ($1, $2, $3, $4, $5, 0)`,
		u.ID, u.Email, u.Name, hash, r.cfg.Now().Unix()); err != nil {
		return bridge.Secret{}, err
	}
	if err := r.await(ctx, tx, o, u); err != nil {
		return bridge.Secret{}, err
	}
	return r.openUnproven(ctx, tx, u.ID)
}
