package signin

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

// take uses an invitation up, for one of those who come with its link, and makes them a member.
func (st *Store) take(ctx context.Context, tx *sql.Tx, token bridge.Secret, u accounts.User, actor audit.Actor) (accounts.OfferedInvitation, error) {
	o, err := st.accounts.Offered(ctx, tx, token)
	if err != nil {
		return o, err
	}
	if o.Email != "" && o.Email != u.Email {
		return o, accounts.ForAnother(o, u.Email)
	}
	now := st.db.Now()
	if err := accounts.LockOrg(ctx, tx, o.OrgID); err != nil {
		return o, err
	}
	taken, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE invitations SET state = 'accepted' WHERE id = $1 AND state = 'open' AND expires_at > $2",
		o.ID, now.Unix()))
	if err != nil {
		return o, fmt.Errorf("accept an invitation: %w", err)
	}
	if !taken {
		return o, accounts.ErrInvitation
	}
	added, err := accounts.AddMember(ctx, tx, accounts.NewMember{OrgID: o.OrgID, UserID: u.ID, Role: bridge.Role(o.Role), Source: accounts.SourceInvitation}, now)
	if err != nil {
		return o, err
	}
	if proven, err := accounts.IsProven(ctx, tx, u.ID); err != nil || !proven {
		return o, cmp.Or(err, error(accounts.ErrUnproven))
	}
	if !added {
		return o, bridge.E(bridge.Conflict, bridge.CodeAlreadyMember, "you are a member of %s already",
			o.Org).WithHint("ace org switch %s", o.Org)
	}
	actor.ID, actor.Org = "user:"+u.Email, o.Org
	return o, audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "invitation.accept", Target: "invitation:" + o.ID,
		Details: map[string]string{"role": o.Role}})
}

// AcceptInvitation makes the person who is signed in a member. Their address is proven, or they would be nobody; see
// [Store.AcceptUnproven].
func (st *Store) AcceptInvitation(ctx context.Context, caller accounts.Caller, token bridge.Secret) (api.Organization, error) {
	var out api.Organization
	if err := caller.RequireAlone(); err != nil {
		return out, err
	}
	err := st.db.Change(ctx, func(tx *sql.Tx) error {
		o, err := st.take(ctx, tx, token, accounts.User{ID: caller.UserID, Email: caller.Email}, caller.Actor)
		if err != nil {
			return err
		}
		out = api.Organization{ID: o.OrgID, Slug: o.Org, Name: o.OrgName, Role: o.Role}
		return nil
	})
	if err != nil {
		return api.Organization{}, err
	}
	return out, nil
}
