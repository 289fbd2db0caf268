package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/acebridge/ace/bridge"
)

// CloudClient calls a cloud on behalf of one session.
type CloudClient struct {
	Client
	endpoints Metadata // as they were discovered; those of an ace cloud where they are empty
}

// NewCloudClient calls the cloud at base with a session token, a developer token or an API key of the cloud; a zero bearer
// will do for the OAuth endpoints.
func NewCloudClient(base bridge.ServerURL, bearer bridge.Secret, cfg ClientConfig) *CloudClient {
	return &CloudClient{Client: newClient(base, bearer, "/v1", cfg)}
}

// As is the same client with another credential.
func (c *CloudClient) As(bearer bridge.Secret) *CloudClient {
	other := *c
	other.bearer = bearer
	return &other
}

// At is the same client with the endpoints that a cloud's metadata names.
func (c *CloudClient) At(endpoints Metadata) *CloudClient {
	other := *c
	other.endpoints = endpoints
	return &other
}

// Me is who the credential stands for.
func (c *CloudClient) Me(ctx context.Context) (Me, error) {
	var me Me
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me", out: &me})
	return me, err
}

// Organizations lists the caller's organizations.
func (c *CloudClient) Organizations(ctx context.Context) ([]Organization, error) {
	return all[Organization](ctx, &c.Client, "/v1/organizations", nil)
}

// Trust is what a server needs to trust this cloud.
func (c *CloudClient) Trust(ctx context.Context, org string) (TrustVariables, error) {
	var t TrustVariables
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/organizations/" + url.PathEscape(org) + "/trust", out: &t})
	return t, err
}

// Connections lists the connections that the caller sees.
func (c *CloudClient) Connections(ctx context.Context) ([]Connection, error) {
	return all[Connection](ctx, &c.Client, "/v1/connections", nil)
}

func connectionPath(id, rest string) string { return "/v1/connections/" + url.PathEscape(id) + rest }

// Connection is one connection by its ID.
func (c *CloudClient) Connection(ctx context.Context, id string) (Connection, error) {
	var out Connection
	err := c.do(ctx, call{method: http.MethodGet, path: connectionPath(id, ""), out: &out})
	return out, err
}

// Register registers a connection.
func (c *CloudClient) Register(ctx context.Context, r RegisterRequest) (Connection, error) {
	var out Connection
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/connections", body: r, out: &out})
	return out, err
}

// Patch changes a connection.
func (c *CloudClient) Patch(ctx context.Context, id string, p ConnectionPatch) (Connection, error) {
	var out Connection
	err := c.do(ctx, call{method: http.MethodPatch, path: connectionPath(id, ""), body: p, out: &out})
	return out, err
}

// Delete removes a connection and revokes its key, or says what is left to deliver.
func (c *CloudClient) Delete(ctx context.Context, id string) (Removed, error) {
	var out Removed
	err := c.do(ctx, call{method: http.MethodDelete, path: connectionPath(id, ""), out: &out})
	return out, err
}

// DeleteIf is Delete of a connection that still is as it was registered: with this key and this revision.
func (c *CloudClient) DeleteIf(ctx context.Context, id, keyID, revision string) (Removed, error) {
	query := url.Values{}
	for name, value := range map[string]string{"key_id": keyID, "revision": revision} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var out Removed
	err := c.do(ctx, call{method: http.MethodDelete, path: connectionPath(id, ""), query: query, out: &out})
	return out, err
}

// Credential is what to call the connection's server with.
func (c *CloudClient) Credential(ctx context.Context, id string) (Credential, error) {
	var out Credential
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/credential"), out: &out})
	return out, err
}

// KeepCredential is Credential of a connection that another connect has made; that one can then not take it back.
func (c *CloudClient) KeepCredential(ctx context.Context, id string) (Credential, error) {
	var out Credential
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/credential"), query: url.Values{"keep": {"true"}}, out: &out})
	return out, err
}

// Check probes the connection's server now.
func (c *CloudClient) Check(ctx context.Context, id string) (Connection, error) {
	var out Connection
	err := c.do(ctx, call{method: http.MethodPost, path: connectionPath(id, "/check"), out: &out})
	return out, err
}

// RevocationDelivered tells the cloud that the caller has delivered a revocation to its server.
func (c *CloudClient) RevocationDelivered(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/revocations/" + url.PathEscape(id)})
}

// Undelivered lists the revocations and withdrawals that servers have not taken yet.
func (c *CloudClient) Undelivered(ctx context.Context) ([]Undelivered, error) {
	var out List[Undelivered]
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/revocations", out: &out})
	return out.Items, err
}

// DeveloperToken mints a developer token.
func (c *CloudClient) DeveloperToken(ctx context.Context) (DeveloperToken, error) {
	var out DeveloperToken
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/developer-tokens", out: &out})
	return out, err
}

// Audit lists the newest entries of the organization's audit log.
func (c *CloudClient) Audit(ctx context.Context, query url.Values) (List[AuditEntry], error) {
	var out List[AuditEntry]
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/audit", query: query, out: &out})
	return out, err
}

// Healthy asks whether the cloud is up.
func (c *CloudClient) Healthy(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodGet, path: "/healthz"})
}
