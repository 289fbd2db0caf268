package cloud

import (
	"cmp"
	"context"
	"net/http"
	"sync"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/keyhttp"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/preview"
)

// maxServersAsked is the maximum number of servers asked for one preview.
const maxServersAsked = 8

// routeEnds mounts the previews of what a change would end. Each requires the same rights as the change.
func (c *Cloud) routeEnds(v1 *echo.Group) {
	v1.GET("/connections/:id/ends", c.may("connection:read", answerEnds(c.endsOfConnection)))
	v1.GET("/connections/:id/members/:user/ends", c.may("connection:share", answerEnds(c.endsOfLimit)))
	v1.GET("/organizations/:org/members/:id/ends", c.member(answerEnds(c.endsOfMember)))
}

func answerEnds(find func(echo.Context, accounts.Principal) (api.Ends, error)) func(echo.Context, accounts.Principal) error {
	return func(ctx echo.Context, p accounts.Principal) error {
		out, err := find(ctx, p)
		if err != nil {
			return err
		}
		return ctx.JSON(http.StatusOK, out)
	}
}

// endsOfConnection previews a disconnect or, if the query names one, another visibility or ceiling.
func (c *Cloud) endsOfConnection(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	var patch api.ConnectionPatch
	if visibility := ctx.QueryParam("visibility"); visibility != "" {
		patch.Visibility = &visibility
	}
	if to := ceilingOf(ctx); to.Preset != "" || len(to.Scopes) > 0 {
		patch.Ceiling = api.CeilingPatch{Given: true, To: &to}
	}
	if patch.Visibility == nil && !patch.Ceiling.Given {
		return c.endsOfDisconnect(ctx, p, ctx.Param("id"))
	}
	return c.endsOfPatch(ctx, p, ctx.Param("id"), patch)
}

func ceilingOf(ctx echo.Context) api.Ceiling {
	return api.Ceiling{Preset: ctx.QueryParam("preset"), Scopes: ctx.QueryParams()["scope"]}
}

func (c *Cloud) endsOfDisconnect(ctx echo.Context, p accounts.Principal, id string) (api.Ends, error) {
	if err := p.Need("connection:delete"); err != nil {
		return api.Ends{}, err
	}
	found, err := c.registry.Preview.EndsOfDelete(ctx.Request().Context(), p, id, c.keyAlive)
	return c.endsWithServers(ctx, p, found, err)
}

func (c *Cloud) endsOfPatch(ctx echo.Context, p accounts.Principal, id string, patch api.ConnectionPatch) (api.Ends, error) {
	found, err := c.foundOfPatch(ctx, p, id, patch)
	return c.endsWithServers(ctx, p, found, err)
}

func (c *Cloud) foundOfPatch(ctx echo.Context, p accounts.Principal, id string, patch api.ConnectionPatch) (preview.Ends, error) {
	if err := p.Need("connection:update"); err != nil {
		return preview.Ends{}, err
	}
	if patch.Ceiling.To != nil {
		ceiling, err := c.standsFor(ctx.Request().Context(), p, id, *patch.Ceiling.To)
		if err != nil {
			return preview.Ends{}, err
		}
		patch.Ceiling.To = &ceiling
	}
	return c.registry.Preview.EndsOfPatch(ctx.Request().Context(), p, id, patch, c.keyAlive)
}

func (c *Cloud) endsOfLimit(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	found, err := c.foundOfLimit(ctx, p, ctx.Param("id"), ctx.Param("user"), api.MemberLimit{Access: ctx.QueryParam("access"), Ceiling: ceilingOf(ctx)})
	return c.endsWithServers(ctx, p, found, err)
}

func (c *Cloud) foundOfLimit(ctx echo.Context, p accounts.Principal, id, user string, l api.MemberLimit) (preview.Ends, error) {
	r := ctx.Request().Context()
	who, err := c.exceptee(r, p, user)
	if err != nil {
		return preview.Ends{}, err
	}
	if l.Access == connections.AccessLimited {
		if l.Ceiling, err = c.standsFor(r, p, id, l.Ceiling); err != nil {
			return preview.Ends{}, err
		}
	}
	return c.registry.Preview.EndsOfLimit(r, p, id, who, l, c.keyAlive)
}

// endsOfMember previews the removal of a member or, with a role, giving them that role.
func (c *Cloud) endsOfMember(ctx echo.Context, p accounts.Principal) (api.Ends, error) {
	found, err := c.registry.Preview.EndsOfMember(ctx.Request().Context(), p, ctx.Param("org"), ctx.Param("id"), ctx.QueryParam("role"), c.keyAlive)
	return c.endsWithServers(ctx, p, found, err)
}

// endsOfKeys adds what ends with API keys of this cloud: access tokens handed to them, and keys made with those.
func (c *Cloud) endsOfKeys(ctx echo.Context, ending []record.Record, out *api.Ends) error {
	p, err := c.principal(ctx)
	if err != nil {
		return err
	}
	return c.endsOfKeysFor(ctx, p, ending, out)
}

func (c *Cloud) endsOfKeysFor(ctx echo.Context, p accounts.Principal, ending []record.Record, out *api.Ends) error {
	ids := make([]uuid.UUID, 0, len(ending))
	for _, k := range ending {
		ids = append(ids, k.ID)
	}
	found, err := c.registry.Preview.EndsOfKeys(ctx.Request().Context(), p, ids, c.keyAlive)
	if err != nil {
		return err
	}
	out.Add(found.Here...)
	out.Servers = c.endsOnServers(ctx, p, found)
	return nil
}

// keyAlive reports whether an API key of this cloud may be used.
func (c *Cloud) keyAlive(id uuid.UUID) bool { return len(c.keys.Generations(id)) > 0 }

func (c *Cloud) endsWithServers(ctx echo.Context, p accounts.Principal, found preview.Ends, err error) (api.Ends, error) {
	var out api.Ends
	if err != nil {
		return out, err
	}
	out.Add(found.Here...)
	out.Servers = c.endsOnServers(ctx, p, found)
	return out, nil
}

// endsOnServers says what is known about personal keys on the affected servers. It asks some of them on the caller's behalf;
// what the caller cannot see there is left for the server to decide.
func (c *Cloud) endsOnServers(ctx echo.Context, p accounts.Principal, found preview.Ends) []api.ServerEnds {
	var out []api.ServerEnds
	at := map[string]int{}
	server := func(of api.Connection) *api.ServerEnds {
		i, ok := at[of.ID]
		if !ok {
			i = len(out)
			at[of.ID] = i
			out = append(out, api.ServerEnds{Connection: of.ID, Name: of.Name, ServerURL: of.ServerURL, Status: api.ServerUndecided,
				Cause: "the server was not asked", Subjects: []api.SubjectEnds{}, Items: []api.Ending{}, More: found.More})
		}
		return &out[i]
	}
	keyOf := map[string]string{}
	if c := found.Removed; c != nil && c.KeyID != "" {
		server(*c).All = true
		keyOf[c.ID] = c.KeyID
	}
	for _, h := range found.Holders {
		s := server(h.Connection)
		keyOf[h.Connection.ID] = h.Connection.KeyID
		subject := api.SubjectEnds{Subject: h.Subject, Fate: api.FateLimited, Scopes: h.Left.Scopes().Strings(), Role: string(h.Left.Role)}
		if h.Ends {
			subject = api.SubjectEnds{Subject: h.Subject, Fate: api.FateEnds, Scopes: []string{}}
		}
		s.Subjects = append(s.Subjects, subject)
	}
	bounded, cancel := context.WithTimeout(ctx.Request().Context(), serverTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range out[:min(len(out), maxServersAsked)] {
		client, free, err := c.endsClient(ctx, p, out[i].Connection)
		if err != nil {
			out[i].Cause = bridge.AsError(err).Detail
			continue
		}
		wg.Go(func() {
			defer free()
			askEnds(bounded, client, keyOf[out[i].Connection], &out[i])
		})
	}
	wg.Wait()
	return out
}

// endsClient makes a client for a connection's server, with the limits of all such calls.
func (c *Cloud) endsClient(ctx echo.Context, p accounts.Principal, connection string) (*apiclient.Server, func(), error) {
	free, err := c.quotas.take(p, connection)
	if err != nil {
		return nil, nil, err
	}
	client, err := c.serverClient(ctx, p, connection)
	if err != nil {
		free()
		return nil, nil, err
	}
	return client, free, nil
}

// askEnds asks a server which keys were made with a connection's key, and picks those of the subjects.
func askEnds(ctx context.Context, client *apiclient.Server, key string, to *api.ServerEnds) {
	answer, err := client.KeyEnds(ctx, key)
	if err != nil {
		e := serverError(err, to.ServerURL)
		switch to.Cause = e.Detail; e.Code {
		case bridge.CodeServerUnreachable, bridge.CodeServerFailed:
			to.Status = api.ServerUnreachable
		case bridge.CodeServerUnexpected:
			to.Cause = "the server does not say which keys were made through the connection; a newer version does"
		}
		return
	}
	if !to.All {
		answer.Items = append(answer.Items, unknownParents(ctx, client, to)...)
	}
	to.Status, to.Cause = api.ServerAsked, ""
	to.More = to.More || answer.Total > api.MaxEnds
	if to.All {
		to.Total = max(answer.Total-1, 0) // the key itself
	}
	for _, item := range tidyEndings(answer.Items) {
		fate, concerned := to.Fate(item.Owner)
		if item.ID == key || !concerned {
			continue
		}
		if !to.All {
			to.Total++
		}
		item.Fate = fate
		to.Items = append(to.Items, item)
	}
}

// unknownParents are the keys without a known parent that a withdrawal affects all the same.
func unknownParents(ctx context.Context, client *apiclient.Server, to *api.ServerEnds) (out []api.Ending) {
	list, err := client.KeysPageOf(ctx, keyhttp.ParentUnknown, api.MaxEnds)
	if err != nil || list.NextCursor != "" {
		to.More = true
	}
	for _, k := range list.Items {
		if k.ParentUnknown && k.Ended == nil {
			out = append(out, api.EndingOf(k))
		}
	}
	return out
}

// tidyEndings bounds the number and the texts of items from a server, and drops those without a valid ID.
func tidyEndings(items []api.Ending) []api.Ending {
	items = items[:min(len(items), 2*api.MaxEnds)]
	out := make([]api.Ending, 0, len(items))
	for _, item := range items {
		id, err := uuid.Parse(item.ID)
		if err != nil {
			continue
		}
		item.ID = id.String()
		for _, text := range []*string{&item.Kind, &item.Fate, &item.Name, &item.Owner, &item.Parent, &item.Lineage} {
			*text = shown(*text)
		}
		item.Name, item.Connection = cmp.Or(item.Name, item.ID), ""
		out = append(out, item)
	}
	return out
}
