package connect

import (
	"context"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// RunWithKey connects a server with a key that its admin made there.
//
// If the first use fails, the connection is returned together with the error. It is kept, because removing it would revoke
// a key that the admin already had. A server that is not an ace server is registered untested.
func (f *Flow) RunWithKey(ctx context.Context, key bridge.Secret) (api.Connection, error) {
	f.patience = connectPatience
	if _, err := f.cloud.Me(ctx); err != nil {
		return api.Connection{}, err
	}
	err := f.Discover(ctx)
	isAce := err == nil
	switch {
	case isAce:
		me, err := f.server.As(key).Me(ctx)
		if err != nil {
			return api.Connection{}, f.explainKey(err)
		}
		f.keyID = me.KeyID
	case bridge.CodeOf(err) == bridge.CodeNotAce:
		f.note("%s is not an ace server, so the key is registered untested and used as it is.", f.url)
	default:
		return api.Connection{}, err
	}
	before, err := f.own(ctx)
	if err != nil {
		return api.Connection{}, err
	}
	disclosed := key.Disclose()
	connection, err := f.cloud.Register(ctx, api.RegisterRequest{ServerURL: string(f.url), Name: f.name, APIKey: &disclosed})
	if err != nil {
		return api.Connection{}, err
	}
	if !isAce {
		return connection, nil
	}
	existed := before != nil && before.ID == connection.ID
	// Checking tells the cloud whose key it is; it needs the name to sign credentials for this connection.
	if _, err := f.cloud.Check(ctx, connection.ID); err != nil {
		return connection, unusedManual(connection, existed, err)
	}
	if err := f.firstUse(ctx, connection, f.keyID); err != nil {
		return connection, unusedManual(connection, existed, err)
	}
	if now, err := f.cloud.Check(ctx, connection.ID); err == nil {
		connection = now
	}
	return connection, nil
}

// unusedManual reports that the first use failed although the connection exists.
func unusedManual(connection api.Connection, existed bool, cause error) error {
	verb := "registered"
	if existed {
		verb = "kept"
	}
	e := shown(cause)
	return bridge.E(e.Kind, e.Code, "the connection %s is %s, but its first use failed: %s", connection.Name, verb, e.Detail)
}
