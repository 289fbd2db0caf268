package apiclient

import (
	"context"
	"net/http"

	"github.com/acebridge/ace/bridge/api"
)

// Join begins a server's join. The client's credential is a join token.
func (c *Cloud) Join(ctx context.Context, r api.JoinRequest) (api.JoinAnswer, error) {
	var out api.JoinAnswer
	err := c.do(ctx, call{method: http.MethodPost, path: api.PathJoin, body: r, out: &out})
	return out, err
}

// CompleteJoin registers the key and the link of a server that joins, and returns its connection.
func (c *Cloud) CompleteJoin(ctx context.Context, r api.JoinComplete) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodPost, path: api.PathJoinDone, body: r, out: &out})
	return out, err
}
