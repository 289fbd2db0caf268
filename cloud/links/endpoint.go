package links

import (
	"context"
	"crypto/ed25519"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/cloud/presence"
)

const maxKeyBody = 1 << 10 // bytes

// asked is what a request's proof names, for the handler that verifies it.
type asked struct{ keyID, connection string }

type askedKey struct{}

// begin counts a request against its address, before it costs anything else.
func (ls *Links) begin(ctx echo.Context) (*http.Request, *asked, error) {
	if err := ls.limit.Allow(bridge.AddressKey(ctx.RealIP())); err != nil {
		return nil, nil, err
	}
	r, by := ctx.Request(), &asked{}
	return r.WithContext(context.WithValue(r.Context(), askedKey{}, by)), by, nil
}

// lookup is [Config.Lookup]; it notes what was asked for.
func (ls *Links) lookup(ctx context.Context, keyID string) (string, []ed25519.PublicKey, error) {
	connection, keys, err := ls.cfg.Lookup(ctx, keyID)
	if by, ok := ctx.Value(askedKey{}).(*asked); ok && err == nil {
		by.keyID, by.connection = keyID, connection
	}
	return connection, keys, err
}

// refused adds the revocation of the API key to a refusal whose reason is that the connection is gone.
func (ls *Links) refused(ctx echo.Context, by *asked, err error) error {
	if bridge.CodeOf(err) != bridge.CodeLinkRefused || by.connection != "" {
		return err
	}
	token, failed := ls.cfg.Revocation(ctx.Request().Context(), by.keyID)
	if failed != nil {
		ls.log.Warn("whether the key of a refused link is revoked cannot be looked up", "error", failed)
	} else if !token.IsZero() {
		ctx.Response().Header().Set(api.HeaderStatement, token.Reveal())
	}
	return err
}

// actor is where a request comes from; the store says who acts.
func actor(ctx echo.Context) audit.Actor {
	r := ctx.Request()
	return audit.Actor{Address: ctx.RealIP(), RequestID: api.RequestID(r), UserAgent: r.UserAgent()}
}

// errAnother refuses a link where another replica holds some and the two cannot reach each other.
var errAnother = &bridge.Error{Kind: bridge.Unavailable, Code: bridge.CodeInternalURL,
	Detail: "another replica of the cloud holds links, and the two cannot reach each other",
	Hint:   "set ACE_INTERNAL_ADDR and ACE_INTERNAL_URL for each replica of the cloud", RetryAfter: presence.RenewEvery}

// open handles GET /v1/link.
func (ls *Links) open(ctx echo.Context) error {
	r, by, err := ls.begin(ctx)
	if err != nil {
		return err
	}
	if r.Header.Get("Authorization") != "" && ls.others.Load() > 0 {
		switch stranger, err := ls.cfg.Presence.Stranger(r.Context()); {
		case err != nil:
			return err
		case stranger != "":
			return errAnother
		}
	}
	return ls.refused(ctx, by, ls.acceptor.Accept(ctx.Response(), r))
}

// leave handles DELETE /v1/link.
func (ls *Links) leave(ctx echo.Context) error {
	r, by, err := ls.begin(ctx)
	if err != nil {
		return err
	}
	connection, err := ls.acceptor.Verify(ctx.Response(), r, tunnel.Leave, nil)
	if err != nil {
		return ls.refused(ctx, by, err)
	}
	if err := ls.cfg.Leave(r.Context(), connection, actor(ctx)); err != nil {
		return err
	}
	ls.Cut(connection)
	return ctx.NoContent(http.StatusNoContent)
}

// rotate handles POST /v1/link/keys.
func (ls *Links) rotate(ctx echo.Context) error {
	r, by, err := ls.begin(ctx)
	if err != nil {
		return err
	}
	body, err := api.ReadBody(ctx.Response(), r, maxKeyBody)
	if err != nil {
		return err
	}
	connection, err := ls.acceptor.Verify(ctx.Response(), r, tunnel.Rotate, body)
	if err != nil {
		return ls.refused(ctx, by, err)
	}
	var wish api.LinkKey
	if err := bridge.DecodeClosed(body, &wish); err != nil {
		return bridge.E(bridge.Invalid, bridge.CodeBodyMalformed, "the body is not what is expected here: %s", err)
	}
	key, err := bridge.ParseLinkKey(wish.LinkKey)
	if err != nil {
		return err
	}
	if err := ls.cfg.Rotate(r.Context(), connection, key, actor(ctx)); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}
