package dashboard

import (
	"context"
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
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// serverKeys is the tab of the API keys on a connection's server.
type serverKeys struct {
	page    *page.Writer
	tabs    *tabs
	servers *servers.Servers
	quotas  *who.Quotas
}

func (k *serverKeys) mount(e *echo.Echo) {
	e.GET("/connections/:id/keys", k.page.SignedIn(k.calling(k.show)))
	e.POST("/connections/:id/keys", k.page.SignedIn(k.calling(k.create)))
	e.GET("/connections/:id/keys/:key", k.page.SignedIn(k.calling(k.showOne)))
	e.POST("/connections/:id/keys/:key/:action", k.page.SignedIn(k.calling(k.change)))
}

// calling wraps a page that calls a connection's server: it takes one of the member's, connection's and organization's
// places, so that a slow server cannot hold up the cloud.
func (k *serverKeys) calling(h func(echo.Context, accounts.Principal) error) func(echo.Context, accounts.Principal) error {
	return func(ctx echo.Context, p accounts.Principal) error {
		free, err := k.quotas.Take(p, ctx.Param("id"))
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
	Plain   snippet // connects the server, if the connection has a plain key
}

// serverRefusal says why the keys cannot be listed.
type serverRefusal struct {
	Why     string
	Command snippet // lists them from where the server can be reached
}

func (k *serverKeys) show(ctx echo.Context, p accounts.Principal) error {
	f, err := k.open(ctx, p)
	if err != nil {
		return err
	}
	return k.render(ctx, p, http.StatusOK, serverKeysView{Frame: f})
}

func (k *serverKeys) open(ctx echo.Context, p accounts.Principal) (frame, error) {
	if err := p.RequireScope("connection:use"); err != nil {
		return frame{}, err
	}
	return k.tabs.open(ctx, p, "keys")
}

// render writes the list of keys on the server that the member sees, with the rest of the view.
func (k *serverKeys) render(ctx echo.Context, p accounts.Principal, status int, view serverKeysView) error {
	connection := view.Frame.Connection
	server := string(connection.ServerURL)
	if view.Frame.Key() != "ace" {
		view.Plain = snippet{ID: "plain", Label: "Command that connects it", Text: "ace connect --server " + server}
		return k.tabs.render(ctx, p, status, "connection_keys", view.Frame, view)
	}
	found, err := k.find(ctx, p, connection)
	if err != nil {
		if who.Ours(err) {
			return err
		}
		view.Refused = &serverRefusal{Why: page.Sentence(err), Command: snippet{ID: "list", Label: "In a terminal that reaches the server", Text: "ace api-key list --server " + server}}
		return k.tabs.render(ctx, p, status, "connection_keys", view.Frame, view)
	}
	path := "/connections/" + connection.ID
	for _, key := range found.Keys {
		view.Keys = append(view.Keys, serverKeyView(found, key, p, path, connection.KeyID))
	}
	view.Keys = asTree(view.Keys, path+"/keys/")
	if found.Next != "" {
		view.Next = path + "/keys?cursor=" + url.QueryEscape(found.Next)
	}
	if view.Create = found.Can("key:create"); view.Create {
		view.Form = offerServerKey(found, p, view.Form, path+"/keys")
	}
	return k.tabs.render(ctx, p, status, "connection_keys", view.Frame, view)
}

// find asks the server for its keys. Only an error of kind Internal is the cloud's own fault.
func (k *serverKeys) find(ctx echo.Context, p accounts.Principal, connection api.Connection) (servers.ServerKeys, error) {
	client, err := k.servers.ServerClient(ctx, p, connection.ID)
	if err != nil {
		return servers.ServerKeys{}, err
	}
	cursor := ctx.QueryParam("cursor")
	if !bridge.PlainText(cursor, servers.MaxServerCursor) {
		cursor = ""
	}
	found, err := servers.ReadServerKeys(ctx.Request().Context(), client, cursor)
	if err != nil {
		return servers.ServerKeys{}, servers.ServerError(err, connection.ServerURL)
	}
	return found, nil
}

// serverKeyView returns the view of a key, with what can be done with it; own is the ID of the connection's own key. Only a
// key's owner, in whose name it acts, and admins may give it a new secret.
func serverKeyView(s servers.ServerKeys, k api.APIKey, p accounts.Principal, path, own string) keyView {
	alive := k.Ended == nil && k.Status != record.StatusExpired
	end := alive || k.Status == record.StatusExpired
	view := keyView{APIKey: k, Path: path + "/keys/" + k.KeyID, Alive: alive, Rotation: uuid.NewString()}
	if k.KeyID == own {
		view.Own = path + "#manage"
		return view
	}
	view.End = end && s.Can("key:revoke")
	view.Reissue = end && k.Kind != string(bridge.KindSK) && s.Can("key:create") && (k.Owner == p.Email || p.Role.AtLeast(bridge.RoleAdmin))
	return view
}

// offerServerKey completes a form with what the person may give a key under the server's catalogue.
func offerServerKey(s servers.ServerKeys, p accounts.Principal, f keyForm, action string) keyForm {
	kinds := []choiceOf{{"live", "Live: for production", false}, {"test", "Test: for a sandbox", false}}
	admin := p.Role.AtLeast(bridge.RoleAdmin)
	if !s.Catalogue {
		return f.offer(action, kinds, nil, nil, admin)
	}
	minter := catalogue.Minter{Org: p.Org, Scopes: s.May, Admin: admin}
	if s.May == nil {
		minter.Scopes = bridge.Scopes{"*"}
	}
	file := s.Declared.File()
	var presets, scopes []choiceOf
	for _, name := range s.Declared.Presets() {
		if len(presets) == servers.MaxServerChoice {
			break
		}
		if granted, err := s.Declared.Grant(minter, name, nil); err == nil && len(granted) > 0 {
			presets = append(presets, choiceOf{servers.Shown(name), servers.Shown(file.Presets[name].Description), false})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file.Scopes)) {
		if len(scopes) == servers.MaxServerChoice {
			break
		}
		if strings.Contains(name, "<") || s.Declared.Within(minter, bridge.Scopes{bridge.Scope(name)}) != nil {
			continue // a pattern stands for many scopes, which are typed
		}
		scopes = append(scopes, choiceOf{servers.Shown(name), servers.Shown(file.Scopes[name]), slices.Contains(f.Wish.Scopes, name)})
	}
	if !f.Open {
		f.Wish.Preset = file.DefaultPreset
	}
	return f.offer(action, kinds, presets, scopes, admin)
}

func (k *serverKeys) create(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	f, err := k.open(ctx, p)
	if err != nil {
		return err
	}
	sent, err := keyFormOf(ctx.Request())
	if err != nil {
		return k.fail(ctx, p, serverKeysView{Frame: f, Form: sent}, err)
	}
	client, err := k.servers.ServerClient(ctx, p, f.Connection.ID)
	if err != nil {
		return k.fail(ctx, p, serverKeysView{Frame: f, Form: sent}, err)
	}
	created, err := client.CreateKey(ctx.Request().Context(), sent.Wish)
	if err != nil {
		return k.fail(ctx, p, serverKeysView{Frame: f, Form: sent}, servers.ServerError(err, f.Connection.ServerURL))
	}
	return k.showSecret(ctx, p, f, "created", "", created)
}

// fail shows the page again with the reason for a refusal.
func (k *serverKeys) fail(ctx echo.Context, p accounts.Principal, view serverKeysView, err error) error {
	if who.Ours(err) {
		return err
	}
	view.Error = page.Sentence(err)
	return k.render(ctx, p, api.Status(err), view)
}

// showSecret shows a new secret, which is not shown again.
func (k *serverKeys) showSecret(ctx echo.Context, p accounts.Principal, f frame, done, id string, answer api.CreatedKey) error {
	status := http.StatusOK
	if id == "" {
		status = http.StatusCreated
	}
	created, err := servers.TidyCreated(answer, id)
	if err != nil {
		return k.fail(ctx, p, serverKeysView{Frame: f}, servers.ServerError(err, f.Connection.ServerURL))
	}
	return k.render(ctx, p, status, serverKeysView{Frame: f, Created: &createdView{created, done,
		"Whatever calls the server sends it as a header:", `curl -H "` + bridge.HeaderAceAPIKey + `: $KEY" ` + bridge.ShellWord(f.Connection.ServerURL.Join("/ace/v1/me"))}})
}

var errOwnKey = bridge.E(bridge.Conflict, bridge.CodeOwnKey,
	"that is the connection's own key, which the cloud renews by itself").
	WithHint("to end it, disconnect")

// change does what a button of a key asks for.
func (k *serverKeys) change(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	f, err := k.open(ctx, p)
	if err != nil {
		return err
	}
	refused := func(err error) error {
		return k.fail(ctx, p, serverKeysView{Frame: f}, err)
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
		return refused(page.ErrNotSure)
	}
	client, err := k.servers.ServerClient(ctx, p, f.Connection.ID)
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
		return refused(servers.ServerError(err, f.Connection.ServerURL))
	case done == "":
		return k.showSecret(ctx, p, f, map[string]string{"revive": "revived: the old secret is dead", "rotate": "rotated"}[action], id, created)
	}
	return ctx.Redirect(http.StatusSeeOther, "/connections/"+f.Connection.ID+"/keys?done="+done)
}

// showOne writes the page of one key.
func (k *serverKeys) showOne(ctx echo.Context, p accounts.Principal) error {
	f, err := k.open(ctx, p)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(ctx.Param("key"))
	if err != nil {
		return echo.NewHTTPError(http.StatusNotFound)
	}
	client, err := k.servers.ServerClient(ctx, p, f.Connection.ID)
	if err != nil {
		return k.fail(ctx, p, serverKeysView{Frame: f}, err)
	}
	bounded, cancel := context.WithTimeout(ctx.Request().Context(), servers.ServerTime)
	defer cancel()
	key, err := client.Key(bounded, id.String())
	if err != nil {
		return k.fail(ctx, p, serverKeysView{Frame: f}, servers.ServerError(err, f.Connection.ServerURL))
	}
	tidy, ok := servers.TidyKey(key)
	if !ok || tidy.KeyID != id.String() {
		return k.fail(ctx, p, serverKeysView{Frame: f}, servers.ServerError(bridge.E(bridge.Invalid, bridge.CodeAnswerUnexpected,
			"another key"), f.Connection.ServerURL))
	}
	path := "/connections/" + f.Connection.ID
	var may servers.ServerKeys
	if me, err := client.Me(bounded); err == nil {
		may.May, _ = bridge.NewScopes(me.Scopes)
	}
	view := keyPageView{Frame: &f, List: path + "/keys", Key: serverKeyView(may, tidy, p, path, f.Connection.KeyID)}
	if parent := tidy.Parent; parent != "" {
		view.Key.MadeWith, view.Key.MadeWithPath = parent, path+"/keys/"+parent
		if above, err := client.Key(bounded, parent); err == nil && servers.Shown(above.Name) != "" {
			view.Key.MadeWith = servers.Shown(above.Name)
		}
	}
	if view.Key.Alive || view.Key.End {
		ends, err := client.KeyEnds(bounded, id.String())
		if err != nil {
			view.Unknown = page.Sentence(servers.ServerError(err, f.Connection.ServerURL))
		}
		ends.Items, ends.Servers = servers.TidyEndings(ends.Items), nil
		view.Tree, view.Ends = treeOf(ends.Items, id.String(), path+"/keys/"), endsOf(ends, id.String())
	}
	return k.page.Render(ctx, http.StatusOK, "key", web.Page{Title: "Key " + tidy.Name + " of " + f.Connection.Name, Path: "/connections", User: page.User(p), View: view},
		f.Connection.ServerURL.Origin())
}
