package connect

import (
	"context"
	"errors"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// Removal is what became of a connection and its key.
type Removal struct {
	Connection api.Connection `json:"connection"`
	Revocation string         `json:"revocation"` // delivered, pending, or none where there was no key of an ace server
	Cause      string         `json:"cause,omitempty"`
}

// What became of the revocation of a removed connection's key.
const (
	RevocationDelivered = "delivered"
	RevocationPending   = "pending"
	RevocationNone      = "none"
)

// Removing is what a removal may be told.
type Removing struct {
	KeyID  string            // remove only while the connection has this key; empty: whichever it has
	Client api.ClientConfig  // how the server is called
	Note   func(line string) // as [Config.Note]
}

// Remove deletes a connection. Where the cloud could not reach the server, this machine may: it delivers the revocation
// itself and tells the cloud, which would otherwise go on trying. The connection's revision, where there is one, has to be the
// cloud's still.
func Remove(ctx context.Context, cloud *apiclient.Cloud, connection api.Connection, o Removing) (Removal, error) {
	removed, err := cloud.DeleteIf(ctx, connection.ID, o.KeyID, connection.Revision)
	if err != nil {
		return Removal{}, err
	}
	r := Removal{Connection: removed.Connection, Revocation: RevocationNone}
	due := removed.Revocation
	if due == nil {
		return r, nil
	}
	r.Revocation, r.Cause = due.Status, due.Cause
	if due.Status == RevocationDelivered || due.Token == nil {
		return r, nil
	}
	// To the server of the connection as it was listed, which is the one that the person chose.
	server := apiclient.NewServer(connection.ServerURL, bridge.Secret{}, o.Client)
	_, err = server.DeliverRevocation(ctx, due.KeyID, due.Token.Secret)
	switch e := bridge.AsError(err); {
	case err == nil:
	case errors.Is(err, context.Canceled):
		return r, err
	case e.Kind == bridge.NotFound: // the key is not there (any more): nothing is left to revoke
	default:
		r.Cause = shown(err).Detail
		return r, nil
	}
	r.Revocation, r.Cause = RevocationDelivered, ""
	if err := cloud.RevocationDelivered(ctx, due.ID); err != nil {
		if o.Note != nil {
			o.Note(fmt.Sprintf("The key is revoked, but the cloud could not be told (%s); it will find out.", shown(err).Detail))
		}
	}
	return r, nil
}
