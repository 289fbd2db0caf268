package sso_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/internal/roomtest"
)

const (
	clientID     = "ace-at-acme"
	clientSecret = "a client secret of the provider"
)

// fakeProvider is an OpenID Connect provider that lets anybody in as whom its claims say, and lies on request.
type fakeProvider struct {
	t      *testing.T
	url    string
	key    crypto.Signer
	clock  func() time.Time
	method jwt.SigningMethod

	mu        sync.Mutex
	claims    map[string]any                                              // of the person, beside those of the protocol
	lie       func(claims jwt.MapClaims, token *jwt.Token)                // changes an ID token before it is signed
	signWith  any                                                         // in place of the key
	discovery func(document map[string]any)                               // changes the discovery document
	answer    func(callback url.Values)                                   // changes the answer that the browser carries
	handle    func(w http.ResponseWriter, r *http.Request) (handled bool) // in place of what it does otherwise
	codes     map[string]url.Values
}

// rsaKey is the one of all providers here, as it takes long to make.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newFakeProvider(t *testing.T, f *fixture, method jwt.SigningMethod) *fakeProvider {
	t.Helper()
	p := &fakeProvider{t: t, clock: f.Clock, method: method, codes: map[string]url.Values{}}
	var err error
	if method == jwt.SigningMethodES256 {
		p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		p.key, err = rsaKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.configuration)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		handle := p.handle
		p.mu.Unlock()
		if handle == nil || !handle(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(ts.Close)
	p.url = ts.URL
	p.is("bob@acme.test")
	return p
}

// is makes the provider honest, and the person at it the one with the address.
func (p *fakeProvider) is(email string, claims ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = map[string]any{"sub": "subject of " + email, "email": email, "email_verified": true, "name": "Bob"}
	for i := 0; i < len(claims); i += 2 {
		p.claims[claims[i].(string)] = claims[i+1]
	}
	p.lie, p.signWith, p.discovery, p.answer, p.handle = nil, nil, nil, nil, nil
}

func (p *fakeProvider) writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *fakeProvider) configuration(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	document := map[string]any{"issuer": p.url, "authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token",
		"jwks_uri": p.url + "/keys", "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{p.method.Alg(), "none", "HS256"}}
	if p.discovery != nil {
		p.discovery(document)
	}
	p.writeJSON(w, document)
}

func (p *fakeProvider) keys(w http.ResponseWriter, _ *http.Request) {
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kid": "k1", "use": "sig", "alg": p.method.Alg()}
	switch public := p.key.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(public.N.Bytes()), b64(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			p.t.Error(err)
		}
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	}
	p.writeJSON(w, map[string]any{"keys": []any{jwk}})
}

func (p *fakeProvider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	if q.Get("client_id") != clientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" ||
		!strings.Contains(q.Get("scope"), "openid") {
		p.t.Errorf("the authorization request is %v", q)
	}
	code := bridge.RandomToken(16)
	p.codes[code] = q
	answer := url.Values{"code": {code}, "state": {q.Get("state")}}
	if p.answer != nil {
		p.answer(answer)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (p *fakeProvider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	user, secret, _ := r.BasicAuth()
	if unescaped, err := url.QueryUnescape(secret); err != nil || user != clientID || unescaped != clientSecret {
		w.WriteHeader(http.StatusUnauthorized)
		p.writeJSON(w, map[string]string{"error": "invalid_client"})
		return
	}
	asked, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		w.WriteHeader(http.StatusBadRequest)
		p.writeJSON(w, map[string]string{"error": "invalid_grant"})
		return
	}
	const access = "an access token"
	half := sha256.Sum256([]byte(access))
	now := p.clock()
	claims := jwt.MapClaims{"iss": p.url, "aud": clientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": asked.Get("nonce"),
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:16])}
	for name, value := range p.claims {
		claims[name] = value
	}
	token := jwt.NewWithClaims(p.method, claims)
	token.Header["kid"] = "k1"
	var key any = p.key
	if p.lie != nil {
		p.lie(claims, token)
	}
	if p.signWith != nil {
		key = p.signWith
	}
	signed, err := token.SignedString(key)
	if err != nil {
		p.t.Error(err)
	}
	p.writeJSON(w, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": signed})
}

// settings are those with which acme trusts the provider.
func (p *fakeProvider) settings() api.ProviderSettings {
	secret := bridge.NewSecret(clientSecret).Disclose()
	return api.ProviderSettings{Issuer: p.url, ClientID: clientID, ClientSecret: &secret, Domains: []string{"acme.test"}, DefaultRole: "member"}
}

func (f *fixture) setProvider(s api.ProviderSettings) (api.Provider, error) {
	f.T.Helper()
	return f.Client().SetProvider(f.T.Context(), "acme", s)
}

var linkPattern = regexp.MustCompile(`<a class="button primary" href="([^"]+)"`)

// journey is a browser on its way through a provider.
type journey struct {
	cookie   string // of the sign-in
	callback string // path and query, on the cloud
}

// depart begins a sign-in and goes to the provider, up to where it sends the browser back.
func (f *fixture) depart(email string) (journey, string) {
	f.T.Helper()
	resp, page := f.Do("POST", "/login/provider", url.Values{"email": {email}, "next": {"/settings"}}.Encode(), "Content-Type", roomtest.FormType)
	link := linkPattern.FindStringSubmatch(page)
	if resp.StatusCode != 200 || link == nil {
		return journey{}, page
	}
	target := html.UnescapeString(link[1])
	if resp.Header.Get("Refresh") != "0; url="+target {
		f.T.Errorf("the page goes on to %q, its link to %q", resp.Header.Get("Refresh"), target)
	}
	cookie := resp.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != 600 || strings.Contains(target, cookie.Value) {
		f.T.Errorf("the cookie of the sign-in is %v", cookie)
	}
	req, err := http.NewRequestWithContext(f.T.Context(), http.MethodGet, target, nil)
	if err != nil {
		f.T.Fatal(err)
	}
	back, err := f.HTTP.Do(req)
	if err != nil {
		f.T.Fatal(err)
	}
	_ = back.Body.Close()
	callback := back.Header.Get("Location")
	if !strings.HasPrefix(callback, f.Server+"/login/callback/") {
		f.T.Fatalf("the provider sends back to %q", callback)
	}
	return journey{cookie.Name + "=" + cookie.Value, strings.TrimPrefix(callback, f.Server)}, page
}

// arrive finishes a sign-in; session is empty where it is refused, and then page says why.
func (f *fixture) arrive(j journey) (session, page string) {
	f.T.Helper()
	resp, page := f.Do("GET", j.callback, "", "Cookie", j.cookie, "Accept", "text/html", "Sec-Fetch-Site", "cross-site")
	for _, c := range resp.Cookies() {
		if c.Name == "ace_session" {
			session = c.Name + "=" + c.Value
		}
	}
	if (session != "") != (resp.StatusCode == http.StatusSeeOther && resp.Header.Get("Location") == "/settings") {
		f.T.Errorf("the answer is %d to %q, with the cookie %q", resp.StatusCode, resp.Header.Get("Location"), session)
	}
	return session, page
}

func (f *fixture) signInThrough(email string) (session, page string) {
	f.T.Helper()
	j, page := f.depart(email)
	if j.cookie == "" {
		return "", page
	}
	return f.arrive(j)
}

func (f *fixture) me(session string) api.Me {
	f.T.Helper()
	resp, body := f.Do("GET", "/v1/me", "", "Cookie", session)
	var me api.Me
	if err := json.Unmarshal([]byte(body), &me); err != nil || resp.StatusCode != 200 {
		f.T.Fatalf("me: %d %s", resp.StatusCode, body)
	}
	return me
}
