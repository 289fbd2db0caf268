package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/roomtest"
)

func (f *fixture) decide(userCode, action, cookie string) {
	f.T.Helper()
	resp, body := f.Do("POST", "/device", url.Values{"user_code": {userCode}, "action": {action}}.Encode(), "Content-Type", roomtest.FormType, "Cookie", cookie)
	if resp.StatusCode != 200 {
		f.T.Fatalf("%s: %d %s", action, resp.StatusCode, body)
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
		headers := []string{"Content-Type", roomtest.FormType}
		if inHeader {
			headers = append(headers, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(api.CLIClientID+":")))
		} else {
			form.Set("client_id", api.CLIClientID)
		}
		_, body := f.Do("POST", "/oauth/token", form.Encode(), headers...)
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
		f.Advance(5 * time.Second)
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

// Every error of RFC 8628 section 3.5 and the ones of RFC 6749 section 5.2 that a device login can get.
func TestDeviceErrors(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		cookie := f.Cookie("ann@acme.test", "acme")
		begin := func(client string) (string, string) {
			d, err := f.Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: client, Address: "192.0.2.1"})
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
		f.Advance(5 * time.Second)
		want("after the interval", code, "authorization_pending")
		want("at once", code, "slow_down") // from now on 10 s
		f.Advance(6 * time.Second)
		want("after the first interval", code, "slow_down") // from now on 15 s
		f.Advance(14 * time.Second)
		want("after less than the grown interval", code, "slow_down") // from now on 20 s
		f.Advance(20 * time.Second)
		want("after the grown interval", code, "authorization_pending")
		f.decide(userCode, "approve", cookie)
		want("approved", code, nil)
		want("used", code, "invalid_grant")
		code, userCode = begin(api.CLIClientID)
		f.decide(userCode, "deny", cookie)
		want("denied", code, "access_denied")
		code, _ = begin(api.CLIClientID)
		f.Advance(10 * time.Minute)
		want("expired", code, "expired_token")
		code, userCode = begin("another-client")
		f.decide(userCode, "approve", cookie)
		want("another client's", code, "invalid_grant")
		want("unknown", "x", "invalid_grant")
		if _, answer := f.oauth("/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "device_code": {code}}); answer["error"] != "invalid_client" {
			t.Errorf("no client: %v", answer)
		}
		resp, _ := f.Do("POST", "/oauth/token", "grant_type="+url.QueryEscape(api.GrantDeviceCode)+"&device_code="+code, "Content-Type", roomtest.FormType,
			"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("evil:")))
		if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("an unknown client in the header: %d %v", resp.StatusCode, resp.Header)
		}
	})
}

// The page for codes shows what is asked for, and lets nobody guess.
func TestDevicePage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	cookie := f.Cookie("ann@acme.test", "acme")
	d, err := f.Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: api.CLIClientID, Address: "192.0.2.1", UserAgent: "ace/test"})
	if err != nil {
		t.Fatal(err)
	}
	_, page := f.Do("GET", "/device?user_code="+strings.ToLower(d.UserCode), "", "Cookie", cookie)
	for _, shown := range []string{d.UserCode, "192.0.2.1", "ace/test", "just now", `method="post" action="/device"`} {
		if !strings.Contains(page, shown) {
			t.Errorf("the page does not show %q", shown)
		}
	}
	if _, err := f.Sessions.LookupDevice(t.Context(), d.UserCode); err != nil {
		t.Errorf("looking at the page has decided the login: %v", err)
	}
	last := 0
	for range 25 {
		resp, _ := f.Do("GET", "/device?user_code=BCDF-GHJK", "", "Cookie", cookie)
		last = resp.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the 25th guess answers %d", last)
	}
}

func (f *fixture) deviceTokens() map[string]any {
	f.T.Helper()
	d, err := f.Sessions.StartDevice(f.T.Context(), accounts.DeviceStart{ClientID: api.CLIClientID})
	if err != nil {
		f.T.Fatal(err)
	}
	f.decide(d.UserCode, "approve", f.Cookie("ann@acme.test", "acme"))
	status, answer := f.oauth("/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "client_id": {api.CLIClientID}, "device_code": {d.DeviceCode.Reveal()}})
	if status != 200 {
		f.T.Fatalf("%d %v", status, answer)
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
		f.Advance(accounts.RefreshLife - time.Second)
		failed, answer := refresh(first)
		if failed != nil {
			t.Fatalf("just within its life: %v", failed)
		}
		second := answer["refresh_token"]
		f.Advance(accounts.RefreshLife - time.Second) // since the last refresh, not since the login
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
		if resp, _ := f.Do("GET", "/v1/me", "", "Authorization", "Bearer "+token); resp.StatusCode != 401 {
			t.Errorf("its session token lives on: %d", resp.StatusCode)
		}
		late := f.deviceTokens()["refresh_token"]
		f.Advance(accounts.RefreshLife)
		if failed, _ := refresh(late); failed != "invalid_grant" {
			t.Errorf("after 24 hours: %v", failed)
		}
		ended := f.deviceTokens()
		if err := f.Client().As(bridge.NewSecret(ended["access_token"].(string))).RevokeSession(t.Context(), bridge.NewSecret(ended["access_token"].(string))); err != nil {
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

func TestDeviceGrant(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		begin := func() (code, userCode string) {
			t.Helper()
			status, d := f.oauth("/oauth/device_authorization", url.Values{"client_id": {api.CLIClientID}})
			if status != 200 || d["verification_uri"] != f.Server+"/device" || d["interval"] != 5.0 {
				t.Fatalf("%d %v", status, d)
			}
			return d["device_code"].(string), d["user_code"].(string)
		}
		poll := func(code string) map[string]any {
			_, answer := f.oauth("/oauth/token", url.Values{"grant_type": {api.GrantDeviceCode}, "client_id": {api.CLIClientID}, "device_code": {code}})
			return answer
		}
		decide := func(userCode, action string) int {
			resp, _ := f.Do("POST", "/device", url.Values{"user_code": {userCode}, "action": {action}}.Encode(), "Content-Type", roomtest.FormType, "Cookie", f.Cookie("ann@acme.test", "acme"))
			return resp.StatusCode
		}
		code, userCode := begin()
		if a := poll(code); a["error"] != "authorization_pending" {
			t.Errorf("pending: %v", a)
		}
		if a := poll(code); a["error"] != "slow_down" {
			t.Errorf("too fast: %v", a)
		}
		if status := decide(userCode, "approve"); status != 200 {
			t.Errorf("approve: %d", status)
		}
		a := poll(code)
		if a["token_type"] != "Bearer" || a["refresh_token"] == nil || a["expires_in"] != 900.0 {
			t.Errorf("the tokens: %v", a)
		}
		if a := poll(code); a["error"] != "invalid_grant" {
			t.Errorf("a code is redeemed twice: %v", a)
		}
		code, userCode = begin()
		if status := decide(userCode, "deny"); status != 200 {
			t.Errorf("deny: %d", status)
		}
		if a := poll(code); a["error"] != "access_denied" {
			t.Errorf("denied: %v", a)
		}
		code, _ = begin()
		f.Advance(10 * time.Minute)
		if a := poll(code); a["error"] != "expired_token" {
			t.Errorf("expired: %v", a)
		}
	})
}
