package accounts

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// Handover is an account that changes hands, or a membership that ends. Everything handed out before becomes void.
type Handover struct {
	User     User
	OrgID    string   // of the membership that ends; empty: the whole account changes hands
	Members  []string // IDs of the memberships that end or get a new ID; HandOver fills it in for a whole account
	Unproven bool     // the address was unproven: a stranger may have made everything in the account
	Own      bool     // the account stays its maker's: password and second factor stay too
	Reason   string   // for the audit log
	Actor    audit.Actor

	After *AfterCommit // from HandTx
}

// Whole reports whether the whole account changes hands.
func (h Handover) Whole() bool { return h.OrgID == "" }

// AfterCommit collects the work of a handover that is done after the commit.
type AfterCommit struct {
	Keys     []uuid.UUID // API keys of the cloud that have changed, to be taken into memory
	sessions int64       // ended
}

// Voider makes one kind of credential void in a handover.
type Voider struct {
	Kind   string   // plural, for errors
	Tables []string // of its rows; a test checks that every table is listed, here or among those without credentials
	Void   func(ctx context.Context, tx *sql.Tx, h Handover) error
	// Living is a query for the identity, kind, public ID and name of each live credential of person $2 in organization $1 at
	// Unix time $3. It is empty for a kind that the end of a membership leaves alone, or that previews find in another way.
	Living string
}

// Keys are the cloud's own API keys, as far as a handover changes them; see [keys.Authority].
type Keys interface {
	RevokeIn(ctx context.Context, tx *sql.Tx, e keys.Ending) ([]uuid.UUID, error)
	EndedIn(ctx context.Context, tx *sql.Tx, ids []uuid.UUID) ([]api.APIKey, error)
	ReownIn(ctx context.Context, tx *sql.Tx, from, to string) ([]uuid.UUID, error)
	TakeIn(ctx context.Context, ids ...uuid.UUID)
}

// UseKeys connects the cloud's own API keys. Without them, personal access tokens still end with the membership that they are
// bound to, but are not marked as revoked.
func (st *Store) UseKeys(k Keys) { st.keys = k }

// Voiders are all kinds of credential, in the order in which they are made void.
func (st *Store) Voiders() []Voider { return st.above.Voiders }

// OwnVoiders are the kinds of credential kept here. Approvals come before the sessions that may come of them, and memberships
// after everything that is found through them.
func (st *Store) OwnVoiders() []Voider {
	return []Voider{
		{"approvals", []string{"devices", "codes"}, st.voidGiven, livingApprovals},
		{"sessions", []string{"sessions", "refresh_tokens", "unproven_sessions"}, st.voidSessions, livingSessions},
		{"invitations", []string{"invitations"}, voidInvitations, livingInvitations},
		{"API keys", []string{"api_keys", "token_members"}, st.voidKeys, ""},
		{"memberships", []string{"members"}, voidMemberships, ""},
	}
}

// Hooks is what accounts asks of the stores above it. Every field is required.
type Hooks struct {
	Voiders []Voider // of every store, in the order in which they run
	// RightsChanged wakes the background work that withdraws rights which no longer hold.
	RightsChanged func()
	// Left lists the private connections that a person leaves behind in the principal's organization.
	Left func(ctx context.Context, tx *sql.Tx, p Principal, userID string) ([]api.Connection, error)
	// PrivateConnections counts the private connections of some people in an organization, by user ID.
	PrivateConnections func(ctx context.Context, q schema.Queryer, orgID string, userIDs []string) (map[string]int, error)
	// SecondFactors returns the second factors of some people, by user ID; those without one are left out.
	SecondFactors func(ctx context.Context, q schema.Queryer, userIDs []string) (map[string]SecondFactor, error)
}

// SecondFactor is what an account shows of its second factor.
type SecondFactor struct {
	On            bool
	RecoveryCodes int // that are left
}

// HandTx runs a transaction with a handover, then sends its mail, takes changed keys into memory and announces the new rights.
func (st *Store) HandTx(ctx context.Context, fn func(tx *sql.Tx, after *AfterCommit) error) error {
	var after AfterCommit
	err := st.db.Change(ctx, func(tx *sql.Tx) error {
		after = AfterCommit{}
		return fn(tx, &after)
	})
	st.outbox.Wake()
	st.above.RightsChanged()
	if st.keys != nil {
		st.keys.TakeIn(ctx, after.Keys...) // also after an error, which leaves open whether there was a commit
	}
	return err
}

// HandOver makes void everything that was handed out before, and audits it for a whole account. Call it at the first proof of an
// address, when a provider takes an account over, when the address changes, and when a membership ends.
func (st *Store) HandOver(ctx context.Context, tx *sql.Tx, h Handover) error {
	if h.Whole() {
		var err error
		if h.Members, err = sqldb.Column[string](tx.QueryContext(ctx, "SELECT id FROM members WHERE user_id = $1", h.User.ID)); err != nil {
			return fmt.Errorf("hand over an account: %w", err)
		}
	}
	for _, v := range st.Voiders() {
		if err := v.Void(ctx, tx, h); err != nil {
			return fmt.Errorf("make void %s: %w", v.Kind, err)
		}
	}
	if !h.Whole() {
		return nil
	}
	return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: h.Actor, Action: "user.handover", Target: "user:" + h.User.Email,
		Details: map[string]string{"reason": h.Reason}})
}

func (st *Store) voidGiven(ctx context.Context, tx *sql.Tx, h Handover) error {
	return VoidApprovals(ctx, tx, "user_id = $1 AND ($2 = '' OR org_id = $2)", h.User.ID, h.OrgID)
}

func (st *Store) voidSessions(ctx context.Context, tx *sql.Tx, h Handover) error {
	if h.Whole() {
		if _, err := tx.ExecContext(ctx, "DELETE FROM unproven_sessions WHERE user_id = $1", h.User.ID); err != nil {
			return err
		}
		return st.EndSessions(ctx, tx, h.Reason, h.Actor, "user_id = $1", h.User.ID)
	}
	ended, err := tx.ExecContext(ctx, "UPDATE sessions SET ended_at = $1 WHERE org_id = $2 AND user_id = $3 AND ended_at = 0",
		st.db.Now().Unix(), h.OrgID, h.User.ID)
	if err != nil {
		return err
	}
	h.After.sessions, err = ended.RowsAffected()
	return err
}

func voidInvitations(ctx context.Context, tx *sql.Tx, h Handover) error {
	_, err := tx.ExecContext(ctx, `UPDATE invitations SET state = 'withdrawn'
		WHERE inviter_id = $1 AND ($2 = '' OR org_id = $2) AND state = 'open'`, h.User.ID, h.OrgID)
	return err
}

// voidKeys revokes the personal access tokens of the memberships, and of an unproven account also the keys that it made for its
// organizations.
func (st *Store) voidKeys(ctx context.Context, tx *sql.Tx, h Handover) error {
	e := keys.Ending{Actor: h.Actor, Reason: h.Reason}
	if h.Whole() && h.Unproven {
		e.Owner = h.User.Email
	}
	for _, member := range h.Members {
		ids, err := sqldb.Column[string](tx.QueryContext(ctx, "SELECT key_id FROM token_members WHERE member_id = $1", member))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM token_members WHERE member_id = $1", member); err != nil {
			return err
		}
		e.IDs = append(e.IDs, ids...)
	}
	return st.RevokeKeys(ctx, tx, e, h.After)
}

// RevokeKeys revokes API keys of the cloud itself within a handover, and notes them in after.
func (st *Store) RevokeKeys(ctx context.Context, tx *sql.Tx, e keys.Ending, after *AfterCommit) error {
	if st.keys == nil || (len(e.IDs) == 0 && e.Owner == "") {
		return nil
	}
	ended, err := st.keys.RevokeIn(ctx, tx, e)
	after.Keys = append(after.Keys, ended...)
	return err
}

// ReownKeys gives a person's API keys of the cloud itself another owner, when their address changes.
func (st *Store) ReownKeys(ctx context.Context, tx *sql.Tx, from, to string, after *AfterCommit) error {
	if st.keys == nil {
		return nil
	}
	owned, err := st.keys.ReownIn(ctx, tx, from, to)
	after.Keys = append(after.Keys, owned...)
	return err
}

// voidMemberships gives the remaining memberships new IDs, so that whatever is bound to the old ones, such as access tokens, no
// longer counts.
func voidMemberships(ctx context.Context, tx *sql.Tx, h Handover) error {
	for _, member := range h.Members {
		id, err := schema.NewID()
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE members SET id = $1 WHERE id = $2", id, member); err != nil {
			return err
		}
	}
	return nil
}

// The queries for what the end of a membership makes void; see [Voider].
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
