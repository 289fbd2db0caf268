package joining

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

// Take uses up the invitation of a link and makes a person a member. An unproven person is refused with
// [accounts.ErrUnproven], a member with [bridge.CodeAlreadyMember].
func (st *Store) Take(ctx context.Context, tx *sql.Tx, token bridge.Secret, u accounts.User, actor audit.Actor) (accounts.OfferedInvitation, error) {
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

// Accept makes the person of a session a member. Their address is proven, or they would have no session; see
// [Store.AcceptUnproven].
func (st *Store) Accept(ctx context.Context, caller accounts.Caller, token bridge.Secret) (api.Organization, error) {
	var out api.Organization
	if err := caller.RequireAlone(); err != nil {
		return out, err
	}
	err := st.db.Change(ctx, func(tx *sql.Tx) error {
		o, err := st.Take(ctx, tx, token, accounts.User{ID: caller.UserID, Email: caller.Email}, caller.Actor)
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

// AcceptUnproven accepts an invitation for an account without a proven address. A link that was mailed to the address proves
// it and opens a session; any other link waits for the proof, and the returned session is empty.
func (st *Store) AcceptUnproven(ctx context.Context, u accounts.Unproven, token bridge.Secret, actor audit.Actor) (accounts.Session, error) {
	var s accounts.Session
	err := st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		s = accounts.Session{}
		o, err := st.accounts.Offered(ctx, tx, token)
		if err != nil {
			return err
		}
		if err := st.Await(ctx, tx, o, u.User); err != nil || !o.Mailed {
			return err
		}
		by := actor
		by.ID, by.Org = "user:"+u.Email, o.Org
		if _, err := st.Prove(ctx, tx, accounts.Handover{User: u.User, Own: true, Reason: "address proven by an invitation", Actor: by, After: after}); err != nil {
			return err
		}
		s, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: u.ID, Org: o.Org, Method: accounts.MethodBrowser}, actor)
		return err
	})
	return s, err
}
