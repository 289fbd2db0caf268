package apiclient

import (
	"context"
	"net/http"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// Join begins a server's join with a join token.
func (c *Cloud) Join(ctx context.Context, token bridge.JoinToken, r api.JoinRequest) (api.JoinAnswer, error) {
	var out api.JoinAnswer
	err := c.do(ctx, call{method: http.MethodPost, path: api.PathJoin, header: joinHeader(token), body: r, out: &out})
	return out, err
}

// CompleteJoin registers the key and the link of a server that joins, and returns its connection.
func (c *Cloud) CompleteJoin(ctx context.Context, token bridge.JoinToken, r api.JoinComplete) (api.Connection, error) {
	var out api.Connection
	err := c.do(ctx, call{method: http.MethodPost, path: api.PathJoinDone, header: joinHeader(token), body: r, out: &out})
	return out, err
}

// joinHeader carries a join token as a bearer: it begins like an API key, and is none.
func joinHeader(token bridge.JoinToken) http.Header {
	return http.Header{bridge.HeaderAuthorization: {"Bearer " + token.Text().Reveal()}}
}
