package upkeep

import (
	"context"
	"fmt"
	"slices"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// maxUndelivered bounds the revocations, and the members of withdrawals, of one list.
const maxUndelivered = 500

// Undelivered lists the statements that servers have not taken, the oldest first. They are revocations of the principal's keys and
// withdrawals for their connections; admins see all of the organization. Statements that have not failed yet are left out.
func (st *Upkeep) Undelivered(ctx context.Context, p accounts.Principal) ([]api.Undelivered, error) {
	manage := p.Can("connection:manage")
	rows, err := st.db.QueryContext(ctx, `SELECT id, key_id, server_url, created_at, tries, cause, next_at FROM revocations
		WHERE org_id = $1 AND ($2 OR owner_id = $3) AND $4 <> 'test' AND state = 'pending' AND tries > 0 AND expires_at > $5
		ORDER BY created_at, id LIMIT $6`, p.OrgID, manage, p.UserID, p.Environment, st.db.Now().Unix(), maxUndelivered)
	out := []api.Undelivered{}
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		u := api.Undelivered{Kind: api.StatementRevocation}
		var since, next int64
		if err := s.Scan(&u.ID, &u.KeyID, &u.ServerURL, &since, &u.Tries, &u.Cause, &next); err != nil {
			return err
		}
		u.Since, u.NextTryAt = *schema.At(since), schema.At(next)
		u.Hint = "ace api-key revoke " + u.KeyID + " --server " + string(u.ServerURL)
		out = append(out, u)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list revocations: %w", err)
	}
	rows, err = st.db.QueryContext(ctx, `SELECT c.id, c.name, c.key_id, c.server_url, h.subject, h.lost_at, h.tries, h.cause, h.next_at, h.number
		FROM handed_tokens h JOIN connections c ON c.id = h.connection_id
		WHERE c.org_id = $1 AND ($2 OR c.owner_id = $3) AND ($4 = '' OR c.environment = $4) AND h.tries > 0 AND h.withdrawn_at < h.issued_at
		AND (h.expires_at > $5 OR h.makes_keys) ORDER BY c.id, h.number, h.subject LIMIT $6`,
		p.OrgID, manage, p.UserID, p.Environment, st.db.Now().Unix(), maxUndelivered)
	number := int64(0)
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		u := api.Undelivered{Kind: api.StatementWithdrawal}
		var subject string
		var since, next, its int64
		if err := s.Scan(&u.Connection, &u.Name, &u.KeyID, &u.ServerURL, &subject, &since, &u.Tries, &u.Cause, &next, &its); err != nil {
			return err
		}
		u.Since, u.NextTryAt, u.Members = *schema.At(since), schema.At(next), []string{subject}
		u.Hint = "ace connections check " + u.Connection
		if last := len(out) - 1; last >= 0 && out[last].Connection == u.Connection && number == its {
			if !slices.Contains(out[last].Members, subject) {
				out[last].Members = append(out[last].Members, subject)
			}
			if u.Since.Before(out[last].Since) {
				out[last].Since = u.Since
			}
			return nil
		}
		number, out = its, append(out, u)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list withdrawals: %w", err)
	}
	slices.SortStableFunc(out, func(a, b api.Undelivered) int { return a.Since.Compare(b.Since) })
	return out, nil
}
