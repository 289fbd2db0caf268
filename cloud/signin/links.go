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

// The purposes of a mailed link. The path of its page is the purpose.
const (
	PurposeVerify = "verify" // proves the e-mail address
	PurposeReset  = "reset"  // sets a new password
)

var linkLife = map[string]time.Duration{PurposeVerify: 24 * time.Hour, PurposeReset: time.Hour}

// maxLinks bounds the working links of one purpose that a person is sent, so that nobody can fill a stranger's mailbox.
const maxLinks = 5

// RequestReset asks for a link that sets a new password. The address is looked up when the mail is due and not here, so that the
// answer takes as long for an unknown address as for a known one.
func (st *Links) RequestReset(ctx context.Context, email string, actor audit.Actor) error {
	email, err := bridge.CanonicalEmail(email)
	if err != nil {
		return err
	}
	return st.queue(ctx, PurposeReset, email, actor)
}

// StartVerification mails a person the link that proves their address. A person who has proven it gets no mail.
func (st *Links) StartVerification(ctx context.Context, userID string, actor audit.Actor) error {
	var email string
	if err := st.db.QueryRowContext(ctx, "SELECT email FROM users WHERE id = $1", userID).Scan(&email); err != nil {
		return fmt.Errorf("start a verification: %w", err)
	}
	return st.queue(ctx, PurposeVerify, email, actor)
}

// queue puts a mail into the outbox whose link is written when it is due.
func (st *Links) queue(ctx context.Context, purpose, email string, actor audit.Actor) error {
	return st.outbox.Change(ctx, func(tx *sql.Tx) error {
		return st.outbox.Queue(ctx, tx, outbox.Message{Kind: purpose, To: email, Life: linkLife[purpose], Actor: actor})
	})
}

// write is the [outbox.Writer] of links: it makes the token of a mail that is due, and the mail. due is false for an unknown
// address, and for a person who has been sent [maxLinks].
func (st *Links) write(ctx context.Context, tx *sql.Tx, row outbox.Row, m *outbox.Mail) (due bool, err error) {
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
		m.Subject, m.Text = st.noPasswordText(row.Address) // the token is given to nobody; its row counts the mails
	} else {
		m.Subject, m.Text = st.linkText(row.Kind, token, row.Address)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO mail_tokens (hash, user_id, purpose, created_at, expires_at, used_at)
		VALUES ($1, $2, $3, $4, $5, 0)`, schema.Hash(token), u.ID, row.Kind, now.Unix(), now.Add(linkLife[row.Kind]).Unix()); err != nil {
		return false, fmt.Errorf("store a link: %w", err)
	}
	actor, err := accounts.ActorOf(ctx, tx, u, audit.Actor{Address: row.Address, RequestID: row.RequestID})
	if err != nil {
		return false, err
	}
	actor.ID = "anonymous" // anybody may ask for a link
	return true, audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: row.Kind + ".mail", Target: "user:" + u.Email})
}

// Check refuses a link that no longer works with [accounts.ErrLink]. It does not use the link up, since programs that scan mail
// open links too.
func (st *Links) Check(ctx context.Context, purpose string, token bridge.Secret) error {
	var one int
	err := st.db.QueryRowContext(ctx, "SELECT 1 FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND used_at = 0 AND expires_at > $3",
		schema.Hash(token), purpose, st.db.Now().Unix()).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return accounts.ErrLink
	}
	return err
}

// use uses up a link, and returns whose it is.
func (st *Links) use(ctx context.Context, tx *sql.Tx, purpose string, token bridge.Secret) (accounts.User, error) {
	now := st.db.Now().Unix()
	used, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE mail_tokens SET used_at = $1
		WHERE hash = $2 AND purpose = $3 AND used_at = 0 AND expires_at > $1`, now, schema.Hash(token), purpose))
	if err != nil {
		return accounts.User{}, fmt.Errorf("use a link: %w", err)
	}
	if !used {
		return accounts.User{}, accounts.ErrLink
	}
	var u accounts.User
	if err := tx.QueryRowContext(ctx, `SELECT u.id, u.email, u.name FROM mail_tokens t JOIN users u ON u.id = t.user_id
		WHERE t.hash = $1`, schema.Hash(token)).Scan(&u.ID, &u.Email, &u.Name); err != nil {
		return accounts.User{}, fmt.Errorf("use a link: %w", err)
	}
	return u, nil
}

// VerifyEmail proves the address of an account with a mailed link and the account's password. The link alone is not enough:
// someone who signed up with another's address would have it confirmed by them.
func (st *Links) VerifyEmail(ctx context.Context, token, password bridge.Secret, actor audit.Actor) error {
	var hash string
	err := st.db.QueryRowContext(ctx, `SELECT u.password FROM mail_tokens t JOIN users u ON u.id = t.user_id
		WHERE t.hash = $1 AND t.purpose = $2 AND t.used_at = 0 AND t.expires_at > $3`, schema.Hash(token), PurposeVerify, st.db.Now().Unix()).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return accounts.ErrLink
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
		u, err := st.use(ctx, tx, PurposeVerify, token)
		if err != nil {
			return err
		}
		by, err := accounts.ActorOf(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		if _, err := st.joining.Prove(ctx, tx, accounts.Handover{User: u, Own: true, Reason: "address proven", Actor: by, After: after}); err != nil {
			return err
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: by, Action: "user.verify", Target: "user:" + u.Email})
	})
}

// ResetPassword sets a new password with a mailed link. It ends all sessions of the person, their other links and the wait
// after wrong passwords, and their personal access tokens if tokens is true. It proves the address; if that is the first proof,
// nothing stays of what a stranger may have made.
func (st *Links) ResetPassword(ctx context.Context, token, password bridge.Secret, tokens bool, actor audit.Actor) error {
	if err := st.Check(ctx, PurposeReset, token); err != nil {
		return err // before the work of hashing
	}
	hash, err := st.hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		u, err := st.use(ctx, tx, PurposeReset, token)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password = $1 WHERE id = $2", hash, u.ID); err != nil {
			return fmt.Errorf("reset a password: %w", err)
		}
		by, err := accounts.ActorOf(ctx, tx, u, actor)
		if err != nil {
			return err
		}
		if _, err := st.joining.Prove(ctx, tx, accounts.Handover{User: u, Reason: "address proven by a password reset", Actor: by, After: after}); err != nil {
			return err
		}
		if tokens {
			if err := st.accounts.VoidTokens(ctx, tx, after, keys.Ending{Actor: by, Reason: "password reset"},
				"t.member_id IN (SELECT m.id FROM members m WHERE m.user_id = $1)", u.ID); err != nil {
				return err
			}
		}
		if err := st.passwords.set(ctx, tx, u, "", "password reset", by); err != nil {
			return err
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: by, Action: "password.reset", Target: "user:" + u.Email})
	})
}

// endLinks makes a person's mailed links of some purposes void, also those that are not sent yet.
func endLinks(ctx context.Context, tx *sql.Tx, u accounts.User, purposes ...string) error {
	for _, purpose := range purposes {
		if _, err := tx.ExecContext(ctx, "UPDATE mail_tokens SET used_at = expires_at WHERE user_id = $1 AND purpose = $2 AND used_at = 0",
			u.ID, purpose); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM outbox WHERE recipient = $1 AND kind = $2", u.Email, purpose); err != nil {
			return err
		}
	}
	return nil
}
