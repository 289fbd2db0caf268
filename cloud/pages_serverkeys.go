package cloud

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/cloud/accounts"
)

func (c *Cloud) routeServerKeys(e *echo.Echo) {
	e.GET("/connections/:id/keys", c.page(c.calling(c.serverKeysPage)))
	e.POST("/connections/:id/keys", c.page(c.calling(c.createServerKey)))
	e.GET("/connections/:id/keys/:key", c.page(c.calling(c.serverKeyPage)))
	e.POST("/connections/:id/keys/:key/:action", c.page(c.calling(c.changeServerKey)))
}

// calling counts a page that calls a connection's server among the calls under way, of which there are only so many: a slow
// server must not hold more than its share of the cloud.
func (c *Cloud) calling(h func(echo.Context, accounts.Principal) error) func(echo.Context, accounts.Principal) error {
	return func(ctx echo.Context, p accounts.Principal) error {
		free, err := c.quotas.take(p, ctx.Param("id"))
		if err != nil {
			return err
		}
		defer free()
		return h(ctx, p)
	}
}

type serverKeysView struct {
	Frame   frame
	Keys    []keyView
	Next    string // address of the next page
	Created *createdView
	Form    keyForm
	Create  bool // whether the form is shown
	Refused *serverRefusal
	Error   string
	Plain   snippet // what connects the server, where the connection has no key of an ace server
}

// serverRefusal says why there is no list.
type serverRefusal struct {
	Why     string
	Command snippet // that does the same where the server can be reached
}

func (c *Cloud) serverKeysPage(ctx echo.Context, p accounts.Principal) error {
	f, err := c.serverKeysFrame(ctx, p)
	if err != nil {
		return err
	}
	return c.renderServerKeys(ctx, p, http.StatusOK, serverKeysView{Frame: f})
}

func (c *Cloud) serverKeysFrame(ctx echo.Context, p accounts.Principal) (frame, error) {
	if err := p.Need("connection:use"); err != nil {
		return frame{}, err
	}
	return c.frame(ctx, p, "keys")
}

// renderServerKeys shows the keys on the server that the member sees, beside what view says.
func (c *Cloud) renderServerKeys(ctx echo.Context, p accounts.Principal, status int, view serverKeysView) error {
	connection := view.Frame.Connection
	server := string(connection.ServerURL)
	if view.Frame.Key() != "ace" {
		view.Plain = snippet{ID: "plain", Label: "Command that connects it", Text: "ace connect --server " + server}
		return c.renderTab(ctx, p, status, "connection_keys", view.Frame, view)
	}
	found, err := c.findServerKeys(ctx, p, connection)
	if err != nil {
		if ours(err) {
			return err
		}
		view.Refused = &serverRefusal{Why: sentence(err), Command: snippet{ID: "list", Label: "In a terminal that reaches the server", Text: "ace api-key list --server " + server}}
		return c.renderTab(ctx, p, status, "connection_keys", view.Frame, view)
	}
	path := "/connections/" + connection.ID
	for _, k := range found.keys {
		view.Keys = append(view.Keys, serverKeyView(found, k, p, path, connection.KeyID))
	}
	view.Keys = asTree(view.Keys, path+"/keys/")
	if found.next != "" {
		view.Next = path + "/keys?cursor=" + url.QueryEscape(found.next)
	}
	if view.Create = found.can("key:create"); view.Create {
		view.Form = offerServerKey(found, p, view.Form, path+"/keys")
	}
	return c.renderTab(ctx, p, status, "connection_keys", view.Frame, view)
}

// findServerKeys asks the server. An error of kind Internal is one of ours.
func (c *Cloud) findServerKeys(ctx echo.Context, p accounts.Principal, connection api.Connection) (serverKeys, error) {
	client, err := c.serverClient(ctx, p, connection.ID)
	if err != nil {
		return serverKeys{}, err
	}
	cursor := ctx.QueryParam("cursor")
	if !bridge.PlainText(cursor, maxServerCursor) {
		cursor = ""
	}
	found, err := readServerKeys(ctx.Request().Context(), client, cursor)
	if err != nil {
		return serverKeys{}, serverError(err, connection.ServerURL)
	}
	return found, nil
}

// serverKeyView is a key with what can be done with it; own is the ID of the connection's own key. A new secret of a key is for its
// owner, in whose name it acts, and for an admin.
func serverKeyView(s serverKeys, k api.APIKey, p accounts.Principal, path, own string) keyView {
	alive := k.Ended == nil && k.Status != record.StatusExpired
	end := alive || k.Status == record.StatusExpired
	view := keyView{APIKey: k, Path: path + "/keys/" + k.KeyID, Alive: alive, Rotation: uuid.NewString()}
	if k.KeyID == own {
		view.Own = path + "#manage"
		return view
	}
	view.End = end && s.can("key:revoke")
	view.Reissue = end && k.Kind != string(bridge.KindSK) && s.can("key:create") && (k.Owner == p.Email || p.Role.AtLeast(bridge.RoleAdmin))
	return view
}

// offerServerKey completes a form with what the one who asks may give a key, by the server's own catalogue.
func offerServerKey(s serverKeys, p accounts.Principal, f keyForm, action string) keyForm {
	kinds := []choiceOf{{"live", "Live: for production", false}, {"test", "Test: for a sandbox", false}}
	admin := p.Role.AtLeast(bridge.RoleAdmin)
	if !s.catalogue {
		return f.offer(action, kinds, nil, nil, admin)
	}
	minter := catalogue.Minter{Org: p.Org, Scopes: s.may, Admin: admin}
	if s.may == nil {
		minter.Scopes = bridge.Scopes{"*"}
	}
	file := s.declared.File()
	var presets, scopes []choiceOf
	for _, name := range s.declared.Presets() {
		if len(presets) == maxServerChoice {
			break
		}
		if granted, err := s.declared.Grant(minter, name, nil); err == nil && len(granted) > 0 {
			presets = append(presets, choiceOf{shown(name), shown(file.Presets[name].Description), false})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file.Scopes)) {
		if len(scopes) == maxServerChoice {
			break
		}
		if strings.Contains(name, "<") || s.declared.Within(minter, bridge.Scopes{bridge.Scope(name)}) != nil {
			continue // a pattern stands for many, which are typed
		}
		scopes = append(scopes, choiceOf{shown(name), shown(file.Scopes[name]), slices.Contains(f.Wish.Scopes, name)})
	}
	if !f.Open {
		f.Wish.Preset = file.DefaultPreset
	}
	return f.offer(action, kinds, presets, scopes, admin)
}

func (c *Cloud) createServerKey(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	f, err := c.serverKeysFrame(ctx, p)
	if err != nil {
		return err
	}
	sent, err := keyFormOf(ctx.Request())
	if err != nil {
		return c.serverKeyRefused(ctx, p, serverKeysView{Frame: f, Form: sent}, err)
	}
	client, err := c.serverClient(ctx, p, f.Connection.ID)
	if err != nil {
		return c.serverKeyRefused(ctx, p, serverKeysView{Frame: f, Form: sent}, err)
	}
	created, err := client.CreateKey(ctx.Request().Context(), sent.Wish)
	if err != nil {
		return c.serverKeyRefused(ctx, p, serverKeysView{Frame: f, Form: sent}, serverError(err, f.Connection.ServerURL))
	}
	return c.showServerKey(ctx, p, f, "created", "", created)
}

// serverKeyRefused shows the page with why nothing was done.
func (c *Cloud) serverKeyRefused(ctx echo.Context, p accounts.Principal, view serverKeysView, err error) error {
	if ours(err) {
		return err
	}
	view.Error = sentence(err)
	return c.renderServerKeys(ctx, p, api.Status(err), view)
}

// showServerKey shows a secret, this once.
func (c *Cloud) showServerKey(ctx echo.Context, p accounts.Principal, f frame, done, id string, answer api.CreatedKey) error {
	status := http.StatusOK
	if id == "" {
		status = http.StatusCreated
	}
	created, err := tidyCreated(answer, id)
	if err != nil {
		return c.serverKeyRefused(ctx, p, serverKeysView{Frame: f}, serverError(err, f.Connection.ServerURL))
	}
	return c.renderServerKeys(ctx, p, status, serverKeysView{Frame: f, Created: &createdView{created, done,
		"Whatever calls the server sends it as a header:", `curl -H "` + bridge.HeaderAceAPIKey + `: $KEY" ` + shellWord(f.Connection.ServerURL.Join("/ace/v1/me"))}})
}

var errOwnKey = bridge.E(bridge.Conflict, bridge.CodeOwnKey,
	"that is the connection's own key, which the cloud renews by itself").
	WithHint("to end it, disconnect")

// changeServerKey does what a button of a key says.
func (c *Cloud) changeServerKey(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	f, err := c.serverKeysFrame(ctx, p)
	if err != nil {
		return err
	}
	refused := func(err error) error {
		return c.serverKeyRefused(ctx, p, serverKeysView{Frame: f}, err)
	}
	r, sent := ctx.Request().Context(), ctx.Request().PostForm
	parsed, err := uuid.Parse(ctx.Param("key"))
	id, action := parsed.String(), ctx.Param("action")
	switch {
	case err != nil || !slices.Contains([]string{"revive", "rotate", "disable", "enable", "revoke"}, action):
		return echo.NewHTTPError(http.StatusNotFound)
	case id == f.Connection.KeyID:
		return refused(errOwnKey)
	case (action == "revoke" || action == "revive") && sent.Get("sure") != "yes":
		return refused(errNotSure)
	}
	client, err := c.serverClient(ctx, p, f.Connection.ID)
	if err != nil {
		return refused(err)
	}
	var created api.CreatedKey
	done := ""
	switch action {
	case "revive":
		created, err = client.ReviveKey(r, id, api.ReviveKeyRequest{ExpiresIn: sent.Get("expires_in")})
	case "rotate":
		created, err = client.RotateKey(r, id, bridge.NewSecret(sent.Get("rotation")), api.RotateKeyRequest{Grace: sent.Get("grace")})
	case "disable":
		done = "key-disabled"
		_, err = client.DisableKey(r, id)
	case "enable":
		done = "key-enabled"
		_, err = client.EnableKey(r, id)
	case "revoke":
		done = "key-revoked"
		_, err = client.RevokeKey(r, id)
	}
	switch {
	case err != nil:
		return refused(serverError(err, f.Connection.ServerURL))
	case done == "":
		return c.showServerKey(ctx, p, f, map[string]string{"revive": "revived: the old secret is dead", "rotate": "rotated"}[action], id, created)
	}
	return ctx.Redirect(http.StatusSeeOther, "/connections/"+f.Connection.ID+"/keys?done="+done)
}
