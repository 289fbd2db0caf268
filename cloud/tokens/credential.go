package tokens

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
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
)

// Credential returns what a member calls the server with: an access token, if it is an ace server. Only the connection's owner gets a
// plain key.
func (st *Tokens) Credential(ctx context.Context, p accounts.Principal, id string) (api.Credential, error) {
	var c connections.Connection
	var key string
	var as handed
	now := st.db.Now()
	err := st.db.Tx(ctx, func(tx *sql.Tx) (err error) {
		if c, err = st.store.Find(ctx, tx, p, id); err != nil {
			return err
		}
		as.terms = connections.Terms(p, c.Bounds(p))
		key = rememberedKey(p, c, as.terms)
		if c, err = c.Use(p); err != nil {
			return err
		}
		if !c.Ace && c.OwnerID != p.UserID {
			return bridge.E(bridge.Forbidden, bridge.CodeKeyNotShown,
				"this server knows only plain API keys, and its key is shown to nobody but %s", c.Owner).
				WithHint("ask %s to connect an ace server instead", c.Owner)
		}
		if as.subject, err = c.SpeaksFor(p); err != nil {
			return err
		}
		noted := st.db.Now()
		if now = noted; c.Ace {
			if now, err = noteHanded(ctx, tx, p, c, as, noted); err != nil {
				return err
			}
		}
		return connections.NoteCredential(ctx, tx, c.ID, p.UserID, noted)
	})
	if sqldb.IsFault(err) {
		if again, ok := st.handedBefore(ctx, p, id); ok {
			return again, nil
		}
	}
	if err != nil {
		return api.Credential{}, err
	}
	credential, err := st.sign(c, speaker{as.subject, p.Role, false}, now)
	if err == nil && c.Ace {
		st.remembered.put(key, credential)
	}
	return credential, err
}

// speaker is the person or key that an access token is signed for.
type speaker struct {
	subject string
	role    bridge.Role
	probe   bool
}

// sign makes a credential for a connection's server: an access token, or the plain key of a server that knows no tokens.
func (st *Tokens) sign(c connections.Connection, of speaker, now time.Time) (api.Credential, error) {
	out := api.Credential{Type: "api_key", Header: bridge.HeaderAPIKey, ServerURL: c.Server}
	if c.Secret == "" {
		return out, bridge.E(bridge.Conflict, bridge.CodeCredentialErased, "the connection has no key: its URL was changed").
			WithHint("connect again: %s", c.ConnectAgain())
	}
	secret, err := st.store.OpenKey(c)
	if err != nil {
		return out, err
	}
	if !c.Ace {
		out.Value = secret.Disclose()
		return out, nil
	}
	key, err := connections.ParseStored(secret)
	if err != nil {
		return out, err
	}
	times := bridge.NewTimes(now, bridge.MaxAccessTokenLife)
	token, err := key.SignAccess(bridge.AccessClaims{Times: times, Subject: of.subject, Scope: c.TokenScope(), Role: of.role,
		Connection: c.ID, Number: c.Number, Probe: of.probe, Generation: c.Generation}.ForServer(c.Server))
	if err != nil {
		return out, fmt.Errorf("sign an access token: %w", err)
	}
	out.Type, out.Value, out.ExpiresAt = "access_token", token.Disclose(), schema.At(times.ExpiresAt)
	return out, nil
}

// Prober is the subject of access tokens with which the cloud itself asks how a server is.
const Prober = "cloud:probe"

// ForProbe is what the cloud itself calls a connection's server with.
func (st *Tokens) ForProbe(c connections.Connection) (api.Credential, error) {
	return st.sign(c, speaker{cmp.Or(c.KeySubject, Prober), bridge.RoleViewer, true}, st.db.Now())
}
