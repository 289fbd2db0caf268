package registry

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
func (r *Registry) RequestReset(ctx context.Context, email string, actor audit.Actor) error {
	email, err := bridge.CanonicalEmail(email)
	if err != nil {
		return err
	}
	return r.queueLink(ctx, PurposeReset, email, actor)
}

// StartVerification mails a person the link that shows that the e-mail address is theirs. Somebody who has shown it
// already gets none.
func (r *Registry) StartVerification(ctx context.Context, userID string, actor audit.Actor) error {
	var email string
	if err := r.db.QueryRowContext(ctx, "SELECT email FROM users WHERE id = $1", userID).Scan(&email); err != nil {
		return fmt.Errorf("start a verification: %w", err)
	}
	return r.queueLink(ctx, PurposeVerify, email, actor)
}

func (r *Registry) queueLink(ctx context.Context, purpose, email string, actor audit.Actor) error {
	return r.mailTx(ctx, func(tx *sql.Tx) error {
		return r.queueMail(ctx, tx, queued{kind: purpose, to: email, life: linkLife[purpose], actor: actor})
	})
}

// writeLink makes the token of a mail that is due, and writes the mail. An address that is not known gets none, nor does
// a person who has been sent enough of them.
func (r *Registry) writeLink(ctx context.Context, tx *sql.Tx, row outboxRow, m *Mail) (due bool, err error) {
	var u User
	var password string
	var verified int64
	err = tx.QueryRowContext(ctx, "SELECT id, email, name, password, verified_at FROM users WHERE email = $1", row.to).
		Scan(&u.ID, &u.Email, &u.Name, &password, &verified)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && row.kind == PurposeVerify && verified != 0) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up a user: %w", err)
	}
	now := r.cfg.Now()
	var sent int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM mail_tokens WHERE user_id = $1 AND purpose = $2 AND expires_at > $3",
		u.ID, row.kind, now.Unix()).Scan(&sent); err != nil {
		return false, fmt.Errorf("count the links: %w", err)
	}
	if sent >= maxLinks {
		return false, nil
	}
	token := bridge.NewSecret(bridge.RandomToken(32))
	if row.kind == PurposeReset && password == "" {
		m.Subject, m.Text = r.noPasswordText(row.address) // the token is nobody's: it counts the mails
	} else {
		m.Subject, m.Text = r.linkText(row.kind, token, row.address)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO mail_tokens (hash, user_id, purpose, created_at, expires_at, used_at)
		VALUES ($1, $2, $3, $4, $5, 0)`, hashed(token), u.ID, row.kind, now.Unix(), now.Add(linkLife[row.kind]).Unix()); err != nil {
		return false, fmt.Errorf("store a link: %w", err)
	}
	actor, err := accountActor(ctx, tx, u, audit.Actor{Address: row.address, RequestID: row.requestID})
	if err != nil {
		return false, err
	}
	actor.ID = "anonymous" // anybody may ask for a link
	return true, audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: row.kind + ".mail", Target: "user:" + u.Email})
}

// accountActor is the person as the actor of what happens to the account, in the log of their first organization.
func accountActor(ctx context.Context, tx *sql.Tx, u User, actor audit.Actor) (audit.Actor, error) {
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

var errLink = bridge.E(bridge.NotFound, "link_invalid", "This link has expired, or it has been used.")

// CheckLink says whether a link still works, without using it: programs that scan mail open links, too.
func (r *Registry) CheckLink(ctx context.Context, purpose string, token bridge.Secret) error {
	var one int
	err := r.db.QueryRowContext(ctx, "SELECT 1 FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND used_at = 0 AND expires_at > $3",
		hashed(token), purpose, r.cfg.Now().Unix()).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return errLink
	}
	return err
}

// useLink uses a link up, and says whose it is.
func (r *Registry) useLink(ctx context.Context, tx *sql.Tx, purpose string, token bridge.Secret) (User, error) {
	now := r.cfg.Now().Unix()
	used, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE mail_tokens SET used_at = $1
		WHERE hash = $2 AND purpose = $3 AND used_at = 0 AND expires_at > $1`, now, hashed(token), purpose))
	if err != nil {
		return User{}, fmt.Errorf("use a link: %w", err)
	}
	if !used {
		return User{}, errLink
	}
	var u User
	if err := tx.QueryRowContext(ctx, `SELECT u.id, u.email, u.name FROM mail_tokens t JOIN users u ON u.id = t.user_id
		WHERE t.hash = $1`, hashed(token)).Scan(&u.ID, &u.Email, &u.Name); err != nil {
		return User{}, fmt.Errorf("use a link: %w", err)
	}
	return u, nil
}

// VerifyEmail notes that whoever has made the account has the mailbox: the link shows the one, and the password the other.
// Somebody who has signed up with another's address must not have it confirmed by that other.
func (r *Registry) VerifyEmail(ctx context.Context, token, password bridge.Secret, actor audit.Actor) error {
	var hash string
	err := r.db.QueryRowContext(ctx, `SELECT u.password FROM mail_tokens t JOIN users u ON u.id = t.user_id
		WHERE t.hash = $1 AND t.purpose = $2 AND t.used_at = 0 AND t.expires_at > $3`, hashed(token), PurposeVerify, r.cfg.Now().Unix()).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return errLink
	}
	if err != nil {
		return fmt.Errorf("look up a link: %w", err)
	}
	match, err := r.hasher.check(ctx, password, hash)
	if err != nil {
		return err
	}
	if !match {
		return bridge.E(bridge.Unauthenticated, "password_wrong", "that is not the password of the account").
			WithHint("if you have made no account, somebody else has used your address: set a password of your own with “Forgotten your password?”")
	}
	return r.handTx(ctx, func(tx *sql.Tx, after *settled) error {
		u, err := r.useLink(ctx, tx, PurposeVerify, token)
		if err != nil {
			return err
		}
		by, err := accountActor(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		if _, err := r.prove(ctx, tx, Handover{User: u, Own: true, Reason: "address proven", Actor: by, after: after}); err != nil {
			return err
		}
		return audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: by, Action: "user.verify", Target: "user:" + u.Email})
	})
}

// ResetPassword sets a new password with a link that was mailed. It ends all sessions of the person, the other links, and
// what stands in the way of a sign-in after wrong passwords; and their personal access tokens, if tokens says so. Where nobody
// had proven the address, it is proven now, and nothing stays of what somebody else may have made.
func (r *Registry) ResetPassword(ctx context.Context, token, password bridge.Secret, tokens bool, actor audit.Actor) error {
	if err := r.CheckLink(ctx, PurposeReset, token); err != nil {
		return err // before the work of hashing
	}
	hash, err := r.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return r.handTx(ctx, func(tx *sql.Tx, after *settled) error {
		u, err := r.useLink(ctx, tx, PurposeReset, token)
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
		if _, err := r.prove(ctx, tx, Handover{User: u, Reason: "address proven by a password reset", Actor: by, after: after}); err != nil {
			return err
		}
		if tokens {
			if err := r.voidTokens(ctx, tx, after, keys.Ending{Actor: by, Reason: "password reset"},
				"t.member_id IN (SELECT m.id FROM members m WHERE m.user_id = $1)", u.ID); err != nil {
				return err
			}
		}
		if err := r.passwordSet(ctx, tx, u, "", "password reset", by); err != nil {
			return err
		}
		return audit.Write(ctx, tx, r.cfg.Now(), audit.Entry{Actor: by, Action: "password.reset", Target: "user:" + u.Email})
	})
}

// passwordSet does what follows every new password; the session keep, where there is one, goes on.
func (r *Registry) passwordSet(ctx context.Context, tx *sql.Tx, u User, keep, reason string, actor audit.Actor) error {
	if err := voidApprovals(ctx, tx, "user_id = $1", u.ID); err != nil {
		return err
	}
	if err := r.endSessions(ctx, tx, reason, actor, "user_id = $1 AND id <> $2", u.ID, keep); err != nil {
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
	if err := r.endAddressChanges(ctx, tx, u.ID); err != nil {
		return err
	}
	if err := forgive(ctx, tx, passwordLane(u.Email, "")); err != nil {
		return err
	}
	return r.notify(ctx, tx, u.ID, "The password of your account was changed", actor)
}
