package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/roomtest"
)

const redirectURI = "http://127.0.0.1:49152/callback"

// discovered is the configuration of an unmodified OAuth client that knows nothing but the cloud's metadata.
func (f *fixture) discovered(style oauth2.AuthStyle) (*oauth2.Config, map[string]any) {
	f.T.Helper()
	resp, body := f.Do("GET", "/.well-known/oauth-authorization-server", "")
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil || resp.StatusCode != 200 || m["issuer"] != f.Server {
		f.T.Fatalf("metadata: %d %s", resp.StatusCode, body)
	}
	at := func(name string) string {
		endpoint, _ := m[name].(string)
		if !strings.HasPrefix(endpoint, f.Server+"/") {
			f.T.Errorf("%s is %q", name, endpoint)
		}
		return endpoint
	}
	return &oauth2.Config{ClientID: api.CLIClientID, RedirectURL: redirectURI, Endpoint: oauth2.Endpoint{
		AuthURL: at("authorization_endpoint"), TokenURL: at("token_endpoint"),
		DeviceAuthURL: at("device_authorization_endpoint"), AuthStyle: style}}, m
}

// approve is the person in the browser: it opens the page of an authorization request and sends its form. It returns the
// parameters that the program is answered.
func (f *fixture) approve(authURL, cookie, action string) url.Values {
	f.T.Helper()
	path := strings.TrimPrefix(authURL, f.Server)
	resp, page := f.Do("GET", path, "", "Cookie", cookie, "Accept", "text/html")
	asked, err := url.Parse(authURL)
	if err != nil || resp.StatusCode != 200 {
		f.T.Fatalf("%s: %d %s", path, resp.StatusCode, page)
	}
	q := asked.Query()
	for _, shown := range []string{"ann@acme.test", "acme", "127.0.0.1:49152"} {
		if !strings.Contains(page, shown) {
			f.T.Errorf("the consent page does not show %q", shown)
		}
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+q.Get("redirect_uri")+";") {
		f.T.Errorf("the policy of the page is %q", policy)
	}
	q.Set("action", action)
	resp, page = f.Do("POST", "/oauth/authorize", q.Encode(), "Content-Type", roomtest.FormType, "Cookie", cookie, "Origin", f.Server)
	to, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), redirectURI+"?") {
		f.T.Fatalf("%s: %d %s", action, resp.StatusCode, page)
	}
	answer := to.Query()
	if answer.Get("state") != q.Get("state") || answer.Get("iss") != f.Server {
		f.T.Errorf("the answer is %v", answer)
	}
	return answer
}

// An unmodified golang.org/x/oauth2 client, however it names itself, that uses nothing but what the metadata names.
func TestUnmodifiedClient(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		cookie := f.Cookie("ann@acme.test", "acme")
		for name, style := range map[string]oauth2.AuthStyle{"auto": oauth2.AuthStyleAutoDetect, "params": oauth2.AuthStyleInParams, "header": oauth2.AuthStyleInHeader} {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // most of the time it waits
				cfg, meta := f.discovered(style)
				verifier := oauth2.GenerateVerifier()
				answer := f.approve(cfg.AuthCodeURL("a state", oauth2.S256ChallengeOption(verifier)), cookie, "approve")
				token, err := cfg.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
				if err != nil {
					t.Fatal(err)
				}
				f.checkTokens(t, cfg, meta, token, accounts.MethodCode)

				device, err := cfg.DeviceAuth(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				f.decide(device.UserCode, "approve", cookie)
				device.Interval = 1 // it waits once before it asks
				if token, err = cfg.DeviceAccessToken(t.Context(), device); err != nil {
					t.Fatal(err)
				}
				f.checkTokens(t, cfg, meta, token, accounts.MethodDevice)
			})
		}
	})
}

// checkTokens uses a session as a client does: it calls, refreshes, narrows, and revokes.
func (f *fixture) checkTokens(t *testing.T, cfg *oauth2.Config, meta map[string]any, token *oauth2.Token, method string) {
	t.Helper()
	me := func(token string) (api.Me, error) {
		return apiclient.NewCloud(bridge.ServerURL(f.Server), bridge.NewSecret(token), api.ClientConfig{}).Me(t.Context())
	}
	if who, err := me(token.AccessToken); err != nil || who.Email != "ann@acme.test" || who.Method != method {
		t.Errorf("the session is that of %+v (%v)", who, err)
	}
	stale := *token
	stale.Expiry = time.Now().Add(-time.Hour)
	fresh, err := cfg.TokenSource(t.Context(), &stale).Token()
	if err != nil || fresh.RefreshToken == token.RefreshToken || fresh.AccessToken == token.AccessToken {
		t.Fatalf("a refresh: %v", err)
	}
	post := func(endpoint string, form url.Values) (int, map[string]any) {
		return f.oauth(strings.TrimPrefix(meta[endpoint].(string), f.Server), form)
	}
	status, narrowed := post("token_endpoint", url.Values{"grant_type": {api.GrantExchange}, "subject_token": {fresh.AccessToken},
		"subject_token_type": {api.TokenTypeAccess}, "resource": {"https://ace.acme.test"}})
	if status != 200 || narrowed["issued_token_type"] != api.TokenTypeJWT {
		t.Errorf("a token exchange: %d %v", status, narrowed)
	}
	revoke := url.Values{"token": {fresh.AccessToken}, "token_type_hint": {"access_token"}, "client_id": {api.CLIClientID}}
	if method == accounts.MethodDevice {
		revoke = url.Values{"token": {fresh.RefreshToken}}
	}
	if status, answer := post("revocation_endpoint", revoke); status != 200 {
		t.Errorf("a revocation: %d %v", status, answer)
	}
	if _, err := me(fresh.AccessToken); bridge.CodeOf(err) != "session_ended" {
		t.Errorf("after the revocation: %v", err)
	}
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestAuthorizationRequests(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.Cookie("ann@acme.test", "acme")
	request := func(change map[string]string) url.Values {
		v := url.Values{"response_type": {"code"}, "client_id": {api.CLIClientID}, "redirect_uri": {redirectURI}, "state": {"s&1"},
			"code_challenge": {challengeOf("v")}, "code_challenge_method": {"S256"}}
		for name, value := range change {
			if v.Set(name, value); value == "" {
				v.Del(name)
			}
		}
		return v
	}
	// What cannot be trusted to be the program's is told to the person, on a page of ours.
	for name, v := range map[string]url.Values{
		"unknown client":   request(map[string]string{"client_id": "evil"}),
		"no client":        request(map[string]string{"client_id": ""}),
		"no redirect":      request(map[string]string{"redirect_uri": ""}),
		"another site":     request(map[string]string{"redirect_uri": "https://evil.example/cb"}),
		"a name":           request(map[string]string{"redirect_uri": "http://localhost:1234/cb"}),
		"a disguise":       request(map[string]string{"redirect_uri": "http://127.0.0.1:80@evil.example/"}),
		"a longer name":    request(map[string]string{"redirect_uri": "http://127.0.0.1.evil.example:80/"}),
		"a query":          request(map[string]string{"redirect_uri": redirectURI + "?x=y"}),
		"a fragment":       request(map[string]string{"redirect_uri": redirectURI + "#x"}),
		"no port":          request(map[string]string{"redirect_uri": "http://127.0.0.1/cb"}),
		"no such port":     request(map[string]string{"redirect_uri": "http://127.0.0.1:65536/cb"}),
		"a climbing path":  request(map[string]string{"redirect_uri": "http://127.0.0.1:1234/a/../b"}),
		"a policy's words": request(map[string]string{"redirect_uri": "http://127.0.0.1:1234/; script-src *"}),
		"two redirects":    {"response_type": {"code"}, "client_id": {api.CLIClientID}, "redirect_uri": {redirectURI, redirectURI}},
	} {
		resp, page := f.Do("GET", "/oauth/authorize?"+v.Encode(), "", "Accept", "text/html", "Cookie", cookie)
		if resp.StatusCode != 400 || resp.Header.Get("Location") != "" || !strings.Contains(page, "<h1>Bad Request</h1>") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, page)
		}
		v.Set("action", "approve")
		if resp, _ := f.Do("POST", "/oauth/authorize", v.Encode(), "Content-Type", roomtest.FormType, "Cookie", cookie); resp.StatusCode != 400 {
			t.Errorf("%s, approved: %d", name, resp.StatusCode)
		}
	}
	for name, c := range map[string]struct {
		change map[string]string
		code   string
	}{
		"no response type":  {map[string]string{"response_type": ""}, "invalid_request"},
		"implicit":          {map[string]string{"response_type": "token"}, "unsupported_response_type"},
		"fragment":          {map[string]string{"response_mode": "fragment"}, "invalid_request"},
		"no PKCE":           {map[string]string{"code_challenge": "", "code_challenge_method": ""}, "invalid_request"},
		"plain":             {map[string]string{"code_challenge_method": "plain"}, "invalid_request"},
		"plain by omission": {map[string]string{"code_challenge_method": ""}, "invalid_request"},
		"short challenge":   {map[string]string{"code_challenge": "abc"}, "invalid_request"},
		"a scope":           {map[string]string{"scope": "openid"}, "invalid_scope"},
	} {
		resp, _ := f.Do("GET", "/oauth/authorize?"+request(c.change).Encode(), "", "Cookie", cookie)
		to, err := resp.Location()
		if err != nil || to.Query().Get("error") != c.code || to.Query().Get("state") != "s&1" || to.Query().Get("iss") != f.Server ||
			!strings.HasPrefix(to.String(), redirectURI+"?") {
			t.Errorf("%s: %d %v", name, resp.StatusCode, to)
		}
	}
	if answer := f.approve(f.Server+"/oauth/authorize?"+request(nil).Encode(), cookie, "deny"); answer.Get("error") != "access_denied" || answer.Has("code") {
		t.Errorf("denied: %v", answer)
	}
	if resp, _ := f.Do("GET", "/oauth/authorize?"+request(map[string]string{"redirect_uri": "http://[::1]:4711/cb"}).Encode(), "", "Cookie", cookie); resp.StatusCode != 200 {
		t.Errorf("the IPv6 loopback: %d", resp.StatusCode)
	}
	for name, headers := range map[string][]string{"another site's form": {"Sec-Fetch-Site", "cross-site"}, "another origin": {"Origin", "https://evil.example"}} {
		v := request(map[string]string{"action": "approve"})
		resp, _ := f.Do("POST", "/oauth/authorize", v.Encode(), append(headers, "Content-Type", roomtest.FormType, "Cookie", cookie)...)
		if resp.StatusCode != 403 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if resp, _ := f.Do("POST", "/oauth/authorize", request(nil).Encode(), "Content-Type", roomtest.FormType, "Cookie", cookie); resp.StatusCode != 400 {
		t.Errorf("neither approved nor denied: %d", resp.StatusCode)
	}
}

// A code is good for one try; a second use ends what the first one opened.
func TestCodes(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		cookie := f.Cookie("ann@acme.test", "acme")
		cfg, _ := f.discovered(oauth2.AuthStyleInParams)
		issue := func() (code, verifier string) {
			verifier = oauth2.GenerateVerifier()
			return f.approve(cfg.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), cookie, "approve").Get("code"), verifier
		}
		redeem := func(code, verifier string, change ...string) (string, string) {
			form := url.Values{"grant_type": {api.GrantCode}, "client_id": {api.CLIClientID}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI}}
			for i := 0; i < len(change); i += 2 {
				form.Set(change[i], change[i+1])
			}
			_, answer := f.oauth("/oauth/token", form)
			failed, _ := answer["error"].(string)
			token, _ := answer["access_token"].(string)
			return failed, token
		}
		code, verifier := issue()
		failed, token := redeem(code, verifier)
		if failed != "" || token == "" {
			t.Fatalf("the first use: %q", failed)
		}
		if failed, _ := redeem(code, "not the verifier"); failed != "invalid_grant" {
			t.Errorf("the second use: %q", failed)
		}
		if resp, _ := f.Do("GET", "/v1/me", "", "Authorization", "Bearer "+token); resp.StatusCode != 401 {
			t.Errorf("the session lives on after its code was used again: %d", resp.StatusCode)
		}
		for name, c := range map[string]struct {
			change []string
			want   string
		}{
			"another verifier": {[]string{"code_verifier", oauth2.GenerateVerifier()}, "invalid_grant"},
			"no verifier":      {[]string{"code_verifier", ""}, "invalid_request"},
			"the challenge":    {[]string{"code_verifier", challengeOf(verifier)}, "invalid_grant"},
			"another redirect": {[]string{"redirect_uri", "http://127.0.0.1:49153/callback"}, "invalid_grant"},
			"another client":   {[]string{"client_id", "evil"}, "invalid_client"},
			"another code":     {[]string{"code", verifier}, "invalid_grant"},
		} {
			code, verifier := issue()
			if failed, _ := redeem(code, verifier, c.change...); failed != c.want {
				t.Errorf("%s: %q, want %q", name, failed, c.want)
			}
		}
		code, verifier = issue()
		f.Advance(time.Minute)
		if failed, _ := redeem(code, verifier); failed != "invalid_grant" {
			t.Errorf("after a minute: %q", failed)
		}
		code, verifier = issue()
		opened := f.atOnce(8, func() bool { failed, _ := redeem(code, verifier); return failed == "" })
		if opened != 1 {
			t.Errorf("eight redemptions at once opened %d sessions", opened)
		}
	})
}

// atOnce does something n times at once and counts the successes.
func (f *fixture) atOnce(n int, do func() bool) int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := 0
	for range n {
		wg.Go(func() {
			if do() {
				mu.Lock()
				count++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return count
}

func TestOAuthForms(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}.Encode()
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		status     int
		code       string
	}{
		"JSON":             {"/oauth/token", `{"grant_type":"refresh_token"}`, []string{"Content-Type", "application/json"}, 400, "invalid_request"},
		"no content type":  {"/oauth/token", refresh, nil, 400, "invalid_request"},
		"in the URL":       {"/oauth/token?" + refresh, "", []string{"Content-Type", roomtest.FormType}, 400, "invalid_request"},
		"too long":         {"/oauth/token", "a=" + strings.Repeat("x", 100<<10), []string{"Content-Type", roomtest.FormType}, 413, "invalid_request"},
		"no token":         {"/oauth/revoke", "", []string{"Content-Type", roomtest.FormType}, 400, "invalid_request"},
		"a client secret":  {"/oauth/revoke", "token=x&client_id=ace-cli&client_secret=y", []string{"Content-Type", roomtest.FormType}, 400, "invalid_client"},
		"another client":   {"/oauth/token", refresh + "&client_id=evil", []string{"Content-Type", roomtest.FormType}, 400, "invalid_client"},
		"a scope":          {"/oauth/device_authorization", "client_id=ace-cli&scope=all", []string{"Content-Type", roomtest.FormType}, 400, "invalid_scope"},
		"a broken Basic":   {"/oauth/token", refresh, []string{"Content-Type", roomtest.FormType, "Authorization", "Basic !"}, 401, "invalid_client"},
		"a Basic password": {"/oauth/token", refresh, []string{"Content-Type", roomtest.FormType, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("ace-cli:x"))}, 401, "invalid_client"},
		"unknown token":    {"/oauth/revoke", "token=x", []string{"Content-Type", roomtest.FormType}, 200, ""},
	} {
		resp, body := f.Do("POST", c.path, c.body, c.headers...)
		var answer map[string]string
		if body != "" && json.Unmarshal([]byte(body), &answer) != nil {
			t.Errorf("%s: %s", name, body)
		}
		if resp.StatusCode != c.status || answer["error"] != c.code || resp.Header.Get("Cache-Control") != "no-store" ||
			(c.status == 401) != (resp.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d %s %v", name, resp.StatusCode, body, resp.Header)
		}
	}
}

func TestOAuthRefusals(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		exchange := func(change func(url.Values)) url.Values {
			v := url.Values{"grant_type": {api.GrantExchange}, "subject_token": {f.Token.Reveal()},
				"subject_token_type": {api.TokenTypeAccess}, "resource": {"https://ace.acme.test"}}
			change(v)
			return v
		}
		cases := map[string]struct {
			path string
			form url.Values
			code string
		}{
			"no grant":        {"/oauth/token", url.Values{}, "invalid_request"},
			"another grant":   {"/oauth/token", url.Values{"grant_type": {"password"}}, "unsupported_grant_type"},
			"unknown client":  {"/oauth/device_authorization", url.Values{"client_id": {"evil"}}, "invalid_client"},
			"unknown code":    {"/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "client_id": {api.CLIClientID}, "device_code": {"x"}}, "invalid_grant"},
			"unknown refresh": {"/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, "invalid_grant"},
			"no subject":      {"/oauth/token", exchange(func(v url.Values) { v.Del("subject_token") }), "invalid_grant"},
			"no subject type": {"/oauth/token", exchange(func(v url.Values) { v.Del("subject_token_type") }), "invalid_request"},
			"bad resource":    {"/oauth/token", exchange(func(v url.Values) { v.Set("resource", "ftp://x") }), "invalid_target"},
			"two resources":   {"/oauth/token", exchange(func(v url.Values) { v.Add("resource", "https://b.test") }), "invalid_request"},
			"other trust":     {"/oauth/token", exchange(func(v url.Values) { v.Set("key_id", "cs1.rival.1") }), "invalid_target"},
			"other requested": {"/oauth/token", exchange(func(v url.Values) { v.Set("requested_token_type", "x") }), "invalid_request"},
		}
		for name, c := range cases {
			status, answer := f.oauth(c.path, c.form)
			if status != 400 || answer["error"] != c.code {
				t.Errorf("%s: %d %v, want %s", name, status, answer, c.code)
			}
		}
		status, answer := f.oauth("/oauth/token", exchange(func(url.Values) {}))
		token, _ := answer["access_token"].(string)
		if status != 200 || bridge.TokenType(bridge.NewSecret(token)) != bridge.TypeConnect || answer["issued_token_type"] != api.TokenTypeJWT {
			t.Errorf("a connect token: %d %v", status, answer)
		}
		if resp, _ := f.Do("GET", "/v1/me", "", "Authorization", "Bearer "+token); resp.StatusCode != 401 {
			t.Error("a connect token passes as a session token")
		}
	})
}
