package dashboard

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keyhttp"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/web"
)

// keyPageView is one key, of the cloud or of a connection's server: what it is, what was made with it, and what its
// revocation ends.
type keyPageView struct {
	Frame   *frame // of the connection; nil: the cloud's own
	List    string // address of the list
	Key     keyView
	Tree    []keyNode
	Ends    endsView
	Unknown string // why what it ends is not known
}

// keyPage shows one key of the cloud.
func (d *Dashboard) keyPage(ctx echo.Context, p accounts.Principal) error {
	id, err := keyhttp.KeyID(ctx)
	if err != nil {
		return err
	}
	r, seen := ctx.Request().Context(), d.keys.ViewOf(p.Identity())
	record, err := d.keys.Get(r, seen, id)
	if err != nil {
		return err
	}
	view := keyPageView{List: "/keys", Key: showCloudKey(d.keys.API(record), p)}
	if parent := record.Lineage.Parent; parent != uuid.Nil {
		view.Key.MadeWith = parent.String()
		if above, err := d.keys.Get(r, seen, parent); err == nil {
			view.Key.MadeWith, view.Key.MadeWithPath = above.Name, "/keys/"+parent.String()
		}
	}
	if view.Key.End {
		ending, err := d.keys.Ends(r, seen, id)
		if err != nil {
			return err
		}
		var ends api.Ends
		for _, k := range ending {
			ends.Add(api.EndingOf(d.keys.API(k)))
		}
		view.Tree = treeOf(ends.Items, id.String(), "/keys/")
		if err := d.servers.EndsOfKeysFor(ctx, p, ending, &ends); err != nil {
			return err
		}
		view.Ends = endsOf(ends, id.String())
	}
	return d.page.Render(ctx, http.StatusOK, "key", web.Page{Title: "Key " + view.Key.Name, Path: "/keys", User: page.User(p), View: view})
}

// serverKeyPage shows one key of a connection's server.
func (d *Dashboard) serverKeyPage(ctx echo.Context, p accounts.Principal) error {
	f, err := d.serverKeysFrame(ctx, p)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(ctx.Param("key"))
	if err != nil {
		return echo.NewHTTPError(http.StatusNotFound)
	}
	client, err := d.servers.ServerClient(ctx, p, f.Connection.ID)
	if err != nil {
		return d.serverKeyRefused(ctx, p, serverKeysView{Frame: f}, err)
	}
	bounded, cancel := context.WithTimeout(ctx.Request().Context(), servers.ServerTime)
	defer cancel()
	key, err := client.Key(bounded, id.String())
	if err != nil {
		return d.serverKeyRefused(ctx, p, serverKeysView{Frame: f}, servers.ServerError(err, f.Connection.ServerURL))
	}
	tidy, ok := servers.TidyKey(key)
	if !ok || tidy.KeyID != id.String() {
		return d.serverKeyRefused(ctx, p, serverKeysView{Frame: f}, servers.ServerError(bridge.E(bridge.Invalid, bridge.CodeAnswerUnexpected,
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
	return d.page.Render(ctx, http.StatusOK, "key", web.Page{Title: "Key " + tidy.Name + " of " + f.Connection.Name, Path: "/connections", User: page.User(p), View: view},
		f.Connection.ServerURL.Origin())
}
