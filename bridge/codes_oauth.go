package bridge

// Codes: OAuth's own names.
const (
	CodeAuthorizationPending    Code = "authorization_pending"
	CodeSlowDown                Code = "slow_down"
	CodeExpiredToken            Code = "expired_token"
	CodeInvalidRequest          Code = "invalid_request"
	CodeInvalidClient           Code = "invalid_client"
	CodeInvalidGrant            Code = "invalid_grant"
	CodeInvalidScope            Code = "invalid_scope"
	CodeInvalidTarget           Code = "invalid_target"
	CodeUnsupportedGrantType    Code = "unsupported_grant_type"
	CodeUnsupportedResponseType Code = "unsupported_response_type"
	CodeRedirectURIRefused      Code = "redirect_uri_refused"
	CodeServerError             Code = "server_error"
	CodeTemporarilyUnavailable  Code = "temporarily_unavailable"
)

var oauthCodes = []meaning{
	{CodeAuthorizationPending, []Kind{Invalid}, again, "Nobody has approved the device code yet (RFC 8628)."},
	{CodeSlowDown, []Kind{Invalid}, again, "The program polls too often (RFC 8628)."},
	{CodeExpiredToken, []Kind{Invalid, Unauthenticated}, final,
		"The device code has expired, or nobody signed in in time (RFC 8628)."},
	{CodeInvalidRequest, []Kind{Invalid}, final, "A parameter is missing, repeated or malformed (RFC 6749)."},
	{CodeInvalidClient, []Kind{Invalid}, final, "The client is not known, or authenticates the wrong way (RFC 6749)."},
	{CodeInvalidGrant, []Kind{Invalid}, final,
		"The code, refresh token or token to exchange is not valid any more (RFC 6749)."},
	{CodeInvalidScope, []Kind{Invalid}, final, "The scope is not one that can be asked for here (RFC 6749)."},
	{CodeInvalidTarget, []Kind{Invalid}, final, "The resource is not a server that a token can be made for (RFC 8707)."},
	{CodeUnsupportedGrantType, []Kind{Invalid}, final, "The token endpoint does not know the grant type (RFC 6749)."},
	{CodeUnsupportedResponseType, []Kind{Invalid}, final, "The response type must be code (RFC 6749)."},
	{CodeRedirectURIRefused, []Kind{Invalid}, final,
		"The program wants the code sent to an address that is not its own port on this machine."},
	{CodeServerError, []Kind{Internal}, final, "The cloud failed; the cause is in its log (RFC 6749)."},
	{CodeTemporarilyUnavailable, []Kind{Unavailable}, again,
		"The cloud is not ready to answer, for instance because its database is away (RFC 6749)."},
}
