package accounts

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

const (
	deviceLife     = 10 * time.Minute
	deviceInterval = 5 * time.Second
	// userCodeDigits has no vowels and no look-alikes (RFC 8628 section 6.1). Eight of 20 are 34 bits, too many to guess within
	// the rate limit and ten minutes.
	userCodeDigits = "BCDFGHJKLMNPQRSTVWXZ"
	maxAgent       = 200 // bytes of a User-Agent
)

// DeviceStart is a program that asks for a login, and where it runs.
type DeviceStart struct {
	ClientID  string
	Address   string
	UserAgent string
}

// Device is a device login as the program sees it (RFC 8628 section 3.2).
type Device struct {
	DeviceCode bridge.Secret
	UserCode   string
	ExpiresAt  time.Time
	Interval   time.Duration
}

// DeviceRequest is a device login as the person who approves it sees it.
type DeviceRequest struct {
	UserCode  string
	ClientID  string
	Address   string
	UserAgent string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// newUserCode makes a user code such as BCDF-GHJK.
func newUserCode() (string, error) {
	code := make([]byte, 0, 9)
	for i := range 8 {
		if i == 4 {
			code = append(code, '-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeDigits))))
		if err != nil {
			return "", fmt.Errorf("make a user code: %w", err)
		}
		code = append(code, userCodeDigits[n.Int64()])
	}
	return string(code), nil
}

// canonicalUserCode brings a typed code to the form of newUserCode: case, spaces and the hyphen do not matter.
func canonicalUserCode(s string) string {
	if len(s) > 40 {
		return ""
	}
	s = strings.Map(func(c rune) rune {
		if strings.ContainsRune(userCodeDigits, c) {
			return c
		}
		return -1
	}, strings.ToUpper(s))
	if len(s) != 8 {
		return ""
	}
	return s[:4] + "-" + s[4:]
}

// StartDevice begins a device login, which a person has ten minutes to approve.
func (st *Sessions) StartDevice(ctx context.Context, d DeviceStart) (Device, error) {
	userCode, err := newUserCode()
	if err != nil {
		return Device{}, err
	}
	now := st.db.Now()
	out := Device{DeviceCode: bridge.NewSecret(bridge.RandomToken(32)), UserCode: userCode, ExpiresAt: now.Add(deviceLife),
		Interval: deviceInterval}
	_, err = st.db.ExecContext(ctx, `INSERT INTO devices (code, user_code, client_id, address, user_agent, created_at,
		expires_at, polled_at, interval_s, state, user_id, org_id) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, 'pending', '', '')`,
		schema.Hash(out.DeviceCode), userCode, d.ClientID, d.Address, bridge.StoredText(d.UserAgent, maxAgent), now.Unix(), out.ExpiresAt.Unix(),
		int64(deviceInterval/time.Second))
	if err != nil {
		return Device{}, fmt.Errorf("start a device login: %w", err)
	}
	return out, nil
}

var errUserCode = bridge.E(bridge.NotFound, bridge.CodeUserCodeUnknown,
	"That code is not known, or it has expired or been used.").
	WithHint("run `ace login` again for a new code")

// LookupDevice finds the pending device login of a user code.
func (st *Sessions) LookupDevice(ctx context.Context, userCode string) (DeviceRequest, error) {
	d := DeviceRequest{UserCode: canonicalUserCode(userCode)}
	var created, expires int64
	err := st.db.QueryRowContext(ctx, `SELECT client_id, address, user_agent, created_at, expires_at FROM devices
		WHERE user_code = $1 AND state = 'pending' AND expires_at > $2`, d.UserCode, st.db.Now().Unix()).
		Scan(&d.ClientID, &d.Address, &d.UserAgent, &created, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return DeviceRequest{}, errUserCode
	}
	if err != nil {
		return DeviceRequest{}, fmt.Errorf("look up a device login: %w", err)
	}
	d.CreatedAt, d.ExpiresAt = *schema.At(created), *schema.At(expires)
	return d, nil
}

// DecideDevice approves or denies a device login, once.
func (st *Sessions) DecideDevice(ctx context.Context, caller Caller, userCode string, approve bool) error {
	now := st.db.Now()
	state, action := "denied", "device.deny"
	if approve {
		state, action = "approved", "device.approve"
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		decided, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE devices SET state = $1, user_id = $2, org_id = $3, provider_id = $4, member_id = $7
			WHERE user_code = $5 AND state = 'pending' AND expires_at > $6`,
			state, caller.UserID, caller.OrgID, caller.Provider, canonicalUserCode(userCode), now.Unix(), caller.Member))
		if err != nil {
			return fmt.Errorf("decide a device login: %w", err)
		}
		if !decided {
			return errUserCode
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: caller.Actor, Action: action, Target: "device:" + canonicalUserCode(userCode)})
	})
}

// oauthError is a refusal with one of OAuth's own codes.
func oauthError(code bridge.Code, detail string) *bridge.Error {
	return bridge.E(bridge.Invalid, code, "%s", detail)
}

// DevicePoll is one poll of a program that waits for its device login.
type DevicePoll struct {
	Code     bridge.Secret
	ClientID string
	// Probe says that the Authorization header names the client. golang.org/x/oauth2 tries that first and, after an error,
	// repeats the poll at once with the client in the body; the two count as one.
	Probe bool
}

// PollDevice redeems an approved device login, once. Until then, its errors have the codes of RFC 8628 section 3.5.
func (st *Sessions) PollDevice(ctx context.Context, poll DevicePoll, actor audit.Actor) (Session, error) {
	var s Session
	var answer error
	err := st.db.ChangeIf(ctx, func(tx *sql.Tx) (redeemed bool, err error) {
		s, answer, err = st.pollDevice(ctx, tx, poll, actor)
		return answer == nil, err
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return Session{}, err
	}
	return s, nil
}

// pollDevice opens the session of an approved login. answer is the refusal while there is none; err undoes the poll.
func (st *Sessions) pollDevice(ctx context.Context, tx *sql.Tx, poll DevicePoll, actor audit.Actor) (s Session, answer, err error) {
	o := Opening{Method: MethodDevice}
	var state string
	var expires int64
	err = tx.QueryRowContext(ctx, `SELECT d.state, d.user_id, COALESCE(o.slug, ''), d.provider_id, d.member_id, d.expires_at FROM devices d
		LEFT JOIN organizations o ON o.id = d.org_id WHERE d.code = $1 AND d.client_id = $2`, schema.Hash(poll.Code), poll.ClientID).
		Scan(&state, &o.UserID, &o.Org, &o.Provider, &o.member, &expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return s, nil, oauthError(bridge.CodeInvalidGrant, "the device code is not known")
	case err != nil:
		return s, nil, fmt.Errorf("poll a device login: %w", err)
	case state == "redeemed":
		return s, nil, oauthError(bridge.CodeInvalidGrant, "the device code has been used")
	case expires <= st.db.Now().Unix():
		return s, nil, oauthError(bridge.CodeExpiredToken, "the code has expired")
	case state == "denied":
		return s, nil, oauthError(bridge.CodeAccessDenied, "the login was denied")
	case state == "pending":
		answer, err = st.notePoll(ctx, tx, poll)
		return s, answer, err
	}
	redeemed, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE devices SET state = 'redeemed' WHERE code = $1 AND state = 'approved'",
		schema.Hash(poll.Code)))
	if err != nil {
		return s, nil, fmt.Errorf("redeem a device login: %w", err)
	}
	if !redeemed {
		return s, nil, oauthError(bridge.CodeInvalidGrant, "the device code has been used")
	}
	s, err = st.OpenIn(ctx, tx, o, actor)
	return s, nil, err
}

// notePoll records a poll of a login that nobody has decided, and returns its refusal. A poll that came too early lengthens the
// interval by five seconds for good (RFC 8628 section 3.5).
func (st *Sessions) notePoll(ctx context.Context, tx *sql.Tx, poll DevicePoll) (answer, err error) {
	now := st.db.Now().UnixMilli()
	var polled, interval int64
	var probed bool
	if err := tx.QueryRowContext(ctx, "SELECT polled_at, interval_s, probed FROM devices WHERE code = $1", schema.Hash(poll.Code)).
		Scan(&polled, &interval, &probed); err != nil {
		return nil, fmt.Errorf("poll a device login: %w", err)
	}
	answer = oauthError(bridge.CodeAuthorizationPending, "nobody has approved the code yet")
	if early := polled != 0 && now-polled < interval*1000-500; early && (!probed || poll.Probe) { // half a second is for the network
		answer = oauthError(bridge.CodeSlowDown, "poll less often")
		interval += 5
	}
	_, err = tx.ExecContext(ctx, "UPDATE devices SET polled_at = $1, interval_s = $2, probed = $3 WHERE code = $4",
		now, interval, poll.Probe, schema.Hash(poll.Code))
	return answer, err
}
