package connect

import (
	"context"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// useFound uses a connection that another connect registered, which also confirms its key.
func (f *Flow) useFound(ctx context.Context, connection api.Connection) (api.Connection, error) {
	var credential api.Credential
	err := f.patiently(ctx, nil, func() (err error) {
		credential, err = f.cloud.KeepCredential(ctx, connection.ID)
		return err
	})
	if err == nil {
		_, err = f.call(ctx, credential)
	}
	if err != nil {
		return connection, err
	}
	return f.checked(ctx, connection), nil
}

// checked returns the connection as the cloud sees it after its first use.
func (f *Flow) checked(ctx context.Context, connection api.Connection) api.Connection {
	if now, err := f.cloud.Check(ctx, connection.ID); err == nil {
		return now
	}
	connection.Revision = ""
	return connection
}

// confirm uses the new key for the first time, with the kind of credential that the dashboard uses: that proves the whole
// path and keeps the key alive. If it fails, confirm removes what this connect registered. It leaves a connection that has
// got another connect's key, or that another connect is using.
func (f *Flow) confirm(ctx context.Context, connection api.Connection) (api.Connection, error) {
	err := f.firstUse(ctx, connection, f.keyID)
	if err == nil {
		return f.checked(ctx, connection), nil
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout) // also after an interrupt
	defer cancel()
	if now, nowErr := f.cloud.Connection(after, connection.ID); nowErr == nil && now.KeyID != f.keyID {
		if now, useErr := f.useFound(ctx, now); useErr == nil {
			return now, nil
		}
		f.note("The connection %s is kept: another connect has given it another key.", bridge.Printable(connection.Name))
		return connection, err
	}
	if connection.Revision == "" {
		f.note("The connection %s is kept, with a key that dies unused within %s; `ace connect` again completes it.",
			bridge.Printable(connection.Name), bridge.UnconfirmedLife)
		return connection, err
	}
	_, cleanErr := Remove(after, f.cloud, connection, Removing{KeyID: f.keyID, Client: f.client, Note: f.told})
	switch {
	case cleanErr == nil:
		f.note("The connection was removed again.")
	case bridge.CodeOf(cleanErr) == bridge.CodeConnectionMoved:
		f.note("The connection %s is kept: another connect uses it.", bridge.Printable(connection.Name))
	default:
		f.note("The connection %s could not be removed again (%s); its key dies unused within %s.",
			bridge.Printable(connection.Name), shown(cleanErr).Detail, bridge.UnconfirmedLife)
	}
	return connection, err
}

// firstUse calls the server with the connection's credential. If keyID is not empty, the server must have seen that key.
func (f *Flow) firstUse(ctx context.Context, connection api.Connection, keyID string) error {
	var credential api.Credential
	err := f.patiently(ctx, nil, func() (err error) {
		credential, err = f.cloud.Credential(ctx, connection.ID)
		return err
	})
	if err != nil {
		return err
	}
	usedID, err := f.call(ctx, credential)
	if err == nil && keyID != "" && usedID != keyID {
		return refused(bridge.CodeKeyOther, "the server at %s accepted a different key from the one it issued", f.url).
			WithHint("check that its URL leads to one server with one database, and connect again")
	}
	return err
}

// call asks the server who the credential belongs to and returns the ID of the key that it saw.
func (f *Flow) call(ctx context.Context, credential api.Credential) (string, error) {
	var me api.Identity
	err := f.patiently(ctx, nil, func() (err error) {
		me, err = f.server.MeWith(ctx, credential)
		return err
	})
	if err != nil && bridge.AsError(err).Kind == bridge.Unauthenticated {
		return "", refused(bridge.CodeKeyRefused, "the server at %s does not accept the key that it issued: %s", f.url,
			shown(err).Detail).
			WithHint("check that its URL leads to one server with one database, and connect again")
	}
	return me.KeyID, err
}

// Already returns the caller's own connection to this server if it works, or nil.
func (f *Flow) Already(ctx context.Context) *api.Connection {
	connections, err := f.cloud.Connections(ctx)
	if err != nil {
		return nil
	}
	for _, connection := range connections {
		if connection.Mine && connection.ServerURL.Same(f.url) && f.firstUse(ctx, connection, "") == nil {
			return &connection
		}
	}
	return nil
}
