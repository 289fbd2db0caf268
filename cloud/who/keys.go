package who

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/cloud/accounts"
)

// keyPrincipal verifies an API key of this cloud and returns who it stands for. Tokens derived from a key are for servers and are
// not accepted here.
func (w *Finder) keyPrincipal(ctx echo.Context, presented bridge.Presented) (accounts.Principal, error) {
	id, err := w.UseKey(ctx, presented)
	if err != nil {
		return accounts.Principal{}, err
	}
	return w.KeyHolder(ctx.Request().Context(), id)
}

// UseKey verifies an API key of this cloud and counts its use.
func (w *Finder) UseKey(ctx echo.Context, presented bridge.Presented) (bridge.Identity, error) {
	r := ctx.Request()
	id, err := w.keys.Verify(r.Context(), presented, bridge.Use{Address: ctx.RealIP(), UserAgent: r.UserAgent()})
	if err == nil {
		err = w.keys.Spend(r.Context(), id)
	}
	if err != nil {
		return bridge.Identity{}, toHolder(err)
	}
	guard.WarnOfExpiry(ctx.Response().Header(), id, w.cfg.Now())
	return id, nil
}

// KeyHolder returns who a verified key stands for.
func (w *Finder) KeyHolder(ctx context.Context, id bridge.Identity) (accounts.Principal, error) {
	record, err := w.keys.Get(ctx, keys.View{Org: id.Org}, id.KeyID)
	if err != nil {
		return accounts.Principal{}, err
	}
	if !record.EndedAt.IsZero() { // ended by an operator's command, of which this process has not heard yet
		w.keys.TakeIn(ctx, id.KeyID)
		return accounts.Principal{}, errToken
	}
	facts := accounts.KeyFacts{Name: record.Name, Owner: record.Owner}
	for parent := record.Lineage.Parent; parent != uuid.Nil; {
		above, err := w.keys.Get(ctx, keys.View{Org: id.Org}, parent)
		if err != nil {
			return accounts.Principal{}, err
		}
		facts.Parents, parent = append(facts.Parents, parent), above.Lineage.Parent
	}
	return w.accounts.KeyPrincipal(ctx, id, facts)
}

// toHolder tells someone who has shown a key's secret why it is refused: that it has ended is only found out after the secret
// turned out to be right. Anyone without the secret learns nothing about the key.
func toHolder(err error) error {
	cause, ok := errors.AsType[*bridge.Error](bridge.AsError(err).Err)
	if !ok {
		return err
	}
	switch cause.Code {
	case "key_" + record.StatusExpired, "key_" + record.StatusRevoked, "key_" + record.StatusDisabled, "key_" + record.StatusUsedUp,
		bridge.CodeKeyRotated:
		return bridge.E(bridge.Unauthenticated, cause.Code, "%s", cause.Detail).
			WithHint("see it with who may: ace api-key list --cloud")
	}
	return err
}

// By returns a principal as the one who asks for a change of keys.
func (w *Finder) By(ctx echo.Context, p accounts.Principal) keys.By {
	return keys.By{Actor: Actor(ctx, p), Who: p.Identity(), Bind: accounts.BindToken(p)}
}

// KeyID returns the ID of the key that the principal is, or "".
func KeyID(p accounts.Principal) string {
	if id := p.Identity().KeyID; id != uuid.Nil {
		return id.String()
	}
	return ""
}
