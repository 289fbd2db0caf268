package tokens

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// makesKeys reports whether an access token of these scopes may create or change API keys on its server. A wildcard counts, since
// only the server's catalogue says what it covers.
func makesKeys(scope string) bool {
	for _, s := range strings.Fields(scope) {
		first, rest, _ := strings.Cut(s, ":")
		if first == "*" || first == "key" && rest != "read" {
			return true
		}
	}
	return false
}

// handed is what a token is handed out as: its subject on the server, and the terms that its rights follow from.
type handed struct{ subject, terms string }

// noteHanded notes a token that is about to be handed out, and returns when to issue it. That moment lies after every withdrawal of
// the same subject, for servers that go by times.
func noteHanded(ctx context.Context, tx *sql.Tx, p accounts.Principal, c connections.Connection, as handed, now time.Time) (time.Time, error) {
	apiKey := ""
	if p.Kind != "" {
		apiKey = p.Key.KeyID.String()
	}
	var issued int64
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(CASE WHEN number = 0 AND user_id = $3 AND api_key_id = $4 AND terms = $5
		THEN issued_at ELSE issued_at + 1 END), 0) FROM handed_tokens WHERE connection_id = $1 AND subject = $2 AND issued_at >= $6`,
		c.ID, as.subject, p.UserID, apiKey, as.terms, now.Unix()).Scan(&issued)
	if err != nil {
		return now, fmt.Errorf("look for tokens that were handed out: %w", err)
	}
	if issued > now.Unix() {
		now = time.Unix(issued, 0)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO handed_tokens (connection_id, api_key_id, terms, subject, role, server_key_id, issued_at,
		expires_at, makes_keys, org_id, user_id, environment, manage, maker_id, parent_1, parent_2, parent_3, withdrawn_at, next_at, number, made_keys)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, 0, 0, $9)
		ON CONFLICT (connection_id, user_id, api_key_id, terms) DO UPDATE SET issued_at = excluded.issued_at, expires_at = excluded.expires_at,
		subject = excluded.subject, server_key_id = excluded.server_key_id, manage = excluded.manage, next_at = 0, withdrawn_at = 0,
		number = CASE WHEN handed_tokens.restate THEN handed_tokens.number ELSE 0 END, lost_at = 0, tries = 0, cause = '',
		makes_keys = CASE WHEN excluded.makes_keys THEN TRUE ELSE handed_tokens.makes_keys END,
		made_keys = CASE WHEN excluded.makes_keys THEN TRUE ELSE handed_tokens.made_keys END`,
		c.ID, apiKey, as.terms, as.subject, string(p.Role), c.KeyID, now.Unix(), now.Add(bridge.MaxAccessTokenLife).Unix(), makesKeys(c.TokenScope()),
		p.OrgID, p.UserID, p.Environment, p.Manages(), p.MakerID, p.Parents[0], p.Parents[1], p.Parents[2])
	if err != nil {
		return now, fmt.Errorf("keep that a token is handed out: %w", err)
	}
	return now, nil
}

// noted reports whether [noteHanded] has written its row already. A token that stays within the cloud then needs no other.
func (st *Tokens) noted(ctx context.Context, p accounts.Principal, c connections.Connection, terms string) (bool, error) {
	if !makesKeys(c.TokenScope()) {
		return true, nil
	}
	apiKey := ""
	if p.Kind != "" {
		apiKey = p.Key.KeyID.String()
	}
	var n int
	err := st.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM handed_tokens WHERE connection_id = $1 AND user_id = $2 AND api_key_id = $3 AND terms = $4
		AND makes_keys AND number = 0 AND withdrawn_at < issued_at AND server_key_id = $5`, c.ID, p.UserID, apiKey, terms, c.KeyID).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for tokens that were handed out: %w", err)
	}
	return n > 0, nil
}

// Voiders are the kinds of credential that this store keeps; see [accounts.Voider].
func (st *Tokens) Voiders() []accounts.Voider {
	return []accounts.Voider{{Kind: "handed-out access tokens", Tables: []string{"handed_tokens"}, Void: st.voidHanded}}
}

// voidHanded has a person's access tokens checked, since their memberships have ended or got new IDs.
func (st *Tokens) voidHanded(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO access_changes (org_id, user_id, changed_at) SELECT DISTINCT org_id, user_id, CAST($3 AS BIGINT) FROM handed_tokens
		WHERE user_id = $1 AND ($2 = '' OR org_id = $2) ON CONFLICT (org_id, user_id) DO UPDATE SET changed_at = excluded.changed_at`,
		h.User.ID, h.OrgID, st.db.Now().Unix()); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE handed_tokens SET next_at = 0 WHERE user_id = $1 AND ($2 = '' OR org_id = $2)`, h.User.ID, h.OrgID)
	return err
}
