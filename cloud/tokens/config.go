// Package tokens hands out the credentials for using connections, and withdraws them.
//
// A member gets an access token, signed with the connection's key, or the terms on which the relay calls the server for them.
// Every token handed out is noted with its terms: the role, ceiling and limits that it was issued under. Once the terms do not
// hold any more, the token is withdrawn by a statement that the key signs and the server is told.
//
//	access token: noted ──► handed out ──► expired
//	                            │ holder loses access, or some of it
//	                            └──► lost ──► claimed, numbered and stated ──► told to the server
//	                                             ▲                  │ not taken
//	                                             └──────────────────┘
//
//	access terms: given ──► still the same (Holds) | the key has a new secret (HoldsOld) | ended (HoldsNot)
//
// A holder may have made personal keys with a token. Such a row outlives its token: a withdrawal says what is left to those keys,
// and it is said again when the server goes on with a backup. While the database fails, a token that still lives is handed out
// again to the same caller, on the same terms only.
//
// cloud/connections decides who may use a connection; cloud/servers delivers withdrawals; cloud/relay calls.
package tokens

import (
	"context"
	"fmt"
	"time"

	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
)

// Config holds everything that the store may use. Every field is required.
type Config struct {
	DB          *schema.DB
	Connections *connections.Store
	Signals     connections.Signals
}

// Tokens hands out access tokens and access terms. Its methods are safe for concurrent use.
type Tokens struct {
	db         *schema.DB
	store      *connections.Store
	signals    connections.Signals
	remembered remembered
}

// New returns the store.
func New(cfg Config) (*Tokens, error) {
	remembered, err := newRemembered()
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return &Tokens{db: cfg.DB, store: cfg.Connections, signals: cfg.Signals, remembered: remembered}, nil
}

// Purge deletes the tokens, and the notes of uses and changed access, that were over at a time.
func (st *Tokens) Purge(ctx context.Context, before time.Time) error {
	return st.db.DeleteBefore(ctx, before,
		"DELETE FROM relay_uses WHERE noted_at < $1",
		`DELETE FROM handed_tokens WHERE expires_at < $1 AND NOT makes_keys
			AND NOT (made_keys AND connection_id IN (SELECT c.id FROM connections c WHERE c.secret <> ''))`,
		"DELETE FROM access_changes WHERE changed_at < $1")
}
