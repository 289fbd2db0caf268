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
