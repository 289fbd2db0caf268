package cloud

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keyhttp"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/web"
)

type keysView struct {
	Keys    []keyView
	Next    string
	Created *createdView // shown this once
	Form    api.CreateKeyRequest
	Scopes  []scopeChoice // that the person may give
	Presets []presetChoice
	Allow   string
	Error   string
}

type keyView struct {
	api.APIKey
	Mine, Alive bool
	Rotation    string // the idempotency key of the form, so that a page sent again is the same rotation
}

type createdView struct {
	api.CreatedKey
	Done, Login string
}

type scopeChoice struct {
	Scope, Meaning string
	Chosen         bool
}

type presetChoice struct{ Name, Meaning string }

func (c *Cloud) routeKeyPages(e *echo.Echo) {
	e.GET("/keys", c.page(c.keysPage))
	e.POST("/keys", c.page(c.createKey))
	e.POST("/keys/:id/:action", c.page(c.changeKey))
}

func (c *Cloud) keysPage(ctx echo.Context, p registry.Principal) error {
	return c.renderKeys(ctx, http.StatusOK, p, keysView{Form: api.CreateKeyRequest{Preset: registry.Scopes.File().DefaultPreset}})
}

// renderKeys shows the keys that the person sees, beside what view says.
func (c *Cloud) renderKeys(ctx echo.Context, status int, p registry.Principal, view keysView) error {
	records, next, err := c.keys.List(ctx.Request().Context(), c.keys.ViewOf(p.Identity()), ctx.QueryParam("cursor"), 0)
	if err != nil {
		return err
	}
	view.Next = next
	for _, r := range records {
		k := r.API(c.cfg.Now())
		view.Keys = append(view.Keys, keyView{APIKey: k, Mine: k.Owner == p.Email, Alive: k.Ended == nil && k.Status != keys.StatusExpired,
			Rotation: uuid.NewString()})
	}
	file := registry.Scopes.File()
	for _, scope := range slices.Sorted(maps.Keys(file.Scopes)) {
		if p.Can(bridge.Scope(scope)) {
			view.Scopes = append(view.Scopes, scopeChoice{scope, file.Scopes[scope], slices.Contains(view.Form.Scopes, scope)})
		}
	}
	for _, name := range registry.Scopes.Presets() {
		view.Presets = append(view.Presets, presetChoice{name, file.Presets[name].Description})
	}
	return c.render(ctx, status, "keys", web.Page{Title: "API keys", Path: "/keys", User: user(p),
		Flash: flashes[ctx.QueryParam("done")], View: view})
}

// keyRefused shows the form again with what was wrong with it.
func (c *Cloud) keyRefused(ctx echo.Context, p registry.Principal, view keysView, err error) error {
	if bridge.AsError(err).Kind == bridge.Internal {
		return err
	}
	view.Error = sentence(err)
	return c.renderKeys(ctx, api.Status(err), p, view)
}

func (c *Cloud) createKey(ctx echo.Context, p registry.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	f := ctx.Request().PostForm
	view := keysView{Allow: f.Get("allow_from"), Form: api.CreateKeyRequest{
		Name: f.Get("name"), Description: f.Get("description"), Kind: f.Get("kind"), Preset: f.Get("preset"), Scopes: f["scope"],
		ExpiresIn: cmp.Or(f.Get("expires_on"), f.Get("expires_in")), Rate: f.Get("rate"),
		AllowFrom: strings.FieldsFunc(f.Get("allow_from"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' }),
	}}
	if text := f.Get("max_uses"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return c.keyRefused(ctx, p, view, bridge.E(bridge.Invalid, "max_uses", "the number of uses is not a number above 0"))
		}
		view.Form.MaxUses = n
	}
	key, record, err := c.keys.Mint(ctx.Request().Context(), by(ctx, p), keyhttp.Wish(view.Form))
	if err != nil {
		return c.keyRefused(ctx, p, view, err)
	}
	return c.showKey(ctx, p, http.StatusCreated, "created", key, record)
}

// showKey shows a secret, this once.
func (c *Cloud) showKey(ctx echo.Context, p registry.Principal, status int, done string, key bridge.Key, record keys.Record) error {
	created := api.CreatedKey{Key: key.Text().Disclose(), APIKey: record.API(c.cfg.Now())}
	return c.renderKeys(ctx, status, p, keysView{
		Form: api.CreateKeyRequest{Preset: registry.Scopes.File().DefaultPreset},
		Created: &createdView{created, done, "ace auth login-api-key --env " + string(c.cfg.PublicURL) +
			" --key - --service-name " + strconv.Quote(record.Name)},
	})
}

// changeKey does what a button of a key says.
func (c *Cloud) changeKey(ctx echo.Context, p registry.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r, by := ctx.Request(), by(ctx, p)
	id, err := keyhttp.KeyID(ctx)
	if err != nil {
		return err
	}
	reissued := func(done string, key bridge.Key, record keys.Record, err error) error {
		if err != nil {
			return c.keyRefused(ctx, p, keysView{}, err)
		}
		return c.showKey(ctx, p, http.StatusOK, done, key, record)
	}
	changed := func(done string, do func() error) error {
		if err := do(); err != nil {
			return c.keyRefused(ctx, p, keysView{}, err)
		}
		return ctx.Redirect(http.StatusSeeOther, "/keys?done="+done)
	}
	switch action := ctx.Param("action"); action {
	case "revive":
		key, record, err := c.keys.Revive(r.Context(), by, id, r.PostForm.Get("expires_in"))
		return reissued("revived: the old secret is dead", key, record, err)
	case "rotate":
		key, record, err := c.keys.Rotate(r.Context(), by, id, keys.Rotation{Grace: r.PostForm.Get("grace"),
			Idempotency: bridge.NewSecret(r.PostForm.Get("rotation"))})
		return reissued("rotated", key, record, err)
	case "disable":
		return changed("key-disabled", func() error { _, err := c.keys.Disable(r.Context(), by, id); return err })
	case "enable":
		return changed("key-enabled", func() error { _, err := c.keys.Enable(r.Context(), by, id); return err })
	case "revoke":
		if r.PostForm.Get("sure") != "yes" {
			return c.keyRefused(ctx, p, keysView{}, bridge.E(bridge.Invalid, "not_confirmed", "tick the box to say that you are sure"))
		}
		return changed("key-revoked", func() error {
			_, err := c.keys.Revoke(r.Context(), by, id, "revoked by "+p.Email)
			return err
		})
	}
	return echo.NewHTTPError(http.StatusNotFound)
}
