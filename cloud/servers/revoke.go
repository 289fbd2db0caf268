package servers

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/upkeep"
	"github.com/acebridge/ace/cloud/who"
)

const (
	deliverEvery    = probeEvery
	deliverBatch    = 32
	deliveredAtOnce = 8 // more than a batch has of one organization
)

// Disconnect removes a connection and tries to have its key revoked at once.
//
// If that fails, the cloud stores the revocation and keeps trying. It also returns it to the caller, who may be able to reach the
// server. was is what the connection must still be; see [connections.AsItWas].
func (sv *Servers) Disconnect(ctx echo.Context, p accounts.Principal, id string, was connections.AsItWas) (api.Removed, error) {
	who := who.Actor(ctx, p)
	sv.links.Linked(ctx.Request().Context(), id) // remembers which replica holds the link, for a moment: the row of that goes with the connection
	removed, err := sv.connections.DeleteIf(ctx.Request().Context(), p.As(who), id, was)
	sv.forgetTarget(id)
	if err == nil {
		defer sv.links.Cut(id) // after the delivery
	}
	if err != nil || removed.Revocation == nil || removed.Revocation.Token == nil {
		return removed, err
	}
	// The connection is gone whatever happens next, so the delivery goes on even if the caller hangs up.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx.Request().Context()), outbound.Timeout)
	defer cancel()
	due := removed.Revocation
	if err := sv.deliver(bounded, at{id, due.ServerURL}, due.KeyID, due.Token.Secret); err != nil {
		due.Cause = whyUndelivered(err, due.ServerURL)
		return removed, nil
	}
	due.Status, due.Token = "delivered", nil
	return removed, sv.upkeep.RevocationDelivered(bounded, due.ID, who)
}

var errRefused = errors.New("the server did not accept the statement")

// at is the server of a connection, and the connection whose link leads there; empty: none.
type at struct {
	connection string
	server     bridge.ServerURL
}

// deliver sends a server the signed revocation of a key.
func (sv *Servers) deliver(ctx context.Context, server at, keyID string, token bridge.Secret) error {
	return sv.deliverTo(ctx, server, "/ace/v1/api-keys/"+keyID, token)
}

// deliverTo sends a server a statement signed by a key. A server that does not know the key has nothing to do.
func (sv *Servers) deliverTo(ctx context.Context, to at, path string, token bridge.Secret) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, to.server.Join(path), nil)
	if err != nil {
		return err
	}
	req.Header.Set(bridge.HeaderAuthorization, "Bearer "+token.Reveal())
	req.Header.Set("User-Agent", "ace-cloud/"+sv.cfg.Version)
	resp, err := sv.client(to.connection, to.server).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	code := bridge.CodeOf(api.ReadProblem(resp))
	switch {
	case code == bridge.CodeKeyUnknown:
		return nil
	case code != "" && bridge.PlainText(string(code), 64):
		return fmt.Errorf("%w (%s)", errRefused, code)
	}
	return errRefused
}

// whyUndelivered says why a statement was not delivered.
func whyUndelivered(err error, server bridge.ServerURL) string {
	if errors.Is(err, errRefused) {
		return err.Error()
	}
	return unreachable(err, server).Cause
}

// DeliverRevocations delivers all revocations that are due, a bounded number at a time.
//
// One that fails is put off.
func (sv *Servers) DeliverRevocations(ctx context.Context) error {
	for {
		due, err := sv.upkeep.DueRevocations(ctx, deliverBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		err = atOnce(deliveredAtOnce, due, func(v upkeep.Revocation) error { return sv.deliverRevocation(ctx, v) })
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// deliverRevocation delivers one stored revocation and records the outcome.
func (sv *Servers) deliverRevocation(ctx context.Context, v upkeep.Revocation) error {
	if v.Err != nil {
		return sv.upkeep.RevocationFailed(ctx, v, bridge.AsError(v.Err).Detail)
	}
	err := sv.deliver(ctx, at{v.Connection, v.Server}, v.KeyID, v.Token)
	switch {
	case ctx.Err() != nil:
		return nil // an interrupted delivery says nothing
	case err != nil:
		return sv.upkeep.RevocationFailed(ctx, v, whyUndelivered(err, v.Server))
	}
	return sv.upkeep.RevocationDelivered(ctx, v.ID, audit.Actor{ID: "system"})
}
