package browser

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// waitingProgram listens where a browser is sent with a code, and returns its address and the parameters that came; no
// address where the machine has no IPv6.
func waitingProgram(t *testing.T, host string) (redirectURI string, answers <-chan url.Values) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil && strings.Contains(host, ":") {
		t.Logf("no IPv6 on this machine: %v", err)
		return "", nil
	} else if err != nil {
		t.Fatal(err)
	}
	came := make(chan url.Values, 8)
	ts := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // a test's
		if r.URL.Path == "/callback" {
			came <- r.URL.Query()
		}
		_, _ = w.Write([]byte(`<h1 id="done">Done</h1>`))
	})}}
	ts.Start()
	t.Cleanup(ts.Close)
	return "http://" + ln.Addr().String() + "/callback", came
}

// A browser carries a code to the program that waits for it, and a person to their organization's provider: its rules for
// forms hold for where they lead, too, which no other client knows of.
func TestLoginsInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base := string(w.CloudURL)
	run := steps(t, ctx)
	client := apiclient.NewCloud(w.CloudURL, bridge.Secret{}, api.ClientConfig{})
	meta, err := client.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signedIn := false
	for _, host := range []string{"127.0.0.1", "::1"} {
		redirectURI, answers := waitingProgram(t, host)
		if redirectURI == "" {
			continue
		}
		verifier := oauth2.GenerateVerifier()
		cfg := oauth2.Config{ClientID: api.CLIClientID, RedirectURL: redirectURI, Endpoint: oauth2.Endpoint{AuthURL: meta.AuthorizationEndpoint}}
		run("the request", chromedp.Navigate(cfg.AuthCodeURL("a state & more", oauth2.S256ChallengeOption(verifier))))
		if !signedIn {
			run("sign in first", chromedp.WaitVisible(`input[name=email]`), chromedp.SendKeys(`input[name=email]`, "admin@acme.test"),
				chromedp.SendKeys(`input[name=password]`, world.Password+"\r"))
			signedIn = true
		}
		run("the consent", chromedp.WaitVisible(`button[value=approve]`))
		shoot(t, ctx, "authorize")
		run("approve", chromedp.Click(`button[value=approve]`), chromedp.WaitVisible(`#done`))
		answer := <-answers
		if answer.Get("state") != "a state & more" || answer.Get("iss") != base {
			t.Errorf("the program is answered %v", answer)
		}
		tokens, err := client.ExchangeCode(t.Context(), bridge.NewSecret(answer.Get("code")), bridge.NewSecret(verifier), redirectURI)
		if err != nil {
			t.Fatal(err)
		}
		if me, err := client.As(tokens.AccessToken.Secret).Me(t.Context()); err != nil || me.Email != "admin@acme.test" {
			t.Errorf("%s: %+v %v", host, me, err)
		}
		if err := client.RevokeSession(t.Context(), tokens.AccessToken.Secret); err != nil {
			t.Error(err)
		}
	}

	var provider *httptest.Server
	provider = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/openid-configuration" {
			rw.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(rw).Encode(map[string]string{"issuer": provider.URL, "authorization_endpoint": provider.URL + "/authorize",
				"token_endpoint": provider.URL + "/token", "jwks_uri": provider.URL + "/keys"})
			return
		}
		_, _ = rw.Write([]byte(`<h1 id="provider">Sign in at Acme</h1>`))
	}))
	t.Cleanup(provider.Close)
	run("the provider's settings", chromedp.Navigate(base+"/settings/provider"), chromedp.WaitVisible(`input[name=issuer]`),
		chromedp.SendKeys(`input[name=issuer]`, provider.URL), chromedp.SendKeys(`input[name=client_id]`, "ace"),
		chromedp.SendKeys(`textarea[name=domains]`, "acme.test"), chromedp.Click(`button[value=save]`),
		chromedp.WaitVisible(`button[value=test]`), chromedp.Click(`button[value=test]`), chromedp.WaitVisible(`.flash`))
	shoot(t, ctx, "provider")
	run("an address of the organization", chromedp.Navigate(base+"/login?next=/settings"), chromedp.WaitVisible(`a[href^="/login/provider"]`))
	shoot(t, ctx, "login-provider")
	run("continue with the organization", chromedp.Click(`a[href^="/login/provider"]`), chromedp.WaitVisible(`input[name=email]`))
	shoot(t, ctx, "signin")
	run("an unknown address", chromedp.SendKeys(`input[name=email]`, "bob@elsewhere.test\r"), chromedp.WaitVisible(`.error`))
	shoot(t, ctx, "signin-error")
	run("the provider", chromedp.Navigate(base+"/login/provider"), chromedp.WaitVisible(`input[name=email]`),
		chromedp.SendKeys(`input[name=email]`, "bob@acme.test\r"), chromedp.WaitVisible(`#provider`))
}
