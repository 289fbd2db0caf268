package apiclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/acebridge/ace/bridge/api"
)

// ConnectionCalls are about connections, and what is to be delivered to their servers.
type ConnectionCalls struct{ *Client }

// Connections lists the connections that the caller sees.
func (c ConnectionCalls) Connections(ctx context.Context) ([]api.Connection, error) {
	return all[api.Connection](ctx, c.Client, "/v1/connections", nil)
}

func connectionPath(id, rest string) string { return "/v1/connections/" + url.PathEscape(id) + rest }

// Connection is one connection by its ID.
func (c ConnectionCalls) Connection(ctx context.Context, id string) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodGet, path: connectionPath(id, ""), out: &out})
	return out, err
}

// Register registers a connection.
func (c ConnectionCalls) Register(ctx context.Context, r api.RegisterRequest) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/connections", body: r, out: &out})
	return out, err
}

// Patch changes a connection.
func (c ConnectionCalls) Patch(ctx context.Context, id string, p api.ConnectionPatch) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodPatch, path: connectionPath(id, ""), body: p, out: &out})
	return out, err
}

// Delete removes a connection and revokes its key, or says what is left to deliver.
func (c ConnectionCalls) Delete(ctx context.Context, id string) (api.Removed, error) {
	var out api.Removed
	err := c.do(ctx, call{method: http.MethodDelete, path: connectionPath(id, ""), out: &out})
	return out, err
}

// DeleteIf is Delete of a connection that still is as it was registered: with this key and this revision.
func (c ConnectionCalls) DeleteIf(ctx context.Context, id, keyID, revision string) (api.Removed, error) {
	query := url.Values{}
	for name, value := range map[string]string{"key_id": keyID, "revision": revision} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var out api.Removed
	err := c.do(ctx, call{method: http.MethodDelete, path: connectionPath(id, ""), query: query, out: &out})
	return out, err
}

// Credential is what to call the connection's server with.
func (c ConnectionCalls) Credential(ctx context.Context, id string) (api.Credential, error) {
	var out api.Credential
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/credential"), out: &out})
	return out, err
}

// KeepCredential is Credential of a connection that another connect has made; that one can then not take it back.
func (c ConnectionCalls) KeepCredential(ctx context.Context, id string) (api.Credential, error) {
	var out api.Credential
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/credential"), query: url.Values{"keep": {"true"}}, out: &out})
	return out, err
}

// Check probes the connection's server now.
func (c ConnectionCalls) Check(ctx context.Context, id string) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/check"), out: &out})
	return out, err
}

// RevocationDelivered tells the cloud that the caller has delivered a revocation to its server.
func (c ConnectionCalls) RevocationDelivered(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/revocations/" + url.PathEscape(id)})
}

// Undelivered lists the revocations and withdrawals that servers have not taken yet.
func (c ConnectionCalls) Undelivered(ctx context.Context) ([]api.Undelivered, error) {
	var out api.List[api.Undelivered]
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/revocations", out: &out})
	return out.Items, err
}

// History is how a connection was, and how much it was used.
func (c ConnectionCalls) History(ctx context.Context, id string) (api.ConnectionHistory, error) {
	var out api.ConnectionHistory
	err := c.do(ctx, call{method: http.MethodGet, path: connectionPath(id, "/history"), out: &out})
	return out, err
}

// MemberUses is who has used a connection within 30 days, the last one first, and of very many those who used it last.
func (c ConnectionCalls) MemberUses(ctx context.Context, id string) ([]api.MemberUse, error) {
	return all[api.MemberUse](ctx, c.Client, connectionPath(id, "/uses"), url.Values{"limit": {"500"}})
}

// EndsOfConnection says what disconnecting a connection would end or, with a patch, what a change of its visibility or ceiling would.
func (c ConnectionCalls) EndsOfConnection(ctx context.Context, id string, p api.ConnectionPatch) (api.Ends, error) {
	query := url.Values{}
	if p.Visibility != nil {
		query.Set("visibility", *p.Visibility)
	}
	if p.Ceiling.To != nil {
		addCeiling(query, *p.Ceiling.To)
	}
	return c.ends(ctx, connectionPath(id, "/ends"), query)
}

// addCeiling writes a ceiling into a query.
func addCeiling(values url.Values, c api.Ceiling) {
	if c.Preset != "" {
		values.Set("preset", c.Preset)
	}
	for _, scope := range c.Scopes {
		values.Add("scope", scope)
	}
}
