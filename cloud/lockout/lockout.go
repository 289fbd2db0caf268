// Package lockout makes people wait after too many wrong passwords and codes.
//
// Tries are counted by lane, whether or not the account exists. Strangers to an account share one lane; each browser and
// each network that its person has signed in from has a lane of its own. A stranger who guesses makes other strangers
// wait, and not the person.
//
//	try ──► counted as a failure ──► right: the lane is forgotten
//	                            └──► wrong: the 5th waits 1 minute, the 7th 5 minutes, the 9th and later 15 minutes
//
// A try counts before it is checked, so that tries at the same time are all counted.
package lockout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

const (
	freeFailures = 5 // the try that is the first to be followed by a wait

	// DeviceLife is how long a browser or network stays known after a sign-in.
	DeviceLife = 90 * 24 * time.Hour
)

// Store counts failed tries and remembers where people sign in from. It is safe for concurrent use.
type Store struct{ db *schema.DB }

// New returns the store over a cloud's database.
func New(db *schema.DB) *Store { return &Store{db: db} }

// PasswordLane is the lane of passwords tried for an address. The mark is that of [Store.KnownMark] or of a session.
func PasswordLane(email, mark string) string {
	return schema.Hash(bridge.NewSecret("password\x00" + email + "\x00" + mark))
}

// OTPLane is the lane of codes tried for an account; see [PasswordLane].
func OTPLane(userID, mark string) string {
	return schema.Hash(bridge.NewSecret("otp\x00" + userID + "\x00" + mark))
}

// Charge counts a try as a failure before it is made; [Forgive] undoes it after a success. locked reports that this failure
// starts a wait. A lane that is waiting is refused with [bridge.CodeTooManyRequests] and the time left.
func (st *Store) Charge(ctx context.Context, lane string) (locked bool, err error) {
	now := st.db.Now().Unix()
	var failures, until int64
	err = st.db.Tx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO login_failures (lane, failures, until_at, last_at) VALUES ($1, 1, 0, $2)
		ON CONFLICT (lane) DO UPDATE SET failures = login_failures.failures + 1, last_at = $2,
			until_at = CASE WHEN login_failures.failures + 1 < $3 THEN 0 WHEN login_failures.failures + 1 < $3 + 2 THEN $2 + 60
				WHEN login_failures.failures + 1 < $3 + 4 THEN $2 + 300 ELSE $2 + 900 END
		WHERE login_failures.until_at <= $2 RETURNING failures, until_at`, lane, now, freeFailures).Scan(&failures, &until)
	})
	if err == nil {
		return until != 0, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("count a try: %w", err)
	}
	err = st.db.QueryRowContext(ctx, "SELECT until_at FROM login_failures WHERE lane = $1", lane).Scan(&until)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("count a try: %w", err)
	}
	wait := time.Duration(max(1, until-now)) * time.Second
	return true, &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeTooManyRequests, RetryAfter: wait,
		Detail: "Too many wrong tries for this account.",
		Hint:   "Wait " + wait.String() + ", sign in on a device that you have used before, or set a new password."}
}

// Forgive resets the failures of a lane, after a try that succeeded.
func Forgive(ctx context.Context, on schema.Queryer, lane string) error {
	if _, err := on.ExecContext(ctx, "DELETE FROM login_failures WHERE lane = $1", lane); err != nil {
		return fmt.Errorf("forget failed tries: %w", err)
	}
	return nil
}

// Refuse audits a wrong try to sign in and returns its refusal. locked is what [Store.Charge] reported.
func (st *Store) Refuse(ctx context.Context, email string, refusal *bridge.Error, locked bool, actor audit.Actor) error {
	details := map[string]string{}
	if locked {
		details["locked"] = "too many wrong tries"
	}
	if err := audit.Record(ctx, st.db.DB, st.db.Now(), audit.Entry{Actor: actor, Action: "session.open", Target: "user:" + email,
		Outcome: string(refusal.Code), Details: details}); err != nil {
		return err
	}
	return refusal
}

// marks identify where a try comes from: the browser's cookie, and the network. An empty mark is unknown.
func marks(device bridge.Secret, address string) []string {
	out := []string{"", ""}
	if !device.IsZero() {
		out[0] = schema.Hash(device)
	}
	if key := bridge.AddressKey(address); key != "addr:?" {
		out[1] = schema.Hash(bridge.NewSecret(key))
	}
	return out
}

// KnownMark returns the mark of a browser or network that a person has signed in from before, or an empty string.
func (st *Store) KnownMark(ctx context.Context, userID string, device bridge.Secret, address string) (string, error) {
	for _, mark := range marks(device, address) {
		var one int
		err := st.db.QueryRowContext(ctx, "SELECT 1 FROM known_devices WHERE user_id = $1 AND mark = $2 AND expires_at > $3",
			userID, mark, st.db.Now().Unix()).Scan(&one)
		if err == nil {
			return mark, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return "", fmt.Errorf("look up a device: %w", err)
		}
	}
	return "", nil
}

// KnowDevice remembers for [DeviceLife] where a person has signed in from. An empty device stands for a program without
// cookies, of which only the network is remembered.
func (st *Store) KnowDevice(ctx context.Context, userID string, device bridge.Secret, address string) error {
	for _, mark := range marks(device, address) {
		if mark == "" {
			continue
		}
		if _, err := sqldb.Changed(st.db.ExecContext(ctx, `INSERT INTO known_devices (user_id, mark, expires_at) VALUES ($1, $2, $3)
			ON CONFLICT (user_id, mark) DO UPDATE SET expires_at = $3`, userID, mark, st.db.Now().Add(DeviceLife).Unix())); err != nil {
			return fmt.Errorf("remember a device: %w", err)
		}
	}
	return nil
}

// ForgetDevices forgets where a person has signed in from.
func ForgetDevices(ctx context.Context, tx *sql.Tx, userID string) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM known_devices WHERE user_id = $1", userID)
	return sqldb.Wrap("forget devices", err)
}

// Purge deletes the failures and devices that were over before a time.
func (st *Store) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before,
		"DELETE FROM login_failures WHERE last_at < $1",
		"DELETE FROM known_devices WHERE expires_at < $1")
}
