package api

import (
	"github.com/acebridge/ace/bridge"
)

// The CLI's public OAuth client, and the identifiers of the grants it uses (RFC 8628, RFC 8693).
const (
	CLIClientID       = "ace-cli"
	GrantCode         = "authorization_code"
	GrantDeviceCode   = "urn:ietf:params:oauth:grant-type:device_code"
	GrantRefreshToken = "refresh_token"
	GrantExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
	TokenTypeAccess   = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeJWT      = "urn:ietf:params:oauth:token-type:jwt"
)

// PathConnections is where a cloud lists connections. Each connection and its relay are below it.
const PathConnections = "/v1/connections"

// PathMetadata is where a cloud publishes its authorization server metadata (RFC 8414 section 3).
const PathMetadata = "/.well-known/oauth-authorization-server"

// DeviceAuthorization is the device authorization response (RFC 8628 section 3.2).
type DeviceAuthorization struct {
	DeviceCode              bridge.Disclosed `json:"device_code"`
	UserCode                string           `json:"user_code"`
	VerificationURI         string           `json:"verification_uri"`
	VerificationURIComplete string           `json:"verification_uri_complete"`
	ExpiresIn               int64            `json:"expires_in"`
	Interval                int64            `json:"interval"`
}

// TokenAnswer is a successful token response (RFC 6749 section 5.1, RFC 8693 section 2.2.1).
type TokenAnswer struct {
	AccessToken      bridge.Disclosed `json:"access_token"`
	TokenType        string           `json:"token_type"`
	ExpiresIn        int64            `json:"expires_in"`
	RefreshToken     bridge.Disclosed `json:"refresh_token,omitzero"`
	RefreshExpiresIn int64            `json:"refresh_expires_in,omitempty"`
	IssuedTokenType  string           `json:"issued_token_type,omitempty"`
}

// OAuthError is the error body of an OAuth endpoint (RFC 6749 section 5.2), extended by a hint.
type OAuthError struct {
	Code        bridge.Code `json:"error"`
	Description string      `json:"error_description,omitempty"`
	Hint        string      `json:"hint,omitempty"`
}

// Metadata is a cloud's authorization server metadata (RFC 8414 section 2).
type Metadata struct {
	Issuer                      string `json:"issuer"`
	AuthorizationEndpoint       string `json:"authorization_endpoint"`
	DeviceAuthorizationEndpoint string `json:"device_authorization_endpoint"`
	TokenEndpoint               string `json:"token_endpoint"`
	RevocationEndpoint          string `json:"revocation_endpoint"`
	JWKSURI                     string `json:"jwks_uri"`
}
