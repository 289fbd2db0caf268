package factors

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/vault"
)

// Time-based codes (RFC 6238) with the parameters that every app supports: SHA-1, 30 seconds, six digits. A code counts
// once, in its own step or one step before or after (section 5.2).
const (
	TOTPPeriod = 30 // seconds of a step
	totpDigits = 6
)

// Enrolment is the secret of an authenticator app, as text and as the URI in its QR code.
type Enrolment struct {
	Secret bridge.Secret // base32
	URI    bridge.Secret // otpauth://totp/…
}

func totpRow(userID string) vault.RowIdentity { return vault.RowIdentity{Connection: "totp:" + userID} }

var errTOTPOn = bridge.E(bridge.Conflict, bridge.CodeTOTPOn, "Two-factor authentication is on already.")
var errTOTPOff = bridge.E(bridge.Conflict, bridge.CodeTOTPOff, "Two-factor authentication is not on.")

// Begin makes the secret for a person's app, after checking their password. Sign-ins ask for codes only after [Store.Confirm].
func (st *Store) Begin(ctx context.Context, caller accounts.Caller, password bridge.Secret) (Enrolment, error) {
	was, err := st.ConfirmPassword(ctx, caller, password)
	if err != nil {
		return Enrolment{}, err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: st.issuerName(), AccountName: caller.Email, Period: TOTPPeriod, Digits: totpDigits})
	if err != nil {
		return Enrolment{}, fmt.Errorf("make a TOTP secret: %w", err)
	}
	secret := bridge.NewSecret(key.Secret())
	sealed, err := st.vault.Seal(totpRow(caller.UserID), secret)
	if err != nil {
		return Enrolment{}, err
	}
	now := st.db.Now()
	err = st.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := RequireUnchanged(ctx, tx, caller.UserID, was); err != nil {
			return err
		}
		begun, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO totp (user_id, secret, confirmed_at, last_step, created_at)
			VALUES ($1, $2, 0, 0, $3) ON CONFLICT (user_id) DO UPDATE SET secret = $2, last_step = 0, created_at = $3
			WHERE totp.confirmed_at = 0`, caller.UserID, sealed, now.Unix()))
		if err != nil {
			return fmt.Errorf("store a TOTP secret: %w", err)
		}
		if !begun {
			return errTOTPOn
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: caller.Actor, Action: "totp.begin", Target: "user:" + caller.Email})
	})
	if err != nil {
		return Enrolment{}, err
	}
	return st.enrolment(caller.Email, secret), nil
}

// Pending returns the enrolment that a person has begun but not confirmed.
func (st *Store) Pending(ctx context.Context, p accounts.Principal) (Enrolment, error) {
	var sealed string
	err := st.db.QueryRowContext(ctx, "SELECT secret FROM totp WHERE user_id = $1 AND confirmed_at = 0", p.UserID).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return Enrolment{}, errTOTPOff
	}
	if err != nil {
		return Enrolment{}, fmt.Errorf("read a TOTP secret: %w", err)
	}
	secret, err := st.vault.Open(totpRow(p.UserID), sealed)
	return st.enrolment(p.Email, secret), err
}

// issuerName is the name under which the app lists the account. A colon would end it, so an IPv6 address gets dots.
func (st *Store) issuerName() string {
	return "ace " + strings.ReplaceAll(st.issuer.URL().Hostname(), ":", ".")
}

func (st *Store) enrolment(email string, secret bridge.Secret) Enrolment {
	v := url.Values{"secret": {secret.Reveal()}, "issuer": {st.issuerName()}}
	// Some apps show a "+" for an encoded space; all of them read %20.
	uri := "otpauth://totp/" + url.PathEscape(st.issuerName()+":"+email) + "?" + strings.ReplaceAll(v.Encode(), "+", "%20")
	return Enrolment{Secret: secret, URI: bridge.NewSecret(uri)}
}

// Confirm turns two-factor authentication on with the first code of the app, and returns the recovery codes, which are
// shown only this once. The person's other sessions and approvals end: they were given without a second factor. A wrong code is
// refused with [bridge.CodeOTPInvalid], a second confirmation with [bridge.CodeTOTPOn].
func (st *Store) Confirm(ctx context.Context, caller accounts.Caller, code string) ([]bridge.Secret, error) {
	if err := caller.RequireOwnSession(); err != nil {
		return nil, err
	}
	var codes []bridge.Secret
	err := st.outbox.Change(ctx, func(tx *sql.Tx) error {
		// Sign-ins in progress lock the row of the account: they have finished by now, or will find the second factor.
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password = password WHERE id = $1", caller.UserID); err != nil {
			return fmt.Errorf("confirm TOTP: %w", err)
		}
		if err := st.useTOTP(ctx, tx, caller.UserID, canonicalOTP(code), false); err != nil {
			return err
		}
		on, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE totp SET confirmed_at = $1 WHERE user_id = $2 AND confirmed_at = 0",
			st.db.Now().Unix(), caller.UserID))
		if err != nil {
			return fmt.Errorf("confirm TOTP: %w", err)
		}
		if !on {
			return errTOTPOn
		}
		if codes, err = newRecoveryCodes(ctx, tx, caller.UserID); err != nil {
			return err
		}
		if err := accounts.VoidApprovals(ctx, tx, "user_id = $1", caller.UserID); err != nil {
			return err
		}
		if err := st.accounts.EndSessions(ctx, tx, "two-factor authentication turned on", caller.Actor, "user_id = $1 AND id <> $2",
			caller.UserID, caller.SessionID); err != nil {
			return err
		}
		return st.accountChanged(ctx, tx, caller, "totp.enable", "Two-factor authentication was turned on")
	})
	return codes, err
}

// Disable turns two-factor authentication off. It takes the password and a code.
func (st *Store) Disable(ctx context.Context, caller accounts.Caller, password bridge.Secret, code string) error {
	return st.WithBoth(ctx, caller, password, code, func(tx *sql.Tx) error {
		if err := forget(ctx, tx, caller.UserID); err != nil {
			return err
		}
		return st.accountChanged(ctx, tx, caller, "totp.disable", "Two-factor authentication was turned off")
	})
}

// forget deletes the second factor of an account.
func forget(ctx context.Context, tx *sql.Tx, userID string) error {
	for _, statement := range []string{"DELETE FROM totp WHERE user_id = $1", "DELETE FROM recovery_codes WHERE user_id = $1"} {
		if _, err := tx.ExecContext(ctx, statement, userID); err != nil {
			return fmt.Errorf("disable TOTP: %w", err)
		}
	}
	return nil
}

// RenewRecoveryCodes replaces the recovery codes. It takes the password and a code.
func (st *Store) RenewRecoveryCodes(ctx context.Context, caller accounts.Caller, password bridge.Secret, code string) ([]bridge.Secret, error) {
	var codes []bridge.Secret
	err := st.WithBoth(ctx, caller, password, code, func(tx *sql.Tx) error {
		var err error
		if codes, err = newRecoveryCodes(ctx, tx, caller.UserID); err != nil {
			return err
		}
		return st.accountChanged(ctx, tx, caller, "recovery_codes.renew", "New recovery codes were made")
	})
	return codes, err
}

// canonicalOTP removes spaces and hyphens from a code and upper-cases it: apps show "123 456", and people type that.
func canonicalOTP(s string) string {
	if len(s) > 64 {
		return ""
	}
	return strings.ToUpper(strings.Map(func(c rune) rune {
		switch {
		case c == ' ' || c == '-':
			return -1
		case (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'):
			return c
		}
		return '?'
	}, s))
}

// useOTP uses up a code of the app or a recovery code.
func (st *Store) useOTP(ctx context.Context, tx *sql.Tx, u accounts.User, code string, actor audit.Actor) error {
	code = canonicalOTP(code)
	if len(code) == recoveryLength {
		return st.useRecoveryCode(ctx, tx, u, code, actor)
	}
	return st.useTOTP(ctx, tx, u.ID, code, true)
}

// useTOTP uses up the step that a code belongs to, of a second factor that is confirmed or not. Its conditional UPDATE lets only one
// of two processes use a step.
func (st *Store) useTOTP(ctx context.Context, tx *sql.Tx, userID, code string, confirmed bool) error {
	var sealed string
	err := tx.QueryRowContext(ctx, "SELECT secret FROM totp WHERE user_id = $1 AND (confirmed_at > 0) = $2", userID, confirmed).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return errTOTPOff
	}
	if err != nil {
		return fmt.Errorf("read a TOTP secret: %w", err)
	}
	secret, err := st.vault.Open(totpRow(userID), sealed)
	if err != nil && bridge.CodeOf(err) == bridge.CodeRowUnreadable {
		return bridge.E(bridge.Conflict, bridge.CodeRowUnreadable,
			"codes of the app cannot be checked: the stored secret cannot be decrypted any more").
			WithHint("use a recovery code, and set up two-factor authentication again").Because(err)
	}
	if err != nil {
		return err
	}
	step, err := stepOf(secret, code, st.db.Now())
	if err != nil {
		return err
	}
	if step == 0 {
		return errOTPInvalid
	}
	fresh, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE totp SET last_step = $1 WHERE user_id = $2 AND last_step < $1 AND secret = $3",
		step, userID, sealed))
	if err != nil {
		return fmt.Errorf("use a code: %w", err)
	}
	if !fresh {
		return errOTPUsed
	}
	return nil
}

// stepOf returns the step that a code belongs to: the current one or a neighbour; 0 is none. It always compares all three.
func stepOf(secret bridge.Secret, code string, now time.Time) (int64, error) {
	found := int64(0)
	current := now.Unix() / TOTPPeriod
	for step := current - 1; step <= current+1; step++ {
		want, err := hotp.GenerateCodeCustom(secret.Reveal(), uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, fmt.Errorf("compute a code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			found = step
		}
	}
	return found, nil
}
