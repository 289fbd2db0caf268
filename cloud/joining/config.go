// Package joining makes people members: by an accepted invitation, or the first proof of their address.
//
// A member's address is always proven. An account that accepts an invitation before its address is proven waits for the proof:
//
//	invitation ──► accepted by a proven account ───────────────────────────────────► member
//	          └──► accepted by an unproven one ──► waits ──► address proven ──► member
//	                                                  └──► the invitation is used, withdrawn or over: nothing
//
// The link that was mailed to an address proves it, and so do a verification link with the password, a password reset, a
// sign-in provider and the operator. The first proof hands the account over (see [accounts.Handover]): credentials handed out
// before are void, since a stranger may have signed up with the address. The rows of invitations and members belong to
// cloud/accounts.
package joining

import (
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// Config holds everything that the store may use. Every field is required.
type Config struct {
	DB       *schema.DB
	Accounts *accounts.Store
	Sessions *accounts.Sessions
}

// Store owns acceptances that wait for a proof. Its methods are safe for concurrent use.
type Store struct {
	db       *schema.DB
	accounts *accounts.Store
	sessions *accounts.Sessions
}

// New returns the store.
func New(cfg Config) *Store {
	return &Store{db: cfg.DB, accounts: cfg.Accounts, sessions: cfg.Sessions}
}
