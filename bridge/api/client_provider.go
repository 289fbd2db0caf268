package api

import (
	"context"
	"net/http"
	"net/url"
)

func providerPath(org, rest string) string {
	return "/v1/organizations/" + url.PathEscape(org) + "/provider" + rest
}

// Provider is the sign-in provider of an organization.
func (c *CloudClient) Provider(ctx context.Context, org string) (Provider, error) {
	var out Provider
	err := c.do(ctx, call{method: http.MethodGet, path: providerPath(org, ""), out: &out})
	return out, err
}

// SetProvider sets the sign-in provider of an organization.
func (c *CloudClient) SetProvider(ctx context.Context, org string, s ProviderSettings) (Provider, error) {
	var out Provider
	err := c.do(ctx, call{method: http.MethodPut, path: providerPath(org, ""), body: s, out: &out})
	return out, err
}

// CheckProvider tests the sign-in provider of an organization.
func (c *CloudClient) CheckProvider(ctx context.Context, org string) (ProviderCheck, error) {
	var out ProviderCheck
	err := c.do(ctx, call{method: http.MethodPost, path: providerPath(org, "/check"), out: &out})
	return out, err
}

// RemoveProvider removes the sign-in provider of an organization; the sessions that it has opened end.
func (c *CloudClient) RemoveProvider(ctx context.Context, org string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: providerPath(org, "")})
}
