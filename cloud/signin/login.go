package signin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// Login is a try to sign in with a password. Device is the cookie of a browser that has been signed in before, if any.
type Login struct {
	Email    string
	Password bridge.Secret
	Device   bridge.Secret
}

// Authenticated is a person who has given the right password. TwoFactor says that this is not enough.
type Authenticated struct {
	accounts.User
	TwoFactor bool
}

// PendingLife is how long a sign-in waits for its second step.
const PendingLife = 5 * time.Minute

const maxPendingTries = 5

// Authenticate checks an e-mail address and a password. Unknown people cost the same work as known ones and get the
// same answer, the wait after many wrong tries included.
func (st *Store) Authenticate(ctx context.Context, l Login, actor audit.Actor) (Authenticated, error) {
	email := accounts.LoginEmail(l.Email)
	var u Authenticated
	var hash, org string
	var verified int64
	err := st.db.QueryRowContext(ctx, `SELECT u.id, u.email, u.name, u.password, u.verified_at,
		EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id AND t.confirmed_at > 0),
		COALESCE((SELECT MIN(o.slug) FROM members m JOIN organizations o ON o.id = m.org_id WHERE m.user_id = u.id), '')
		FROM users u WHERE u.email = $1`, email).Scan(&u.ID, &u.Email, &u.Name, &hash, &verified, &u.TwoFactor, &org)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Authenticated{}, fmt.Errorf("look up a user: %w", err)
	}
	mark, err := st.knownMark(ctx, u.ID, marks(l.Device, actor.Address))
	if err != nil {
		return Authenticated{}, err
	}
	lane := passwordLane(email, mark)
	locked, err := st.charge(ctx, lane)
	if err != nil {
		return Authenticated{}, err
	}
	match, err := st.hasher.Check(ctx, l.Password, hash)
	if err != nil {
		return Authenticated{}, err
	}
	actor.ID, actor.Org = "user:"+email, org
	if !match {
		return Authenticated{}, st.refuseLogin(ctx, email, bridge.CodeLoginFailed, locked, actor)
	}
	if err := forgive(ctx, st.db, lane); err != nil {
		return Authenticated{}, err
	}
	if verified == 0 {
		return u, accounts.ErrUnproven
	}
	u.Shown.Password = hash
	return u, nil
}

// SignIn opens a session for a person who has proven who they are. The proof must still be valid: a password or second factor
// set in the meantime ends sign-ins in progress, as it ends sessions.
func (st *Store) SignIn(ctx context.Context, u accounts.User, org, method string, actor audit.Actor) (accounts.Session, error) {
	var s accounts.Session
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		var err error
		s, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: u.ID, Org: org, Method: method, Shown: u.Shown}, actor)
		return err
	})
	return s, err
}

// refusals are the ways in which a sign-in fails, as the person is told.
var refusals = map[bridge.Code]*bridge.Error{
	bridge.CodeLoginFailed: bridge.E(bridge.Unauthenticated, bridge.CodeLoginFailed,
		"The e-mail address or the password is not right."),
	bridge.CodeOTPInvalid: bridge.E(bridge.Unauthenticated, bridge.CodeOTPInvalid, "That code is not right."),
	bridge.CodeOTPUsed: bridge.E(bridge.Unauthenticated, bridge.CodeOTPUsed,
		"That code has been used already. Wait for the next one."),
}

func (st *Store) refuseLogin(ctx context.Context, email string, code bridge.Code, locked bool, actor audit.Actor) error {
	details := map[string]string{}
	if locked {
		details["locked"] = "too many wrong tries"
	}
	if err := audit.Record(ctx, st.db.DB, st.db.Now(), audit.Entry{Actor: actor, Action: "session.open", Target: "user:" + email,
		Outcome: string(code), Details: details}); err != nil {
		return err
	}
	return refusals[code]
}

// BeginSecondStep keeps that a person has given the right password, for five minutes and for the browser that holds the
// answer. The log shows it, because whoever goes no further may be somebody else who has the password.
func (st *Store) BeginSecondStep(ctx context.Context, u accounts.User, actor audit.Actor) (bridge.Secret, error) {
	pending := bridge.NewSecret(bridge.RandomToken(32))
	now := st.db.Now()
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := accounts.HoldShown(ctx, tx, u.ID, accounts.Shown{Password: u.Shown.Password, Both: u.Shown.Password != ""}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO pending_logins (hash, user_id, tries, expires_at) VALUES ($1, $2, 0, $3)",
			schema.Hash(pending), u.ID, now.Add(PendingLife).Unix()); err != nil {
			return fmt.Errorf("keep a login: %w", err)
		}
		by, err := accountActor(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: by, Action: "session.second_step", Target: "user:" + u.Email})
	})
	return pending, err
}

var errPending = bridge.E(bridge.Unauthenticated, bridge.CodeLoginExpired,
	"That took too long, or too many tries. Please sign in again.")

// PendingLogin finds whose second step it is.
func (st *Store) PendingLogin(ctx context.Context, pending bridge.Secret) (accounts.User, error) {
	var u accounts.User
	err := st.db.QueryRowContext(ctx, `SELECT u.id, u.email, u.name, u.password FROM pending_logins p JOIN users u ON u.id = p.user_id
		WHERE p.hash = $1 AND p.tries < $2 AND p.expires_at > $3`, schema.Hash(pending), maxPendingTries, st.db.Now().Unix()).
		Scan(&u.ID, &u.Email, &u.Name, &u.Shown.Password)
	if errors.Is(err, sql.ErrNoRows) {
		return accounts.User{}, errPending
	}
	if err != nil {
		return accounts.User{}, fmt.Errorf("look up a login: %w", err)
	}
	return u, nil
}

// FinishSecondStep checks the code of a second step and uses the step up. A step allows five tries.
func (st *Store) FinishSecondStep(ctx context.Context, pending bridge.Secret, otp string, device bridge.Secret, actor audit.Actor) (accounts.User, error) {
	u, err := st.PendingLogin(ctx, pending)
	if err != nil {
		return accounts.User{}, err
	}
	counted, err := sqldb.Changed(st.db.ExecContext(ctx, "UPDATE pending_logins SET tries = tries + 1 WHERE hash = $1 AND tries < $2",
		schema.Hash(pending), maxPendingTries))
	if err != nil {
		return accounts.User{}, fmt.Errorf("count a try: %w", err)
	}
	if !counted {
		return accounts.User{}, errPending
	}
	if u, err = st.ShowBoth(ctx, u, otp, device, actor); err != nil {
		return accounts.User{}, err
	}
	return u, st.db.Change(ctx, func(tx *sql.Tx) error {
		finished, err := sqldb.Changed(tx.ExecContext(ctx, "DELETE FROM pending_logins WHERE hash = $1", schema.Hash(pending)))
		if err == nil && !finished {
			return errPending
		}
		return sqldb.Wrap("finish a login", err)
	})
}

// ShowBoth is [Store.CheckOTP] for a sign-in: with the code the person has proven both factors.
func (st *Store) ShowBoth(ctx context.Context, u accounts.User, otp string, device bridge.Secret, actor audit.Actor) (accounts.User, error) {
	err := st.CheckOTP(ctx, u, otp, device, actor)
	u.Shown.Both = err == nil
	return u, err
}

// CheckOTP checks a code of the authenticator app or a recovery code, and uses it up. Wrong ones are counted and audited
// as wrong passwords are.
func (st *Store) CheckOTP(ctx context.Context, u accounts.User, otp string, device bridge.Secret, actor audit.Actor) error {
	mark, err := st.knownMark(ctx, u.ID, marks(device, actor.Address))
	if err != nil {
		return err
	}
	lane := otpLane(u.ID, mark)
	locked, err := st.charge(ctx, lane)
	if err != nil {
		return err
	}
	var by audit.Actor
	err = st.db.Change(ctx, func(tx *sql.Tx) error {
		var err error
		if by, err = accountActor(ctx, tx, u, actor); err != nil {
			return err
		}
		if err := st.useOTP(ctx, tx, u, otp, by); err != nil {
			return err
		}
		return forgive(ctx, tx, lane)
	})
	if code := bridge.CodeOf(err); refusals[code] != nil {
		return st.refuseLogin(ctx, u.Email, code, locked, by)
	}
	return err
}
