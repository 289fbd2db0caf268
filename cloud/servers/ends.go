package servers

import (
	"cmp"
	"context"
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

// maxServersAsked bounds how many servers are asked for one preview.
const maxServersAsked = 8

// CeilingOf returns the ceiling in a request's query.
func CeilingOf(ctx echo.Context) api.Ceiling {
	return api.Ceiling{Preset: ctx.QueryParam("preset"), Scopes: ctx.QueryParams()["scope"]}
}

// EndsOfDisconnect previews what a disconnect would end, here and on the server.
func (sv *Servers) EndsOfDisconnect(ctx echo.Context, p accounts.Principal, id string) (api.Ends, error) {
	if err := p.RequireScope("connection:delete"); err != nil {
		return api.Ends{}, err
	}
	found, err := sv.preview.EndsOfDelete(ctx.Request().Context(), p, id, sv.KeyAlive)
	return sv.EndsWithServers(ctx, p, found, err)
}

// EndsOfPatch previews what another visibility or ceiling would end, here and on the server.
func (sv *Servers) EndsOfPatch(ctx echo.Context, p accounts.Principal, id string, patch api.ConnectionPatch) (api.Ends, error) {
	found, err := sv.FoundOfPatch(ctx, p, id, patch)
	return sv.EndsWithServers(ctx, p, found, err)
}

// FoundOfPatch previews what another visibility or ceiling would end, at this cloud only.
func (sv *Servers) FoundOfPatch(ctx echo.Context, p accounts.Principal, id string, patch api.ConnectionPatch) (preview.Ends, error) {
	if err := p.RequireScope("connection:update"); err != nil {
		return preview.Ends{}, err
	}
	if patch.Ceiling.To != nil {
		ceiling, err := sv.resolveCeiling(ctx.Request().Context(), p, id, *patch.Ceiling.To)
		if err != nil {
			return preview.Ends{}, err
		}
		patch.Ceiling.To = &ceiling
	}
	return sv.preview.EndsOfPatch(ctx.Request().Context(), p, id, patch, sv.KeyAlive)
}

// FoundOfLimit previews what a limit would end, at this cloud only.
func (sv *Servers) FoundOfLimit(ctx echo.Context, p accounts.Principal, id, user string, l api.MemberLimit) (preview.Ends, error) {
	r := ctx.Request().Context()
	who, err := sv.limitSubject(r, p, user)
	if err != nil {
		return preview.Ends{}, err
	}
	if l.Access == connections.AccessLimited {
		if l.Ceiling, err = sv.resolveCeiling(r, p, id, l.Ceiling); err != nil {
			return preview.Ends{}, err
		}
	}
	return sv.preview.EndsOfLimit(r, p, id, who, l, sv.KeyAlive)
}

// EndsOfKeys adds what ends together with API keys of this cloud.
//
// These are access tokens handed to the keys, and keys on servers that were created with those tokens.
func (sv *Servers) EndsOfKeys(ctx echo.Context, ending []record.Record, out *api.Ends) error {
	p, err := sv.who.Principal(ctx)
	if err != nil {
		return err
	}
	return sv.EndsOfKeysFor(ctx, p, ending, out)
}

// EndsOfKeysFor previews what the end of API keys of this cloud would end, here and on servers.
func (sv *Servers) EndsOfKeysFor(ctx echo.Context, p accounts.Principal, ending []record.Record, out *api.Ends) error {
	ids := make([]uuid.UUID, 0, len(ending))
	for _, k := range ending {
		ids = append(ids, k.ID)
	}
	found, err := sv.preview.EndsOfKeys(ctx.Request().Context(), p, ids, sv.KeyAlive)
	if err != nil {
		return err
	}
	out.Add(found.Here...)
	out.Servers = sv.EndsOnServers(ctx, p, found)
	return nil
}

// KeyAlive reports whether an API key of this cloud can be used.
func (sv *Servers) KeyAlive(id uuid.UUID) bool { return len(sv.keys.Generations(id)) > 0 }

// EndsWithServers completes a preview with what would end on servers. It passes on err.
func (sv *Servers) EndsWithServers(ctx echo.Context, p accounts.Principal, found preview.Ends, err error) (api.Ends, error) {
	var out api.Ends
	if err != nil {
		return out, err
	}
	out.Add(found.Here...)
	out.Servers = sv.EndsOnServers(ctx, p, found)
	return out, nil
}

// EndsOnServers says what is known about personal keys on the affected servers.
//
// It asks some of the servers on the caller's behalf; what the caller cannot see there is left to the server.
func (sv *Servers) EndsOnServers(ctx echo.Context, p accounts.Principal, found preview.Ends) []api.ServerEnds {
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
	bounded, cancel := context.WithTimeout(ctx.Request().Context(), ServerTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range out[:min(len(out), maxServersAsked)] {
		client, free, err := sv.endsClient(ctx, p, out[i].Connection)
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

// endsClient returns a client for a connection's server, and takes a slot of the quotas; free returns it.
func (sv *Servers) endsClient(ctx echo.Context, p accounts.Principal, connection string) (*apiclient.Server, func(), error) {
	free, err := sv.quotas.Take(p, connection)
	if err != nil {
		return nil, nil, err
	}
	client, err := sv.ServerClient(ctx, p, connection)
	if err != nil {
		free()
		return nil, nil, err
	}
	return client, free, nil
}

// askEnds asks a server which keys were created with a connection's key, and keeps those of the affected subjects.
func askEnds(ctx context.Context, client *apiclient.Server, key string, to *api.ServerEnds) {
	answer, err := client.KeyEnds(ctx, key)
	if err != nil {
		e := ServerError(err, to.ServerURL)
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
	for _, item := range TidyEndings(answer.Items) {
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

// unknownParents returns keys whose parent is not known; a withdrawal affects them as well.
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

// TidyEndings bounds the number and the texts of items from a server, and drops items without a valid ID.
func TidyEndings(items []api.Ending) []api.Ending {
	items = items[:min(len(items), 2*api.MaxEnds)]
	out := make([]api.Ending, 0, len(items))
	for _, item := range items {
		id, err := uuid.Parse(item.ID)
		if err != nil {
			continue
		}
		item.ID = id.String()
		for _, text := range []*string{&item.Kind, &item.Fate, &item.Name, &item.Owner, &item.Parent, &item.Lineage} {
			*text = Shown(*text)
		}
		item.Name, item.Connection = cmp.Or(item.Name, item.ID), ""
		out = append(out, item)
	}
	return out
}
