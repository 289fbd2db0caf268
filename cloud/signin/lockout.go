package signin

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

// Wrong passwords and codes are counted by lane, whether or not the account exists: strangers to an account share one
// lane, and each device and network that somebody has signed in from has a lane of its own. So a stranger who guesses
// makes other strangers wait, and not the person.

const (
	// freeFailures are the tries before the first wait.
	freeFailures = 5
	knownLife    = 90 * 24 * time.Hour
)

// DeviceLife is how long a browser is known after a sign-in.
const DeviceLife = knownLife

func passwordLane(email, mark string) string {
	return schema.Hash(bridge.NewSecret("password\x00" + email + "\x00" + mark))
}

func otpLane(userID, mark string) string {
	return schema.Hash(bridge.NewSecret("otp\x00" + userID + "\x00" + mark))
}

// charge counts a try as a failure before it is made, so that tries at the same time count, too; [forgive] takes it back
// where it succeeds. locked says that this is the failure after which one has to wait: a minute after the fifth, five
// after the seventh, a quarter of an hour after the ninth.
func (st *Store) charge(ctx context.Context, lane string) (locked bool, err error) {
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

// forgive forgets the failures of a lane.
func forgive(ctx context.Context, on schema.Queryer, lane string) error {
	if _, err := on.ExecContext(ctx, "DELETE FROM login_failures WHERE lane = $1", lane); err != nil {
		return fmt.Errorf("forget failed tries: %w", err)
	}
	return nil
}

// marks are what a try can be recognized by: the browser's cookie, and the network.
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

// knownMark is the first mark that a person has signed in with before, or empty.
func (st *Store) knownMark(ctx context.Context, userID string, marks []string) (string, error) {
	for _, mark := range marks {
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

// KnowDevice remembers where a person has signed in from; an empty device is a program without cookies, of which the
// network is remembered alone.
func (st *Store) KnowDevice(ctx context.Context, userID string, device bridge.Secret, address string) error {
	for _, mark := range marks(device, address) {
		if mark == "" {
			continue
		}
		if _, err := sqldb.Changed(st.db.ExecContext(ctx, `INSERT INTO known_devices (user_id, mark, expires_at) VALUES ($1, $2, $3)
			ON CONFLICT (user_id, mark) DO UPDATE SET expires_at = $3`, userID, mark, st.db.Now().Add(knownLife).Unix())); err != nil {
			return fmt.Errorf("remember a device: %w", err)
		}
	}
	return nil
}
