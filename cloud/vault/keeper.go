// Package vault seals the secrets in the cloud's rows, each bound to the row that it is in.
//
// A row's key is derived by HKDF from an encryption key and the row's identity, so that a ciphertext moved to another row does
// not open. A ciphertext names its encryption key by an ID:
//
//	keys of ACE_DATABASE_ENCRYPTION_KEY:  first (seals, opens) · others (open only)
//	a row whose key is missing: the cloud refuses to start, until the key is back or an operator accepts the loss
//
// The Keeper knows which keys the rows need, and encrypts them anew with the first.
package vault

import (
	"log/slog"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/schema"
)

// Keeper knows which encryption and signing keys the database needs.
type Keeper struct {
	db    *schema.DB
	vault *Vault
	root  bridge.SigningRoot
	log   *slog.Logger
}

// NewKeeper returns the keeper of the keys that a cloud was given.
func NewKeeper(db *schema.DB, vault *Vault, root bridge.SigningRoot, log *slog.Logger) *Keeper {
	return &Keeper{db: db, vault: vault, root: root, log: log}
}
