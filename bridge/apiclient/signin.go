package apiclient

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// SignInCalls are the OAuth calls: they get, renew, narrow and revoke tokens.
type SignInCalls struct {
	*Client
	endpoints api.Metadata // discovered endpoints; an empty one is the default path of an ace cloud
}

// readOAuthError keeps OAuth's error code, since the caller has to tell authorization_pending from a refusal.
func readOAuthError(resp *http.Response) error {
	var o api.OAuthError
	raw, err := io.ReadAll(io.LimitReader(resp.Body, api.MaxProblem))
	if err != nil || bridge.DecodeStrict(raw, &o) != nil || o.Code == "" {
		return api.ReadProblem(resp)
	}
	kind, ok := bridge.KindOfStatus(resp.StatusCode)
	if !ok {
		kind = bridge.Invalid
	}
	if o.Description == "" {
		o.Description = "the cloud refused: " + string(o.Code)
	}
	e := bridge.Error{Kind: kind, Code: o.Code, Detail: o.Description, Hint: o.Hint}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return &e
}

// token calls the token endpoint as the CLI's client.
func (c SignInCalls) token(ctx context.Context, form url.Values) (api.TokenAnswer, error) {
	var t api.TokenAnswer
	form.Set("client_id", api.CLIClientID)
	err := c.do(ctx, call{method: http.MethodPost, path: "/oauth/token", url: c.endpoints.TokenEndpoint, form: form, out: &t, problem: readOAuthError})
	if err == nil && t.AccessToken.IsZero() {
		err = bridge.E(bridge.Invalid, bridge.CodeAnswerUnexpected, "%s answered no token", c.base)
	}
	return t, err
}

// StartDevice begins a device grant (RFC 8628 section 3.1).
func (c SignInCalls) StartDevice(ctx context.Context) (api.DeviceAuthorization, error) {
	var d api.DeviceAuthorization
	err := c.do(ctx, call{method: http.MethodPost, path: "/oauth/device_authorization", url: c.endpoints.DeviceAuthorizationEndpoint,
		form: url.Values{"client_id": {api.CLIClientID}}, out: &d, problem: readOAuthError})
	if err == nil && (d.DeviceCode.IsZero() || d.UserCode == "") {
		err = bridge.E(bridge.Invalid, bridge.CodeAnswerUnexpected, "%s answered no device code", c.base)
	}
	return d, err
}

// PollDevice asks once whether the device grant has been approved.
//
// Until then the error has the code authorization_pending or slow_down (RFC 8628 section 3.5).
func (c SignInCalls) PollDevice(ctx context.Context, code bridge.Secret) (api.TokenAnswer, error) {
	return c.token(ctx, url.Values{"grant_type": {api.GrantDeviceCode}, "device_code": {code.Reveal()}})
}

// Refresh turns a refresh token into a new session token and the next refresh token (RFC 6749 section 6).
func (c SignInCalls) Refresh(ctx context.Context, refresh bridge.Secret) (api.TokenAnswer, error) {
	return c.token(ctx, url.Values{"grant_type": {api.GrantRefreshToken}, "refresh_token": {refresh.Reveal()}})
}

// ConnectToken narrows a session to a connect token for one server (RFC 8693).
//
// keyIDs are the ones that the server's discovery document lists.
func (c SignInCalls) ConnectToken(ctx context.Context, server bridge.ServerURL, keyIDs []string) (bridge.Secret, error) {
	form := url.Values{
		"grant_type": {api.GrantExchange}, "subject_token": {c.bearer.Reveal()}, "subject_token_type": {api.TokenTypeAccess},
		"resource": {string(server)}, "requested_token_type": {api.TokenTypeJWT}, "key_id": keyIDs,
	}
	t, err := c.token(ctx, form)
	return t.AccessToken.Secret, err
}

// RevokeToken ends the session that a refresh token belongs to (RFC 7009).
func (c SignInCalls) RevokeToken(ctx context.Context, refresh bridge.Secret) error {
	return c.revoke(ctx, refresh, "refresh_token")
}

// RevokeSession ends the session of a session token or a developer token (RFC 7009).
func (c SignInCalls) RevokeSession(ctx context.Context, token bridge.Secret) error {
	return c.revoke(ctx, token, "access_token")
}

func (c SignInCalls) revoke(ctx context.Context, token bridge.Secret, hint string) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/oauth/revoke", url: c.endpoints.RevocationEndpoint, problem: readOAuthError,
		form: url.Values{"client_id": {api.CLIClientID}, "token": {token.Reveal()}, "token_type_hint": {hint}}})
}

// ExchangeCode redeems an authorization code (RFC 6749 section 4.1.3).
//
// verifier is that of its PKCE challenge (RFC 7636 section 4.5); redirectURI is the one from the authorization request.
func (c SignInCalls) ExchangeCode(ctx context.Context, code, verifier bridge.Secret, redirectURI string) (api.TokenAnswer, error) {
	return c.token(ctx, url.Values{"grant_type": {api.GrantCode}, "code": {code.Reveal()}, "code_verifier": {verifier.Reveal()},
		"redirect_uri": {redirectURI}})
}

// Metadata fetches the cloud's OAuth endpoints.
//
// It refuses a document of another issuer, which could direct credentials elsewhere (RFC 8414 section 3.3), and endpoints
// that are neither https nor on this machine.
func (c SignInCalls) Metadata(ctx context.Context) (api.Metadata, error) {
	var m api.Metadata
	if err := c.do(ctx, call{method: http.MethodGet, path: api.PathMetadata, out: &m}); err != nil {
		return api.Metadata{}, err
	}
	issuer, err := bridge.CanonicalURL(m.Issuer)
	if err != nil || !issuer.Same(c.base) {
		return api.Metadata{}, bridge.E(bridge.Invalid, bridge.CodeIssuerMismatch, "%s says that it is another cloud: %q", c.base,
			m.Issuer).
			WithHint("use the address at which people open its dashboard")
	}
	for name, endpoint := range map[string]string{
		"authorization_endpoint": m.AuthorizationEndpoint, "device_authorization_endpoint": m.DeviceAuthorizationEndpoint,
		"token_endpoint": m.TokenEndpoint, "revocation_endpoint": m.RevocationEndpoint, "jwks_uri": m.JWKSURI,
	} {
		u, err := bridge.CanonicalURL(endpoint)
		if err != nil || (!strings.HasPrefix(string(u), "https://") && !u.Loopback()) {
			return api.Metadata{}, bridge.E(bridge.Invalid, bridge.CodeMetadataMalformed, "%s names no %s that can be called safely",
				c.base, name)
		}
	}
	return m, nil
}
