package tokens

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
)

// Handed are the access tokens of one holder for one connection, on the same terms.
type Handed struct {
	UserID, Subject, APIKey, Terms, ServerKey string
	Until                                     int64 // the last was issued then, unix seconds
	Number                                    int64 // of the withdrawal that is under way; 0: none is
	MakesKeys, keyEnded                       bool
	restate                                   bool   // the server went on with a backup: it is told the same again
	environment, manage, maker                string // of the holder, for the access rule
	parents                                   [accounts.MaxParents]string
}

// Lost are access tokens of one connection whose holders have lost some or all of their access.
type Lost struct {
	Org        string // ID
	Connection string
	Of         []Handed
}

const (
	lostBatch = 10_000
	// withdrawAgain is the wait before an undelivered statement is made again.
	withdrawAgain = 15 * time.Second
)

// accessNoted is how long after a change of access the holders it may concern are checked.
const accessNoted = 2 * time.Minute

// Look says which holders [Tokens.LostTokens] checks.
type Look struct {
	Alive     func(apiKey uuid.UUID) bool // reports whether an API key of this cloud lives
	KeysSince int64                       // API keys of this cloud that have changed after this version count as changed
	Everybody bool                        // and not only those whom a change concerns
}

// LostTokens finds the access tokens to withdraw: after a connection was unshared, a limit set, a role changed or a member removed,
// or once the API key of this cloud that asked for them has ended. What [Tokens.WithdrawTokens] has claimed is not found again for
// a while. An expired token with which personal keys may have been made is checked after a change, and when everybody is.
//
// The end of a session does not concern its tokens: a person who signs out may use the connection as before.
func (st *Tokens) LostTokens(ctx context.Context, look Look) ([]Lost, error) {
	now := st.db.Now()
	query, args := selectLost(changedHolders), []any{now.Unix(), lostBatch, now.Add(-accessNoted).Unix(), look.KeysSince}
	if look.Everybody {
		query, args = selectLost(allHolders), args[:2]
	}
	return lostTokens(ctx, st.db, look.Alive, query, args...)
}

// LostIn finds the tokens to withdraw in one organization, within a transaction.
func LostIn(ctx context.Context, tx *sql.Tx, orgID string, now time.Time, alive func(apiKey uuid.UUID) bool) ([]Lost, error) {
	return lostTokens(ctx, tx, alive, selectLost(holdersOf), now.Unix(), lostBatch, orgID)
}

// lostTokens is [Tokens.LostTokens] with a query made by [selectLost].
func lostTokens(ctx context.Context, q schema.Queryer, alive func(apiKey uuid.UUID) bool, query string, args ...any) ([]Lost, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	var out []Lost
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		var h Handed
		var org, connection string
		var entitled bool
		if err := s.Scan(&connection, &org, &h.UserID, &h.environment, &h.manage, &h.maker, &h.parents[0], &h.parents[1], &h.parents[2],
			&h.Subject, &h.APIKey, &h.Terms, &h.ServerKey, &h.Until, &h.Number, &h.MakesKeys, &h.restate, &entitled); err != nil {
			return err
		}
		if h.APIKey != "" {
			id, err := uuid.Parse(h.APIKey)
			h.keyEnded = err == nil && !alive(id)
		}
		if entitled && !h.keyEnded && !h.restate {
			return nil
		}
		if last := len(out) - 1; last < 0 || out[last].Connection != connection || out[last].Of[0].Number != h.Number ||
			len(out[last].Of) == bridge.MaxWithdrawals {
			out = append(out, Lost{Org: org, Connection: connection})
		}
		last := &out[len(out)-1]
		last.Of = append(last.Of, h)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for tokens to withdraw: %w", err)
	}
	return out, nil
}

// The rows that may have to be withdrawn: of tokens that are alive, and of those that personal keys may have been made with,
// if their access may have changed since $3, or the API key that asked after version $4, or all.
const (
	allHolders     = "(h.expires_at > $1 OR h.makes_keys)"
	holdersOf      = "h.org_id = $3 AND " + allHolders // an organization
	changedHolders = `(h.expires_at > $1 OR h.number <> 0 OR h.restate
		OR h.connection_id IN (SELECT n.connection_id FROM connection_changes n WHERE n.changed_at >= $3)
		OR h.user_id IN (SELECT n.user_id FROM access_changes n WHERE n.changed_at >= $3)
		OR h.api_key_id IN (SELECT n.id FROM api_keys n WHERE n.version > $4)
		OR h.api_key_id IN (SELECT n.id FROM api_keys n WHERE n.expires_at >= $3 AND n.expires_at <= $1))`
)

// selectLost selects the holders whom the access rule does not entitle to their tokens; $1 is the time. Tokens of API keys are all
// selected, since no row here says whether the key lives. What is sent again goes in the order of its numbers: after a higher number
// a server takes no lower one about the same member.
func selectLost(holders string) string {
	return `WITH caller AS (SELECT h.connection_id AS connection, '' AS session, h.org_id, h.user_id, h.environment,
		h.manage, h.maker_id, h.parent_1, h.parent_2, h.parent_3, h.role AS its_role, CASE WHEN h.user_id = h.api_key_id THEN '' ELSE h.role END AS role,
		h.subject, h.api_key_id, h.terms, h.server_key_id, h.issued_at, h.number, h.makes_keys, h.restate
		FROM handed_tokens h WHERE h.withdrawn_at < h.issued_at AND h.next_at <= $1 AND (h.expires_at > $1 OR h.makes_keys) AND ` + holders + `
		AND (NOT h.restate OR NOT EXISTS (SELECT 1 FROM handed_tokens o WHERE o.restate AND o.connection_id = h.connection_id AND o.number < h.number))),
	held AS (SELECT caller.*, ` + connections.Entitled + ` AS entitled FROM caller)
	SELECT connection, org_id, user_id, environment, manage, maker_id, parent_1, parent_2, parent_3, subject, api_key_id, terms, server_key_id, issued_at, number, makes_keys, restate, entitled FROM held
	WHERE NOT entitled OR restate OR api_key_id <> '' ORDER BY entitled, connection, number, user_id LIMIT $2`
}
