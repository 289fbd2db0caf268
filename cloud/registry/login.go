package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Login is a try to sign in with a password. Device is the cookie of a browser that has been signed in before, if any.
type Login struct {
	Email    string
	Password bridge.Secret
	Device   bridge.Secret
}

// Authenticated is a person who has given the right password. TwoFactor says that this is not enough.
type Authenticated struct {
	User
	TwoFactor bool
}

// PendingLife is how long a sign-in waits for its second step.
const PendingLife = 5 * time.Minute

const maxPendingTries = 5

// Authenticate checks an e-mail address and a password. Unknown people cost the same work as known ones and get the
// same answer, the wait after many wrong tries included.
func (r *Registry) Authenticate(ctx context.Context, l Login, actor audit.Actor) (Authenticated, error) {
	email := LoginEmail(l.Email)
	var u Authenticated
	var hash, org string
	var verified int64
	err := r.db.QueryRowContext(ctx, `SELECT u.id, u.email, u.name, u.password, u.verified_at,
		EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id AND t.confirmed_at > 0),
		COALESCE((SELECT MIN(o.slug) FROM members m JOIN organizations o ON o.id = m.org_id WHERE m.user_id = u.id), '')
		FROM users u WHERE u.email = $1`, email).Scan(&u.ID, &u.Email, &u.Name, &hash, &verified, &u.TwoFactor, &org)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Authenticated{}, fmt.Errorf("look up a user: %w", err)
	}
	mark, err := r.knownMark(ctx, u.ID, marks(l.Device, actor.Address))
	if err != nil {
		return Authenticated{}, err
	}
	lane := passwordLane(email, mark)
	locked, err := r.charge(ctx, lane)
	if err != nil {
		return Authenticated{}, err
	}
	match, err := r.hasher.check(ctx, l.Password, hash)
	if err != nil {
		return Authenticated{}, err
	}
	actor.ID, actor.Org = "user:"+email, org
	if !match {
		return Authenticated{}, r.refuseLogin(ctx, email, "login_failed", locked, actor)
	}
	if err := forgive(ctx, r.db, lane); err != nil {
		return Authenticated{}, err
	}
	if verified == 0 {
		return u, errUnproven
	}
	u.shown.password = hash
	return u, nil
}

// SignIn opens a session for a person who has proven who they are. The proof must still be valid: a password or second factor
// set in the meantime ends sign-ins in progress, as it ends sessions.
func (r *Registry) SignIn(ctx context.Context, u User, org, method string, actor audit.Actor) (Session, error) {
	var s Session
	err := r.db.Tx(ctx, func(tx *sql.Tx) error {
		var err error
		s, err = r.openSession(ctx, tx, opening{userID: u.ID, org: org, method: method, shown: u.shown}, actor)
		return err
	})
	return s, err
}

// refusals are the ways in which a sign-in fails, as the person is told.
var refusals = map[string]*bridge.Error{
	"login_failed": bridge.E(bridge.Unauthenticated, "login_failed", "The e-mail address or the password is not right."),
	"otp_invalid":  bridge.E(bridge.Unauthenticated, "otp_invalid", "That code is not right."),
	"otp_used":     bridge.E(bridge.Unauthenticated, "otp_used", "That code has been used already. Wait for the next one."),
}

func (r *Registry) refuseLogin(ctx context.Context, email, code string, locked bool, actor audit.Actor) error {
	details := map[string]string{}
	if locked {
		details["locked"] = "too many wrong tries"
	}
	if err := audit.Record(ctx, r.db, r.cfg.Now(), audit.Entry{Actor: actor, Action: "session.open", Target: "user:" + email,
		Outcome: code, Details: details}); err != nil {
		return err
	}
	return refusals[code]
}

// BeginSecondStep keeps that a person has given the right password, for five minutes and for the browser that holds the
// answer. The log shows it, because whoever goes no further may be somebody else who has the password.
func (r *Registry) BeginSecondStep(ctx context.Context, u User, actor audit.Actor) (bridge.Secret, error) {
	pending := bridge.NewSecret(bridge.RandomToken(32))
	now := r.cfg.Now()
	err := r.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := holdShown(ctx, tx, u.ID, shown{u.shown.password, u.shown.password != ""}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO pending_logins (hash, user_id, tries, expires_at) VALUES ($1, $2, 0, $3)",
			hashed(pending), u.ID, now.Add(PendingLife).Unix()); err != nil {
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

var errPending = bridge.E(bridge.Unauthenticated, CodeLoginExpired, "That took too long, or too many tries. Please sign in again.")

// PendingLogin finds whose second step it is.
func (r *Registry) PendingLogin(ctx context.Context, pending bridge.Secret) (User, error) {
	var u User
	err := r.db.QueryRowContext(ctx, `SELECT u.id, u.email, u.name, u.password FROM pending_logins p JOIN users u ON u.id = p.user_id
		WHERE p.hash = $1 AND p.tries < $2 AND p.expires_at > $3`, hashed(pending), maxPendingTries, r.cfg.Now().Unix()).
		Scan(&u.ID, &u.Email, &u.Name, &u.shown.password)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, errPending
	}
	if err != nil {
		return User{}, fmt.Errorf("look up a login: %w", err)
	}
	return u, nil
}

// FinishSecondStep checks the code of a second step and uses the step up. A step allows five tries.
func (r *Registry) FinishSecondStep(ctx context.Context, pending bridge.Secret, otp string, device bridge.Secret, actor audit.Actor) (User, error) {
	u, err := r.PendingLogin(ctx, pending)
	if err != nil {
		return User{}, err
	}
	counted, err := sqldb.Changed(r.db.ExecContext(ctx, "UPDATE pending_logins SET tries = tries + 1 WHERE hash = $1 AND tries < $2",
		hashed(pending), maxPendingTries))
	if err != nil {
		return User{}, fmt.Errorf("count a try: %w", err)
	}
	if !counted {
		return User{}, errPending
	}
	if u, err = r.ShowBoth(ctx, u, otp, device, actor); err != nil {
		return User{}, err
	}
	return u, r.tx(ctx, func(tx *sql.Tx) error {
		finished, err := sqldb.Changed(tx.ExecContext(ctx, "DELETE FROM pending_logins WHERE hash = $1", hashed(pending)))
		if err == nil && !finished {
			return errPending
		}
		return wrapped("finish a login", err)
	})
}

// ShowBoth is [Registry.CheckOTP] for a sign-in: with the code the person has proven both factors.
func (r *Registry) ShowBoth(ctx context.Context, u User, otp string, device bridge.Secret, actor audit.Actor) (User, error) {
	err := r.CheckOTP(ctx, u, otp, device, actor)
	u.shown.both = err == nil
	return u, err
}

// CheckOTP checks a code of the authenticator app or a recovery code, and uses it up. Wrong ones are counted and audited
// as wrong passwords are.
func (r *Registry) CheckOTP(ctx context.Context, u User, otp string, device bridge.Secret, actor audit.Actor) error {
	mark, err := r.knownMark(ctx, u.ID, marks(device, actor.Address))
	if err != nil {
		return err
	}
	lane := otpLane(u.ID, mark)
	locked, err := r.charge(ctx, lane)
	if err != nil {
		return err
	}
	var by audit.Actor
	err = r.tx(ctx, func(tx *sql.Tx) error {
		var err error
		if by, err = accountActor(ctx, tx, u, actor); err != nil {
			return err
		}
		if err := r.useOTP(ctx, tx, u, otp, by); err != nil {
			return err
		}
		return forgive(ctx, tx, lane)
	})
	if code := bridge.CodeOf(err); refusals[code] != nil {
		return r.refuseLogin(ctx, u.Email, code, locked, by)
	}
	return err
}
