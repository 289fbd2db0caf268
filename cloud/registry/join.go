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
