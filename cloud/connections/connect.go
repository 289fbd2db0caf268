package connections

import (
	"context"
	"database/sql"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
)

// ConnectClaims returns the claims of a connect token, with which a member connects a server; the caller signs them.
func (st *Store) ConnectClaims(ctx context.Context, p accounts.Principal, server bridge.ServerURL) (bridge.ConnectClaims, error) {
	if err := p.RequireScope("connection:create"); err != nil {
		return bridge.ConnectClaims{}, err
	}
	if server.LinkOnly() {
		return bridge.ConnectClaims{}, errLinkURL
	}
	var old Connection
	err := st.db.Tx(ctx, func(tx *sql.Tx) (err error) {
		old, err = ownConnection(ctx, tx, p, server)
		return err
	})
	if err != nil {
		return bridge.ConnectClaims{}, err
	}
	return connectClaims(st, p, server, old.KeyID)
}

// connectClaims returns the claims of a connect token for an owner, whose connection to the server has the key that the new one replaces.
func connectClaims(st *Store, p accounts.Principal, server bridge.ServerURL, replaces string) (bridge.ConnectClaims, error) {
	jti := bridge.NewTokenID()
	sealing, err := st.root.SealingKey(jti)
	if err != nil {
		return bridge.ConnectClaims{}, err
	}
	return bridge.ConnectClaims{
		Replaces: replaces, Times: bridge.NewTimes(st.db.Now(), bridge.MaxConnectTokenLife), Issuer: st.issuer, Org: p.Org,
		Subject: p.UserID, Email: p.Email, Role: p.Role, Scope: "*", KeyLife: int64(bridge.DefaultKeyLife / time.Second),
		JTI: jti, Sealing: sealing,
	}.ForServer(server), nil
}

// maxTrusted bounds the key IDs that a server may say it trusts.
const maxTrusted = 16

// SignConnect signs a connect token with a key that its server trusts, and returns the ID of the key. trusted are the IDs of the
// keys that the server trusts; see [bridge.SigningRoot.ConnectKey].
func SignConnect(root bridge.SigningRoot, claims bridge.ConnectClaims, trusted []string) (token bridge.Secret, kid string, err error) {
	if len(trusted) > maxTrusted {
		return token, "", bridge.E(bridge.Invalid, bridge.CodeInvalidRequest, "too many key IDs")
	}
	key, ok := root.ConnectKey(claims.Issuer, claims.Org, trusted)
	if !ok {
		return token, "", bridge.E(bridge.Invalid, bridge.CodeInvalidTarget,
			"the server trusts other keys than those of this cloud for the organization %q", claims.Org).
			WithHint("give the server the values that `ace org trust` prints, and restart it")
	}
	token, err = key.SignConnect(claims)
	return token, key.KeyID, err
}
