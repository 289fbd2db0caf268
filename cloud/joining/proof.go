package joining

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

// Prove records that the address of an account is proven, and reports whether this is the first proof. The first proof voids all
// credentials handed out before, and starts the memberships that wait: all of them if the account's maker proves it (h.Own),
// otherwise those that were offered to the address.
func (st *Store) Prove(ctx context.Context, tx *sql.Tx, h accounts.Handover) (first bool, err error) {
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

// startWaiting turns an account's waiting acceptances into memberships.
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
	if err := StopWaiting(ctx, tx, h.User.ID); err != nil {
		return err
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

// maxWaiting bounds the accounts that wait with one invitation, since each of them gets a mail.
const maxWaiting = 5

// Await keeps an acceptance until the account's address is proven. The invitation stays open; the first account to prove its
// address uses it.
func (st *Store) Await(ctx context.Context, tx *sql.Tx, o accounts.OfferedInvitation, u accounts.User) error {
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

// StopWaiting drops an account's waiting acceptances.
func StopWaiting(ctx context.Context, tx *sql.Tx, userID string) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM waiting_members WHERE user_id = $1", userID)
	return sqldb.Wrap("drop acceptances", err)
}

// TakeOver gives an unproven account to the person who proves its address now, with a name and password of theirs. An account
// that was proven before is refused with [accounts.ErrUserExists].
func (st *Store) TakeOver(ctx context.Context, tx *sql.Tx, u accounts.User, hash string, h accounts.Handover) (accounts.User, error) {
	if err := tx.QueryRowContext(ctx, "SELECT id FROM users WHERE email = $1", u.Email).Scan(&u.ID); err != nil {
		return u, fmt.Errorf("take an account over: %w", err)
	}
	h.User = u
	first, err := st.Prove(ctx, tx, h)
	if err != nil {
		return u, err
	}
	if !first {
		return u, accounts.ErrUserExists
	}
	_, err = tx.ExecContext(ctx, "UPDATE users SET name = $1, password = $2 WHERE id = $3", u.Name, hash, u.ID)
	return u, sqldb.Wrap("take an account over", err)
}
