package registry

import (
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

// AcceptInvitation makes the person who is signed in a member. An invitation for an address is for whoever has shown that it
// is theirs: earlier, or by coming with the link that was sent there.
func (r *Registry) AcceptInvitation(ctx context.Context, p Principal, token bridge.Secret, actor audit.Actor) (api.Organization, error) {
	var out api.Organization
	if err := p.alone(); err != nil {
		return out, err
	}
	err := r.db.Tx(ctx, func(tx *sql.Tx) error {
		o, err := r.take(ctx, tx, token, User{ID: p.UserID, Email: p.Email}, actor)
		if err != nil {
			return err
		}
		if o.mailed {
			if _, err := tx.ExecContext(ctx, "UPDATE users SET verified_at = $1 WHERE id = $2 AND verified_at = 0", r.cfg.Now().Unix(), p.UserID); err != nil {
				return fmt.Errorf("accept an invitation: %w", err)
			}
		}
		var verified int64
		if err := tx.QueryRowContext(ctx, "SELECT verified_at FROM users WHERE id = $1", p.UserID).Scan(&verified); err != nil {
			return fmt.Errorf("accept an invitation: %w", err)
		}
		if o.Email != "" && verified == 0 {
			return bridge.E(bridge.Forbidden, "email_unverified", "this invitation is for %s, and that address is not confirmed as yours yet", o.Email).
				WithHint("open the link that was mailed to you, and then this one again")
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

// SignedUp is a new person's first session. Unless their address is Verified, a link that confirms it was Mailed there, where
// the cloud sends mail.
type SignedUp struct {
	Session          Session
	Verified, Mailed bool
}

// SignUp makes an account by an invitation, the one way for a person to make their own, and opens a session on the dashboard.
func (r *Registry) SignUp(ctx context.Context, token bridge.Secret, n NewAccount, actor audit.Actor) (SignedUp, error) {
	var out SignedUp
	email, err := canonicalEmail(n.Email)
	if err != nil {
		return out, err
	}
	if n.Name == "" || !bridge.PlainText(n.Name, 100) {
		return out, bridge.E(bridge.Invalid, "name_malformed", "a name is 1 to 100 bytes of plain text")
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
	u := User{Email: email, Name: n.Name}
	if u.ID, err = newID(); err != nil {
		return out, err
	}
	now := r.cfg.Now()
	verified := int64(0)
	if o.mailed {
		verified = now.Unix()
	}
	err = r.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at)
			VALUES ($1, $2, $3, $4, $5, $6)`, u.ID, u.Email, u.Name, hash, now.Unix(), verified); err != nil {
			return err
		}
		if _, err := r.take(ctx, tx, token, u, actor); err != nil {
			return err
		}
		out.Session, err = r.openSession(ctx, tx, u.ID, o.Org, MethodBrowser, actor)
		return err
	})
	if sqldb.IsUnique(err) {
		return SignedUp{}, bridge.E(bridge.Conflict, "user_exists", "there is an account with that e-mail address already").
			WithHint("sign in, and open this link again")
	}
	if err != nil {
		return SignedUp{}, err
	}
	if out.Verified = o.mailed; o.mailed {
		return out, nil
	}
	actor.ID, actor.Org = "user:"+u.Email, o.Org
	err = r.StartVerification(ctx, u.ID, actor)
	if out.Mailed = err == nil; err != nil { // the account is there, and the mail can be asked for again
		r.log.Warn("a new person could not be mailed", "error", err)
	}
	return out, nil
}
