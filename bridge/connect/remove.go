package connect

import (
	"context"
	"errors"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// Removal is the outcome of removing a connection.
type Removal struct {
	Connection api.Connection `json:"connection"`
	Revocation string         `json:"revocation"`      // one of the Revocation constants
	Cause      string         `json:"cause,omitempty"` // why the revocation is still pending
}

// Outcomes of revoking a removed connection's key on its server.
const (
	RevocationDelivered = "delivered" // the server has revoked the key
	RevocationPending   = "pending"   // the cloud keeps trying
	RevocationNone      = "none"      // there was no key of an ace server
)

// Removing are the options of [Remove].
type Removing struct {
	KeyID  string            // remove only while the connection has this key; empty: any key
	Client api.ClientConfig  // how to call the server
	Note   func(line string) // as [Config.Note]
}

// Remove deletes a connection and has its key revoked on the server.
//
// If the cloud cannot reach the server, this machine delivers the revocation and tells the cloud, which otherwise keeps
// trying. If connection.Revision is set and the connection has changed since, Remove fails with
// [bridge.CodeConnectionMoved] and deletes nothing.
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
	// Deliver to the server as it was listed before: that is the one the caller chose.
	server := apiclient.NewServer(connection.ServerURL, bridge.Secret{}, o.Client)
	_, err = server.DeliverRevocation(ctx, due.KeyID, due.Token.Secret)
	switch e := bridge.AsError(err); {
	case err == nil:
	case errors.Is(err, context.Canceled):
		return r, err
	case e.Kind == bridge.NotFound: // the key no longer exists: nothing to revoke
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
