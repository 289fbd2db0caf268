package apiclient

import (
	"context"
	"net/http"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// IdentityCalls are the calls about the caller: password sessions and the e-mail address.
type IdentityCalls struct{ *Client }

// PasswordSession logs a person in with a password; see [api.SessionRequest] and [bridge.CodeOTPRequired].
func (c IdentityCalls) PasswordSession(ctx context.Context, r api.SessionRequest) (api.SessionToken, error) {
	var out api.SessionToken
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/sessions", body: r, out: &out})
	if err == nil && out.Token.IsZero() {
		err = bridge.E(bridge.Invalid, bridge.CodeAnswerUnexpected, "%s answered no token", c.base)
	}
	return out, err
}

// PendingAddress returns the caller's new e-mail address that is not confirmed yet.
func (c IdentityCalls) PendingAddress(ctx context.Context) (api.PendingAddress, error) {
	var out api.PendingAddress
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me/address", out: &out})
	return out, err
}

// RequestAddress asks to change the caller's e-mail address; see [api.AddressRequest].
func (c IdentityCalls) RequestAddress(ctx context.Context, r api.AddressRequest) (api.PendingAddress, error) {
	var out api.PendingAddress
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/me/address", body: r, out: &out})
	return out, err
}

// CancelAddress cancels the caller's pending change of address.
func (c IdentityCalls) CancelAddress(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/me/address"})
}
