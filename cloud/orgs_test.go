package cloud_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/mail"
	"github.com/acebridge/ace/cloud/signup"
)

// join adds a person and returns their ID and token.
func (f *fixture) join(email string, role bridge.Role) (id string, token bridge.Secret) {
	f.t.Helper()
	u, err := f.cloud.Registry().SignUp.AddUser(f.t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: email,
		Password: bridge.NewSecret(password), Org: "acme", Role: role})
	if err != nil {
		f.t.Fatal(err)
	}
	if token, _, err = f.cloud.DeveloperToken(f.t.Context(), email, "acme"); err != nil {
		f.t.Fatal(err)
	}
	return u.ID, token
}

// post sends a form with a cookie, as a page of ours does.
func (f *fixture) post(path, cookie string, form url.Values) (*http.Response, string) {
	return f.do("POST", path, form.Encode(), "Content-Type", formType, "Cookie", cookie, "Accept", "text/html", "Sec-Fetch-Site", "same-origin")
}

func TestMembersAPI(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	ctx, admin := t.Context(), f.client()
	id, token := f.join("bob@acme.test", bridge.RoleMember)
	f.join("olga@acme.test", bridge.RoleOwner)
	bob := admin.As(token)

	members, err := bob.Members(ctx, "acme")
	if err != nil || len(members) != 3 {
		t.Fatalf("%+v %v", members, err)
	}
	resp, body := f.do("GET", "/v1/organizations/acme/members?limit=2", "", "Authorization", "Bearer "+token.Reveal())
	if resp.StatusCode != 200 || !strings.Contains(body, `"next_cursor"`) {
		t.Errorf("a page of two: %d %s", resp.StatusCode, body)
	}
	if _, err := bob.Members(ctx, "rival"); bridge.CodeOf(err) != "organization_unknown" {
		t.Errorf("another organization: %v", err)
	}
	if _, err := admin.ChangeRole(ctx, "acme", id, "viewer"); err != nil {
		t.Error(err)
	}
	if me, err := bob.Me(ctx); err != nil || me.Role != "viewer" {
		t.Errorf("the next request is one of a %s (%v)", me.Role, err)
	}
	if _, err := bob.CreateOrganization(ctx, api.NewOrganization{Slug: "bobs"}); err != nil {
		t.Fatal(err)
	}
	moved, err := bob.SwitchSession(ctx, "bobs")
	if err != nil {
		t.Fatal(err)
	}
	if me, err := admin.As(moved.Token.Secret).Me(ctx); err != nil || me.Org != "bobs" || me.Role != "owner" {
		t.Errorf("%+v %v", me, err)
	}
	if _, err := bob.Me(ctx); bridge.CodeOf(err) != "token_invalid" {
		t.Errorf("the token of before the switch: %v", err)
	}
	token, _, err = f.cloud.DeveloperToken(ctx, "bob@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	if removed, err := admin.RemoveMember(ctx, "acme", id); err != nil || removed.Member.Email != "bob@acme.test" {
		t.Errorf("%+v %v", removed, err)
	}
	if _, err := admin.As(token).Me(ctx); bridge.CodeOf(err) != "session_ended" {
		t.Errorf("the token of a removed member: %v", err)
	}
	if _, err := admin.As(moved.Token.Secret).Me(ctx); err != nil {
		t.Errorf("the session of another organization ends too: %v", err)
	}
}

var invitationLink = regexp.MustCompile(`/invite\?token=([\w-]+)`)

// The member pages work in a browser without scripts.
func TestMemberPages(t *testing.T) {
	mailer := &outbox{tried: make(chan struct{}), sent: make(chan mail.Message, 8)}
	mailer.first.Do(func() {}) // none fails
	f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) { c.Mail = mailer })
	t.Cleanup(f.run())
	cookie := f.signIn()
	_, body := f.post("/members/invite", cookie, url.Values{"role": {"viewer"}, "expires_in": {"7d"}})
	link := invitationLink.FindStringSubmatch(body)
	if link == nil {
		t.Fatalf("no link on the page:\n%s", body)
	}
	if _, body := f.do("GET", "/members", "", "Cookie", cookie); invitationLink.MatchString(body) {
		t.Error("the link is shown a second time")
	}
	resp, page := f.do("GET", link[0], "", "Accept", "text/html")
	if resp.StatusCode != 200 || !strings.Contains(page, "Create an account and join") || resp.Header.Get("Referrer-Policy") != "no-referrer" ||
		resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v\n%s", resp.StatusCode, resp.Header, page)
	}
	account := url.Values{"token": {link[1]}, "name": {"New <b>"}, "email": {"new@acme.test"}, "password": {"short"}}
	if resp, page := f.post("/invite", "", account); resp.StatusCode != 400 || !strings.Contains(page, "A password has") {
		t.Errorf("a short password: %d\n%s", resp.StatusCode, page)
	}
	account.Set("password", password)
	resp, _ = f.post("/invite", "", account)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/confirm" || len(resp.Cookies()) != 1 {
		t.Fatalf("sign up: %d %v", resp.StatusCode, resp.Header)
	}
	theirs := f.proves(mailer, resp.Cookies()[0].Name+"="+resp.Cookies()[0].Value, "new@acme.test")
	if _, page := f.do("GET", "/members", "", "Cookie", theirs); !strings.Contains(page, "New &lt;b&gt;") || strings.Contains(page, "Invite somebody") {
		t.Errorf("a viewer's page:\n%s", page)
	}
	if resp, _ := f.post("/invite", "", account); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the link a second time: %d", resp.StatusCode)
	}
	if resp, _ := f.post("/organizations", theirs, url.Values{"slug": {"lab"}}); resp.Header.Get("Location") != "/members" {
		t.Errorf("a new organization: %d %v", resp.StatusCode, resp.Header)
	}
	if _, page := f.do("GET", "/members", "", "Cookie", theirs); !strings.Contains(page, "<option selected>lab</option>") || !strings.Contains(page, "<option >acme</option>") {
		t.Errorf("no switch between organizations:\n%s", page)
	}
	if resp, page := f.post("/organizations", theirs, url.Values{"slug": {"acme"}}); resp.StatusCode != 409 || !strings.Contains(page, "The name acme-2 is free") {
		t.Errorf("a slug that is taken: %d\n%s", resp.StatusCode, page)
	}
	f.post("/organizations/switch", theirs, url.Values{"org": {"acme"}})
	id := regexp.MustCompile(`/members/([\w-]+)/role" class="row">\s*<label><span class="hidden">Role of New`).FindStringSubmatch(bodyOf(f.do("GET", "/members", "", "Cookie", cookie)))
	if id == nil {
		t.Fatal("the new member is not on the page")
	}
	if resp, _ := f.post("/members/"+id[1]+"/role", cookie, url.Values{"role": {"owner"}}); resp.StatusCode != 403 {
		t.Errorf("an admin makes an owner: %d", resp.StatusCode)
	}
	if resp, _ := f.post("/members/"+id[1]+"/remove", cookie, url.Values{}); resp.StatusCode != 400 {
		t.Errorf("without the tick: %d", resp.StatusCode)
	}
	if resp, _ := f.post("/members/"+id[1]+"/remove", cookie, url.Values{"sure": {"yes"}}); resp.Header.Get("Location") != "/members?done=removed" {
		t.Errorf("remove: %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := f.do("GET", "/members", "", "Cookie", theirs); !strings.HasPrefix(resp.Header.Get("Location"), "/login") {
		t.Errorf("the cookie of a removed member: %d %v", resp.StatusCode, resp.Header)
	}
}

// proves holds that an unproven account counts as signed out everywhere, proves its address, and returns the cookie of the
// sign-in that follows.
func (f *fixture) proves(mailer *outbox, cookie, email string) string {
	f.t.Helper()
	first := mailer.next(f.t)
	for _, path := range []string{"/connections", "/keys", "/members", "/settings", "/device", "/audit", "/organizations/new"} {
		if resp, _ := f.do("GET", path, "", "Cookie", cookie, "Accept", "text/html"); resp.StatusCode < 300 || resp.StatusCode == 303 && resp.Header.Get("Location") != "/confirm" {
			f.t.Errorf("%s for nobody: %d %v", path, resp.StatusCode, resp.Header)
		}
	}
	for _, call := range [][2]string{{"GET", "/v1/me"}, {"GET", "/v1/organizations"}, {"POST", "/v1/organizations"}, {"POST", "/v1/developer-tokens"},
		{"POST", "/v1/api-keys"}, {"POST", "/v1/invitations/accept"}, {"GET", "/v1/connections"}, {"GET", "/v1/sessions"}, {"PATCH", "/v1/me"}} {
		if resp, body := f.do(call[0], call[1], "{}", "Cookie", cookie, "Content-Type", "application/json", "Sec-Fetch-Site", "same-origin"); resp.StatusCode != 403 || codeOf(f.t, body) != "email_unverified" {
			f.t.Errorf("%v for nobody: %d %s", call, resp.StatusCode, body)
		}
	}
	if _, err := f.client().PasswordSession(f.t.Context(), api.SessionRequest{Email: email, Password: bridge.NewSecret(password).Disclose()}); bridge.CodeOf(err) != "email_unverified" {
		f.t.Errorf("a session of a program for nobody: %v", err)
	}
	if _, _, err := f.cloud.DeveloperToken(f.t.Context(), email, ""); err == nil {
		f.t.Error("a developer token for nobody")
	}
	mailer.next(f.t) // the sign-in has sent another link
	if resp, page := f.post("/confirm", cookie, url.Values{"action": {"resend"}}); resp.StatusCode != 200 || !strings.Contains(page, "on its way") {
		f.t.Errorf("another link: %d %s", resp.StatusCode, page)
	}
	mailer.next(f.t)
	_, after, _ := strings.Cut(first.Text.Reveal(), "/verify?token=")
	token, _, _ := strings.Cut(after, "\n")
	if resp, page := f.form("/verify", url.Values{"token": {token}, "password": {password}}); resp.StatusCode != http.StatusSeeOther {
		f.t.Fatalf("the proof: %d %s", resp.StatusCode, page)
	}
	if resp, _ := f.do("GET", "/confirm", "", "Cookie", cookie); resp.Header.Get("Location") != "/login" {
		f.t.Errorf("the page of nobody after the proof: %d", resp.StatusCode)
	}
	resp, _ := f.form("/login", url.Values{"email": {email}, "password": {password}})
	return jar("", resp)
}

// A removed member's private connection is on the admins' page, which offers no way to use it.
func TestLeftConnectionOnPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	id, token := f.join("bob@acme.test", bridge.RoleMember)
	if _, err := f.client().As(token).Register(t.Context(), api.RegisterRequest{ServerURL: "https://plain.test", APIKey: new(bridge.NewSecret("k").Disclose())}); err != nil {
		t.Fatal(err)
	}
	cookie := f.signIn()
	if _, page := f.do("GET", "/members/"+id+"/remove", "", "Cookie", cookie); !strings.Contains(page, "1 private connection, which admins can only disconnect: plain.test") {
		t.Errorf("the page does not say what removing breaks:\n%s", page)
	}
	resp, _ := f.post("/members/"+id+"/remove", cookie, url.Values{"sure": {"yes"}})
	if resp.Header.Get("Location") != "/members?done=left" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	_, page := f.do("GET", "/connections", "", "Cookie", cookie)
	left := regexp.MustCompile(`data-connection="([^"]+)"`).FindStringSubmatch(page)
	if left == nil || !strings.Contains(page, "Nobody can use it") || strings.Contains(page, "data-try") || strings.Contains(page, "/share") {
		t.Fatalf("the page:\n%s", page)
	}
	if _, err := f.client().Credential(t.Context(), left[1]); bridge.CodeOf(err) != "owner_gone" {
		t.Errorf("an admin uses it: %v", err)
	}
	if resp, _ := f.post("/connections/"+left[1]+"/delete", cookie, url.Values{"sure": {"yes"}}); resp.Header.Get("Location") != "/connections?done=forgotten" {
		t.Errorf("disconnect: %d %v", resp.StatusCode, resp.Header)
	}
}

func bodyOf(_ *http.Response, body string) string { return body }

func TestAuditExport(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	bearer := []string{"Authorization", "Bearer " + f.token.Reveal()}
	const evil = `=HYPERLINK("http://evil.test")`
	for i := range 1100 { // more than two pages
		actor := audit.Actor{ID: "user:ann@acme.test", Org: "acme", Address: "192.0.2.1"}
		if err := f.cloud.Registry().Accounts.Note(t.Context(), actor, "test.note", []string{evil, "+1", "-1", "@x", "\t=1", "plain, \"quoted\"\r\nand broken"}[i%6], nil); err != nil {
			t.Fatal(err)
		}
	}
	resp, body := f.do("GET", "/v1/audit/export?format=csv&action=test.note", "", bearer...)
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), `attachment; filename="audit-acme-`) ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") || !strings.Contains(body, "\r\n") {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != 1101 {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	targets, ids := map[string]bool{}, map[string]bool{}
	for _, row := range rows[1:] {
		targets[row[5]], ids[row[1]] = true, true
		for _, cell := range row {
			if strings.ContainsAny(cell[:min(len(cell), 1)], "=+-@\t\r") {
				t.Fatalf("a spreadsheet takes %q for a formula", cell)
			}
		}
	}
	if len(ids) != 1100 || !targets["'"+evil] || !targets["plain, \"quoted\"\nand broken"] {
		t.Errorf("%d entries, targets %v", len(ids), targets)
	}
	_, body = f.do("GET", "/v1/audit/export?format=jsonl&action=test.note&target="+url.QueryEscape("+1"), "", bearer...)
	lines := strings.Split(strings.TrimSpace(body), "\n")
	var e api.AuditEntry
	if err := json.Unmarshal([]byte(lines[0]), &e); err != nil || e.Target != "+1" || len(lines) != 184 {
		t.Errorf("%d lines, %+v %v", len(lines), e, err)
	}
	if _, body := f.do("GET", "/v1/audit?action=audit.export", "", bearer...); strings.Count(body, `"audit.export"`) != 2 || !strings.Contains(body, `"format":"jsonl"`) {
		t.Errorf("the exports are not audited: %s", body)
	}
	_, viewer := f.join("vera@acme.test", bridge.RoleMember)
	for query, want := range map[string]int{"format=xls": 400, "from=yesterday": 400, "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z": 200} {
		if resp, body := f.do("GET", "/v1/audit/export?"+query, "", bearer...); resp.StatusCode != want {
			t.Errorf("%s: %d %s", query, resp.StatusCode, body)
		}
	}
	if resp, _ := f.do("GET", "/v1/audit/export", "", "Authorization", "Bearer "+viewer.Reveal()); resp.StatusCode != 403 {
		t.Errorf("a member's export: %d", resp.StatusCode)
	}
}

func TestInvitationIsLimited(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	var last error
	for i := range 60 {
		_, last = f.client().Invite(t.Context(), "acme", api.NewInvitation{Email: fmt.Sprintf("p%d@b.test", i)})
		if last != nil {
			break
		}
	}
	if bridge.AsError(last).Kind != bridge.TooMany {
		t.Errorf("mail to sixty addresses: %v", last)
	}
}
