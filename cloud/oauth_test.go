package cloud_test

import (
	"context"
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
)

const redirectURI = "http://127.0.0.1:49152/callback"

// discovered is the configuration of an unmodified OAuth client that knows nothing but the cloud's metadata.
func (f *fixture) discovered(style oauth2.AuthStyle) (*oauth2.Config, map[string]any) {
	f.t.Helper()
	resp, body := f.do("GET", "/.well-known/oauth-authorization-server", "")
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil || resp.StatusCode != 200 || m["issuer"] != f.url {
		f.t.Fatalf("metadata: %d %s", resp.StatusCode, body)
	}
	at := func(name string) string {
		endpoint, _ := m[name].(string)
		if !strings.HasPrefix(endpoint, f.url+"/") {
			f.t.Errorf("%s is %q", name, endpoint)
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
	f.t.Helper()
	path := strings.TrimPrefix(authURL, f.url)
	resp, page := f.do("GET", path, "", "Cookie", cookie, "Accept", "text/html")
	asked, err := url.Parse(authURL)
	if err != nil || resp.StatusCode != 200 {
		f.t.Fatalf("%s: %d %s", path, resp.StatusCode, page)
	}
	q := asked.Query()
	for _, shown := range []string{"ann@acme.test", "acme", "127.0.0.1:49152"} {
		if !strings.Contains(page, shown) {
			f.t.Errorf("the consent page does not show %q", shown)
		}
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+q.Get("redirect_uri")+";") {
		f.t.Errorf("the policy of the page is %q", policy)
	}
	q.Set("action", action)
	resp, page = f.do("POST", "/oauth/authorize", q.Encode(), "Content-Type", formType, "Cookie", cookie, "Origin", f.url)
	to, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), redirectURI+"?") {
		f.t.Fatalf("%s: %d %s", action, resp.StatusCode, page)
	}
	answer := to.Query()
	if answer.Get("state") != q.Get("state") || answer.Get("iss") != f.url {
		f.t.Errorf("the answer is %v", answer)
	}
	return answer
}

// An unmodified golang.org/x/oauth2 client, however it names itself, that uses nothing but what the metadata names.
func TestUnmodifiedClient(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		cookie := f.signIn()
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
		return apiclient.NewCloud(bridge.ServerURL(f.url), bridge.NewSecret(token), api.ClientConfig{}).Me(t.Context())
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
		return f.oauth(strings.TrimPrefix(meta[endpoint].(string), f.url), form)
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

func (f *fixture) decide(userCode, action, cookie string) {
	f.t.Helper()
	resp, body := f.do("POST", "/device", url.Values{"user_code": {userCode}, "action": {action}}.Encode(), "Content-Type", formType, "Cookie", cookie)
	if resp.StatusCode != 200 {
		f.t.Fatalf("%s: %d %s", action, resp.StatusCode, body)
	}
}

// x/oauth2 finds out how to name itself by asking twice for every poll: that must not be taken for a client in a hurry.
func TestDevicePollsOfAProbingClient(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cfg, _ := f.discovered(oauth2.AuthStyleAutoDetect)
	device, err := cfg.DeviceAuth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	poll := func(inHeader bool) any {
		form := url.Values{"grant_type": {api.GrantDeviceCode}, "device_code": {device.DeviceCode}}
		headers := []string{"Content-Type", formType}
		if inHeader {
			headers = append(headers, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(api.CLIClientID+":")))
		} else {
			form.Set("client_id", api.CLIClientID)
		}
		_, body := f.do("POST", "/oauth/token", form.Encode(), headers...)
		var answer map[string]any
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(body)
		}
		return answer["error"]
	}
	for range 3 {
		if a, b := poll(true), poll(false); a != "authorization_pending" || b != "authorization_pending" {
			t.Errorf("a pair of polls: %v, %v", a, b)
		}
		f.advance(5 * time.Second)
	}
	poll(true)
	poll(false)
	if again := poll(false); again != "slow_down" {
		t.Errorf("a third poll at once: %v", again)
	}
	if again := poll(true); again != "slow_down" {
		t.Errorf("a probe at once: %v", again)
	}
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestAuthorizationRequests(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
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
		resp, page := f.do("GET", "/oauth/authorize?"+v.Encode(), "", "Accept", "text/html", "Cookie", cookie)
		if resp.StatusCode != 400 || resp.Header.Get("Location") != "" || !strings.Contains(page, "<h1>Bad Request</h1>") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, page)
		}
		v.Set("action", "approve")
		if resp, _ := f.do("POST", "/oauth/authorize", v.Encode(), "Content-Type", formType, "Cookie", cookie); resp.StatusCode != 400 {
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
		resp, _ := f.do("GET", "/oauth/authorize?"+request(c.change).Encode(), "", "Cookie", cookie)
		to, err := resp.Location()
		if err != nil || to.Query().Get("error") != c.code || to.Query().Get("state") != "s&1" || to.Query().Get("iss") != f.url ||
			!strings.HasPrefix(to.String(), redirectURI+"?") {
			t.Errorf("%s: %d %v", name, resp.StatusCode, to)
		}
	}
	if answer := f.approve(f.url+"/oauth/authorize?"+request(nil).Encode(), cookie, "deny"); answer.Get("error") != "access_denied" || answer.Has("code") {
		t.Errorf("denied: %v", answer)
	}
	if resp, _ := f.do("GET", "/oauth/authorize?"+request(map[string]string{"redirect_uri": "http://[::1]:4711/cb"}).Encode(), "", "Cookie", cookie); resp.StatusCode != 200 {
		t.Errorf("the IPv6 loopback: %d", resp.StatusCode)
	}
	for name, headers := range map[string][]string{"another site's form": {"Sec-Fetch-Site", "cross-site"}, "another origin": {"Origin", "https://evil.example"}} {
		v := request(map[string]string{"action": "approve"})
		resp, _ := f.do("POST", "/oauth/authorize", v.Encode(), append(headers, "Content-Type", formType, "Cookie", cookie)...)
		if resp.StatusCode != 403 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if resp, _ := f.do("POST", "/oauth/authorize", request(nil).Encode(), "Content-Type", formType, "Cookie", cookie); resp.StatusCode != 400 {
		t.Errorf("neither approved nor denied: %d", resp.StatusCode)
	}
}

// Whoever is not signed in signs in first, and comes back to the same request.
func TestAuthorizationSignsInFirst(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cfg, _ := f.discovered(oauth2.AuthStyleInParams)
	asked := strings.TrimPrefix(cfg.AuthCodeURL("a state&more", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), f.url)
	resp, _ := f.do("GET", asked, "")
	to, err := resp.Location()
	if err != nil || to.Path != "/login" {
		t.Fatalf("%d %v", resp.StatusCode, to)
	}
	resp, _ = f.do("POST", "/login", url.Values{"email": {"ann@acme.test"}, "password": {password}, "next": {to.Query().Get("next")}}.Encode(), "Content-Type", formType)
	if got := resp.Header.Get("Location"); got != asked {
		t.Errorf("after signing in: %q, want %q", got, asked)
	}
}

// A code is good for one try; a second use ends what the first one opened.
func TestCodes(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		cookie := f.signIn()
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
		if resp, _ := f.do("GET", "/v1/me", "", "Authorization", "Bearer "+token); resp.StatusCode != 401 {
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
		f.advance(time.Minute)
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

// Every error of RFC 8628 section 3.5 and the ones of RFC 6749 section 5.2 that a device login can get.
func TestDeviceErrors(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		cookie := f.signIn()
		begin := func(client string) (string, string) {
			d, err := f.cloud.Registry().Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: client, Address: "192.0.2.1"})
			if err != nil {
				t.Fatal(err)
			}
			return d.DeviceCode.Reveal(), d.UserCode
		}
		poll := func(code string) any {
			_, answer := f.oauth("/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "client_id": {api.CLIClientID}, "device_code": {code}})
			return answer["error"]
		}
		want := func(stage, code string, want any) {
			t.Helper()
			if got := poll(code); got != want {
				t.Errorf("%s: %v, want %v", stage, got, want)
			}
		}
		code, userCode := begin(api.CLIClientID)
		want("pending", code, "authorization_pending")
		f.advance(5 * time.Second)
		want("after the interval", code, "authorization_pending")
		want("at once", code, "slow_down") // from now on 10 s
		f.advance(6 * time.Second)
		want("after the first interval", code, "slow_down") // from now on 15 s
		f.advance(14 * time.Second)
		want("after less than the grown interval", code, "slow_down") // from now on 20 s
		f.advance(20 * time.Second)
		want("after the grown interval", code, "authorization_pending")
		f.decide(userCode, "approve", cookie)
		want("approved", code, nil)
		want("used", code, "invalid_grant")
		code, userCode = begin(api.CLIClientID)
		f.decide(userCode, "deny", cookie)
		want("denied", code, "access_denied")
		code, _ = begin(api.CLIClientID)
		f.advance(10 * time.Minute)
		want("expired", code, "expired_token")
		code, userCode = begin("another-client")
		f.decide(userCode, "approve", cookie)
		want("another client's", code, "invalid_grant")
		want("unknown", "x", "invalid_grant")
		if _, answer := f.oauth("/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "device_code": {code}}); answer["error"] != "invalid_client" {
			t.Errorf("no client: %v", answer)
		}
		resp, _ := f.do("POST", "/oauth/token", "grant_type="+url.QueryEscape(api.GrantDeviceCode)+"&device_code="+code, "Content-Type", formType,
			"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("evil:")))
		if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("an unknown client in the header: %d %v", resp.StatusCode, resp.Header)
		}
	})
}

// The page for codes shows what is asked for, and lets nobody guess.
func TestDevicePage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	d, err := f.cloud.Registry().Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: api.CLIClientID, Address: "192.0.2.1", UserAgent: "ace/test"})
	if err != nil {
		t.Fatal(err)
	}
	_, page := f.do("GET", "/device?user_code="+strings.ToLower(d.UserCode), "", "Cookie", cookie)
	for _, shown := range []string{d.UserCode, "192.0.2.1", "ace/test", "just now", `method="post" action="/device"`} {
		if !strings.Contains(page, shown) {
			t.Errorf("the page does not show %q", shown)
		}
	}
	if _, err := f.cloud.Registry().Sessions.LookupDevice(t.Context(), d.UserCode); err != nil {
		t.Errorf("looking at the page has decided the login: %v", err)
	}
	last := 0
	for range 25 {
		resp, _ := f.do("GET", "/device?user_code=BCDF-GHJK", "", "Cookie", cookie)
		last = resp.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the 25th guess answers %d", last)
	}
}

func (f *fixture) deviceTokens() map[string]any {
	f.t.Helper()
	d, err := f.cloud.Registry().Sessions.StartDevice(f.t.Context(), accounts.DeviceStart{ClientID: api.CLIClientID})
	if err != nil {
		f.t.Fatal(err)
	}
	f.decide(d.UserCode, "approve", f.signIn())
	status, answer := f.oauth("/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "client_id": {api.CLIClientID}, "device_code": {d.DeviceCode.Reveal()}})
	if status != 200 {
		f.t.Fatalf("%d %v", status, answer)
	}
	return answer
}

func TestRefresh(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		refresh := func(token any) (any, map[string]any) {
			_, answer := f.oauth("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.(string)}, "client_id": {api.CLIClientID}})
			return answer["error"], answer
		}
		first := f.deviceTokens()["refresh_token"]
		f.advance(accounts.RefreshLife - time.Second)
		failed, answer := refresh(first)
		if failed != nil {
			t.Fatalf("just within its life: %v", failed)
		}
		second := answer["refresh_token"]
		f.advance(accounts.RefreshLife - time.Second) // since the last refresh, not since the login
		if failed, answer = refresh(second); failed != nil {
			t.Fatalf("the next one: %v", failed)
		}
		third, token := answer["refresh_token"], answer["access_token"].(string)
		if failed, _ := refresh(second); failed != "invalid_grant" {
			t.Errorf("used again: %v", failed)
		}
		if failed, _ := refresh(third); failed != "invalid_grant" {
			t.Errorf("the family lives on: %v", failed)
		}
		if resp, _ := f.do("GET", "/v1/me", "", "Authorization", "Bearer "+token); resp.StatusCode != 401 {
			t.Errorf("its session token lives on: %d", resp.StatusCode)
		}
		late := f.deviceTokens()["refresh_token"]
		f.advance(accounts.RefreshLife)
		if failed, _ := refresh(late); failed != "invalid_grant" {
			t.Errorf("after 24 hours: %v", failed)
		}
		ended := f.deviceTokens()
		if err := f.client().As(bridge.NewSecret(ended["access_token"].(string))).RevokeSession(t.Context(), bridge.NewSecret(ended["access_token"].(string))); err != nil {
			t.Fatal(err)
		}
		if failed, _ := refresh(ended["refresh_token"]); failed != "invalid_grant" {
			t.Errorf("after the session has ended: %v", failed)
		}
		raced := f.deviceTokens()["refresh_token"]
		if n := f.atOnce(2, func() bool { failed, _ := refresh(raced); return failed == nil }); n > 1 {
			t.Errorf("%d of two refreshes at once were answered", n)
		}
		if failed, _ := refresh(raced); failed != "invalid_grant" {
			t.Errorf("after the race: %v", failed)
		}
	})
}

// A new first key in ACE_CLOUD_SIGNING_KEY signs from then on; what the older one has signed passes until it ends.
func TestSigningKeyRotation(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	kids := func() []string {
		resp, body := f.do("GET", "/.well-known/jwks.json", "")
		if resp.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("the keys are cached as %q", resp.Header.Get("Cache-Control"))
		}
		var set struct {
			Keys []struct{ Kid, Kty, Crv, X, Use, Alg string }
		}
		if err := json.Unmarshal([]byte(body), &set); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, k := range set.Keys {
			if raw, err := base64.RawURLEncoding.DecodeString(k.X); err != nil || len(raw) != 32 || k.Kty != "OKP" || k.Crv != "Ed25519" || k.Use != "sig" {
				t.Errorf("a key is %+v", k)
			}
			out = append(out, k.Kid)
		}
		return out
	}
	kidOf := func(token bridge.Secret) string {
		head, _, _ := strings.Cut(token.Reveal(), ".")
		raw, err := base64.RawURLEncoding.DecodeString(head)
		var h struct{ Kid string }
		if err != nil || json.Unmarshal(raw, &h) != nil {
			t.Fatal(head)
		}
		return h.Kid
	}
	status := func(token bridge.Secret) int {
		resp, _ := f.do("GET", "/v1/me", "", "Authorization", "Bearer "+token.Reveal())
		return resp.StatusCode
	}
	before, older, olderKey := f.token, kids(), f.cfg.SigningKey
	newer := "2" + strings.TrimPrefix(bridge.NewSigningRoot().Reveal(), "1")
	f.cfg.SigningKey = bridge.NewSecret(newer + "," + olderKey.Reveal())
	f.restart()
	after, _, err := f.cloud.DeveloperToken(context.Background(), "ann@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	both := kids()
	if len(older) != 1 || len(both) != 2 || both[0] != kidOf(before) || both[1] != kidOf(after) || kidOf(before) == kidOf(after) {
		t.Errorf("keys %v, then %v; tokens of %s, then %s", older, both, kidOf(before), kidOf(after))
	}
	if status(before) != 200 || status(after) != 200 {
		t.Errorf("with both keys: the older token gets %d, the newer %d", status(before), status(after))
	}
	f.cfg.SigningKey = bridge.NewSecret(newer)
	f.restart()
	if status(before) != 401 || status(after) != 200 {
		t.Errorf("with the newer key alone: the older token gets %d, the newer %d", status(before), status(after))
	}
	f.cfg.SigningKey = olderKey
	f.restart()
	if status(after) != 401 {
		t.Errorf("a token of a key that is not known gets %d", status(after))
	}
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
		"in the URL":       {"/oauth/token?" + refresh, "", []string{"Content-Type", formType}, 400, "invalid_request"},
		"too long":         {"/oauth/token", "a=" + strings.Repeat("x", 100<<10), []string{"Content-Type", formType}, 413, "invalid_request"},
		"no token":         {"/oauth/revoke", "", []string{"Content-Type", formType}, 400, "invalid_request"},
		"a client secret":  {"/oauth/revoke", "token=x&client_id=ace-cli&client_secret=y", []string{"Content-Type", formType}, 400, "invalid_client"},
		"another client":   {"/oauth/token", refresh + "&client_id=evil", []string{"Content-Type", formType}, 400, "invalid_client"},
		"a scope":          {"/oauth/device_authorization", "client_id=ace-cli&scope=all", []string{"Content-Type", formType}, 400, "invalid_scope"},
		"a broken Basic":   {"/oauth/token", refresh, []string{"Content-Type", formType, "Authorization", "Basic !"}, 401, "invalid_client"},
		"a Basic password": {"/oauth/token", refresh, []string{"Content-Type", formType, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("ace-cli:x"))}, 401, "invalid_client"},
		"unknown token":    {"/oauth/revoke", "token=x", []string{"Content-Type", formType}, 200, ""},
	} {
		resp, body := f.do("POST", c.path, c.body, c.headers...)
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
