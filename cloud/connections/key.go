package connections

import (
	"cmp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
)

// errCannotActAs says that only its owner can use a connection.
func (c Connection) errCannotActAs() error {
	return bridge.E(bridge.Forbidden, bridge.CodeKeyCannotActAs,
		"the connection's key speaks for its own subject alone, so only %s can use the connection", c.Owner).
		WithHint("on the server: ace api-key create --for-connection; then: ace connect --server %s --api-key -", c.Server)
}

// SpeaksFor is the subject of a principal's access tokens: the principal if the key may act as others, else the key's own
// subject. Until the server has been reached this is not known, and the server decides.
func (c Connection) SpeaksFor(p accounts.Principal) (string, error) {
	switch {
	case c.ActAs:
		return p.Email, nil
	case c.OwnerID != p.UserID:
		return "", c.errCannotActAs()
	}
	return cmp.Or(c.KeySubject, p.Email), nil
}

// TokenScope is the scope of a connection's access tokens, as bounded by [Connection.Use].
func (c Connection) TokenScope() string { return cmp.Or(c.ceiling, "*") }

// AceKey decrypts the key of a connection to an ace server.
func (st *Store) AceKey(c Connection) (bridge.Key, error) {
	secret, err := st.OpenKey(c)
	if err != nil {
		return bridge.Key{}, err
	}
	return ParseStored(secret)
}

// OpenKey decrypts a connection's key. If it cannot, the error says to connect again.
func (st *Store) OpenKey(c Connection) (bridge.Secret, error) {
	secret, err := st.vault.Open(c.KeyRow(), c.Secret)
	if err != nil && bridge.CodeOf(err) == bridge.CodeRowUnreadable {
		return secret, bridge.E(bridge.Conflict, bridge.CodeRowUnreadable,
			"the stored key of the connection cannot be decrypted any more").
			WithHint("connect again: %s", c.ConnectAgain()).Because(err)
	}
	return secret, err
}

// ParseStored reads the key of an ace server from an opened secret.
func ParseStored(secret bridge.Secret) (bridge.Key, error) {
	key, err := bridge.ParseKey(secret)
	if err != nil {
		return bridge.Key{}, bridge.E(bridge.Internal, bridge.CodeRowUnreadable, "the stored key is damaged").Because(err)
	}
	return key, nil
}
