// Package keyhttp is the HTTP API of a key authority, the same on a server and on a cloud.
//
// It creates, lists, shows, revives, rotates, disables, enables and revokes keys, and previews what revoking one would end. Each
// handler asks [Handlers.Authorize] who calls and whether they have the scope it needs, decodes the body strictly, and leaves
// the rules to bridge/keys. Secrets appear only in answers to create, revive and rotate, which are marked no-store.
package keyhttp

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
)

// Handlers answers requests about the keys of one authority.
type Handlers struct {
	// Keys is the authority; required.
	Keys *keys.Authority
	// Authorize identifies the caller and refuses one who lacks the needed scope; required.
	Authorize func(c echo.Context, need Need) (keys.By, error)
	// Ends adds to out what else would end if the keys were revoked; may be nil.
	Ends func(c echo.Context, ending []record.Record, out *api.Ends) error
}

// Need returns the scope that an identity needs; empty: none.
type Need func(bridge.Identity) bridge.Scope

func scope(need bridge.Scope) Need { return func(bridge.Identity) bridge.Scope { return need } }

// Routes adds the endpoints below a path, except revoking, which may take more than a scope; see [Handlers.Revoke].
func (h Handlers) Routes(e *echo.Echo, path string) {
	e.POST(path, h.create)
	e.GET(path, h.list)
	e.GET(path+"/:id", h.get)
	e.GET(path+"/:id/ends", h.ends)
	e.POST(path+"/:id/revive", h.revive)
	e.POST(path+"/:id/rotate", h.rotate)
	e.POST(path+"/:id/disable", h.disable)
	e.POST(path+"/:id/enable", h.enable)
}

// ParentUnknown is the value of the parameter parent that lists living keys whose parent is not known.
const ParentUnknown = "unknown"

// Wish converts a request for a new key.
func Wish(body api.CreateKeyRequest) keys.Wish {
	return keys.Wish{
		Kind: bridge.KeyKind(body.Kind), Name: body.Name, Description: body.Description, Preset: body.Preset,
		Scopes: body.Scopes, ExpiresIn: body.ExpiresIn, AllowFrom: body.AllowFrom, Rate: body.Rate, MaxUses: body.MaxUses,
		Lineage: body.Lineage,
	}
}

func (h Handlers) create(c echo.Context) error {
	by, err := h.Authorize(c, scope("key:create"))
	if err != nil {
		return err
	}
	body, err := api.Decode[api.CreateKeyRequest](c)
	if err != nil {
		return err
	}
	key, record, err := h.Keys.Mint(c.Request().Context(), by, Wish(body))
	if err != nil {
		return err
	}
	return h.created(c, http.StatusCreated, key, record)
}

// created answers with a key and its secret, which is shown only once.
func (h Handlers) created(c echo.Context, status int, key bridge.Key, record record.Record) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(status, api.CreatedKey{Key: key.Text().Disclose(), APIKey: h.Keys.API(record)})
}

// list answers with a page of the keys that the caller can see, or of those below one key.
func (h Handlers) list(c echo.Context) error {
	by, err := h.Authorize(c, scope("key:list"))
	if err != nil {
		return err
	}
	view := h.Keys.ViewOf(by.Who)
	if parent := c.QueryParam("parent"); parent == ParentUnknown {
		view.Orphans = true
	} else if parent != "" {
		if view.Parent, err = uuid.Parse(parent); err != nil {
			return bridge.E(bridge.Invalid, bridge.CodeKeyIDMalformed, "the parent is neither a key ID nor %s", ParentUnknown)
		}
	}
	records, next, err := h.Keys.List(c.Request().Context(), view, c.QueryParam("cursor"), api.PageLimit(c))
	if err != nil {
		return err
	}
	list := api.List[api.APIKey]{Items: make([]api.APIKey, 0, len(records)), NextCursor: next}
	for _, r := range records {
		list.Items = append(list.Items, h.Keys.API(r))
	}
	return c.JSON(http.StatusOK, list)
}

// KeyID parses the key ID in a request's path.
func KeyID(c echo.Context) (uuid.UUID, error) {
	text := c.Param("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.UUID{}, bridge.E(bridge.Invalid, bridge.CodeKeyIDMalformed, "the key ID is not a UUID")
	}
	return id, nil
}

// get answers with one key and how many living keys were created with it.
func (h Handlers) get(c echo.Context) error {
	by, err := h.Authorize(c, scope("key:read"))
	if err != nil {
		return err
	}
	id, err := KeyID(c)
	if err != nil {
		return err
	}
	ctx, view := c.Request().Context(), h.Keys.ViewOf(by.Who)
	record, err := h.Keys.Get(ctx, view, id)
	if err != nil {
		return err
	}
	below, err := h.Keys.Descendants(ctx, view, id)
	if err != nil {
		return err
	}
	k := h.Keys.API(record)
	k.Descendants = len(below)
	for _, d := range below {
		if d.Lineage.Parent == id {
			k.Children++
		}
	}
	return c.JSON(http.StatusOK, k)
}

// ends previews what revoking a key would end, for callers who may revoke it.
func (h Handlers) ends(c echo.Context) error {
	by, err := h.Authorize(c, scope("key:revoke"))
	if err != nil {
		return err
	}
	id, err := KeyID(c)
	if err != nil {
		return err
	}
	ending, err := h.Keys.Ends(c.Request().Context(), h.Keys.ViewOf(by.Who), id)
	if err != nil {
		return err
	}
	var out api.Ends
	out.Add()
	for _, r := range ending {
		out.Add(api.EndingOf(h.Keys.API(r)))
	}
	if h.Ends != nil {
		if err := h.Ends(c, ending, &out); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, out)
}

// reissue answers with a new secret for an existing key.
func (h Handlers) reissue(c echo.Context, need Need, do func(by keys.By, id uuid.UUID) (bridge.Key, record.Record, error)) error {
	by, err := h.Authorize(c, need)
	if err != nil {
		return err
	}
	id, err := KeyID(c)
	if err != nil {
		return err
	}
	key, record, err := do(by, id)
	if err != nil {
		return err
	}
	return h.created(c, http.StatusOK, key, record)
}

// revive gives a key a new secret at once.
func (h Handlers) revive(c echo.Context) error {
	return h.reissue(c, scope("key:create"), func(by keys.By, id uuid.UUID) (bridge.Key, record.Record, error) {
		body, err := api.Decode[api.ReviveKeyRequest](c)
		if err != nil {
			return bridge.Key{}, record.Record{}, err
		}
		return h.Keys.Revive(c.Request().Context(), by, id, body.ExpiresIn)
	})
}

// rotate gives a key a new secret while the old one stays valid for a while. A header makes it retryable.
func (h Handlers) rotate(c echo.Context) error {
	return h.reissue(c, needToRotate(c), func(by keys.By, id uuid.UUID) (bridge.Key, record.Record, error) {
		body, err := api.Decode[api.RotateKeyRequest](c)
		if err != nil {
			return bridge.Key{}, record.Record{}, err
		}
		return h.Keys.Rotate(c.Request().Context(), by, id, keys.Rotation{Grace: body.Grace, ExpiresIn: body.ExpiresIn,
			Idempotency: bridge.NewSecret(c.Request().Header.Get(api.HeaderIdempotencyKey))})
	})
}

// needToRotate is key:create, except for a connection's key that rotates itself.
func needToRotate(c echo.Context) Need {
	return func(who bridge.Identity) bridge.Scope {
		if id, err := KeyID(c); err == nil && keys.IsOwnKey(who, id) {
			return ""
		}
		return "key:create"
	}
}

// change answers with the key as it is after a change.
func (h Handlers) change(c echo.Context, need bridge.Scope, do func(context.Context, keys.By, uuid.UUID) (record.Record, error)) error {
	by, err := h.Authorize(c, scope(need))
	if err != nil {
		return err
	}
	id, err := KeyID(c)
	if err != nil {
		return err
	}
	record, err := do(c.Request().Context(), by, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, h.Keys.API(record))
}

func (h Handlers) disable(c echo.Context) error { return h.change(c, "key:revoke", h.Keys.Disable) }

func (h Handlers) enable(c echo.Context) error { return h.change(c, "key:create", h.Keys.Enable) }

// Revoke revokes the key in the path. The caller needs the scope key:revoke.
func (h Handlers) Revoke(c echo.Context) error {
	return h.change(c, "key:revoke", func(ctx context.Context, by keys.By, id uuid.UUID) (record.Record, error) {
		return h.Keys.Revoke(ctx, by, id, "revoked by "+by.Who.Subject)
	})
}
