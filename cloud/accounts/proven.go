package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// An account without a proven e-mail address has no membership, so it is never a [Principal]. Signing in opens only a page that
// mails the link again. Invitations that it has accepted wait for the proof; see cloud/joining.

// UnprovenLife is how long an account without a proven address stays signed in to its page.
const UnprovenLife = time.Hour

// Unproven is a signed-in account whose address is not proven.
type Unproven struct {
	User
	hash string
}

// ErrUnproven refuses an account whose address nobody has proven.
var ErrUnproven = bridge.E(bridge.Forbidden, bridge.CodeEmailUnverified, "Your e-mail address has not been confirmed yet.").
	WithHint("Open the link in the mail that you were sent.")

// ErrLink refuses a mailed link that is unknown, used or over.
var ErrLink = bridge.E(bridge.NotFound, bridge.CodeLinkInvalid, "This link has expired, or it has been used.")

// IsProven reports whether the address of an account is proven.
func IsProven(ctx context.Context, tx *sql.Tx, userID string) (bool, error) {
	var at int64
	err := tx.QueryRowContext(ctx, "SELECT verified_at FROM users WHERE id = $1", userID).Scan(&at)
	return at != 0, sqldb.Wrap("look up a user", err)
}

// OpenUnproven signs an account without a proven address in to its page, and returns the cookie.
func (st *Sessions) OpenUnproven(ctx context.Context, tx *sql.Tx, userID string) (bridge.Secret, error) {
	cookie := bridge.NewSecret(bridge.RandomToken(32))
	now := st.db.Now()
	if _, err := tx.ExecContext(ctx, "INSERT INTO unproven_sessions (hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
		schema.Hash(cookie), userID, now.Unix(), now.Add(UnprovenLife).Unix()); err != nil {
		return bridge.Secret{}, fmt.Errorf("open a session: %w", err)
	}
	return cookie, nil
}

// UnprovenSession finds the account of a cookie from [Sessions.OpenUnproven].
func (st *Sessions) UnprovenSession(ctx context.Context, cookie bridge.Secret) (Unproven, error) {
	u := Unproven{hash: schema.Hash(cookie)}
	err := st.db.QueryRowContext(ctx, `SELECT u.id, u.email, u.name FROM unproven_sessions s JOIN users u ON u.id = s.user_id
		WHERE s.hash = $1 AND s.expires_at > $2 AND u.verified_at = 0`, u.hash, st.db.Now().Unix()).Scan(&u.ID, &u.Email, &u.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return Unproven{}, errSession
	}
	return u, sqldb.Wrap("look up a session", err)
}

// EndUnproven signs out an account without a proven address.
func (st *Sessions) EndUnproven(ctx context.Context, u Unproven) error {
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM unproven_sessions WHERE hash = $1", u.hash)
		return sqldb.Wrap("end a session", err)
	})
}
