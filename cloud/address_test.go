package cloud_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/mail"
)

// mailing is a cloud whose mails the test reads.
func mailing(t *testing.T, dsn string) (*fixture, *outbox) {
	t.Helper()
	mailer := &outbox{tried: make(chan struct{}), sent: make(chan mail.Message, 16)}
	mailer.first.Do(func() {}) // none fails
	f := startWith(t, dsn, func(c *cloud.Config) { c.Mail = mailer })
	t.Cleanup(f.run())
	return f, mailer
}

var anyLink = regexp.MustCompile(`(/[a-z/]+)\?token=([\w-]{43})\n`)

// links are the paths of the links in the next mails, with their tokens, by recipient.
func (o *outbox) links(t *testing.T, n int) map[string][2]string {
	t.Helper()
	out := map[string][2]string{}
	for range n {
		m := o.next(t)
		link := anyLink.FindStringSubmatch(m.Text.Reveal())
		if link == nil {
			t.Fatalf("%s: %s", m.To, m.Text.Reveal())
		}
		out[m.To] = [2]string{link[1], link[2]}
	}
	return out
}

const newAddress = "ann@new.test"

// An address is changed on the pages: the new one gets a link, the old one can stop it, and one click changes it.
func TestAddressPages(t *testing.T) {
	f, mailer := mailing(t, sqldbtest.SQLite(t))
	cookie := f.signIn()
	ask := func(form url.Values) (int, string) {
		resp, body := f.form("/settings/address", form, "Cookie", cookie)
		return resp.StatusCode, body
	}
	change := url.Values{"action": {"change"}, "email": {newAddress}, "password": {password}}
	if status, body := ask(url.Values{"action": {"change"}, "email": {newAddress}, "password": {"wrong"}}); status != 403 || !strings.Contains(body, newAddress) {
		t.Errorf("with a wrong password: %d", status)
	}
	if status, _ := ask(change); status != 200 {
		t.Fatalf("asked: %d", status)
	}
	links := mailer.links(t, 2)
	stop := "?token=" + links["ann@acme.test"][1]
	if resp, body := f.do("GET", "/address/stop"+stop, ""); resp.StatusCode != 200 || !strings.Contains(body, newAddress) || links["ann@acme.test"][0] != "/address/stop" {
		t.Errorf("the way to stop it: %d %s", resp.StatusCode, body)
	}
	if _, body := f.do("GET", "/settings", "", "Cookie", cookie); !strings.Contains(body, "Keep my address") {
		t.Error("opening a link has stopped it")
	}
	if resp, _ := f.form("/address/stop", url.Values{"token": {links["ann@acme.test"][1]}}); resp.StatusCode != 200 {
		t.Errorf("stopped: %d", resp.StatusCode)
	}
	if resp, _ := f.form("/address", url.Values{"token": {links[newAddress][1]}}, "Cookie", cookie); resp.StatusCode != 404 {
		t.Errorf("a change that was stopped: %d", resp.StatusCode)
	}
	if status, _ := ask(change); status != 200 {
		t.Fatalf("asked again: %d", status)
	}
	token := mailer.links(t, 2)[newAddress][1]
	for range 2 { // a program that scans mail, a stranger whose address it is by mistake
		resp, body := f.do("GET", "/address?token="+token, "")
		if resp.StatusCode != 200 || strings.Contains(body, "ann@") || !strings.Contains(body, "/login?next=%2Faddress%3Ftoken%3D"+token) {
			t.Errorf("opened by nobody: %d %s", resp.StatusCode, body)
		}
	}
	if resp, _ := f.form("/address", url.Values{"token": {token}}); resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "/login") {
		t.Errorf("confirmed by nobody: %d", resp.StatusCode)
	}
	f.join("bob@acme.test", bridge.RoleMember)
	other := f.signInAs("bob@acme.test")
	if resp, body := f.do("GET", "/address?token="+token, "", "Cookie", other); resp.StatusCode != 200 || strings.Contains(body, "ann@") || strings.Contains(body, "<button class=\"primary\">Change") {
		t.Errorf("opened by another: %d %s", resp.StatusCode, body)
	}
	if resp, _ := f.form("/address", url.Values{"token": {token}}, "Cookie", other); resp.StatusCode != 404 {
		t.Errorf("confirmed by another: %d", resp.StatusCode)
	}
	if _, body := f.do("GET", "/address?token="+token, "", "Cookie", cookie); !strings.Contains(body, "ann@acme.test") || !strings.Contains(body, newAddress) {
		t.Errorf("opened by its person: %s", body)
	}
	resp, _ := f.form("/address", url.Values{"token": {token}}, "Cookie", cookie)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/settings?done=address" {
		t.Fatalf("confirmed: %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := f.do("GET", "/settings", "", "Cookie", cookie); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the session from before: %d", resp.StatusCode)
	}
	if _, err := f.client().Me(t.Context()); err == nil {
		t.Error("a developer token from before lives on")
	}
	if resp, body := f.do("GET", "/settings?done=address", "", "Cookie", jar("", resp)); resp.StatusCode != 200 || !strings.Contains(body, newAddress) {
		t.Errorf("the new session: %d", resp.StatusCode)
	}
	if m := mailer.next(t); m.To != "ann@acme.test" || !strings.Contains(m.Subject, "was changed") {
		t.Errorf("the notice: %q to %s", m.Subject, m.To)
	}
	if resp, _ := f.form("/login", credentials); resp.StatusCode != 401 {
		t.Errorf("the old address signs in: %d", resp.StatusCode)
	}
}

// The API does the same, and answers alike whether or not another account has the address.
func TestAddressAPI(t *testing.T) {
	f, mailer := mailing(t, sqldbtest.SQLite(t))
	f.join("bob@acme.test", bridge.RoleMember)
	c := f.client()
	if _, err := c.PendingAddress(t.Context()); bridge.CodeOf(err) != bridge.CodeAddressChangeUnknown {
		t.Errorf("nothing waits: %v", err)
	}
	for _, to := range []string{"bob@acme.test", newAddress} {
		got, err := c.RequestAddress(t.Context(), api.AddressRequest{Email: to, Password: bridge.NewSecret(password).Disclose()})
		if err != nil || got.Email != to {
			t.Fatalf("%s: %+v %v", to, got, err)
		}
		if links := mailer.links(t, 2); links[to][0] != "/address" {
			t.Errorf("%v", links)
		}
		if pending, err := c.PendingAddress(t.Context()); err != nil || pending != got {
			t.Errorf("%+v %v", pending, err)
		}
	}
	if err := c.CancelAddress(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.CancelAddress(t.Context()); bridge.CodeOf(err) != bridge.CodeAddressChangeUnknown {
		t.Errorf("twice: %v", err)
	}
	key := f.key(c, api.CreateKeyRequest{Kind: "pat", Name: "n", Scopes: []string{"connection:read"}})
	if _, err := apiclient.NewCloud(bridge.ServerURL(f.url), key.Key.Secret, api.ClientConfig{}).RequestAddress(t.Context(), api.AddressRequest{Email: newAddress,
		Password: bridge.NewSecret(password).Disclose()}); bridge.CodeOf(err) != "person_only" {
		t.Errorf("by a token: %v", err)
	}
}

// Without a mail server, the page says who can change the address.
func TestAddressWithoutMail(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) { c.PublicURL = "https://cloud.example.com" })
	host := []string{"Host", "cloud.example.com", "X-Forwarded-Proto", "https"}
	resp, _ := f.form("/login", credentials, host...)
	_, body := f.do("GET", "/settings", "", append([]string{"Cookie", jar("", resp)}, host...)...)
	if !strings.Contains(body, "ace cloud user set-address ann@acme.test NEW") {
		t.Errorf("the page does not say it: %s", body)
	}
	if _, err := f.cloud.Registry().Addresses.Set(t.Context(), "ann@acme.test", newAddress, audit.Actor{ID: "operator"}); err != nil {
		t.Error(err)
	}
}

// With ACE_FIRST_EMAIL, the log has a link that makes the first account, once.
func TestFirstPages(t *testing.T) {
	var log bytes.Buffer
	f := startFresh(t, sqldbtest.SQLite(t), func(c *cloud.Config) { c.FirstEmail = "olga@acme.test" })
	f.log = slog.NewTextHandler(&log, nil)
	f.restart()
	m := regexp.MustCompile(`link="?` + regexp.QuoteMeta(f.url) + `(/first\?token=[\w-]{43})`).FindStringSubmatch(log.String())
	if m == nil {
		t.Fatalf("no link: %s", log.String())
	}
	token := strings.TrimPrefix(m[1], "/first?token=")
	if resp, body := f.do("GET", m[1], ""); resp.StatusCode != 200 || !strings.Contains(body, "olga@acme.test") {
		t.Errorf("the page: %d %s", resp.StatusCode, body)
	}
	if resp, body := f.form("/first", url.Values{"token": {token}, "name": {"Olga"}, "org": {"Not A Slug"}, "password": {password}}); resp.StatusCode != 400 || !strings.Contains(body, "Not A Slug") {
		t.Errorf("a mistake: %d %s", resp.StatusCode, body)
	}
	resp, body := f.form("/first", url.Values{"token": {token}, "name": {"Olga"}, "org": {"acme"}, "password": {password}, "email": {"evil@acme.test"}})
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("made: %d %s", resp.StatusCode, body)
	}
	if _, body := f.do("GET", "/settings", "", "Cookie", jar("", resp)); !strings.Contains(body, "olga@acme.test") || !strings.Contains(body, "<dd>owner</dd>") {
		t.Errorf("the first person: %s", body)
	}
	if resp, _ := f.do("GET", m[1], ""); resp.StatusCode != 404 {
		t.Errorf("the link, again: %d", resp.StatusCode)
	}
	log.Reset()
	f.restart()
	if strings.Contains(log.String(), "/first") {
		t.Errorf("a link where there are people: %s", log.String())
	}
}
