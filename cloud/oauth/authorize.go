package oauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// authorization is a request for an authorization code (RFC 6749 section 4.1.1), with its PKCE challenge (RFC 7636).
type authorization struct {
	accounts.CodeGrant
	State string
}

const (
	maxState       = 1 << 10
	maxRedirectURI = 256
)

// loopbackURI matches the addresses where a program on the person's own machine can wait for the code (RFC 8252 section 7.3): a
// loopback address, rather than a name that could point elsewhere, with any port. Its characters need no quoting in a policy.
var loopbackURI = regexp.MustCompile(`^http://(?:127\.0\.0\.1|\[::1\]):([1-9][0-9]{0,4})((?:/[A-Za-z0-9._~-]*)*)$`)

// checkRedirectURI refuses an address that is not a port on the person's own machine (RFC 8252 section 7.3).
func checkRedirectURI(uri string) error {
	bad := bridge.E(bridge.Invalid, bridge.CodeRedirectURIRefused,
		"The program asks to send the code to an address that is not its own port on this machine.").
		WithHint("a redirect_uri is http://127.0.0.1:PORT/PATH or http://[::1]:PORT/PATH, without a query")
	if len(uri) > maxRedirectURI {
		return bad
	}
	m := loopbackURI.FindStringSubmatch(uri)
	if m == nil {
		return bad
	}
	if port, err := strconv.ParseUint(m[1], 10, 16); err != nil || port == 0 || bridge.AmbiguousPath(m[2]) {
		return bad
	}
	return nil
}

// readAuthorization parses a request. There are two kinds of errors: refused is shown to the person, since the code's destination
// cannot be trusted; wrong is sent to the program that waits there (RFC 6749 section 4.1.2.1).
func readAuthorization(v url.Values) (a authorization, wrong *bridge.Error, refused error) {
	if v.Get("client_id") != api.CLIClientID || len(v["client_id"]) != 1 {
		return a, nil, bridge.E(bridge.Invalid, bridge.CodeInvalidClient, "The program that asks for a login is not known here.")
	}
	a.ClientID, a.RedirectURI = api.CLIClientID, v.Get("redirect_uri")
	if len(v["redirect_uri"]) != 1 {
		a.RedirectURI = ""
	}
	if err := checkRedirectURI(a.RedirectURI); err != nil {
		return a, nil, err
	}
	if a.State = v.Get("state"); len(a.State) > maxState || len(v["state"]) > 1 {
		a.State = ""
		return a, oauthWrong(bridge.CodeInvalidRequest, "there is more than one state, or it is too long"), nil
	}
	for _, name := range []string{"response_type", "response_mode", "code_challenge", "code_challenge_method", "scope"} {
		if len(v[name]) > 1 {
			return a, oauthWrong(bridge.CodeInvalidRequest, name+" is given more than once"), nil
		}
	}
	a.Challenge = v.Get("code_challenge")
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(a.Challenge)
	mode := v.Get("response_mode")
	switch {
	case v.Get("response_type") == "":
		return a, oauthWrong(bridge.CodeInvalidRequest, "the response_type is missing"), nil
	case v.Get("response_type") != "code":
		return a, oauthWrong(bridge.CodeUnsupportedResponseType, "the response_type must be code"), nil
	case mode != "" && mode != "query":
		return a, oauthWrong(bridge.CodeInvalidRequest, "the response_mode must be query"), nil
	case v.Get("scope") != "":
		return a, oauthWrong(bridge.CodeInvalidScope, "there are no scopes to ask for here"), nil
	case a.Challenge == "" || v.Get("code_challenge_method") != "S256":
		return a, oauthWrong(bridge.CodeInvalidRequest, "PKCE is required: a code_challenge, with code_challenge_method S256"), nil
	case err != nil || len(challenge) != 32:
		return a, oauthWrong(bridge.CodeInvalidRequest, "the code_challenge is not a SHA-256 in base64url"), nil
	}
	return a, nil, nil
}

// oauthWrong makes an error for the waiting program.
func oauthWrong(code bridge.Code, detail string) *bridge.Error {
	return bridge.E(bridge.Invalid, code, "%s", detail)
}

// answer sends the browser to the waiting program, with the issuer as a parameter (RFC 9207). The status 303 turns any request
// into a GET (RFC 9700 section 4.12).
func (oa *OAuth) answer(ctx echo.Context, a authorization, answer url.Values) error {
	if a.State != "" {
		answer.Set("state", a.State)
	}
	answer.Set("iss", string(oa.cfg.PublicURL))
	h := ctx.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	return ctx.Redirect(http.StatusSeeOther, a.RedirectURI+"?"+answer.Encode())
}

// answerWrong sends an error to the waiting program.
func (oa *OAuth) answerWrong(ctx echo.Context, a authorization, e *bridge.Error) error {
	return oa.answer(ctx, a, url.Values{"error": {string(e.Code)}, "error_description": {e.Detail}})
}

type authorizeView struct {
	Request authorization
	Program string // host and port that the code goes to
	Role    bridge.Role
}

// authorize asks the person whether a program may act as them. A person who is not signed in does that first and comes back.
func (oa *OAuth) authorize(ctx echo.Context) error {
	query, err := url.ParseQuery(ctx.Request().URL.RawQuery)
	if err != nil {
		return bridge.E(bridge.Invalid, bridge.CodeRequestMalformed, "The address of this page is broken.")
	}
	a, wrong, err := readAuthorization(query)
	if err != nil {
		return err
	}
	if wrong != nil {
		return oa.answerWrong(ctx, a, wrong)
	}
	return oa.page.SignedIn(func(ctx echo.Context, p accounts.Principal) error {
		host, _, _ := strings.Cut(strings.TrimPrefix(a.RedirectURI, "http://"), "/")
		return oa.page.RenderUnder(ctx, http.StatusOK, "authorize", web.Page{Title: "Let a program log in", User: page.User(p),
			View: authorizeView{Request: a, Program: host, Role: p.Role}}, page.Policy{FormTarget: formTarget(a.RedirectURI)})
	})(ctx)
}

// formTarget returns what the page's policy must allow, so that the response to its form may lead to redirectURI. Policies cannot
// express an IPv6 address (CSP level 3, section 2.3.1), so there only the scheme is named.
func formTarget(redirectURI string) string {
	if strings.HasPrefix(redirectURI, "http://[") {
		return "http:"
	}
	return redirectURI
}

// decideAuthorization acts on the person's decision. It can only come from the form of the page above, since forms of other sites
// were refused before; everything in it is checked again.
func (oa *OAuth) decideAuthorization(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	a, wrong, err := readAuthorization(r.PostForm)
	if err != nil {
		return err
	}
	if wrong != nil {
		return oa.answerWrong(ctx, a, wrong)
	}
	switch r.PostForm.Get("action") {
	case "approve":
	case "deny":
		if err := oa.accounts.Note(r.Context(), who.Actor(ctx, p), "code.deny", "client:"+a.ClientID, nil); err != nil {
			return err
		}
		return oa.answerWrong(ctx, a, oauthWrong(bridge.CodeAccessDenied, "the login was denied"))
	default:
		return bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form says neither approve nor deny")
	}
	if err := oa.devices.Allow("user:" + p.UserID); err != nil {
		return err
	}
	code, err := oa.sessions.IssueCode(r.Context(), who.Caller(ctx, p), a.CodeGrant)
	if err != nil {
		return err
	}
	return oa.answer(ctx, a, url.Values{"code": {code.Reveal()}})
}
