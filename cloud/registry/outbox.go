package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Mail is a message that is due. The text holds the link, which is a secret of the recipient.
type Mail struct {
	ID      string
	To      string
	Subject string
	Text    bridge.Secret
}

const (
	mailText = "text" // as opposed to verify and reset, which are written when they are due

	maxOutbox  = 10_000
	noticeLife = 24 * time.Hour
	// mailLease is how long the process that has taken a mail has for handing it over; it is the first wait of a retry,
	// too. It has to be longer than the mailer's timeout.
	mailLease    = time.Minute
	mailWaitMost = time.Hour
)

var errNoMail = bridge.E(bridge.Unavailable, "mail_unavailable", "this cloud sends no mail").
	WithHint("its operator sets ACE_SMTP_URL")

// CanMail refuses what needs mail where the cloud sends none.
func (r *Registry) CanMail() error {
	if !r.cfg.Mail {
		return errNoMail
	}
	return nil
}

// MailQueued tells that there may be mail to deliver.
func (r *Registry) MailQueued() <-chan struct{} { return r.mailQueued }

// mailTx runs a transaction that queues mail, and wakes the delivery once it is committed.
func (r *Registry) mailTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	err := r.tx(ctx, fn)
	wake(r.mailQueued)
	return err
}

// queued is a row of the outbox to be.
type queued struct {
	kind, to, subject string
	text              bridge.Secret // sealed in the row
	life              time.Duration // how long to go on trying
	actor             audit.Actor   // who asked for it
}

// queueMail puts a mail into the outbox, from where it is delivered after the commit: use it in [Registry.mailTx].
func (r *Registry) queueMail(ctx context.Context, tx *sql.Tx, m queued) error {
	if err := r.CanMail(); err != nil {
		return err
	}
	var waiting int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM outbox").Scan(&waiting); err != nil {
		return fmt.Errorf("queue a mail: %w", err)
	}
	if waiting >= maxOutbox {
		return bridge.E(bridge.Unavailable, "mail_queue_full", "too much mail is waiting to be sent; try again later")
	}
	id, err := newID()
	if err != nil {
		return err
	}
	body := ""
	if !m.text.IsZero() {
		if body, err = r.cfg.Vault.Seal(mailRow(id), m.text); err != nil {
			return err
		}
	}
	now := r.cfg.Now()
	_, err = tx.ExecContext(ctx, `INSERT INTO outbox
		(id, kind, recipient, subject, body, address, request_id, tries, next_at, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $8)`,
		id, m.kind, m.to, m.subject, body, m.actor.Address, m.actor.RequestID, now.Unix(), now.Add(m.life).Unix())
	if err != nil {
		return fmt.Errorf("queue a mail: %w", err)
	}
	return nil
}

func mailRow(id string) RowIdentity { return RowIdentity{Connection: "mail:" + id} }

// notify tells a person what was done with their account. What was done does not fail because nobody can be told.
func (r *Registry) notify(ctx context.Context, tx *sql.Tx, userID, what string, actor audit.Actor) error {
	var email string
	if err := tx.QueryRowContext(ctx, "SELECT email FROM users WHERE id = $1", userID).Scan(&email); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	subject, text := r.noticeText(what, actor.Address)
	err := r.queueMail(ctx, tx, queued{kind: mailText, to: email, subject: subject, text: text, life: noticeLife, actor: actor})
	if refusal, ok := errors.AsType[*bridge.Error](err); ok && refusal.Kind == bridge.Unavailable && !sqldb.IsFault(err) {
		r.log.Warn("a person could not be told of a change to the account", "cause", refusal.Detail)
		return nil
	}
	return err
}

// DueMail takes the mails that are to be sent now. Whoever takes a mail puts off its next try at the same time, so that
// no other process sends it as well, and a crash only delays it.
func (r *Registry) DueMail(ctx context.Context, limit int) ([]Mail, error) {
	rows, err := r.dueRows(ctx, limit)
	if err != nil {
		return nil, err
	}
	var out []Mail
	for _, row := range rows {
		m, due, err := r.takeMail(ctx, row)
		if e := bridge.AsError(err); err != nil && e.Code == codeRowUnreadable {
			r.log.Warn("a mail cannot be decrypted", "mail", row.id)
			continue
		}
		if err != nil {
			return out, err
		}
		if due {
			out = append(out, m)
		}
	}
	return out, nil
}

type outboxRow struct {
	id, kind, to, subject, body, address, requestID string
	tries                                           int
	nextAt                                          int64
}

func (r *Registry) dueRows(ctx context.Context, limit int) ([]outboxRow, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT id, kind, recipient, subject, body, address, request_id, tries, next_at FROM outbox
		WHERE next_at <= $1 AND expires_at > $1 ORDER BY next_at LIMIT $2`, r.cfg.Now().Unix(), limit)
	if err != nil {
		return nil, fmt.Errorf("list the mail: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []outboxRow
	for rows.Next() {
		var m outboxRow
		if err := rows.Scan(&m.id, &m.kind, &m.to, &m.subject, &m.body, &m.address, &m.requestID, &m.tries, &m.nextAt); err != nil {
			return nil, fmt.Errorf("list the mail: %w", err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// takeMail claims a row for this process and writes its mail.
func (r *Registry) takeMail(ctx context.Context, row outboxRow) (m Mail, due bool, err error) {
	now := r.cfg.Now()
	wait := min(mailLease<<min(row.tries, 10), mailWaitMost)
	err = r.db.Tx(ctx, func(tx *sql.Tx) error {
		m, due = Mail{ID: row.id, To: row.to, Subject: row.subject}, false
		taken, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE outbox SET tries = tries + 1, next_at = $1 WHERE id = $2 AND next_at = $3",
			now.Add(wait).Unix(), row.id, row.nextAt))
		if err != nil {
			return fmt.Errorf("take a mail: %w", err)
		}
		if !taken {
			return nil
		}
		if row.kind == mailText {
			due = true
			m.Text, err = r.cfg.Vault.Open(mailRow(row.id), row.body)
			return err
		}
		if due, err = r.above.writeLink(ctx, tx, row, &m); err != nil {
			return err
		}
		if !due {
			return dropMail(ctx, tx, row.id)
		}
		body, err := r.cfg.Vault.Seal(mailRow(row.id), m.Text)
		if err != nil {
			return err
		}
		// It is written once: what is sent after a failure is the same link.
		if _, err := tx.ExecContext(ctx, "UPDATE outbox SET kind = $1, subject = $2, body = $3 WHERE id = $4",
			mailText, m.Subject, body, row.id); err != nil {
			return fmt.Errorf("keep a mail: %w", err)
		}
		return nil
	})
	return m, due && err == nil, err
}

func dropMail(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM outbox WHERE id = $1", id); err != nil {
		return fmt.Errorf("drop a mail: %w", err)
	}
	return nil
}

// MailDone forgets a mail that was delivered, or that never will be.
func (r *Registry) MailDone(ctx context.Context, id string) error {
	return r.db.Tx(ctx, func(tx *sql.Tx) error { return dropMail(ctx, tx, id) })
}

func (r *Registry) sign(lines ...string) bridge.Secret {
	return bridge.NewSecret(strings.Join(lines, "\n\n") + "\n\n--\nace, " + string(r.cfg.Issuer) + "\n")
}

func from(address string) string {
	if address == "" {
		return ""
	}
	return " from the address " + address
}

func (r *Registry) noticeText(what, address string) (subject string, text bridge.Secret) {
	return what, r.sign(what+from(address)+".",
		"If that was not you, set a new password at once, which ends all sessions: "+r.cfg.Issuer.Join("/forgot"))
}

func (r *Registry) mailedLink(path string, token bridge.Secret) string {
	return r.cfg.Issuer.Join(path) + "?token=" + token.Reveal()
}
