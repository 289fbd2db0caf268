// Package outbox keeps mail until it is sent: a mail is queued in the transaction of its cause.
//
//	queued ──► due ──► taken (the next try is put off) ──► done
//	             ▲                    │
//	             └──── failed ◄───────┘        a mail that is too old is dropped
//
// The text is sealed, since it may hold a link. A mail with a link that works once is written when it is due, so that an
// answer takes as long for an address that is known as for one that is not.
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

// Config is all that the outbox may touch.
type Config struct {
	DB     *schema.DB
	Vault  *vault.Vault     // seals the texts, which hold links
	Issuer bridge.ServerURL // the cloud's own URL, which signs the mails and begins their links
	Mail   bool             // somebody delivers what [Outbox.DueMail] gives
}

// Outbox is the mail that waits to be sent. Its methods are safe for concurrent use.
type Outbox struct {
	db         *schema.DB
	vault      *vault.Vault
	issuer     bridge.ServerURL
	mail       bool
	log        *slog.Logger
	mailQueued chan struct{}
	writeLink  Writer
}

// Writer writes a mail when it is due, such as one with a link that is made only then; due is false if none is to be sent.
type Writer func(ctx context.Context, tx *sql.Tx, row Row, m *Mail) (due bool, err error)

// New returns the outbox of a cloud.
func New(cfg Config, log *slog.Logger) *Outbox {
	return &Outbox{db: cfg.DB, vault: cfg.Vault, issuer: cfg.Issuer, mail: cfg.Mail, log: log, mailQueued: make(chan struct{}, 1)}
}

// Wake has the mail delivered that was queued.
func (o *Outbox) Wake() { schema.Wake(o.mailQueued) }

// Purge deletes the mail that was to be sent before a time.
func (o *Outbox) Purge(ctx context.Context, before time.Time) error {
	return o.db.DeleteBefore(ctx, before, "DELETE FROM outbox WHERE expires_at < $1")
}

// WriteWith sets who writes the mails that are written when they are due. It is called once, before the first delivery.
func (o *Outbox) WriteWith(w Writer) { o.writeLink = w }
