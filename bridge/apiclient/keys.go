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

// The methods in this file are about API keys; a server and a cloud answer them alike.

// Keys lists all API keys that the credential may see.
func (c *Client) Keys(ctx context.Context) ([]api.APIKey, error) {
	return all[api.APIKey](ctx, c, c.root+"/api-keys", nil)
}

// KeysOf lists the API keys created with the key whose ID is parent.
//
// "unknown" lists the living keys whose parent is not known; the empty string lists all keys.
func (c *Client) KeysOf(ctx context.Context, parent string) ([]api.APIKey, error) {
	query := url.Values{}
	if parent != "" {
		query.Set("parent", parent)
	}
	return all[api.APIKey](ctx, c, c.root+"/api-keys", query)
}

// KeysPage returns one page of the list of keys. cursor is the previous page's NextCursor, or empty.
func (c *Client) KeysPage(ctx context.Context, cursor string, limit int) (api.List[api.APIKey], error) {
	var out api.List[api.APIKey]
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	err := c.do(ctx, call{method: http.MethodGet, path: c.root + "/api-keys", query: query, out: &out})
	return out, err
}

// KeysPageOf returns the first page of what [Client.KeysOf] lists.
func (c *Client) KeysPageOf(ctx context.Context, parent string, limit int) (api.List[api.APIKey], error) {
	var out api.List[api.APIKey]
	err := c.do(ctx, call{method: http.MethodGet, path: c.root + "/api-keys",
		query: url.Values{"limit": {strconv.Itoa(limit)}, "parent": {parent}}, out: &out})
	return out, err
}

// CreateKey creates an API key. The answer is the only one that contains its secret.
func (c *Client) CreateKey(ctx context.Context, r api.CreateKeyRequest) (api.CreatedKey, error) {
	var out api.CreatedKey
	err := c.do(ctx, call{method: http.MethodPost, path: c.root + "/api-keys", body: r, out: &out})
	return out, err
}

// Key returns one API key by its ID.
func (c *Client) Key(ctx context.Context, id string) (api.APIKey, error) {
	var out api.APIKey
	err := c.do(ctx, call{method: http.MethodGet, path: c.keyPath(id, ""), out: &out})
	return out, err
}

// RevokeKey revokes an API key for good.
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

// RotateKey gives a key a new secret; the old one stays valid for the grace period.
//
// A retry with the same idempotency key gets the same answer; zero sends none.
func (c *Client) RotateKey(ctx context.Context, id string, idempotency bridge.Secret, r api.RotateKeyRequest) (api.CreatedKey, error) {
	var out api.CreatedKey
	header := http.Header{}
	if !idempotency.IsZero() {
		header.Set(api.HeaderIdempotencyKey, idempotency.Reveal())
	}
	err := c.do(ctx, call{method: http.MethodPost, path: c.keyPath(id, "/rotate"), body: r, header: header, out: &out})
	return out, err
}

// DisableKey makes a key refused until it is enabled again.
func (c *Client) DisableKey(ctx context.Context, id string) (api.APIKey, error) {
	var out api.APIKey
	err := c.do(ctx, call{method: http.MethodPost, path: c.keyPath(id, "/disable"), out: &out})
	return out, err
}

// EnableKey undoes DisableKey.
func (c *Client) EnableKey(ctx context.Context, id string) (api.APIKey, error) {
	var out api.APIKey
	err := c.do(ctx, call{method: http.MethodPost, path: c.keyPath(id, "/enable"), out: &out})
	return out, err
}

func (c *Client) keyPath(id, action string) string {
	return c.root + "/api-keys/" + url.PathEscape(id) + action
}

// Scopes returns the catalogue of scopes and rules as JSON; see bridge/catalogue.
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
