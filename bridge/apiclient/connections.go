package apiclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/acebridge/ace/bridge/api"
)

// ConnectionCalls are the calls about connections and about statements their servers have yet to accept.
type ConnectionCalls struct{ *Client }

// Connections lists all connections that the caller can see.
func (c ConnectionCalls) Connections(ctx context.Context) ([]api.Connection, error) {
	return all[api.Connection](ctx, c.Client, "/v1/connections", nil)
}

func connectionPath(id, rest string) string { return "/v1/connections/" + url.PathEscape(id) + rest }

// Connection returns one connection by its ID.
func (c ConnectionCalls) Connection(ctx context.Context, id string) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodGet, path: connectionPath(id, ""), out: &out})
	return out, err
}

// Register creates a connection, or replaces the key of the caller's own one to the same server.
func (c ConnectionCalls) Register(ctx context.Context, r api.RegisterRequest) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/connections", body: r, out: &out})
	return out, err
}

// Patch changes a connection. Fields of p that are nil stay as they are.
func (c ConnectionCalls) Patch(ctx context.Context, id string, p api.ConnectionPatch) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodPatch, path: connectionPath(id, ""), body: p, out: &out})
	return out, err
}

// Delete removes a connection and revokes its key, or returns the revocation that is left to deliver.
func (c ConnectionCalls) Delete(ctx context.Context, id string) (api.Removed, error) {
	var out api.Removed
	err := c.do(ctx, call{method: http.MethodDelete, path: connectionPath(id, ""), out: &out})
	return out, err
}

// DeleteIf deletes a connection only if it still has this key and this revision.
//
// An empty argument is not checked. Otherwise the error has the code [bridge.CodeConnectionMoved].
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

// Credential returns a credential for calling the connection's server directly.
func (c ConnectionCalls) Credential(ctx context.Context, id string) (api.Credential, error) {
	var out api.Credential
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/credential"), out: &out})
	return out, err
}

// KeepCredential is Credential for a connection that another connect created; that connect can then no longer undo it.
func (c ConnectionCalls) KeepCredential(ctx context.Context, id string) (api.Credential, error) {
	var out api.Credential
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/credential"), query: url.Values{"keep": {"true"}}, out: &out})
	return out, err
}

// Check has the cloud probe the connection's server now, and returns the connection as found.
func (c ConnectionCalls) Check(ctx context.Context, id string) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/check"), out: &out})
	return out, err
}

// RevocationDelivered tells the cloud that the caller has delivered a revocation to its server.
func (c ConnectionCalls) RevocationDelivered(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/revocations/" + url.PathEscape(id)})
}

// Undelivered lists revocations and withdrawals that servers have not accepted yet.
func (c ConnectionCalls) Undelivered(ctx context.Context) ([]api.Undelivered, error) {
	var out api.List[api.Undelivered]
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/revocations", out: &out})
	return out.Items, err
}

// History returns a connection's uptime and usage.
func (c ConnectionCalls) History(ctx context.Context, id string) (api.ConnectionHistory, error) {
	var out api.ConnectionHistory
	err := c.do(ctx, call{method: http.MethodGet, path: connectionPath(id, "/history"), out: &out})
	return out, err
}

// MemberUses lists who has used a connection within 30 days, latest first.
//
// If there are very many, the cloud lists only those who used it last.
func (c ConnectionCalls) MemberUses(ctx context.Context, id string) ([]api.MemberUse, error) {
	return all[api.MemberUse](ctx, c.Client, connectionPath(id, "/uses"), url.Values{"limit": {"500"}})
}

// EndsOfConnection says what disconnecting a connection would end.
//
// With a patch it says what changing the visibility or the ceiling would end instead.
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

// addCeiling adds a ceiling to query parameters.
func addCeiling(values url.Values, c api.Ceiling) {
	if c.Preset != "" {
		values.Set("preset", c.Preset)
	}
	for _, scope := range c.Scopes {
		values.Add("scope", scope)
	}
}
