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
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/lockout"
	"github.com/acebridge/ace/cloud/schema"
)

// Login is a try to sign in with a password.
type Login struct {
	Email    string
	Password bridge.Secret
	Device   bridge.Secret // cookie of a browser that has signed in before; empty: none
}

// Authenticated is a person who has given the right password.
type Authenticated struct {
	accounts.User
	TwoFactor bool // the password alone is not enough
}

// PendingLife is how long a sign-in waits for its second step.
const PendingLife = 5 * time.Minute

const maxPendingTries = 5 // of codes, for one sign-in

// Authenticate checks an e-mail address and a password. An unknown person costs the same work as a known one and gets the same
// answer ([bridge.CodeLoginFailed]), including the wait after many wrong tries ([bridge.CodeTooManyRequests]). A right password for
// an unproven address returns the person with [accounts.ErrUnproven].
func (st *Store) Authenticate(ctx context.Context, l Login, actor audit.Actor) (Authenticated, error) {
	email := accounts.LoginEmail(l.Email)
	var u Authenticated
	var hash, org string
	var verified int64
	err := st.db.QueryRowContext(ctx, `SELECT u.id, u.email, u.name, u.password, u.verified_at,
		COALESCE((SELECT MIN(o.slug) FROM members m JOIN organizations o ON o.id = m.org_id WHERE m.user_id = u.id), '')
		FROM users u WHERE u.email = $1`, email).Scan(&u.ID, &u.Email, &u.Name, &hash, &verified, &org)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Authenticated{}, fmt.Errorf("look up a user: %w", err)
	}
	mark, err := st.lockout.KnownMark(ctx, u.ID, l.Device, actor.Address)
	if err != nil {
		return Authenticated{}, err
	}
	lane := lockout.PasswordLane(email, mark)
	locked, err := st.lockout.Charge(ctx, lane)
	if err != nil {
		return Authenticated{}, err
	}
	match, err := st.hasher.Check(ctx, l.Password, hash)
	if err != nil {
		return Authenticated{}, err
	}
	actor.ID, actor.Org = "user:"+email, org
	if !match {
		return Authenticated{}, st.lockout.Refuse(ctx, email, errLoginFailed, locked, actor)
	}
	if err := lockout.Forgive(ctx, st.db, lane); err != nil {
		return Authenticated{}, err
	}
	if u.TwoFactor, err = factors.On(ctx, st.db, u.ID); err != nil {
		return Authenticated{}, err
	}
	if verified == 0 {
		return u, accounts.ErrUnproven
	}
	u.Shown.Password = hash
	return u, nil
}

// SignIn opens a session for a person who has proven who they are. The proof must still be valid: a password or second factor set
// in the meantime ends sign-ins under way, as it ends sessions.
func (st *Store) SignIn(ctx context.Context, u accounts.User, org, method string, actor audit.Actor) (accounts.Session, error) {
	var s accounts.Session
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		var err error
		s, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: u.ID, Org: org, Method: method}, actor)
		if err != nil {
			return err
		}
		return factors.RequireUnchanged(ctx, tx, u.ID, u.Shown)
	})
	if err != nil {
		return accounts.Session{}, err
	}
	return s, nil
}

var errLoginFailed = bridge.E(bridge.Unauthenticated, bridge.CodeLoginFailed, "The e-mail address or the password is not right.")

// BeginSecondStep records for [PendingLife] that a person has given the right password, and returns the cookie of their browser.
// It is audited, because someone who goes no further may have a stolen password.
func (st *Store) BeginSecondStep(ctx context.Context, u accounts.User, actor audit.Actor) (bridge.Secret, error) {
	pending := bridge.NewSecret(bridge.RandomToken(32))
	now := st.db.Now()
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := factors.RequireUnchanged(ctx, tx, u.ID, accounts.Shown{Password: u.Shown.Password, Both: u.Shown.Password != ""}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO pending_logins (hash, user_id, tries, expires_at) VALUES ($1, $2, 0, $3)",
			schema.Hash(pending), u.ID, now.Add(PendingLife).Unix()); err != nil {
			return fmt.Errorf("keep a login: %w", err)
		}
		by, err := accounts.ActorOf(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: by, Action: "session.second_step", Target: "user:" + u.Email})
	})
	return pending, err
}

var errPending = bridge.E(bridge.Unauthenticated, bridge.CodeLoginExpired,
	"That took too long, or too many tries. Please sign in again.")

// PendingLogin finds the person whose second step a cookie is for. It fails with [bridge.CodeLoginExpired] after five minutes or
// five wrong codes.
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

// FinishSecondStep checks the code of a second step, which allows five tries, and ends the step.
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
	if u, err = st.factors.ShowBoth(ctx, u, otp, device, actor); err != nil {
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
