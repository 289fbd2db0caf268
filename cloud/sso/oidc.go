package sso

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json/jsontext"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/oauth2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/providers"
)

const (
	providerLife      = time.Hour // how long a provider's discovery document and keys are cached
	maxProviders      = 256
	maxProviderAnswer = 512 << 10
	maxGroups         = 1000
	providerTime      = 8 * time.Second // for everything that one step of a sign-in asks of a provider
)

// idTokenAlgorithms are those that take the provider's private key: a client's secret is not enough to forge a token.
var idTokenAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384,
	oidc.PS512, oidc.EdDSA}

// discovery asks organizations' OpenID Connect providers. A customer has typed in their addresses, so it uses a client that
// follows the rules of cloud/outbound.
type discovery struct {
	client   *http.Client
	loopback bool          // the cloud runs on loopback, so a provider may too
	time     time.Duration // for one step of a sign-in
	now      func() time.Time
	known    *lru.Cache[string, oidcProvider] // by issuer
}

// oidcProvider is a provider's discovery document and keys.
type oidcProvider struct {
	*oidc.Provider
	namesIssuer bool // it sends iss with its answers (RFC 9207)
	inHeader    bool // it accepts a client's secret in the header
	until       time.Time
}

// newDiscovery returns a discovery with an empty cache; most is the time for one step, zero for the default.
func newDiscovery(outbound *http.Client, loopback bool, most time.Duration, now func() time.Time) *discovery {
	known, err := lru.New[string, oidcProvider](maxProviders)
	if err != nil {
		panic(err) // only for a size below one
	}
	if most == 0 {
		most = providerTime
	}
	client := *outbound
	client.Transport = boundedAnswers{outbound.Transport}
	return &discovery{client: &client, loopback: loopback, time: most, now: now, known: known}
}

// step limits the time for what one request of a person asks of a provider.
func (o *discovery) step(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(oidc.ClientContext(ctx, o.client), o.time)
}

// boundedAnswers cuts off answers that are too long, since go-oidc reads whole bodies.
type boundedAnswers struct{ base http.RoundTripper }

func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.base.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxProviderAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

var errAnswerLong = errors.New("the answer is too long")

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswerLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// providerError is for a provider that cannot be used; cause is for the log.
func providerError(code bridge.Code, detail, hint string, cause error) error {
	return bridge.E(bridge.Unreachable, code, "%s", detail).WithHint("%s", hint).Because(cause)
}

// find discovers a provider by its issuer (OpenID Connect Discovery 1.0 section 4), or returns the cached one.
func (o *discovery) find(ctx context.Context, issuer string) (oidcProvider, error) {
	if p, ok := o.known.Get(issuer); ok && o.now().Before(p.until) {
		return p, nil
	}
	found, err := oidc.NewProvider(ctx, issuer)
	if _, mismatch := errors.AsType[*oidc.IssuerMismatchError](err); mismatch {
		return oidcProvider{}, providerError(bridge.CodeIssuerMismatch,
			"The sign-in provider says that it is another issuer than the one in its settings.",
			"an admin can set the issuer exactly as the provider spells it, trailing slash included", nil)
	}
	if errors.Is(err, outbound.ErrBlocked) {
		return oidcProvider{}, providerError(bridge.CodeProviderBlocked,
			"The sign-in provider is at an address that this cloud may not call.",
			"it needs https and a public address; the operator of a cloud of your own can allow others with ACE_RELAY_ALLOW", err)
	}
	if err != nil {
		return oidcProvider{}, providerError(bridge.CodeProviderUnreachable,
			"The sign-in provider cannot be reached, or its discovery document cannot be read.",
			"an admin can test it under Settings, Sign-in provider", err)
	}
	p := oidcProvider{Provider: found, until: o.now().Add(providerLife)}
	var more struct {
		NamesIssuer bool     `json:"authorization_response_iss_parameter_supported"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&more); err != nil || !o.mayVisit(found.Endpoint().AuthURL) {
		return oidcProvider{}, providerError(bridge.CodeProviderMalformed,
			"The sign-in provider's discovery document names no authorization endpoint on https.",
			"check the issuer under Settings, Sign-in provider", err)
	}
	p.namesIssuer = more.NamesIssuer
	p.inHeader = len(more.AuthMethods) == 0 || slices.Contains(more.AuthMethods, "client_secret_basic")
	o.known.Add(issuer, p)
	return p, nil
}

// mayVisit reports whether a browser may be sent to an address.
func (o *discovery) mayVisit(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Host == "" || u.Fragment != "" {
		return false
	}
	base, err := bridge.CanonicalURL(u.Scheme + "://" + u.Host)
	return err == nil && (u.Scheme == "https" || (o.loopback && base.Loopback()))
}

// config returns the settings of an OAuth client of the provider.
func (p oidcProvider) config(settings providers.Provider, redirectURI string) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // trying both ways would use up the code
	if p.inHeader && !settings.ClientSecret.IsZero() {
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return &oauth2.Config{ClientID: settings.ClientID, ClientSecret: settings.ClientSecret.Reveal(), Endpoint: endpoint,
		RedirectURL: redirectURI, Scopes: []string{oidc.ScopeOpenID, "email", "profile"}}
}

// authURL returns where to send the browser to sign in.
func (o *discovery) authURL(ctx context.Context, s providers.SignIn, redirectURI, email string) (string, error) {
	ctx, cancel := o.step(ctx)
	defer cancel()
	p, err := o.find(ctx, s.Provider.Issuer)
	if err != nil {
		return "", err
	}
	return p.config(s.Provider, redirectURI).AuthCodeURL(s.State().Reveal(), oidc.Nonce(s.Nonce()),
		oauth2.S256ChallengeOption(s.Verifier().Reveal()), oauth2.SetAuthURLParam("login_hint", email)), nil
}

// refusedToken refuses a provider's answer; cause is for the log.
func refusedToken(detail string, cause error) error {
	return bridge.E(bridge.Forbidden, bridge.CodeIDTokenRefused, "The sign-in provider's answer is not accepted: %s.", detail).
		WithHint("start again; if it keeps failing, ask an admin to test the provider under Settings").Because(cause)
}

// redeem turns a provider's answer into what it vouches for. iss is the issuer that the answer names, if any.
func (o *discovery) redeem(ctx context.Context, s providers.SignIn, redirectURI string, code bridge.Secret, iss string) (providers.Vouched, error) {
	ctx, cancel := o.step(ctx)
	defer cancel()
	p, err := o.find(ctx, s.Provider.Issuer)
	if err != nil {
		return providers.Vouched{}, err
	}
	if (iss != "" || p.namesIssuer) && iss != s.Provider.Issuer {
		return providers.Vouched{}, refusedToken("it comes from another provider", nil)
	}
	token, err := p.config(s.Provider, redirectURI).Exchange(ctx, code.Reveal(), oauth2.VerifierOption(s.Verifier().Reveal()))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok { // its text would repeat the provider's answer
		return providers.Vouched{}, refusedToken("it does not redeem the code", fmt.Errorf("the token endpoint answered %d", refused.Response.StatusCode))
	}
	if err != nil { // the text would repeat a malformed answer
		return providers.Vouched{}, providerError(bridge.CodeProviderUnreachable,
			"The sign-in provider's token endpoint cannot be reached.", "begin again",
			errors.New(apiclient.WhyUnreachable(err)))
	}
	raw, _ := token.Extra("id_token").(string)
	verifier := p.Verifier(&oidc.Config{ClientID: s.Provider.ClientID, SupportedSigningAlgs: idTokenAlgorithms, Now: o.now})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return providers.Vouched{}, refusedToken("its ID token does not verify", err)
	}
	if !bridge.NewSecret(id.Nonce).Equal(bridge.NewSecret(s.Nonce())) {
		return providers.Vouched{}, refusedToken("its ID token belongs to another sign-in", nil)
	}
	if id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil {
		return providers.Vouched{}, refusedToken("its ID token belongs to another access token", nil)
	}
	return readClaims(raw, id, s.Provider)
}

// idTokenClaims are the claims of an ID token on which something depends. go-oidc reads some of them as well and accepts other
// spellings, which are refused here.
type idTokenClaims struct {
	Issuer        jsontext.Value `json:"iss"`
	Subject       jsontext.Value `json:"sub"`
	Audience      jsontext.Value `json:"aud"`
	Expires       jsontext.Value `json:"exp"`
	Issued        jsontext.Value `json:"iat"`
	NotBefore     jsontext.Value `json:"nbf"`
	Nonce         jsontext.Value `json:"nonce"`
	AtHash        jsontext.Value `json:"at_hash"`
	Party         jsontext.Value `json:"azp"`
	Email         jsontext.Value `json:"email"`
	EmailVerified jsontext.Value `json:"email_verified"`
	Name          jsontext.Value `json:"name"`
}

// strictClaims decodes the claims of an ID token whose signature is valid.
func strictClaims(raw string, id *oidc.IDToken) (map[string]json.RawMessage, error) {
	if err := bridge.CheckTokenHeader(bridge.NewSecret(raw)); err != nil {
		return nil, err
	}
	var payload json.RawMessage
	if err := id.Claims(&payload); err != nil {
		return nil, err
	}
	var known idTokenClaims
	if err := bridge.DecodeStrict(payload, &known); err != nil {
		return nil, err
	}
	claims := map[string]json.RawMessage{}
	return claims, bridge.DecodeStrict(payload, &claims)
}

// readClaims returns what an ID token vouches for.
func readClaims(raw string, id *oidc.IDToken, settings providers.Provider) (providers.Vouched, error) {
	claims, err := strictClaims(raw, id)
	if err != nil {
		return providers.Vouched{}, refusedToken("its ID token cannot be read", err)
	}
	if azp := text(claims["azp"]); (azp != "" || len(id.Audience) > 1) && azp != settings.ClientID {
		return providers.Vouched{}, refusedToken("its ID token is for another client", nil)
	}
	// Some providers write booleans as strings.
	verified := string(claims["email_verified"]) == "true" || text(claims["email_verified"]) == "true"
	return providers.Vouched{Subject: id.Subject, Email: text(claims["email"]), EmailVerified: verified, Name: text(claims["name"]),
		Groups: groups(claims[settings.GroupsClaim])}, nil
}

// text decodes a JSON string; anything else is "".
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// groups decodes a claim that is a string or a list of strings. Items that are not strings are skipped.
func groups(raw json.RawMessage) []string {
	if one := text(raw); one != "" {
		return []string{one}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var out []string
	for _, item := range list[:min(len(list), maxGroups)] {
		if name := text(item); name != "" {
			out = append(out, name)
		}
	}
	return out
}
