package api

import (
	"context"
	"net/http"
	"net/url"
)

// History is how a connection was, and how much it was used.
func (c *CloudClient) History(ctx context.Context, id string) (ConnectionHistory, error) {
	var out ConnectionHistory
	err := c.do(ctx, call{method: http.MethodGet, path: connectionPath(id, "/history"), out: &out})
	return out, err
}

// MemberUses is who has used a connection within 30 days, the last one first, and of very many those who used it last.
func (c *CloudClient) MemberUses(ctx context.Context, id string) ([]MemberUse, error) {
	return all[MemberUse](ctx, &c.Client, connectionPath(id, "/uses"), url.Values{"limit": {"500"}})
}
