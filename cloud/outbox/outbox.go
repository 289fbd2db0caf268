package outbox

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
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// Mail is a message that is due. Its text may hold a link, which is a secret of the recipient.
type Mail struct {
	ID      string
	To      string
	Subject string
	Text    bridge.Secret
}

const (
	// KindText is the kind of a mail whose text is stored. Other kinds are written when they are due.
	KindText = "text"

	maxOutbox = 10_000
	// NoticeLife is how long the delivery of a notice is tried.
	NoticeLife = 24 * time.Hour
	// mailLease is the time that a process has to hand over a mail, and the first wait before another try. It must be longer
	// than the timeout of cloud/mail.
	mailLease    = time.Minute
	mailWaitMost = time.Hour // before another try
)

// ErrNoMail refuses what needs mail where the cloud sends none.
var ErrNoMail = bridge.E(bridge.Unavailable, bridge.CodeMailUnavailable, "this cloud sends no mail").
	WithHint("its operator sets ACE_SMTP_URL")

// SendsMail reports whether this cloud sends mail.
func (o *Outbox) SendsMail() bool { return o.mail }

// RequireMail returns an error unless this cloud sends mail.
func (o *Outbox) RequireMail() error {
	if !o.mail {
		return ErrNoMail
	}
	return nil
}

// MailQueued is a channel that receives when there may be mail to deliver.
func (o *Outbox) MailQueued() <-chan struct{} { return o.mailQueued }

// Change runs a transaction that queues mail, then starts the delivery.
func (o *Outbox) Change(ctx context.Context, fn func(tx *sql.Tx) error) error {
	err := o.db.Change(ctx, fn)
	schema.Wake(o.mailQueued)
	return err
}

// Message is a mail to be queued.
type Message struct {
	Kind, To, Subject string
	Text              bridge.Secret // of KindText; it is sealed in the row
	Life              time.Duration // how long its delivery is tried
	Actor             audit.Actor   // who asked for it
}

// Queue puts a mail into the outbox; use it in [Outbox.Change]. It is refused if the cloud sends no mail, or if 10,000 mails wait.
func (o *Outbox) Queue(ctx context.Context, tx *sql.Tx, m Message) error {
	if err := o.RequireMail(); err != nil {
		return err
	}
	var waiting int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM outbox").Scan(&waiting); err != nil {
		return fmt.Errorf("queue a mail: %w", err)
	}
	if waiting >= maxOutbox {
		return bridge.E(bridge.Unavailable, bridge.CodeMailQueueFull, "too much mail is waiting to be sent; try again later")
	}
	id, err := schema.NewID()
	if err != nil {
		return err
	}
	body := ""
	if !m.Text.IsZero() {
		if body, err = o.vault.Seal(mailRow(id), m.Text); err != nil {
			return err
		}
	}
	now := o.db.Now()
	_, err = tx.ExecContext(ctx, `INSERT INTO outbox
		(id, kind, recipient, subject, body, address, request_id, tries, next_at, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $8)`,
		id, m.Kind, m.To, m.Subject, body, m.Actor.Address, m.Actor.RequestID, now.Unix(), now.Add(m.Life).Unix())
	if err != nil {
		return fmt.Errorf("queue a mail: %w", err)
	}
	return nil
}

func mailRow(id string) vault.RowIdentity { return vault.RowIdentity{Connection: "mail:" + id} }

// Notify mails a person that their account was changed. The change does not fail if no mail can be sent.
func (o *Outbox) Notify(ctx context.Context, tx *sql.Tx, userID, what string, actor audit.Actor) error {
	var email string
	if err := tx.QueryRowContext(ctx, "SELECT email FROM users WHERE id = $1", userID).Scan(&email); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	subject, text := o.noticeText(what, actor.Address)
	err := o.Queue(ctx, tx, Message{Kind: KindText, To: email, Subject: subject, Text: text, Life: NoticeLife, Actor: actor})
	if refusal, ok := errors.AsType[*bridge.Error](err); ok && refusal.Kind == bridge.Unavailable && !sqldb.IsFault(err) {
		o.log.Warn("a person could not be told of a change to the account", "cause", refusal.Detail)
		return nil
	}
	return err
}

// DueMail takes up to limit mails that are due. Taking a mail puts off its next try in the same transaction: no other process sends
// it too, and a crash only delays it. A mail that cannot be decrypted is logged and skipped.
func (o *Outbox) DueMail(ctx context.Context, limit int) ([]Mail, error) {
	rows, err := o.dueRows(ctx, limit)
	if err != nil {
		return nil, err
	}
	var out []Mail
	for _, row := range rows {
		m, due, err := o.takeMail(ctx, row)
		if e := bridge.AsError(err); err != nil && e.Code == bridge.CodeRowUnreadable {
			o.log.Warn("a mail cannot be decrypted", "mail", row.id)
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

// Row is a mail of the outbox as it is stored.
type Row struct {
	id, Kind, To, subject, body, Address, RequestID string
	tries                                           int
	nextAt                                          int64
}

func (o *Outbox) dueRows(ctx context.Context, limit int) ([]Row, error) {
	rows, err := o.db.QueryContext(ctx, `SELECT id, kind, recipient, subject, body, address, request_id, tries, next_at FROM outbox
		WHERE next_at <= $1 AND expires_at > $1 ORDER BY next_at LIMIT $2`, o.db.Now().Unix(), limit)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (Row, error) {
		var m Row
		if err := row.Scan(&m.id, &m.Kind, &m.To, &m.subject, &m.body, &m.Address, &m.RequestID, &m.tries, &m.nextAt); err != nil {
			return m, err
		}
		return m, nil
	})
	return out, sqldb.Wrap("list the mail", err)
}

// takeMail takes a row for this process and writes its mail. due is false if another process has taken it.
func (o *Outbox) takeMail(ctx context.Context, row Row) (m Mail, due bool, err error) {
	now := o.db.Now()
	wait := schema.Backoff(row.tries, mailLease, mailWaitMost)
	err = o.db.Tx(ctx, func(tx *sql.Tx) error {
		m, due = Mail{ID: row.id, To: row.To, Subject: row.subject}, false
		taken, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE outbox SET tries = tries + 1, next_at = $1 WHERE id = $2 AND next_at = $3",
			now.Add(wait).Unix(), row.id, row.nextAt))
		if err != nil {
			return fmt.Errorf("take a mail: %w", err)
		}
		if !taken {
			return nil
		}
		if row.Kind == KindText {
			due = true
			m.Text, err = o.vault.Open(mailRow(row.id), row.body)
			return err
		}
		if due, err = o.writeLink(ctx, tx, row, &m); err != nil {
			return err
		}
		if !due {
			return dropMail(ctx, tx, row.id)
		}
		body, err := o.vault.Seal(mailRow(row.id), m.Text)
		if err != nil {
			return err
		}
		// It is written once, so that a retry sends the same link.
		if _, err := tx.ExecContext(ctx, "UPDATE outbox SET kind = $1, subject = $2, body = $3 WHERE id = $4",
			KindText, m.Subject, body, row.id); err != nil {
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

// MailDone deletes a mail that was delivered, or that never will be.
func (o *Outbox) MailDone(ctx context.Context, id string) error {
	return o.db.Tx(ctx, func(tx *sql.Tx) error { return dropMail(ctx, tx, id) })
}

// Sign joins the paragraphs of a mail and signs it as the cloud's.
func (o *Outbox) Sign(lines ...string) bridge.Secret {
	return bridge.NewSecret(strings.Join(lines, "\n\n") + "\n\n--\nace, " + string(o.issuer) + "\n")
}

// From names the address that a request came from; empty if none is known.
func From(address string) string {
	if address == "" {
		return ""
	}
	return " from the address " + address
}

func (o *Outbox) noticeText(what, address string) (subject string, text bridge.Secret) {
	return what, o.Sign(what+From(address)+".",
		"If that was not you, set a new password at once, which ends all sessions: "+o.issuer.Join("/forgot"))
}

// Link is the URL of a page that a mailed token opens.
func (o *Outbox) Link(path string, token bridge.Secret) string {
	return o.issuer.Join(path) + "?token=" + token.Reveal()
}
