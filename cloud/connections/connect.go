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
	jti := bridge.NewTokenID()
	sealing, err := st.root.SealingKey(jti)
	if err != nil {
		return bridge.ConnectClaims{}, err
	}
	var old Connection
	err = st.db.Tx(ctx, func(tx *sql.Tx) (err error) {
		old, err = ownConnection(ctx, tx, p, server)
		return err
	})
	if err != nil {
		return bridge.ConnectClaims{}, err
	}
	return bridge.ConnectClaims{
		Replaces: old.KeyID, Times: bridge.NewTimes(st.db.Now(), bridge.MaxConnectTokenLife), Issuer: st.issuer, Org: p.Org,
		Subject: p.UserID, Email: p.Email, Role: p.Role, Scope: "*", KeyLife: int64(bridge.DefaultKeyLife / time.Second),
		JTI: jti, Sealing: sealing,
	}.ForServer(server), nil
}
