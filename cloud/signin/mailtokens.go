package signin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/schema"
)

// What a link that was mailed is for; the page has the same name.
const (
	PurposeVerify = "verify" // shows that the e-mail address is theirs
	PurposeReset  = "reset"  // sets a new password
)

var linkLife = map[string]time.Duration{PurposeVerify: 24 * time.Hour, PurposeReset: time.Hour}

// maxLinks bounds the links of one purpose that a person is sent in the life of one, so that nobody can fill a stranger's
// mailbox.
const maxLinks = 5

// RequestReset asks for a link that sets a new password. Nothing is looked up here, but when the mail is due: so the
// answer takes as long for an address that is known as for one that is not.
func (st *Store) RequestReset(ctx context.Context, email string, actor audit.Actor) error {
	email, err := bridge.CanonicalEmail(email)
	if err != nil {
		return err
	}
	return st.queueLink(ctx, PurposeReset, email, actor)
}

// StartVerification mails a person the link that shows that the e-mail address is theirs. Somebody who has shown it
// already gets none.
func (st *Store) StartVerification(ctx context.Context, userID string, actor audit.Actor) error {
	var email string
	if err := st.db.QueryRowContext(ctx, "SELECT email FROM users WHERE id = $1", userID).Scan(&email); err != nil {
		return fmt.Errorf("start a verification: %w", err)
	}
	return st.queueLink(ctx, PurposeVerify, email, actor)
}

func (st *Store) queueLink(ctx context.Context, purpose, email string, actor audit.Actor) error {
	return st.outbox.Change(ctx, func(tx *sql.Tx) error {
		return st.outbox.Queue(ctx, tx, outbox.Message{Kind: purpose, To: email, Life: linkLife[purpose], Actor: actor})
	})
}

// writeLink makes the token of a mail that is due, and writes the mail. An address that is not known gets none, nor does
// a person who has been sent enough of them.
func (st *Store) writeLink(ctx context.Context, tx *sql.Tx, row outbox.Row, m *outbox.Mail) (due bool, err error) {
	var u accounts.User
	var password string
	var verified int64
	err = tx.QueryRowContext(ctx, "SELECT id, email, name, password, verified_at FROM users WHERE email = $1", row.To).
		Scan(&u.ID, &u.Email, &u.Name, &password, &verified)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && row.Kind == PurposeVerify && verified != 0) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up a user: %w", err)
	}
	now := st.db.Now()
	var sent int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM mail_tokens WHERE user_id = $1 AND purpose = $2 AND expires_at > $3",
		u.ID, row.Kind, now.Unix()).Scan(&sent); err != nil {
		return false, fmt.Errorf("count the links: %w", err)
	}
	if sent >= maxLinks {
		return false, nil
	}
	token := bridge.NewSecret(bridge.RandomToken(32))
	if row.Kind == PurposeReset && password == "" {
		m.Subject, m.Text = st.noPasswordText(row.Address) // the token is nobody's: it counts the mails
	} else {
		m.Subject, m.Text = st.linkText(row.Kind, token, row.Address)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO mail_tokens (hash, user_id, purpose, created_at, expires_at, used_at)
		VALUES ($1, $2, $3, $4, $5, 0)`, schema.Hash(token), u.ID, row.Kind, now.Unix(), now.Add(linkLife[row.Kind]).Unix()); err != nil {
		return false, fmt.Errorf("store a link: %w", err)
	}
	actor, err := accountActor(ctx, tx, u, audit.Actor{Address: row.Address, RequestID: row.RequestID})
	if err != nil {
		return false, err
	}
	actor.ID = "anonymous" // anybody may ask for a link
	return true, audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: row.Kind + ".mail", Target: "user:" + u.Email})
}

// accountActor is the person as the actor of what happens to the account, in the log of their first organization.
func accountActor(ctx context.Context, tx *sql.Tx, u accounts.User, actor audit.Actor) (audit.Actor, error) {
	actor.ID = "user:" + u.Email
	if actor.Org != "" {
		return actor, nil
	}
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(MIN(o.slug), '') FROM members m JOIN organizations o ON o.id = m.org_id
		WHERE m.user_id = $1`, u.ID).Scan(&actor.Org)
	if err != nil {
		return actor, fmt.Errorf("look up an organization: %w", err)
	}
	return actor, nil
}

var errLink = bridge.E(bridge.NotFound, bridge.CodeLinkInvalid, "This link has expired, or it has been used.")

// CheckLink says whether a link still works, without using it: programs that scan mail open links, too.
func (st *Store) CheckLink(ctx context.Context, purpose string, token bridge.Secret) error {
	var one int
	err := st.db.QueryRowContext(ctx, "SELECT 1 FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND used_at = 0 AND expires_at > $3",
		schema.Hash(token), purpose, st.db.Now().Unix()).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return errLink
	}
	return err
}

// useLink uses a link up, and says whose it is.
func (st *Store) useLink(ctx context.Context, tx *sql.Tx, purpose string, token bridge.Secret) (accounts.User, error) {
	now := st.db.Now().Unix()
	used, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE mail_tokens SET used_at = $1
		WHERE hash = $2 AND purpose = $3 AND used_at = 0 AND expires_at > $1`, now, schema.Hash(token), purpose))
	if err != nil {
		return accounts.User{}, fmt.Errorf("use a link: %w", err)
	}
	if !used {
		return accounts.User{}, errLink
	}
	var u accounts.User
	if err := tx.QueryRowContext(ctx, `SELECT u.id, u.email, u.name FROM mail_tokens t JOIN users u ON u.id = t.user_id
		WHERE t.hash = $1`, schema.Hash(token)).Scan(&u.ID, &u.Email, &u.Name); err != nil {
		return accounts.User{}, fmt.Errorf("use a link: %w", err)
	}
	return u, nil
}

// VerifyEmail notes that whoever has made the account has the mailbox: the link shows the one, and the password the other.
// Somebody who has signed up with another's address must not have it confirmed by that other.
func (st *Store) VerifyEmail(ctx context.Context, token, password bridge.Secret, actor audit.Actor) error {
	var hash string
	err := st.db.QueryRowContext(ctx, `SELECT u.password FROM mail_tokens t JOIN users u ON u.id = t.user_id
		WHERE t.hash = $1 AND t.purpose = $2 AND t.used_at = 0 AND t.expires_at > $3`, schema.Hash(token), PurposeVerify, st.db.Now().Unix()).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return errLink
	}
	if err != nil {
		return fmt.Errorf("look up a link: %w", err)
	}
	match, err := st.hasher.Check(ctx, password, hash)
	if err != nil {
		return err
	}
	if !match {
		return bridge.E(bridge.Unauthenticated, bridge.CodePasswordWrong, "that is not the password of the account").
			WithHint("if you have made no account, somebody else has used your address: set a password of your own with “Forgot your password?”")
	}
	return st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		u, err := st.useLink(ctx, tx, PurposeVerify, token)
		if err != nil {
			return err
		}
		by, err := accountActor(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		if _, err := st.prove(ctx, tx, accounts.Handover{User: u, Own: true, Reason: "address proven", Actor: by, After: after}); err != nil {
			return err
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: by, Action: "user.verify", Target: "user:" + u.Email})
	})
}

// ResetPassword sets a new password with a link that was mailed. It ends all sessions of the person, the other links, and
// what stands in the way of a sign-in after wrong passwords; and their personal access tokens, if tokens says so. Where nobody
// had proven the address, it is proven now, and nothing stays of what somebody else may have made.
func (st *Store) ResetPassword(ctx context.Context, token, password bridge.Secret, tokens bool, actor audit.Actor) error {
	if err := st.CheckLink(ctx, PurposeReset, token); err != nil {
		return err // before the work of hashing
	}
	hash, err := st.hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		u, err := st.useLink(ctx, tx, PurposeReset, token)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password = $1 WHERE id = $2", hash, u.ID); err != nil {
			return fmt.Errorf("reset a password: %w", err)
		}
		by, err := accountActor(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		if _, err := st.prove(ctx, tx, accounts.Handover{User: u, Reason: "address proven by a password reset", Actor: by, After: after}); err != nil {
			return err
		}
		if tokens {
			if err := st.voidTokens(ctx, tx, after, keys.Ending{Actor: by, Reason: "password reset"},
				"t.member_id IN (SELECT m.id FROM members m WHERE m.user_id = $1)", u.ID); err != nil {
				return err
			}
		}
		if err := st.passwordSet(ctx, tx, u, "", "password reset", by); err != nil {
			return err
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: by, Action: "password.reset", Target: "user:" + u.Email})
	})
}

// passwordSet does what follows every new password; the session keep, where there is one, goes on.
func (st *Store) passwordSet(ctx context.Context, tx *sql.Tx, u accounts.User, keep, reason string, actor audit.Actor) error {
	if err := accounts.VoidApprovals(ctx, tx, "user_id = $1", u.ID); err != nil {
		return err
	}
	if err := st.accounts.EndSessions(ctx, tx, reason, actor, "user_id = $1 AND id <> $2", u.ID, keep); err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM pending_logins WHERE user_id = $1",
		"DELETE FROM known_devices WHERE user_id = $1",
		"UPDATE mail_tokens SET used_at = expires_at WHERE user_id = $1 AND purpose = 'reset' AND used_at = 0",
	} {
		if _, err := tx.ExecContext(ctx, statement, u.ID); err != nil {
			return fmt.Errorf("set a password: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM outbox WHERE recipient = $1 AND kind = 'reset'", u.Email); err != nil {
		return fmt.Errorf("set a password: %w", err)
	}
	if err := st.endAddressChanges(ctx, tx, u.ID); err != nil {
		return err
	}
	if err := forgive(ctx, tx, passwordLane(u.Email, "")); err != nil {
		return err
	}
	return st.outbox.Notify(ctx, tx, u.ID, "The password of your account was changed", actor)
}
