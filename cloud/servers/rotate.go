package servers

import (
	"context"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/upkeep"
)

const (
	rotateEvery   = probeEvery
	rotateBatch   = 32
	rotatesAtOnce = 4
	// rotateGrace is how long the old secret shall remain valid: as long as the server allows, and never beyond that secret's own
	// end. Until then a rotation whose answer was lost can be repeated, and tokens that members already have keep working.
	rotateGrace = "30d"
)

// RotateKeys renews the keys of connections that are about to expire, a bounded number at a time.
func (sv *Servers) RotateKeys(ctx context.Context) error {
	due, err := sv.upkeep.DueRotations(ctx, rotateBatch)
	if err != nil {
		return err
	}
	return atOnce(rotatesAtOnce, due, func(d upkeep.DueRotation) error {
		if err := sv.rotateKey(ctx, d); ctx.Err() == nil {
			return err
		}
		return nil
	})
}

// rotateKey makes one attempt. A crash at any point leaves the old secret in use and a rotation to be resumed; the server then
// answers with the same secret again.
func (sv *Servers) rotateKey(ctx context.Context, due upkeep.DueRotation) error {
	t, taken, err := sv.upkeep.BeginRotation(ctx, due)
	if err != nil || !taken {
		return err
	}
	key, life, err := sv.renew(ctx, t)
	switch {
	case ctx.Err() != nil:
		return nil // an interrupted attempt says nothing
	case err != nil:
		return sv.upkeep.RotationFailed(ctx, t, err)
	}
	return sv.upkeep.FinishRotation(ctx, t, key, life)
}

// renew has the server rotate the key, and tests the new secret the way it will be used: with an access token signed by it.
// All it believes of the server's answer is when the key expires.
func (sv *Servers) renew(ctx context.Context, t upkeep.Rotation) (bridge.Key, connections.KeyLife, error) {
	if t.Err != nil {
		return bridge.Key{}, connections.KeyLife{}, t.Err
	}
	client := apiclient.NewServer(t.Server, t.Key.Text(), api.ClientConfig{UserAgent: "ace-cloud/" + sv.cfg.Version,
		Transport: sv.way(t.Connection, t.Server), Timeout: outbound.Timeout, MaxAnswer: maxProbeAnswer})
	id := t.Key.ID.String()
	answer, err := client.RotateKey(ctx, id, t.Idempotency, api.RotateKeyRequest{Grace: rotateGrace})
	if err != nil {
		return bridge.Key{}, connections.KeyLife{}, rotateError(err, t.Server)
	}
	key, err := bridge.ParseKey(answer.Key.Secret)
	if err != nil || key.ID != t.Key.ID || key.Kind != t.Key.Kind || key.Text().Equal(t.Key.Text()) {
		return bridge.Key{}, connections.KeyLife{}, bridge.E(bridge.Invalid, bridge.CodeRotationAnswer,
			"the server answered with something other than a new secret for the key")
	}
	token, err := t.TestToken(key, sv.cfg.Now())
	if err != nil {
		return bridge.Key{}, connections.KeyLife{}, err
	}
	me, err := client.As(token).Me(ctx)
	switch {
	case bridge.AsError(err).Kind == bridge.Unauthenticated:
		err = bridge.E(bridge.Invalid, bridge.CodeRotationTest,
			"the server does not accept the new secret that it gave out").Because(err)
	case err != nil:
		err = rotateError(err, t.Server)
	case me.KeyID != id:
		err = bridge.E(bridge.Invalid, bridge.CodeRotationTest, "the server takes the new secret for another key's")
	}
	return key, keyLife(me), err
}

// rotateError says in our own words why a server did not rotate a key.
func rotateError(err error, server bridge.ServerURL) error {
	e := bridge.AsError(err)
	switch e.Kind {
	case bridge.Unreachable:
		return bridge.E(e.Kind, bridge.CodeServerUnreachable, "%s", unreachable(err, server).Cause).Because(err)
	case bridge.Unauthenticated:
		return bridge.E(e.Kind, bridge.CodeKeyRefused, "the server does not accept the key any more").Because(err)
	case bridge.Internal, bridge.Unavailable, bridge.TooMany, bridge.Timeout:
		return bridge.E(e.Kind, bridge.CodeServerFailed, "the server answers with an error").Because(err)
	}
	switch e.Code {
	case bridge.CodeKeyOfConnection, bridge.CodeScopeMissing:
		return bridge.E(e.Kind, bridge.CodeRotationUnknown,
			"the server is of a version that does not let a connection renew its key").Because(err).
			WithHint("update the server, or connect again: %s", bridge.ConnectAgain(server))
	case bridge.CodeMinterRotated, bridge.CodeRotationPending:
		return bridge.E(e.Kind, bridge.CodeRotationOvertaken,
			"the key has been given another secret, which is not known here").Because(err)
	case bridge.CodeRedirected:
		return bridge.E(e.Kind, bridge.CodeServerMoved, "the server answers with a redirect, which is not followed").Because(err).
			WithHint("give the connection the URL of the server itself: ace connect --server URL")
	}
	return bridge.E(e.Kind, bridge.CodeRotationAnswer,
		"the server answered with something other than a new secret for the key").Because(err)
}
