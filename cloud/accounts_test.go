package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/mail"
)

// outbox is a mailer of which the first try fails.
type outbox struct {
	first sync.Once
	tried chan struct{} // closed by the first try
	sent  chan mail.Message
}

func (o *outbox) Send(_ context.Context, m mail.Message) error {
	err := error(nil)
	o.first.Do(func() {
		err = errors.New("the mail server is away")
		close(o.tried)
	})
	if err == nil {
		o.sent <- m
	}
	return err
}

// run does the background work of the cloud until it is stopped.
func (f *fixture) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { _ = f.cloud.Run(ctx); close(stopped) }()
	return func() { cancel(); <-stopped }
}

func (o *outbox) next(t *testing.T) mail.Message {
	t.Helper()
	select {
	case m := <-o.sent:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no mail was sent")
	}
	return mail.Message{}
}

func (f *fixture) form(path string, values url.Values, headers ...string) (*http.Response, string) {
	f.t.Helper()
	return f.do("POST", path, values.Encode(), append([]string{"Content-Type", formType}, headers...)...)
}

// jar returns the Cookie header: the cookies so far, and those that a response sets.
func jar(before string, resp *http.Response) string {
	cookies := map[string]string{}
	for c := range strings.SplitSeq(before, "; ") {
		if name, value, ok := strings.Cut(c, "="); ok {
			cookies[name] = value
		}
	}
	for _, c := range resp.Cookies() {
		cookies[c.Name] = c.Value
	}
	var out []string
	for name, value := range cookies {
		out = append(out, name+"="+value)
	}
	return strings.Join(out, "; ")
}

var credentials = url.Values{"email": {"ann@acme.test"}, "password": {password}}

// session logs in with a password as a program does, and returns the code of the refusal.
func (f *fixture) session(r api.SessionRequest) (api.SessionToken, bridge.Code) {
	f.t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, answer := f.do("POST", "/v1/sessions", string(body), "Content-Type", "application/json")
	if resp.StatusCode != http.StatusCreated {
		var p api.Problem
		if err := json.Unmarshal([]byte(answer), &p); err != nil {
			f.t.Fatalf("%d %s", resp.StatusCode, answer)
		}
		return api.SessionToken{}, p.Code
	}
	var token api.SessionToken
	if err := json.Unmarshal([]byte(answer), &token); err != nil {
		f.t.Fatal(err)
	}
	return token, ""
}

// enrol turns two-factor authentication on, by the page, and returns the app's secret and a recovery code.
func (f *fixture) enrol(cookie string) (secret, recovery string) {
	f.t.Helper()
	resp, body := f.form("/settings/security", url.Values{"action": {"totp-begin"}, "password": {password}}, "Cookie", cookie)
	m := regexp.MustCompile(`id="totp-secret">([A-Z2-7]+)<`).FindStringSubmatch(body)
	if m == nil || resp.StatusCode != http.StatusOK || !strings.Contains(body, `<svg class="qr"`) || resp.Header.Get("Cache-Control") != "no-store" {
		f.t.Fatalf("set up: %d %s", resp.StatusCode, body)
	}
	if _, again := f.form("/settings/security", url.Values{"action": {"totp-confirm"}, "otp": {"000000"}}, "Cookie", cookie); !strings.Contains(again, m[1]) {
		f.t.Error("after a wrong code the secret is another, or gone")
	}
	_, body = f.form("/settings/security", url.Values{"action": {"totp-confirm"}, "otp": {f.code(m[1])}}, "Cookie", cookie)
	codes := regexp.MustCompile(`[A-Z2-7]{4}(-[A-Z2-7]{4}){3}`).FindAllString(body, -1)
	if len(codes) != 10 {
		f.t.Fatalf("%d recovery codes: %s", len(codes), body)
	}
	return m[1], codes[0]
}

func (f *fixture) code(secret string) string {
	f.t.Helper()
	code, err := totp.GenerateCode(secret, f.clock())
	if err != nil {
		f.t.Fatal(err)
	}
	return code
}

func TestPasswordSessions(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	right := api.SessionRequest{Email: "Ann@acme.test", Password: bridge.NewSecret(password).Disclose()}
	token, code := f.session(right)
	if life := token.ExpiresAt.Sub(f.clock()); code != "" || life < 3*time.Hour-2*time.Second || life > 3*time.Hour {
		t.Fatalf("%q, for %v", code, life)
	}
	bearer := []string{"Authorization", "Bearer " + token.Token.Reveal(), "Content-Type", "application/json"}
	if resp, body := f.do("PATCH", "/v1/me", `{"name":"Ann","country":"de","currency":"EUR"}`, bearer...); resp.StatusCode != 200 || !strings.Contains(body, `"country":"DE"`) {
		t.Errorf("the profile: %d %s", resp.StatusCode, body)
	}
	if _, body := f.do("GET", "/v1/me", "", bearer...); !strings.Contains(body, `"currency":"EUR"`) || !strings.Contains(body, `"name":"Ann"`) {
		t.Errorf("me: %s", body)
	}
	other, _ := f.session(right)
	var list api.List[api.Session]
	_, body := f.do("GET", "/v1/sessions", "", bearer...)
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Items) != 3 || list.Items[0].Current || !list.Items[1].Current ||
		list.Items[1].Method != "password" || !strings.HasPrefix(list.Items[1].UserAgent, "Go-http-client") || list.Items[1].Address != "127.0.0.1" {
		t.Fatalf("the sessions: %s", body)
	}
	if resp, _ := f.do("DELETE", "/v1/sessions/"+list.Items[0].ID, "", bearer...); resp.StatusCode != 204 {
		t.Errorf("end one: %d", resp.StatusCode)
	}
	if resp, _ := f.do("GET", "/v1/me", "", "Authorization", "Bearer "+other.Token.Reveal()); resp.StatusCode != 401 {
		t.Errorf("a session that was ended answers %d at once", resp.StatusCode)
	}
	for path, want := range map[string]int{"/v1/sessions/" + list.Items[0].ID: 404, "/v1/sessions?current=maybe": 400, "/v1/sessions": 204} {
		if resp, body := f.do("DELETE", path, "", bearer...); resp.StatusCode != want {
			t.Errorf("DELETE %s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := f.do("GET", "/v1/me", "", "Authorization", "Bearer "+f.token.Reveal()); resp.StatusCode != 401 {
		t.Errorf("after all others were ended, another answers %d", resp.StatusCode)
	}
	resp, body := f.do("POST", "/v1/sessions/switch", `{"org":"acme"}`, bearer...)
	var moved api.SessionToken
	if err := json.Unmarshal([]byte(body), &moved); err != nil || resp.StatusCode != 200 || !moved.ExpiresAt.Equal(token.ExpiresAt) {
		t.Errorf("switch: %d %s", resp.StatusCode, body)
	}
	if resp, _ := f.do("GET", "/v1/me", "", bearer...); resp.StatusCode != 401 {
		t.Errorf("the token from before the switch answers %d", resp.StatusCode)
	}
	bearer[1] = "Bearer " + moved.Token.Reveal()
	if resp, body := f.do("POST", "/v1/sessions/switch", `{"org":"rival"}`, bearer...); resp.StatusCode != 403 {
		t.Errorf("into another's organization: %d %s", resp.StatusCode, body)
	}
	if resp, _ := f.do("DELETE", "/v1/sessions?current=true", "", bearer...); resp.StatusCode != 204 {
		t.Errorf("end all: %d", resp.StatusCode)
	}
	if resp, _ := f.do("GET", "/v1/me", "", bearer...); resp.StatusCode != 401 {
		t.Errorf("after all were ended, this one answers %d", resp.StatusCode)
	}
}

func TestPasswordSessionRefusals(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	secret, recovery := f.enrol(f.signIn())
	right := bridge.NewSecret(password).Disclose()
	for name, c := range map[string]struct {
		request api.SessionRequest
		code    bridge.Code
	}{
		"a wrong password": {api.SessionRequest{Email: "ann@acme.test", Password: bridge.NewSecret("wrong").Disclose()}, "login_failed"},
		"nobody":           {api.SessionRequest{Email: "bob@acme.test", Password: right}, "login_failed"},
		"no code":          {api.SessionRequest{Email: "ann@acme.test", Password: right}, "otp_required"},
		"a wrong code":     {api.SessionRequest{Email: "ann@acme.test", Password: right, OTP: "000000"}, "otp_invalid"},
		"a used code":      {api.SessionRequest{Email: "ann@acme.test", Password: right, OTP: f.code(secret)}, "otp_used"},
		"no organization":  {api.SessionRequest{Email: "ann@acme.test", Password: right, OTP: recovery, Org: "rival"}, "not_a_member"},
	} {
		if _, got := f.session(c.request); got != c.code {
			t.Errorf("%s: %q, want %q", name, got, c.code)
		}
	}
	f.advance(30 * time.Second)
	if _, got := f.session(api.SessionRequest{Email: "ann@acme.test", Password: right, OTP: f.code(secret)}); got != "" {
		t.Errorf("with a code: %q", got)
	}
	resp, body := f.do("POST", "/v1/sessions", `{"email":"x@y.test","password":"z"}`, "Content-Type", "application/json")
	for range 12 {
		resp, body = f.do("POST", "/v1/sessions", `{"email":"x@y.test","password":"z"}`, "Content-Type", "application/json")
	}
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "too_many_requests") {
		t.Errorf("many wrong passwords: %d %v %s", resp.StatusCode, resp.Header, body)
	}
}

// A sign-in has two steps: the password alone opens nothing, and another browser cannot do the second step.
func TestSecondStepPages(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	first := f.signIn()
	secret, recovery := f.enrol(first)
	resp, body := f.form("/login", url.Values{"email": {"ann@acme.test"}, "password": {password}, "next": {"/device?user_code=A"}}, "Cookie", first)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login/code?next=%2Fdevice%3Fuser_code%3DA" {
		t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	half := jar("", resp)
	if resp, _ := f.do("GET", "/connections", "", "Cookie", half); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the password alone opens the dashboard: %d", resp.StatusCode)
	}
	if resp, _ := f.do("GET", "/login/code", ""); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the second step of another browser: %d", resp.StatusCode)
	}
	if resp, body := f.do("GET", "/login/code", "", "Cookie", half); resp.StatusCode != 200 || strings.Contains(body, password) {
		t.Errorf("the second step: %d", resp.StatusCode)
	}
	if resp, _ := f.form("/login/code", url.Values{"otp": {"000000"}}, "Cookie", half); resp.StatusCode != 401 {
		t.Errorf("a wrong code: %d", resp.StatusCode)
	}
	f.advance(30 * time.Second)
	resp, body = f.form("/login/code", url.Values{"otp": {f.code(secret)}, "next": {"//evil.example"}}, "Cookie", half+"; "+first)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/connections" {
		t.Fatalf("the right code: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	second := jar("", resp)
	if resp, _ := f.do("GET", "/connections", "", "Cookie", second); resp.StatusCode != 200 {
		t.Errorf("signed in: %d", resp.StatusCode)
	}
	if resp, _ := f.do("GET", "/connections", "", "Cookie", first); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the cookie from before the sign-in lives on: %d", resp.StatusCode)
	}
	if resp, _ := f.form("/login/code", url.Values{"otp": {recovery}}, "Cookie", half); resp.StatusCode != 401 {
		t.Errorf("a second step that is over: %d", resp.StatusCode)
	}
}

// A forgotten password is reset through a mailed link; the mail's first delivery fails.
func TestForgottenPassword(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		mailer := &outbox{tried: make(chan struct{}), sent: make(chan mail.Message, 8)}
		f := startWith(t, dsn, func(c *cloud.Config) { c.Mail = mailer })
		answers := map[string]string{}
		for _, email := range []string{"ann@acme.test", "bob@acme.test"} {
			resp, body := f.form("/forgot", url.Values{"email": {email}})
			answers[email] = resp.Status + strings.ReplaceAll(body, email, "")
		}
		if answers["ann@acme.test"] != answers["bob@acme.test"] || !strings.HasPrefix(answers["ann@acme.test"], "200") {
			t.Errorf("the answers tell who has an account: %v", answers)
		}
		cookie := f.signIn()
		stop := f.run()
		select {
		case <-mailer.tried:
		case <-time.After(20 * time.Second):
			t.Fatal("no mail was tried")
		}
		stop()
		f.advance(time.Minute)
		t.Cleanup(f.run())
		m := mailer.next(t)
		link := regexp.MustCompile(regexp.QuoteMeta(f.url) + `/reset\?token=([\w-]{43})\n`).FindStringSubmatch(m.Text.Reveal())
		if m.To != "ann@acme.test" || link == nil {
			t.Fatalf("%s: %s", m.To, m.Text.Reveal())
		}
		for range 2 { // a program that scans mail comes first
			resp, body := f.do("GET", "/reset?token="+link[1], "")
			if resp.StatusCode != 200 || resp.Header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(body, `name="password"`) {
				t.Errorf("the page of the link: %d %s", resp.StatusCode, body)
			}
		}
		reset := url.Values{"token": {link[1]}, "password": {"another horse battery"}}
		if resp, body := f.form("/reset", reset); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("reset: %d %s", resp.StatusCode, body)
		}
		if resp, _ := f.form("/reset", reset); resp.StatusCode != 404 {
			t.Errorf("a second use: %d", resp.StatusCode)
		}
		if resp, _ := f.do("GET", "/connections", "", "Cookie", cookie); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("the session lives on: %d", resp.StatusCode)
		}
		if m := mailer.next(t); !strings.Contains(m.Subject, "changed") || m.To != "ann@acme.test" {
			t.Errorf("the notice: %q to %s", m.Subject, m.To)
		}
		if resp, _ := f.form("/login", credentials); resp.StatusCode != 401 {
			t.Errorf("the old password: %d", resp.StatusCode)
		}
		if resp, _ := f.do("GET", "/dev/mail", ""); resp.StatusCode != 404 {
			t.Errorf("mail is shown although it is sent: %d", resp.StatusCode)
		}
	})
}

// A session whose address is not confirmed is signed out; signing in with the password sends another link.
func TestUnconfirmedAddress(t *testing.T) {
	dsn := sqldbtest.SQLite(t)
	mailer := &outbox{tried: make(chan struct{}), sent: make(chan mail.Message, 8)}
	mailer.first.Do(func() {}) // none fails
	f := startWith(t, dsn, func(c *cloud.Config) { c.Mail = mailer })
	cookie := f.signIn()
	db, err := sqldb.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "UPDATE users SET verified_at = 0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.run())
	if resp, body := f.form("/settings/security", url.Values{"action": {"verify"}}, "Cookie", cookie); resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "/login") {
		t.Errorf("a session from before: %d %s", resp.StatusCode, body)
	}
	if resp, body := f.form("/login", credentials); resp.StatusCode != 403 || !strings.Contains(body, "not been confirmed") {
		t.Errorf("a sign-in: %d %s", resp.StatusCode, body)
	}
	m := mailer.next(t)
	if !strings.Contains(m.Text.Reveal(), "/verify?token=") {
		t.Error("a sign-in with the right password mails no link")
	}
	_, after, _ := strings.Cut(m.Text.Reveal(), "/verify?token=")
	token, _, _ := strings.Cut(after, "\n")
	if resp, body := f.do("GET", "/verify?token="+token, ""); resp.StatusCode != 200 || !strings.Contains(body, ">Confirm<") {
		t.Errorf("the page of the link: %d %s", resp.StatusCode, body)
	}
	if resp, _ := f.form("/login", credentials); resp.StatusCode != 403 {
		t.Errorf("opening the link confirms: %d", resp.StatusCode)
	}
	if resp, body := f.form("/verify", url.Values{"token": {token}, "password": {"not the one"}}); resp.StatusCode != 401 || !strings.Contains(body, "not the password") {
		t.Errorf("confirm with a wrong password: %d %s", resp.StatusCode, body)
	}
	if resp, body := f.form("/verify", url.Values{"token": {token}, "password": {password}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("confirm: %d %s", resp.StatusCode, body)
	}
	if resp, body := f.form("/login", credentials); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("after it: %d %s", resp.StatusCode, body)
	}
}

func TestMailOnLoopbackIsShown(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	if resp, _ := f.form("/forgot", url.Values{"email": {"ann@acme.test"}}); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
	t.Cleanup(f.run())
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if _, body := f.do("GET", "/dev/mail", ""); strings.Contains(body, `<a href="`+f.url+`/reset?token=`) {
			return
		}
	}
	t.Error("the mail is not shown")
}

func TestWithoutMail(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) { c.PublicURL = "https://cloud.example.com" })
	host := []string{"Host", "cloud.example.com"}
	resp, body := f.do("GET", "/forgot", "", host...)
	if resp.StatusCode != 200 || !strings.Contains(body, "ACE_SMTP_URL") {
		t.Errorf("the page does not say what is missing: %d %s", resp.StatusCode, body)
	}
	resp, body = f.form("/forgot", url.Values{"email": {"ann@acme.test"}}, host...)
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "ACE_SMTP_URL") {
		t.Errorf("a link is promised that nobody sends: %d %s", resp.StatusCode, body)
	}
	if resp, _ := f.do("GET", "/dev/mail", "", host...); resp.StatusCode != 404 {
		t.Errorf("mail is shown to everybody: %d", resp.StatusCode)
	}
	resp, _ = f.form("/login", credentials, host...)
	for _, c := range resp.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" {
			t.Errorf("a cookie on https: %v", c)
		}
	}
}
