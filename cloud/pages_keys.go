package cloud

import (
	"maps"
	"net/http"
	"slices"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keyhttp"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/web"
)

type keysView struct {
	Keys    []keyView
	Next    string
	Created *createdView
	Form    keyForm
	Error   string
}

func (c *Cloud) routeKeyPages(e *echo.Echo) {
	e.GET("/keys", c.page(c.keysPage))
	e.POST("/keys", c.page(c.createKey))
	e.GET("/keys/:id", c.page(c.keyPage))
	e.POST("/keys/:id/:action", c.page(c.changeKey))
}

func (c *Cloud) keysPage(ctx echo.Context, p accounts.Principal) error {
	return c.renderKeys(ctx, http.StatusOK, p, keysView{Form: newKeyForm()})
}

func newKeyForm() keyForm {
	return keyForm{Wish: api.CreateKeyRequest{Preset: accounts.Scopes.File().DefaultPreset}}
}

// renderKeys shows the keys that the person sees, beside what view says.
func (c *Cloud) renderKeys(ctx echo.Context, status int, p accounts.Principal, view keysView) error {
	records, next, err := c.keys.List(ctx.Request().Context(), c.keys.ViewOf(p.Identity()), ctx.QueryParam("cursor"), pageRows)
	if err != nil {
		return err
	}
	view.Next = next
	for _, r := range records {
		view.Keys = append(view.Keys, showCloudKey(c.keys.API(r), p))
	}
	view.Keys = asTree(view.Keys, "/keys/")
	view.Form.Open = view.Form.Open || len(view.Keys) == 0
	view.Form = offerCloudKey(p, view.Form)
	return c.render(ctx, status, "keys", web.Page{Title: "API keys", Path: "/keys", User: user(p),
		Flash: flashes[ctx.QueryParam("done")], View: view})
}

// showCloudKey is a key of the cloud with what can be done with it.
func showCloudKey(k api.APIKey, p accounts.Principal) keyView {
	alive := k.Ended == nil && k.Status != record.StatusExpired
	end := alive || k.Status == record.StatusExpired
	return keyView{APIKey: k, Path: "/keys/" + k.KeyID, Alive: alive, End: end,
		Reissue: end && (k.Owner == p.Email || p.Role.AtLeast(bridge.RoleAdmin) && k.Kind != string(bridge.KindPAT)), Rotation: uuid.NewString()}
}

// offerCloudKey completes a form with what the person may give a key of the cloud.
func offerCloudKey(p accounts.Principal, f keyForm) keyForm {
	var kinds, presets, scopes []choiceOf
	admin := p.Role.AtLeast(bridge.RoleAdmin)
	if admin {
		kinds = []choiceOf{{"live", "Live: " + p.Org + "'s, whoever comes or goes", false}, {"test", "Test: sees only what test keys made", false}}
	}
	kinds = append(kinds, choiceOf{"pat", "Personal access token: acts as you, and ends when you leave", false})
	file := accounts.Scopes.File()
	for _, scope := range slices.Sorted(maps.Keys(file.Scopes)) {
		if p.Can(bridge.Scope(scope)) {
			scopes = append(scopes, choiceOf{scope, file.Scopes[scope], slices.Contains(f.Wish.Scopes, scope)})
		}
	}
	for _, name := range accounts.Scopes.Presets() {
		presets = append(presets, choiceOf{name, file.Presets[name].Description, false})
	}
	return f.offer("/keys", kinds, presets, scopes, admin)
}

// keyRefused shows the form again with what was wrong with it.
func (c *Cloud) keyRefused(ctx echo.Context, p accounts.Principal, view keysView, err error) error {
	if ours(err) {
		return err
	}
	view.Error = sentence(err)
	return c.renderKeys(ctx, api.Status(err), p, view)
}

func (c *Cloud) createKey(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	f, err := keyFormOf(ctx.Request())
	view := keysView{Form: f}
	if err != nil {
		return c.keyRefused(ctx, p, view, err)
	}
	key, record, err := c.keys.Mint(ctx.Request().Context(), c.by(ctx, p), keyhttp.Wish(f.Wish))
	if err != nil {
		return c.keyRefused(ctx, p, view, err)
	}
	return c.showKey(ctx, p, http.StatusCreated, "created", key, record)
}

// showKey shows a secret, this once.
func (c *Cloud) showKey(ctx echo.Context, p accounts.Principal, status int, done string, key bridge.Key, record record.Record) error {
	created := api.CreatedKey{Key: key.Text().Disclose(), APIKey: c.keys.API(record)}
	return c.renderKeys(ctx, status, p, keysView{
		Form: newKeyForm(),
		Created: &createdView{created, done, "Log in with it where the service runs, and paste it there:", "ace auth login-api-key --env " + string(c.cfg.PublicURL) +
			" --key - --service-name " + shellWord(record.Name)},
	})
}

// changeKey does what a button of a key says.
func (c *Cloud) changeKey(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	r, by := ctx.Request(), c.by(ctx, p)
	id, err := keyhttp.KeyID(ctx)
	if err != nil {
		return err
	}
	reissued := func(done string, key bridge.Key, record record.Record, err error) error {
		if err != nil {
			return c.keyRefused(ctx, p, keysView{Form: newKeyForm()}, err)
		}
		return c.showKey(ctx, p, http.StatusOK, done, key, record)
	}
	changed := func(done string, do func() error) error {
		if err := do(); err != nil {
			return c.keyRefused(ctx, p, keysView{Form: newKeyForm()}, err)
		}
		return ctx.Redirect(http.StatusSeeOther, "/keys?done="+done)
	}
	switch action := ctx.Param("action"); action {
	case "revive":
		if r.PostForm.Get("sure") != "yes" {
			return c.keyRefused(ctx, p, keysView{Form: newKeyForm()}, errNotSure)
		}
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
			return c.keyRefused(ctx, p, keysView{Form: newKeyForm()}, errNotSure)
		}
		return changed("key-revoked", func() error {
			_, err := c.keys.Revoke(r.Context(), by, id, "revoked by "+p.Email)
			return err
		})
	}
	return echo.NewHTTPError(http.StatusNotFound)
}
