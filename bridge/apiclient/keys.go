package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// The methods of this file are about API keys, and the same at a server and at a cloud.

// Keys lists the API keys that the credential may see.
func (c *Client) Keys(ctx context.Context) ([]api.APIKey, error) {
	return all[api.APIKey](ctx, c, c.root+"/api-keys", nil)
}

// KeysOf lists the API keys made with the key that has the ID parent. "unknown" lists the live keys without a known parent;
// the empty string lists all keys.
func (c *Client) KeysOf(ctx context.Context, parent string) ([]api.APIKey, error) {
	query := url.Values{}
	if parent != "" {
		query.Set("parent", parent)
	}
	return all[api.APIKey](ctx, c, c.root+"/api-keys", query)
}

// KeysPage is one page of the list, after a cursor; "": the first.
func (c *Client) KeysPage(ctx context.Context, cursor string, limit int) (api.List[api.APIKey], error) {
	var out api.List[api.APIKey]
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	err := c.do(ctx, call{method: http.MethodGet, path: c.root + "/api-keys", query: query, out: &out})
	return out, err
}

// KeysPageOf is one page of what [Client.KeysOf] lists.
func (c *Client) KeysPageOf(ctx context.Context, parent string, limit int) (api.List[api.APIKey], error) {
	var out api.List[api.APIKey]
	err := c.do(ctx, call{method: http.MethodGet, path: c.root + "/api-keys",
		query: url.Values{"limit": {strconv.Itoa(limit)}, "parent": {parent}}, out: &out})
	return out, err
}

// CreateKey creates an API key.
func (c *Client) CreateKey(ctx context.Context, r api.CreateKeyRequest) (api.CreatedKey, error) {
	var out api.CreatedKey
	err := c.do(ctx, call{method: http.MethodPost, path: c.root + "/api-keys", body: r, out: &out})
	return out, err
}

// Key is one API key by its ID.
func (c *Client) Key(ctx context.Context, id string) (api.APIKey, error) {
	var out api.APIKey
	err := c.do(ctx, call{method: http.MethodGet, path: c.keyPath(id, ""), out: &out})
	return out, err
}

// RevokeKey revokes an API key.
func (c *Client) RevokeKey(ctx context.Context, id string) (api.APIKey, error) {
	var out api.APIKey
	err := c.do(ctx, call{method: http.MethodDelete, path: c.keyPath(id, ""), out: &out})
	return out, err
}

// ReviveKey gives a key a new secret; the old one dies at once.
func (c *Client) ReviveKey(ctx context.Context, id string, r api.ReviveKeyRequest) (api.CreatedKey, error) {
	var out api.CreatedKey
	err := c.do(ctx, call{method: http.MethodPost, path: c.keyPath(id, "/revive"), body: r, out: &out})
	return out, err
}

// RotateKey gives a key a new secret; the old one lives until the grace ends. The same idempotency key gives the same
// answer again.
func (c *Client) RotateKey(ctx context.Context, id string, idempotency bridge.Secret, r api.RotateKeyRequest) (api.CreatedKey, error) {
	var out api.CreatedKey
	header := http.Header{}
	if !idempotency.IsZero() {
		header.Set(api.HeaderIdempotencyKey, idempotency.Reveal())
	}
	err := c.do(ctx, call{method: http.MethodPost, path: c.keyPath(id, "/rotate"), body: r, header: header, out: &out})
	return out, err
}

// DisableKey lets a key be refused until it is enabled.
func (c *Client) DisableKey(ctx context.Context, id string) (api.APIKey, error) {
	var out api.APIKey
	err := c.do(ctx, call{method: http.MethodPost, path: c.keyPath(id, "/disable"), out: &out})
	return out, err
}

// EnableKey ends what DisableKey began.
func (c *Client) EnableKey(ctx context.Context, id string) (api.APIKey, error) {
	var out api.APIKey
	err := c.do(ctx, call{method: http.MethodPost, path: c.keyPath(id, "/enable"), out: &out})
	return out, err
}

func (c *Client) keyPath(id, action string) string {
	return c.root + "/api-keys/" + url.PathEscape(id) + action
}

// Scopes is the catalogue, as JSON.
func (c *Client) Scopes(ctx context.Context) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.do(ctx, call{method: http.MethodGet, path: c.root + "/scopes", out: &out})
	return out, err
}

// KeyEnds says what revoking an API key would end.
func (c *Client) KeyEnds(ctx context.Context, id string) (api.Ends, error) {
	return c.ends(ctx, c.keyPath(id, "/ends"), nil)
}
func (c *Client) ends(ctx context.Context, path string, query url.Values) (api.Ends, error) {
	var out api.Ends
	err := c.do(ctx, call{method: http.MethodGet, path: path, query: query, out: &out})
	return out, err
}
