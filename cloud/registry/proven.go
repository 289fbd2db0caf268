package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
)

// An account whose e-mail address is not proven is nobody: it has no membership, and so no [Principal] can be made of it. Its
// sign-in opens a page that sends the mail again, and nothing else. What it has accepted waits for the proof.

// UnprovenLife is how long the page of an account without a proven address stays open.
const UnprovenLife = time.Hour

// Unproven is a signed-in account whose address is not proven.
type Unproven struct {
	User
	hash string
}

var errUnproven = bridge.E(bridge.Forbidden, CodeUnverified, "Your e-mail address has not been confirmed yet.").
	WithHint("Open the link in the mail that you were sent.")

// prove notes that an address is proven. The first time, all that the account was given before is void, and the memberships
// that it waits for start: all of them where own says that the account's maker proves it, otherwise those that were offered
// to the address.
func (r *Registry) prove(ctx context.Context, tx *sql.Tx, h Handover) (first bool, err error) {
	first, err = sqldb.Changed(tx.ExecContext(ctx, "UPDATE users SET verified_at = $1 WHERE id = $2 AND verified_at = 0",
		r.cfg.Now().Unix(), h.User.ID))
	if err != nil || !first {
		return false, wrapped("prove an address", err)
	}
	h.Unproven = true
	if err := r.handOver(ctx, tx, h); err != nil {
		return true, err
	}
	return true, r.startWaiting(ctx, tx, h)
}

// startWaiting makes members of what an account waits for.
func (r *Registry) startWaiting(ctx context.Context, tx *sql.Tx, h Handover) error {
	type waiting struct{ org, slug, role, invitation string }
	now := r.cfg.Now()
	rows, err := tx.QueryContext(ctx, `SELECT w.org_id, o.slug, COALESCE(i.role, w.role), w.invitation_id FROM waiting_members w
		JOIN organizations o ON o.id = w.org_id LEFT JOIN invitations i ON i.id = w.invitation_id
		WHERE w.user_id = $1 AND (w.invitation_id = '' OR (i.state = 'open' AND i.expires_at > $2 AND ($3 OR i.email = $4)))`,
		h.User.ID, now.Unix(), h.Own, h.User.Email)
	var all []waiting
	err = eachRow(rows, err, func(s scanner) error {
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
		if err := lockOrg(ctx, tx, w.org); err != nil {
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
		added, err := addMember(ctx, tx, w.org, h.User.ID, bridge.Role(w.role), sourceInvitation, now.Unix())
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

func isProven(ctx context.Context, tx *sql.Tx, userID string) (bool, error) {
	var at int64
	err := tx.QueryRowContext(ctx, "SELECT verified_at FROM users WHERE id = $1", userID).Scan(&at)
	return at != 0, wrapped("look up a user", err)
}

// maxWaiting bounds how many may wait for one invitation, since each of them is mailed.
const maxWaiting = 5

// await lets an invitation wait for the proof of an account's address. The invitation stays open: the first to prove takes it.
func (r *Registry) await(ctx context.Context, tx *sql.Tx, o OfferedInvitation, u User) error {
	if o.Email != "" && o.Email != u.Email {
		return forAnother(o, u.Email)
	}
	if err := lockOrg(ctx, tx, o.orgID); err != nil {
		return err
	}
	var waiting int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM waiting_members WHERE invitation_id = $1 AND user_id <> $2", o.id, u.ID).Scan(&waiting); err != nil {
		return fmt.Errorf("keep an acceptance: %w", err)
	}
	if waiting >= maxWaiting {
		return bridge.E(bridge.Conflict, "invitation_awaited", "%d people wait with this invitation for the proof of their addresses, and it is good for one", waiting).
			WithHint("ask %s for one that is for your address", o.InvitedBy)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO waiting_members (user_id, org_id, role, invitation_id, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, org_id) DO UPDATE SET role = excluded.role, invitation_id = excluded.invitation_id`,
		u.ID, o.orgID, o.Role, o.id, r.cfg.Now().Unix()); err != nil {
		return fmt.Errorf("keep an acceptance: %w", err)
	}
	return audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: audit.Actor{ID: "anonymous", Org: o.Org}, Action: "invitation.await",
		Target: "invitation:" + o.id, Details: map[string]string{"email": u.Email}})
}

// openUnproven lets an account without a proven address in to the page that is there for it.
func (r *Registry) openUnproven(ctx context.Context, tx *sql.Tx, userID string) (bridge.Secret, error) {
	cookie := bridge.NewSecret(bridge.RandomToken(32))
	now := r.cfg.Now()
	if _, err := tx.ExecContext(ctx, "INSERT INTO unproven_sessions (hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
		hashed(cookie), userID, now.Unix(), now.Add(UnprovenLife).Unix()); err != nil {
		return bridge.Secret{}, fmt.Errorf("open a session: %w", err)
	}
	return cookie, nil
}

// UnprovenSession finds the account without a proven address that a cookie is for.
func (r *Registry) UnprovenSession(ctx context.Context, cookie bridge.Secret) (Unproven, error) {
	u := Unproven{hash: hashed(cookie)}
	err := r.db.QueryRowContext(ctx, `SELECT u.id, u.email, u.name FROM unproven_sessions s JOIN users u ON u.id = s.user_id
		WHERE s.hash = $1 AND s.expires_at > $2 AND u.verified_at = 0`, u.hash, r.cfg.Now().Unix()).Scan(&u.ID, &u.Email, &u.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return Unproven{}, errSession
	}
	return u, wrapped("look up a session", err)
}

// EndUnproven signs an account without a proven address out.
func (r *Registry) EndUnproven(ctx context.Context, u Unproven) error {
	return r.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM unproven_sessions WHERE hash = $1", u.hash)
		return wrapped("end a session", err)
	})
}

// AcceptUnproven accepts an invitation for an account without a proven address. The link that was mailed to the address proves
// it, and opens a session; any other link waits for the proof, and the session is empty.
func (r *Registry) AcceptUnproven(ctx context.Context, u Unproven, token bridge.Secret, actor audit.Actor) (Session, error) {
	var s Session
	err := r.handTx(ctx, func(tx *sql.Tx, after *settled) error {
		s = Session{}
		o, err := r.offered(ctx, tx, token)
		if err != nil {
			return err
		}
		if err := r.await(ctx, tx, o, u.User); err != nil || !o.mailed {
			return err
		}
		by := actor
		by.ID, by.Org = "user:"+u.Email, o.Org
		if _, err := r.prove(ctx, tx, Handover{User: u.User, Own: true, Reason: "address proven by an invitation", Actor: by, after: after}); err != nil {
			return err
		}
		s, err = r.openSession(ctx, tx, opening{userID: u.ID, org: o.Org, method: MethodBrowser}, actor)
		return err
	})
	return s, err
}

// BindToken binds a personal access token that p makes to the membership, and to the sign-in provider that the session goes
// back to: the token ends with either. It runs in the transaction that makes the token.
func (r *Registry) BindToken(p Principal) func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error {
	return func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO token_members (key_id, member_id, provider_id) VALUES ($1, $2, $3)", id.String(), p.Member, p.Provider)
		return wrapped("bind a token to its membership", err)
	}
}

// AdoptTokens binds the personal access tokens from before there were IDs of memberships to those that they were made in. It
// needs the table of keys, and finds nothing more to do the second time.
func (r *Registry) AdoptTokens(ctx context.Context) error {
	_, err := r.db.ExecContext(ctx, `INSERT INTO token_members (key_id, member_id, provider_id)
		SELECT k.id, m.id, '' FROM api_keys k JOIN users u ON u.email = k.owner JOIN organizations o ON o.slug = k.org
		JOIN members m ON m.user_id = u.id AND m.org_id = o.id
		WHERE k.kind = 'pat' AND k.ended_at = 0 AND m.joined_at <= k.issued_at AND NOT EXISTS (SELECT 1 FROM token_members t WHERE t.key_id = k.id)
		ON CONFLICT (key_id) DO NOTHING`)
	return wrapped("bind tokens to memberships", err)
}

// voidTokens revokes the personal access tokens that a condition on token_members t names.
func (r *Registry) voidTokens(ctx context.Context, tx *sql.Tx, after *settled, e keys.Ending, condition string, args ...any) error {
	ids, err := texts(tx.QueryContext(ctx, "SELECT t.key_id FROM token_members t WHERE "+condition, args...)) //nolint:gosec // conditions of this package
	if err != nil {
		return fmt.Errorf("look for tokens: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM token_members AS t WHERE "+condition, args...); err != nil { //nolint:gosec // as above
		return fmt.Errorf("unbind tokens: %w", err)
	}
	e.IDs = ids
	return r.revokeKeys(ctx, tx, e, after)
}

// CodeUnverified is the code of the refusal of somebody who has yet to show that the e-mail address is theirs.
const CodeUnverified = "email_unverified"
