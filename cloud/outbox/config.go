// Package outbox keeps mail until it is sent.
//
// A mail is queued in the transaction of its cause, so it is sent if and only if the change is committed:
//
//	queued ──► due ──► taken: its next try is put off ──► handed over: done
//	            ▲                        │
//	            └────── failed ◄─────────┘       waits 1 minute, doubled each time, at most an hour
//
// A mail that is too old is dropped, and so is one that the mail server refuses for good. Texts are sealed, since they may hold
// a link. The links that verify an address or reset a password are made when the mail is due and not when it is asked for
// ([Writer]): so the answer takes as long for an unknown address as for a known one.
package outbox

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

// Config holds everything that the outbox may use.
type Config struct {
	DB     *schema.DB
	Vault  *vault.Vault     // seals the texts, which hold links
	Issuer bridge.ServerURL // the cloud's own URL, which signs the mails and begins their links
	Mail   bool             // the cloud delivers what [Outbox.DueMail] returns; false: mail is refused
}

// Outbox owns the mail that waits to be sent. It is safe for concurrent use.
type Outbox struct {
	db         *schema.DB
	vault      *vault.Vault
	issuer     bridge.ServerURL
	mail       bool
	log        *slog.Logger
	mailQueued chan struct{}
	writeLink  Writer
}

// Writer writes a mail when it is due. due is false if nothing is to be sent after all.
type Writer func(ctx context.Context, tx *sql.Tx, row Row, m *Mail) (due bool, err error)

// New returns the outbox of a cloud.
func New(cfg Config, log *slog.Logger) *Outbox {
	return &Outbox{db: cfg.DB, vault: cfg.Vault, issuer: cfg.Issuer, mail: cfg.Mail, log: log, mailQueued: make(chan struct{}, 1)}
}

// Wake starts the delivery of queued mail.
func (o *Outbox) Wake() { schema.Wake(o.mailQueued) }

// Purge deletes the mail that was too old before a time.
func (o *Outbox) Purge(ctx context.Context, before time.Time) error {
	return o.db.DeleteBefore(ctx, before, "DELETE FROM outbox WHERE expires_at < $1")
}

// WriteWith sets the writer of mails that are written when they are due. Call it once, before the first delivery.
func (o *Outbox) WriteWith(w Writer) { o.writeLink = w }
