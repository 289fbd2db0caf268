package apiclient

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// Cloud calls a cloud with one credential. Its methods are grouped by subject.
type Cloud struct {
	*Client
	ConnectionCalls
	OrganizationCalls
	SharingCalls
	IdentityCalls
	SignInCalls
}

// NewCloud returns a client of the cloud at base.
//
// bearer is a session token, a developer token or an API key of the cloud. A zero bearer will do for the OAuth endpoints.
func NewCloud(base bridge.ServerURL, bearer bridge.Secret, cfg api.ClientConfig) *Cloud {
	return newCloud(newClient(base, bearer, "/v1", cfg), api.Metadata{})
}

func newCloud(shared Client, endpoints api.Metadata) *Cloud {
	c := &shared
	return &Cloud{c, ConnectionCalls{c}, OrganizationCalls{c}, SharingCalls{c}, IdentityCalls{c}, SignInCalls{c, endpoints}}
}

// As returns the same client with another credential.
func (c *Cloud) As(bearer bridge.Secret) *Cloud {
	other := *c.Client
	other.bearer = bearer
	return newCloud(other, c.endpoints)
}

// At returns the same client with the OAuth endpoints from a cloud's metadata; see [SignInCalls.Metadata].
func (c *Cloud) At(endpoints api.Metadata) *Cloud {
	return newCloud(*c.Client, endpoints)
}

// Me returns who the credential belongs to.
func (c *Cloud) Me(ctx context.Context) (api.Me, error) {
	var me api.Me
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me", out: &me})
	return me, err
}

// DeveloperToken issues a developer token, a cloud token for scripts.
func (c *Cloud) DeveloperToken(ctx context.Context) (api.DeveloperToken, error) {
	var out api.DeveloperToken
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/developer-tokens", out: &out})
	return out, err
}

// Audit returns one page of the organization's audit log, newest entries first.
func (c *Cloud) Audit(ctx context.Context, query url.Values) (api.List[api.AuditEntry], error) {
	var out api.List[api.AuditEntry]
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/audit", query: query, out: &out})
	return out, err
}

// Healthy fails unless the cloud is up.
func (c *Cloud) Healthy(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodGet, path: "/healthz"})
}

// ExportAudit streams the audit log to w as the cloud sends it. It has no time limit but ctx.
func (c *Cloud) ExportAudit(ctx context.Context, query url.Values, w io.Writer) error {
	resp, err := c.send(ctx, call{method: http.MethodGet, path: "/v1/audit/export", query: query})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode >= 400:
		return c.problem(resp)
	case resp.StatusCode != http.StatusOK:
		return c.redirected(resp)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return c.networkError(ctx, err)
	}
	return nil
}
