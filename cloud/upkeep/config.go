// Package upkeep keeps connections working: it records probes, rotates keys and tells servers what they have not heard yet.
//
// It says what is due, hands out what is needed to call the server, and stores how the call went. It calls no server itself;
// cloud/servers does.
//
//	probe:      due ──► called ──► online | offline | unauthorized | unknown ──► due again
//	rotation:   planned ──► due ──► begun, with an idempotency key ──► new secret tested ──► finished
//	                         ▲                     │ failed                     │ the connection has another key by now
//	                         └── put off ◄─────────┘                            └──► the new secret revokes itself
//	revocation: pending ──► delivered | confirmed by the owner or an admin | expired with its key
//	                ▲  │ not taken: put off
//	                └──┘
//
// A probe also teaches what the server says about the connection's key: its life, its subject, and the number of the server's last
// change. A server that goes on with an old backup is told again what it has forgotten.
//
// Whatever is put off waits for a minute, then twice as long each time, up to six hours. cloud/connections queues revocations and
// plans rotations, in the transaction of their cause; cloud/tokens owns the withdrawals, of which this package only lists those that
// no server has taken.
package upkeep

import (
	"log/slog"
	"sync"

	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/vault"
)

// Config holds everything that the store may use. Every field is required.
type Config struct {
	DB          *schema.DB
	Connections *connections.Store
	Feed        *connections.Feed // is told of a new status
	Signals     connections.Signals
	Tokens      *tokens.Tokens // signs what a probe calls the server with
	Vault       *vault.Vault   // seals rotated secrets, opens revocations
}

// Upkeep records what the cloud does for connections by itself. Its methods are safe for concurrent use.
type Upkeep struct {
	db      *schema.DB
	store   *connections.Store
	feed    *connections.Feed
	signals connections.Signals
	tokens  *tokens.Tokens
	vault   *vault.Vault
	log     *slog.Logger

	withheld sync.Map // when a change of a connection's links was last left out of the audit log, by connection ID
}

// New returns the store.
func New(cfg Config, log *slog.Logger) *Upkeep {
	return &Upkeep{db: cfg.DB, store: cfg.Connections, feed: cfg.Feed, signals: cfg.Signals, tokens: cfg.Tokens, vault: cfg.Vault, log: log}
}
