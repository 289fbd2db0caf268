package signin

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

// prove notes that an address is proven. The first time, all that the account was given before is void, and the memberships
// that it waits for start: all of them where own says that the account's maker proves it, otherwise those that were offered
// to the address.
func (st *Store) prove(ctx context.Context, tx *sql.Tx, h accounts.Handover) (first bool, err error) {
	first, err = sqldb.Changed(tx.ExecContext(ctx, "UPDATE users SET verified_at = $1 WHERE id = $2 AND verified_at = 0",
		st.db.Now().Unix(), h.User.ID))
	if err != nil || !first {
		return false, sqldb.Wrap("prove an address", err)
	}
	h.Unproven = true
	if err := st.accounts.HandOver(ctx, tx, h); err != nil {
		return true, err
	}
	return true, st.startWaiting(ctx, tx, h)
}

// startWaiting makes members of what an account waits for.
func (st *Store) startWaiting(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	type waiting struct{ org, slug, role, invitation string }
	now := st.db.Now()
	rows, err := tx.QueryContext(ctx, `SELECT w.org_id, o.slug, COALESCE(i.role, w.role), w.invitation_id FROM waiting_members w
		JOIN organizations o ON o.id = w.org_id LEFT JOIN invitations i ON i.id = w.invitation_id
		WHERE w.user_id = $1 AND (w.invitation_id = '' OR (i.state = 'open' AND i.expires_at > $2 AND ($3 OR i.email = $4)))`,
		h.User.ID, now.Unix(), h.Own, h.User.Email)
	var all []waiting
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		var w waiting
		err := s.Scan(&w.org, &w.slug, &w.role, &w.invitation)
		all = append(all, w)
		return err
	})
	if err != nil {
		return fmt.Errorf("start memberships: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM waiting_members WHERE user_id = $1", h.User.ID); err != nil {
		return fmt.Errorf("start memberships: %w", err)
	}
	for _, w := range all {
		if err := accounts.LockOrg(ctx, tx, w.org); err != nil {
			return err
		}
		if w.invitation != "" {
			taken, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE invitations SET state = 'accepted' WHERE id = $1 AND state = 'open'", w.invitation))
			if err != nil {
				return fmt.Errorf("start memberships: %w", err)
			}
			if !taken {
				continue
			}
		}
		added, err := accounts.AddMember(ctx, tx, accounts.NewMember{OrgID: w.org, UserID: h.User.ID, Role: bridge.Role(w.role), Source: accounts.SourceInvitation}, now)
		if err != nil {
			return err
		}
		if !added {
			continue
		}
		if err := audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{ID: "user:" + h.User.Email, Org: w.slug, Address: h.Actor.Address,
			RequestID: h.Actor.RequestID}, Action: "invitation.accept", Target: "invitation:" + w.invitation,
			Details: map[string]string{"role": w.role}}); err != nil {
			return err
		}
	}
	return nil
}

// maxWaiting bounds how many may wait for one invitation, since each of them is mailed.
const maxWaiting = 5

// await lets an invitation wait for the proof of an account's address. The invitation stays open: the first to prove takes it.
func (st *Store) await(ctx context.Context, tx *sql.Tx, o accounts.OfferedInvitation, u accounts.User) error {
	if o.Email != "" && o.Email != u.Email {
		return accounts.ForAnother(o, u.Email)
	}
	if err := accounts.LockOrg(ctx, tx, o.OrgID); err != nil {
		return err
	}
	var waiting int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM waiting_members WHERE invitation_id = $1 AND user_id <> $2", o.ID, u.ID).Scan(&waiting); err != nil {
		return fmt.Errorf("keep an acceptance: %w", err)
	}
	if waiting >= maxWaiting {
		return bridge.E(bridge.Conflict, bridge.CodeInvitationAwaited,
			"%d people wait with this invitation for the proof of their addresses, and it is good for one", waiting).
			WithHint("ask %s for one that is for your address", o.InvitedBy)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO waiting_members (user_id, org_id, role, invitation_id, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, org_id) DO UPDATE SET role = excluded.role, invitation_id = excluded.invitation_id`,
		u.ID, o.OrgID, o.Role, o.ID, st.db.Now().Unix()); err != nil {
		return fmt.Errorf("keep an acceptance: %w", err)
	}
	return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: audit.Actor{ID: "anonymous", Org: o.Org}, Action: "invitation.await",
		Target: "invitation:" + o.ID, Details: map[string]string{"email": u.Email}})
}

// AcceptUnproven accepts an invitation for an account without a proven address. The link that was mailed to the address proves
// it, and opens a session; any other link waits for the proof, and the session is empty.
func (st *Store) AcceptUnproven(ctx context.Context, u accounts.Unproven, token bridge.Secret, actor audit.Actor) (accounts.Session, error) {
	var s accounts.Session
	err := st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		s = accounts.Session{}
		o, err := st.accounts.Offered(ctx, tx, token)
		if err != nil {
			return err
		}
		if err := st.await(ctx, tx, o, u.User); err != nil || !o.Mailed {
			return err
		}
		by := actor
		by.ID, by.Org = "user:"+u.Email, o.Org
		if _, err := st.prove(ctx, tx, accounts.Handover{User: u.User, Own: true, Reason: "address proven by an invitation", Actor: by, After: after}); err != nil {
			return err
		}
		s, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: u.ID, Org: o.Org, Method: accounts.MethodBrowser}, actor)
		return err
	})
	return s, err
}

// BindToken binds a personal access token that p makes to the membership, and to the sign-in provider that the session goes
// back to: the token ends with either. It runs in the transaction that makes the token.
func (st *Store) BindToken(p accounts.Principal) func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error {
	return func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO token_members (key_id, member_id, provider_id) VALUES ($1, $2, $3)", id.String(), p.Member, p.Provider)
		return sqldb.Wrap("bind a token to its membership", err)
	}
}

// AdoptTokens binds the personal access tokens from before there were IDs of memberships to those that they were made in. It
// needs the table of keys, and finds nothing more to do the second time.
func (st *Store) AdoptTokens(ctx context.Context) error {
	_, err := st.db.ExecContext(ctx, `INSERT INTO token_members (key_id, member_id, provider_id)
		SELECT k.id, m.id, '' FROM api_keys k JOIN users u ON u.email = k.owner JOIN organizations o ON o.slug = k.org
		JOIN members m ON m.user_id = u.id AND m.org_id = o.id
		WHERE k.kind = 'pat' AND k.ended_at = 0 AND m.joined_at <= k.issued_at AND NOT EXISTS (SELECT 1 FROM token_members t WHERE t.key_id = k.id)
		ON CONFLICT (key_id) DO NOTHING`)
	return sqldb.Wrap("bind tokens to memberships", err)
}

// voidTokens revokes the personal access tokens that a condition on token_members t names.
func (st *Store) voidTokens(ctx context.Context, tx *sql.Tx, after *accounts.AfterCommit, e keys.Ending, condition string, args ...any) error {
	ids, err := sqldb.Column[string](tx.QueryContext(ctx, "SELECT t.key_id FROM token_members t WHERE "+condition, args...)) //nolint:gosec // conditions of this package
	if err != nil {
		return fmt.Errorf("look for tokens: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM token_members AS t WHERE "+condition, args...); err != nil { //nolint:gosec // as above
		return fmt.Errorf("unbind tokens: %w", err)
	}
	e.IDs = ids
	return st.accounts.RevokeKeys(ctx, tx, e, after)
}
