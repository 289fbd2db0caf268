package apiclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/acebridge/ace/bridge/api"
)

const pathJoinTokens = "/v1/join-tokens"

// CreateJoinToken makes a token with which servers join the caller's organization.
func (c OrganizationCalls) CreateJoinToken(ctx context.Context, r api.JoinTokenRequest) (api.CreatedJoinToken, error) {
	var out api.CreatedJoinToken
	err := c.do(ctx, call{method: http.MethodPost, path: pathJoinTokens, body: r, out: &out})
	return out, err
}

// JoinTokens lists the join tokens of the caller's organization, also those that have ended lately.
func (c OrganizationCalls) JoinTokens(ctx context.Context) ([]api.JoinToken, error) {
	return all[api.JoinToken](ctx, c.Client, pathJoinTokens, nil)
}

// RevokeJoinToken ends a join token. Servers that have joined with it stay.
func (c OrganizationCalls) RevokeJoinToken(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: pathJoinTokens + "/" + url.PathEscape(id)})
}
