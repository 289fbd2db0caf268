// Package vault seals the secrets in the cloud's rows, and knows which keys the database needs.
//
// Each ciphertext is bound to its row: the key that seals it is derived by HKDF-SHA256 (RFC 5869) from an encryption key and the
// row's identity, so a ciphertext that is copied to another row does not open. It names its encryption key by an ID.
//
//	ACE_DATABASE_ENCRYPTION_KEY = first, others…   the first key seals, all of them open
//
//	key:  used by rows ──► no longer first ──► every row re-encrypted (rotate) ──► may be removed
//	                 └──► missing: the cloud does not start ──► put back, or accepted as lost by the operator
//
// A [Vault] seals and opens; it has no state. A [Keeper] checks the keys against the rows, re-encrypts rows with the first key,
// and refuses a signing key under a number that another key had.
package vault

import (
	"log/slog"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/schema"
)

// Keeper checks which encryption and signing keys the database needs. It is safe for concurrent use.
type Keeper struct {
	db    *schema.DB
	vault *Vault
	root  bridge.SigningRoot
	log   *slog.Logger
}

// NewKeeper returns a keeper for the keys of a vault and a signing root.
func NewKeeper(db *schema.DB, vault *Vault, root bridge.SigningRoot, log *slog.Logger) *Keeper {
	return &Keeper{db: db, vault: vault, root: root, log: log}
}
