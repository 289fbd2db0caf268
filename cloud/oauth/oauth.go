package oauth

import (
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// Mount adds the endpoints of the authorization server, and the pages on which a person approves.
func (oa *OAuth) Mount(e *echo.Echo) {
	e.GET(api.PathMetadata, oa.metadata)
	e.GET("/.well-known/jwks.json", oa.jwks)
	e.GET("/oauth/authorize", oa.authorize)
	e.POST("/oauth/authorize", oa.page.SignedIn(oa.decideAuthorization))
	e.POST("/oauth/device_authorization", oa.oauth(identified(oa.deviceAuthorization)))
	e.POST("/oauth/token", oa.oauth(oa.token))
	e.POST("/oauth/revoke", oa.oauth(anyClient(oa.revoke)))
	e.GET("/device", oa.page.SignedIn(oa.devicePage))
	e.POST("/device", oa.page.SignedIn(oa.decideDevice))
}

// metadata answers with the authorization server metadata (RFC 8414 section 3).
func (oa *OAuth) metadata(ctx echo.Context) error {
	at := func(path string) string { return oa.cfg.PublicURL.Join(path) }
	ctx.Response().Header().Set("Cache-Control", "public, max-age=300")
	return ctx.JSON(http.StatusOK, map[string]any{
		"issuer":                                         oa.cfg.PublicURL,
		"authorization_endpoint":                         at("/oauth/authorize"),
		"device_authorization_endpoint":                  at("/oauth/device_authorization"),
		"token_endpoint":                                 at("/oauth/token"),
		"revocation_endpoint":                            at("/oauth/revoke"),
		"jwks_uri":                                       at("/.well-known/jwks.json"),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{api.GrantCode, api.GrantDeviceCode, api.GrantRefreshToken, api.GrantExchange},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"none"},
		"revocation_endpoint_auth_methods_supported":     []string{"none"},
		"authorization_response_iss_parameter_supported": true,
	})
}

// jwks answers with the public signing keys (RFC 7517, RFC 8037).
func (oa *OAuth) jwks(ctx echo.Context) error {
	type jwk struct {
		KeyType   string `json:"kty"`
		Curve     string `json:"crv"`
		X         string `json:"x"`
		KeyID     string `json:"kid"`
		Use       string `json:"use"`
		Algorithm string `json:"alg"`
	}
	keys := []jwk{}
	for kid, public := range oa.root.VerificationKeys() {
		keys = append(keys, jwk{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(public), kid, "sig", bridge.AlgEdDSA})
	}
	slices.SortFunc(keys, func(a, b jwk) int { return strings.Compare(a.KeyID, b.KeyID) })
	ctx.Response().Header().Set("Cache-Control", "public, max-age=300")
	return ctx.JSON(http.StatusOK, map[string]any{"keys": keys})
}

// oauth wraps the handler of an OAuth endpoint: parameters are a form, and errors are OAuth's own (RFC 6749 section 5.2).
func (oa *OAuth) oauth(h echo.HandlerFunc) echo.HandlerFunc {
	return func(ctx echo.Context) error {
		r, header := ctx.Request(), ctx.Response().Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Pragma", "no-cache") // RFC 6749 section 5.1
		err := oa.oauthRequest(ctx, h)
		if err == nil || ctx.Response().Committed {
			return err
		}
		e := bridge.AsError(err)
		body := api.OAuthError{Code: oauthCode(e), Description: e.Detail, Hint: e.Hint}
		status := http.StatusBadRequest
		switch e.Kind {
		case bridge.Internal, bridge.TooMany, bridge.TooLarge, bridge.Unavailable:
			status = api.Status(err)
			api.SetRetryAfter(header, err)
			oa.log.Warn("an OAuth request failed", "request_id", api.RequestID(r), "code", e.Code, "cause", e.Err)
		}
		if body.Code == errClient.Code && usesBasic(r) {
			status = http.StatusUnauthorized
			header.Set("WWW-Authenticate", `Basic realm="ace"`)
		}
		return ctx.JSON(status, body)
	}
}

// oauthRequest checks the form of a request before its handler runs.
func (oa *OAuth) oauthRequest(ctx echo.Context, h echo.HandlerFunc) error {
	r := ctx.Request()
	if err := oa.tokens.Allow(bridge.AddressKey(ctx.RealIP())); err != nil {
		return err
	}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/x-www-form-urlencoded" {
		return bridge.E(bridge.Invalid, bridge.CodeInvalidRequest, "the parameters must be sent as application/x-www-form-urlencoded")
	}
	body, err := api.ReadBody(ctx.Response(), r, page.MaxForm)
	if err != nil {
		return err
	}
	// Only the body counts: parameters in a URL end up in every log on the way.
	if r.PostForm, err = url.ParseQuery(string(body)); err != nil {
		return bridge.E(bridge.Invalid, bridge.CodeInvalidRequest, "the body is not a form")
	}
	if err := api.CheckText(r.PostForm); err != nil {
		return err
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "key_id" {
			return bridge.E(bridge.Invalid, bridge.CodeInvalidRequest, "the parameter %q is given more than once", name)
		}
	}
	if scope := r.PostForm.Get("scope"); scope != "" {
		return bridge.E(bridge.Invalid, bridge.CodeInvalidScope,
			"there are no scopes to ask for here: a session has those of its member's role")
	}
	return h(ctx)
}

// oauthCode maps one of our errors to a code that OAuth knows.
func oauthCode(e *bridge.Error) bridge.Code {
	switch e.Code {
	case bridge.CodeAuthorizationPending, bridge.CodeSlowDown, bridge.CodeAccessDenied, bridge.CodeExpiredToken,
		bridge.CodeInvalidGrant, bridge.CodeInvalidRequest,
		bridge.CodeInvalidTarget, bridge.CodeInvalidScope, bridge.CodeUnsupportedGrantType, bridge.CodeInvalidClient:
		return e.Code
	}
	switch e.Kind {
	case bridge.Unauthenticated:
		return bridge.CodeInvalidGrant
	case bridge.Forbidden:
		return bridge.CodeAccessDenied
	case bridge.TooMany:
		return bridge.CodeSlowDown
	case bridge.Internal:
		return bridge.CodeServerError
	case bridge.Unavailable:
		return bridge.CodeTemporarilyUnavailable
	}
	return bridge.CodeInvalidRequest
}

var errClient = bridge.E(bridge.Invalid, bridge.CodeInvalidClient,
	"the client_id is not known here, or comes with a secret, which public clients do not have")

// usesBasic reports whether a request has HTTP Basic credentials.
func usesBasic(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get(bridge.HeaderAuthorization), " ")
	return strings.EqualFold(scheme, "Basic")
}

// client returns the public client that a request names, or "". It is named in the body (RFC 6749 section 3.2.1) or, as some
// libraries do, as the user of HTTP Basic without a password (section 2.3.1); inHeader says which.
func client(r *http.Request) (id string, inHeader bool, err error) {
	id = r.PostForm.Get("client_id")
	if usesBasic(r) {
		user, password, ok := r.BasicAuth()
		if user, err = url.QueryUnescape(user); !ok || err != nil || password != "" || (id != "" && id != user) {
			return "", true, errClient
		}
		id, inHeader = user, true
	}
	if (id != "" && id != api.CLIClientID) || r.PostForm.Get("client_secret") != "" {
		return "", inHeader, errClient
	}
	return id, inHeader, nil
}

// identified wraps the handler of a request that must name its client, because only that client gets the answer.
func identified(h func(ctx echo.Context, clientID string, inHeader bool) error) echo.HandlerFunc {
	return func(ctx echo.Context) error {
		id, inHeader, err := client(ctx.Request())
		if err == nil && id == "" {
			err = errClient
		}
		if err != nil {
			return err
		}
		return h(ctx, id, inHeader)
	}
}

// anyClient wraps the handler of a request that may name its client, but no unknown one.
func anyClient(h echo.HandlerFunc) echo.HandlerFunc {
	return func(ctx echo.Context) error {
		if _, _, err := client(ctx.Request()); err != nil {
			return err
		}
		return h(ctx)
	}
}

// deviceAuthorization starts a device login (RFC 8628 section 3.1).
func (oa *OAuth) deviceAuthorization(ctx echo.Context, clientID string, _ bool) error {
	r := ctx.Request()
	if err := oa.devices.Allow(bridge.AddressKey(ctx.RealIP())); err != nil {
		return err
	}
	d, err := oa.sessions.StartDevice(r.Context(), accounts.DeviceStart{ClientID: clientID, Address: ctx.RealIP(), UserAgent: r.UserAgent()})
	if err != nil {
		return err
	}
	page := oa.cfg.PublicURL.Join("/device")
	return ctx.JSON(http.StatusOK, map[string]any{
		"device_code": d.DeviceCode.Disclose(), "user_code": d.UserCode, "verification_uri": page,
		"verification_uri_complete": page + "?user_code=" + d.UserCode,
		"expires_in":                int(d.ExpiresAt.Sub(oa.cfg.Now()).Seconds()),
		"interval":                  int(d.Interval.Seconds()),
	})
}

// token is the token endpoint (RFC 6749 section 3.2).
func (oa *OAuth) token(ctx echo.Context) error {
	switch ctx.Request().PostForm.Get("grant_type") {
	case api.GrantCode:
		return identified(oa.redeemCode)(ctx)
	case api.GrantDeviceCode:
		return identified(oa.pollDevice)(ctx)
	case api.GrantRefreshToken:
		return anyClient(oa.refresh)(ctx)
	case api.GrantExchange:
		return anyClient(oa.exchangeToken)(ctx)
	case "":
		return bridge.E(bridge.Invalid, bridge.CodeInvalidRequest, "the grant_type is missing")
	}
	return bridge.E(bridge.Invalid, bridge.CodeUnsupportedGrantType, "that grant type is not known here")
}

// requireParameters refuses a form without one of the parameters.
func requireParameters(r *http.Request, names ...string) error {
	for _, name := range names {
		if r.PostForm.Get(name) == "" {
			return bridge.E(bridge.Invalid, bridge.CodeInvalidRequest, "the parameter %q is missing", name)
		}
	}
	return nil
}

// redeemCode exchanges an authorization code for a session (RFC 6749 section 4.1.3).
func (oa *OAuth) redeemCode(ctx echo.Context, clientID string, _ bool) error {
	r := ctx.Request()
	if err := requireParameters(r, "code", "redirect_uri", "code_verifier"); err != nil {
		return err
	}
	form := r.PostForm
	s, err := oa.sessions.RedeemCode(r.Context(), bridge.NewSecret(form.Get("code")), bridge.NewSecret(form.Get("code_verifier")),
		clientID, form.Get("redirect_uri"), who.Anonymous(ctx))
	return oa.answerSession(ctx, s, err)
}

// pollDevice answers whether a device login was approved (RFC 8628 section 3.4).
func (oa *OAuth) pollDevice(ctx echo.Context, clientID string, inHeader bool) error {
	r := ctx.Request()
	if err := requireParameters(r, "device_code"); err != nil {
		return err
	}
	s, err := oa.sessions.PollDevice(r.Context(), accounts.DevicePoll{Code: bridge.NewSecret(r.PostForm.Get("device_code")),
		ClientID: clientID, Probe: inHeader}, who.Anonymous(ctx))
	return oa.answerSession(ctx, s, err)
}

// refresh exchanges a refresh token for new tokens (RFC 6749 section 6).
func (oa *OAuth) refresh(ctx echo.Context) error {
	r := ctx.Request()
	if err := requireParameters(r, "refresh_token"); err != nil {
		return err
	}
	s, err := oa.sessions.RefreshSession(r.Context(), bridge.NewSecret(r.PostForm.Get("refresh_token")), who.Anonymous(ctx))
	return oa.answerSession(ctx, s, err)
}

// answerSession answers with the tokens of a session (RFC 6749 section 5.1).
func (oa *OAuth) answerSession(ctx echo.Context, s accounts.Session, err error) error {
	if err != nil {
		return err
	}
	token, err := oa.who.SessionToken(s.Principal, accounts.AccessLife)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, map[string]any{
		"access_token": token.Disclose(), "token_type": "Bearer", "expires_in": int(accounts.AccessLife.Seconds()),
		"refresh_token": s.Refresh.Disclose(), "refresh_expires_in": int(accounts.RefreshLife.Seconds()),
	})
}

// exchangeToken narrows a session token or an API key of this cloud to a connect token for one server (RFC 8693); the server
// is the resource (RFC 8707).
func (oa *OAuth) exchangeToken(ctx echo.Context) error {
	r := ctx.Request()
	if t := r.PostForm.Get("subject_token_type"); t != api.TokenTypeAccess && t != api.TokenTypeJWT {
		return bridge.E(bridge.Invalid, bridge.CodeInvalidRequest, "the subject_token_type is not that of a session token")
	}
	if t := r.PostForm.Get("requested_token_type"); t != "" && t != api.TokenTypeJWT {
		return bridge.E(bridge.Invalid, bridge.CodeInvalidRequest, "the requested_token_type must be %s", api.TokenTypeJWT)
	}
	subject, err := bridge.ParsePresented(bridge.NewSecret(r.PostForm.Get("subject_token")))
	if err != nil {
		return err
	}
	p, err := oa.who.Bearer(ctx, subject)
	if err != nil {
		return err
	}
	server, err := bridge.CanonicalURL(r.PostForm.Get("resource"))
	if err != nil {
		return bridge.E(bridge.Invalid, bridge.CodeInvalidTarget, "the resource is not a server's URL: %s", bridge.AsError(err).Detail)
	}
	claims, err := oa.connections.ConnectClaims(r.Context(), p, server)
	if err != nil {
		return err
	}
	token, kid, err := connections.SignConnect(oa.root, claims, r.PostForm["key_id"])
	if err != nil {
		return err
	}
	if err := oa.accounts.Note(r.Context(), who.Actor(ctx, p), "connect_token.issue", string(server), map[string]string{"kid": kid}); err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, map[string]any{
		"access_token": token.Disclose(), "issued_token_type": api.TokenTypeJWT, "token_type": "N_A",
		"expires_in": int(bridge.MaxConnectTokenLife.Seconds()),
	})
}

// revoke ends the session of a refresh token or a session token (RFC 7009). An unknown token is not an error (section 2.2).
func (oa *OAuth) revoke(ctx echo.Context) error {
	r := ctx.Request()
	if err := requireParameters(r, "token"); err != nil {
		return err
	}
	token := bridge.NewSecret(r.PostForm.Get("token"))
	if bridge.TokenType(token) == bridge.TypeSession {
		p, _, err := oa.who.VerifySession(r, token)
		if err == nil {
			err = oa.sessions.EndSession(r.Context(), who.Caller(ctx, p))
		} else if bridge.AsError(err).Kind == bridge.Unauthenticated {
			err = nil
		}
		if err != nil {
			return err
		}
		return ctx.NoContent(http.StatusOK)
	}
	if err := oa.sessions.RevokeRefresh(r.Context(), token, who.Anonymous(ctx)); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusOK)
}
