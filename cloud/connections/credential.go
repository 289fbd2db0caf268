package connections

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// errCannotActAs says that only its owner can use a connection.
func (c Connection) errCannotActAs() error {
	return bridge.E(bridge.Forbidden, bridge.CodeKeyCannotActAs,
		"the connection's key speaks for its own subject alone, so only %s can use the connection", c.owner).
		WithHint("on the server: ace api-key create --for-connection; then: ace connect --server %s --api-key -", c.server)
}

// speaksFor is the subject of a principal's access tokens: the principal if the key may act as others, else the key's own
// subject. Until the server has been reached this is not known, and the server decides.
func (c Connection) speaksFor(p accounts.Principal) (string, error) {
	switch {
	case c.actAs:
		return p.Email, nil
	case c.ownerID != p.UserID:
		return "", c.errCannotActAs()
	}
	return cmp.Or(c.keySubject, p.Email), nil
}

// Credential is what a member calls the server with: a derived access token for an ace server. A plain key is given only
// to the owner of the connection.
func (st *Tokens) Credential(ctx context.Context, p accounts.Principal, id string) (api.Credential, error) {
	var c Connection
	var key string
	now := st.db.Now()
	err := st.db.Tx(ctx, func(tx *sql.Tx) (err error) {
		if c, err = st.store.Find(ctx, tx, p, id); err != nil {
			return err
		}
		allowed := c.bounds(p)
		key = rememberedKey(p, c, allowed)
		if c, err = c.use(p); err != nil {
			return err
		}
		if !c.ace && c.ownerID != p.UserID {
			return bridge.E(bridge.Forbidden, bridge.CodeKeyNotShown,
				"this server knows only plain API keys, and its key is shown to nobody but %s", c.owner).
				WithHint("ask %s to connect an ace server instead", c.owner)
		}
		now, err = st.noteCredential(ctx, tx, p, c, allowed, st.db.Now())
		return err
	})
	if sqldb.IsFault(err) {
		if again, ok := st.handedBefore(ctx, p, id); ok {
			return again, nil
		}
	}
	if err != nil {
		return api.Credential{}, err
	}
	subject, err := c.speaksFor(p)
	if err != nil {
		return api.Credential{}, err
	}
	credential, err := st.store.credential(c, speaker{subject, p.Role, false}, now)
	if err == nil && c.ace {
		st.remembered.put(key, credential)
	}
	return credential, err
}

// tokenScope is the scope of a connection's access tokens, as bounded by [connection.use].
func (c Connection) tokenScope() string { return cmp.Or(c.ceiling, "*") }

// speaker is the person or key that an access token is signed for.
type speaker struct {
	subject string
	role    bridge.Role
	probe   bool
}

func (st *Store) credential(c Connection, of speaker, now time.Time) (api.Credential, error) {
	out := api.Credential{Type: "api_key", Header: bridge.HeaderAPIKey, ServerURL: c.server}
	if c.secret == "" {
		return out, bridge.E(bridge.Conflict, bridge.CodeCredentialErased, "the connection has no key: its URL was changed").
			WithHint("connect again: ace connect --server %s", c.server)
	}
	secret, err := st.openKey(c)
	if err != nil {
		return out, err
	}
	if !c.ace {
		out.Value = secret.Disclose()
		return out, nil
	}
	key, err := storedKey(secret)
	if err != nil {
		return out, err
	}
	times := bridge.NewTimes(now, bridge.MaxAccessTokenLife)
	token, err := key.SignAccess(bridge.AccessClaims{Times: times, Subject: of.subject, Scope: c.tokenScope(), Role: of.role,
		Connection: c.ID, Number: c.number, Probe: of.probe, Generation: c.generation}.ForServer(c.server))
	if err != nil {
		return out, fmt.Errorf("sign an access token: %w", err)
	}
	out.Type, out.Value, out.ExpiresAt = "access_token", token.Disclose(), schema.At(times.ExpiresAt)
	return out, nil
}

// aceKey decrypts the key of a connection to an ace server.
func (st *Store) aceKey(c Connection) (bridge.Key, error) {
	secret, err := st.openKey(c)
	if err != nil {
		return bridge.Key{}, err
	}
	return storedKey(secret)
}

// openKey decrypts a connection's key, or says what to do if it cannot: give the connection another key.
func (st *Store) openKey(c Connection) (bridge.Secret, error) {
	secret, err := st.vault.Open(c.row(), c.secret)
	if err != nil && bridge.CodeOf(err) == bridge.CodeRowUnreadable {
		return secret, bridge.E(bridge.Conflict, bridge.CodeRowUnreadable,
			"the stored key of the connection cannot be decrypted any more").
			WithHint("connect again: %s", reconnect(c.server)).Because(err)
	}
	return secret, err
}

func storedKey(secret bridge.Secret) (bridge.Key, error) {
	key, err := bridge.ParseKey(secret)
	if err != nil {
		return bridge.Key{}, bridge.E(bridge.Internal, bridge.CodeRowUnreadable, "the stored key is damaged").Because(err)
	}
	return key, nil
}
