package dashboard

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
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// cloudKeys is the pages of the API keys of this cloud.
type cloudKeys struct {
	page    *page.Writer
	who     *who.Finder
	keys    *keys.Authority
	servers *servers.Servers
	cloud   bridge.ServerURL
}

func (k *cloudKeys) mount(e *echo.Echo) {
	e.GET("/keys", k.page.SignedIn(k.show))
	e.POST("/keys", k.page.SignedIn(k.create))
	e.GET("/keys/:id", k.page.SignedIn(k.showOne))
	e.POST("/keys/:id/:action", k.page.SignedIn(k.change))
}

type keysView struct {
	Keys    []keyView
	Next    string
	Created *createdView
	Form    keyForm
	Error   string
}

func (k *cloudKeys) show(ctx echo.Context, p accounts.Principal) error {
	return k.render(ctx, http.StatusOK, p, keysView{Form: newKeyForm()})
}

func newKeyForm() keyForm {
	return keyForm{Wish: api.CreateKeyRequest{Preset: accounts.Scopes.File().DefaultPreset}}
}

// render writes the list of keys that the person sees, with the rest of the view.
func (k *cloudKeys) render(ctx echo.Context, status int, p accounts.Principal, view keysView) error {
	records, next, err := k.keys.List(ctx.Request().Context(), k.keys.ViewOf(p.Identity()), ctx.QueryParam("cursor"), page.PageRows)
	if err != nil {
		return err
	}
	view.Next = next
	for _, r := range records {
		view.Keys = append(view.Keys, showCloudKey(k.keys.API(r), p))
	}
	view.Keys = asTree(view.Keys, "/keys/")
	view.Form.Open = view.Form.Open || len(view.Keys) == 0
	view.Form = offerCloudKey(p, view.Form)
	return k.page.Render(ctx, status, "keys", web.Page{Title: "API keys", Path: "/keys", User: page.User(p),
		Flash: page.Flashes[ctx.QueryParam("done")], View: view})
}

// showCloudKey returns the view of a key, with what the person can do with it.
func showCloudKey(k api.APIKey, p accounts.Principal) keyView {
	alive := k.Ended == nil && k.Status != record.StatusExpired
	end := alive || k.Status == record.StatusExpired
	return keyView{APIKey: k, Path: "/keys/" + k.KeyID, Alive: alive, End: end,
		Reissue: end && (k.Owner == p.Email || p.Role.AtLeast(bridge.RoleAdmin) && k.Kind != string(bridge.KindPAT)), Rotation: uuid.NewString()}
}

// offerCloudKey completes a form with what the person may give a key.
func offerCloudKey(p accounts.Principal, f keyForm) keyForm {
	var kinds, presets, scopes []choiceOf
	admin := p.Role.AtLeast(bridge.RoleAdmin)
	if admin {
		kinds = []choiceOf{{"live", "Live: " + p.Org + "'s, independent of any member", false}, {"test", "Test: sees only what test keys made", false}}
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

// fail shows the page again with the reason for a refusal.
func (k *cloudKeys) fail(ctx echo.Context, p accounts.Principal, view keysView, err error) error {
	if who.Ours(err) {
		return err
	}
	view.Error = page.Sentence(err)
	return k.render(ctx, api.Status(err), p, view)
}

func (k *cloudKeys) create(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	f, err := keyFormOf(ctx.Request())
	view := keysView{Form: f}
	if err != nil {
		return k.fail(ctx, p, view, err)
	}
	key, record, err := k.keys.Mint(ctx.Request().Context(), k.who.By(ctx, p), keyhttp.Wish(f.Wish))
	if err != nil {
		return k.fail(ctx, p, view, err)
	}
	return k.showSecret(ctx, p, http.StatusCreated, "created", key, record)
}

// showSecret shows a new secret, which is not shown again.
func (k *cloudKeys) showSecret(ctx echo.Context, p accounts.Principal, status int, done string, key bridge.Key, record record.Record) error {
	created := api.CreatedKey{Key: key.Text().Disclose(), APIKey: k.keys.API(record)}
	return k.render(ctx, status, p, keysView{
		Form: newKeyForm(),
		Created: &createdView{created, done, "Log in with it where the service runs, and paste it there:", "ace auth login-api-key --env " + string(k.cloud) +
			" --key - --service-name " + bridge.ShellWord(record.Name)},
	})
}

// change does what a button of a key asks for.
func (k *cloudKeys) change(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r, by := ctx.Request(), k.who.By(ctx, p)
	id, err := keyhttp.KeyID(ctx)
	if err != nil {
		return err
	}
	reissued := func(done string, key bridge.Key, record record.Record, err error) error {
		if err != nil {
			return k.fail(ctx, p, keysView{Form: newKeyForm()}, err)
		}
		return k.showSecret(ctx, p, http.StatusOK, done, key, record)
	}
	changed := func(done string, do func() error) error {
		if err := do(); err != nil {
			return k.fail(ctx, p, keysView{Form: newKeyForm()}, err)
		}
		return ctx.Redirect(http.StatusSeeOther, "/keys?done="+done)
	}
	switch action := ctx.Param("action"); action {
	case "revive":
		if r.PostForm.Get("sure") != "yes" {
			return k.fail(ctx, p, keysView{Form: newKeyForm()}, page.ErrNotSure)
		}
		key, record, err := k.keys.Revive(r.Context(), by, id, r.PostForm.Get("expires_in"))
		return reissued("revived: the old secret is dead", key, record, err)
	case "rotate":
		key, record, err := k.keys.Rotate(r.Context(), by, id, keys.Rotation{Grace: r.PostForm.Get("grace"),
			Idempotency: bridge.NewSecret(r.PostForm.Get("rotation"))})
		return reissued("rotated", key, record, err)
	case "disable":
		return changed("key-disabled", func() error { _, err := k.keys.Disable(r.Context(), by, id); return err })
	case "enable":
		return changed("key-enabled", func() error { _, err := k.keys.Enable(r.Context(), by, id); return err })
	case "revoke":
		if r.PostForm.Get("sure") != "yes" {
			return k.fail(ctx, p, keysView{Form: newKeyForm()}, page.ErrNotSure)
		}
		return changed("key-revoked", func() error {
			_, err := k.keys.Revoke(r.Context(), by, id, "revoked by "+p.Email)
			return err
		})
	}
	return echo.NewHTTPError(http.StatusNotFound)
}

// showOne writes the page of one key.
func (k *cloudKeys) showOne(ctx echo.Context, p accounts.Principal) error {
	id, err := keyhttp.KeyID(ctx)
	if err != nil {
		return err
	}
	r, seen := ctx.Request().Context(), k.keys.ViewOf(p.Identity())
	record, err := k.keys.Get(r, seen, id)
	if err != nil {
		return err
	}
	view := keyPageView{List: "/keys", Key: showCloudKey(k.keys.API(record), p)}
	if parent := record.Lineage.Parent; parent != uuid.Nil {
		view.Key.MadeWith = parent.String()
		if above, err := k.keys.Get(r, seen, parent); err == nil {
			view.Key.MadeWith, view.Key.MadeWithPath = above.Name, "/keys/"+parent.String()
		}
	}
	if view.Key.End {
		ending, err := k.keys.Ends(r, seen, id)
		if err != nil {
			return err
		}
		var ends api.Ends
		for _, key := range ending {
			ends.Add(api.EndingOf(k.keys.API(key)))
		}
		view.Tree = treeOf(ends.Items, id.String(), "/keys/")
		if err := k.servers.EndsOfKeysFor(ctx, p, ending, &ends); err != nil {
			return err
		}
		view.Ends = endsOf(ends, id.String())
	}
	return k.page.Render(ctx, http.StatusOK, "key", web.Page{Title: "Key " + view.Key.Name, Path: "/keys", User: page.User(p), View: view})
}
