package registry

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/timeline"
)

// Handover is an account that changes hands, or a membership that ends. All that was handed out before is void with it.
type Handover struct {
	User     User
	OrgID    string   // of the membership that ends; empty: it is about the whole account
	Members  []string // IDs of the memberships that what is void was bound to
	Unproven bool     // nobody had proven the address: a stranger may have made all that there is
	Own      bool     // the account's maker proves it: password and second factor stay
	Reason   string
	Actor    audit.Actor

	after *settled
}

// whole reports whether the handover is about the whole account.
func (h Handover) whole() bool { return h.OrgID == "" }

// settled is what is left to do after the commit of a handover.
type settled struct {
	keys     []uuid.UUID
	sessions int64
}

// Voider makes void what an account was given of one kind.
type Voider struct {
	Kind   string
	Tables []string // where it is kept; a test holds that every table is listed, here or among those without credentials
	Void   func(ctx context.Context, tx *sql.Tx, h Handover) error
	// Living selects identity, kind, public ID and name of each live one, of organization $1 and person $2 at time $3. It is
	// empty for kinds that the end of a membership leaves alone, or that are found in another way.
	Living string
}

// Keys are the API keys of the cloud itself, as a handover ends them; see [keys.Authority].
type Keys interface {
	RevokeIn(ctx context.Context, tx *sql.Tx, e keys.Ending) ([]uuid.UUID, error)
	EndedIn(ctx context.Context, tx *sql.Tx, ids []uuid.UUID) ([]api.APIKey, error)
	ReownIn(ctx context.Context, tx *sql.Tx, from, to string) ([]uuid.UUID, error)
	TakeIn(ctx context.Context, ids ...uuid.UUID)
	Numbered(ctx context.Context, rule timeline.Rule) error
}

// UseKeys gives the registry the cloud's own API keys. Without it, personal access tokens die with the membership that they are
// bound to, and are not marked as revoked.
func (r *Registry) UseKeys(k Keys) { r.keys = k }

// Voiders are all kinds of credential, in the order in which they are made void.
func (r *Registry) Voiders() []Voider { return r.above.voiders }

// accountVoiders are the kinds kept here: approvals before the sessions that may come of them, memberships after what is
// found by them.
func (r *Registry) accountVoiders() []Voider {
	return []Voider{
		{"approvals", []string{"devices", "codes"}, r.voidGiven, livingApprovals},
		{"sessions", []string{"sessions", "refresh_tokens", "unproven_sessions"}, r.voidSessions, livingSessions},
		{"invitations", []string{"invitations"}, r.voidInvitations, livingInvitations},
		{"API keys", []string{"api_keys", "token_members"}, r.voidKeys, ""},
		{"memberships", []string{"members"}, r.voidMemberships, ""},
	}
}

// above is what accounts asks of the rooms that build on them.
type above struct {
	voiders []Voider // of every room, in order
	// rightsChanged wakes those who look at what somebody may still do.
	rightsChanged func()
	// left lists the private connections that a person leaves behind in the principal's organization.
	left func(ctx context.Context, tx *sql.Tx, p Principal, userID string) ([]api.Connection, error)
	// privateConnections counts those of some people in an organization, by user ID.
	privateConnections func(ctx context.Context, q queryer, orgID string, userIDs []string) (map[string]int, error)
	// writeLink writes a queued mail with a link; due is false where none is to be sent.
	writeLink func(ctx context.Context, tx *sql.Tx, row outboxRow, m *Mail) (due bool, err error)
}

// handTx runs a transaction with a handover in it, and does what is left after the commit.
func (r *Registry) handTx(ctx context.Context, fn func(tx *sql.Tx, after *settled) error) error {
	var after settled
	err := r.tx(ctx, func(tx *sql.Tx) error {
		after = settled{}
		return fn(tx, &after)
	})
	wake(r.mailQueued)
	r.above.rightsChanged()
	if r.keys != nil {
		r.keys.TakeIn(ctx, after.keys...) // also after an error, which leaves open whether there was a commit
	}
	return err
}

// handOver makes void all that was handed out before: at the first proof of an address, when a provider takes an account
// over, when an address changes, and when a membership ends.
func (r *Registry) handOver(ctx context.Context, tx *sql.Tx, h Handover) error {
	if h.whole() {
		var err error
		if h.Members, err = texts(tx.QueryContext(ctx, "SELECT id FROM members WHERE user_id = $1", h.User.ID)); err != nil {
			return fmt.Errorf("hand over an account: %w", err)
		}
	}
	for _, v := range r.Voiders() {
		if err := v.Void(ctx, tx, h); err != nil {
			return fmt.Errorf("make void %s: %w", v.Kind, err)
		}
	}
	if !h.whole() {
		return nil
	}
	return audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: h.Actor, Action: "user.handover", Target: "user:" + h.User.Email,
		Details: map[string]string{"reason": h.Reason}})
}

func (r *Registry) voidGiven(ctx context.Context, tx *sql.Tx, h Handover) error {
	return voidApprovals(ctx, tx, "user_id = $1 AND ($2 = '' OR org_id = $2)", h.User.ID, h.OrgID)
}

func (r *Registry) voidSessions(ctx context.Context, tx *sql.Tx, h Handover) error {
	if h.whole() {
		if _, err := tx.ExecContext(ctx, "DELETE FROM unproven_sessions WHERE user_id = $1", h.User.ID); err != nil {
			return err
		}
		return r.endSessions(ctx, tx, h.Reason, h.Actor, "user_id = $1", h.User.ID)
	}
	ended, err := tx.ExecContext(ctx, "UPDATE sessions SET ended_at = $1 WHERE org_id = $2 AND user_id = $3 AND ended_at = 0",
		r.cfg.Now().Unix(), h.OrgID, h.User.ID)
	if err != nil {
		return err
	}
	h.after.sessions, err = ended.RowsAffected()
	return err
}

func (r *Registry) voidInvitations(ctx context.Context, tx *sql.Tx, h Handover) error {
	_, err := tx.ExecContext(ctx, `UPDATE invitations SET state = 'withdrawn'
		WHERE inviter_id = $1 AND ($2 = '' OR org_id = $2) AND state = 'open'`, h.User.ID, h.OrgID)
	return err
}

// voidKeys revokes the personal access tokens of the memberships. Where a stranger may have made them, the keys that they made
// for the organization go, too.
func (r *Registry) voidKeys(ctx context.Context, tx *sql.Tx, h Handover) error {
	e := keys.Ending{Actor: h.Actor, Reason: h.Reason}
	if h.whole() && h.Unproven {
		e.Owner = h.User.Email
	}
	for _, member := range h.Members {
		ids, err := texts(tx.QueryContext(ctx, "SELECT key_id FROM token_members WHERE member_id = $1", member))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM token_members WHERE member_id = $1", member); err != nil {
			return err
		}
		e.IDs = append(e.IDs, ids...)
	}
	return r.revokeKeys(ctx, tx, e, h.after)
}

func (r *Registry) revokeKeys(ctx context.Context, tx *sql.Tx, e keys.Ending, after *settled) error {
	if r.keys == nil || (len(e.IDs) == 0 && e.Owner == "") {
		return nil
	}
	ended, err := r.keys.RevokeIn(ctx, tx, e)
	after.keys = append(after.keys, ended...)
	return err
}

// voidMemberships gives the memberships that go on new IDs: what is bound to the old ones, such as the access tokens that were
// handed out, is bound to none.
func (r *Registry) voidMemberships(ctx context.Context, tx *sql.Tx, h Handover) error {
	for _, member := range h.Members {
		id, err := newID()
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE members SET id = $1 WHERE id = $2", id, member); err != nil {
			return err
		}
	}
	return nil
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

// The things of a person that the end of a membership makes void; see [Voider].
const (
	livingSessions = `SELECT id, '` + api.EndsSession + `', id, method FROM sessions
		WHERE org_id = $1 AND user_id = $2 AND ended_at = 0 AND expires_at > $3`
	livingApprovals = `SELECT code, '` + api.EndsApproval + `', '', client_id FROM devices
			WHERE org_id = $1 AND user_id = $2 AND state = 'approved' AND expires_at > $3
		UNION ALL SELECT hash, '` + api.EndsApproval + `', '', client_id FROM codes
			WHERE org_id = $1 AND user_id = $2 AND used_at = 0 AND expires_at > $3`
	livingInvitations = `SELECT id, '` + api.EndsInvitation + `', id, email FROM invitations
		WHERE org_id = $1 AND inviter_id = $2 AND state = 'open' AND expires_at > $3`
)
