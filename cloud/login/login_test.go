package login_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/roomtest"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/login"
	"github.com/acebridge/ace/cloud/schema"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// fixture is the pages of signing in alone, over the stores.
type fixture struct {
	*roomtest.Fixture
	room *login.Login
	log  bytes.Buffer
}

func start(t *testing.T, dsn, first string) *fixture {
	t.Helper()
	f := &fixture{Fixture: roomtest.New(t, dsn, "")}
	f.room = login.New(login.Config{FirstEmail: first, Page: f.Page, Who: f.Who, Accounts: f.Accounts,
		Sessions: f.Sessions, SignIn: f.SignIn, Links: f.Links, Lockout: f.Lockout, Addresses: f.Addresses,
		Joining: f.Joining, SignUp: f.SignUp, Outbox: f.Outbox, Mails: f.Limits.Mails},
		slog.New(slog.NewTextHandler(&f.log, nil)))
	f.Serve(roomtest.Room{Mount: f.room.Mount})
	return f
}

// post sends a form as a browser with cookies does.
func (f *fixture) post(path, cookies string, form ...string) (*http.Response, string) {
	f.T.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return f.Do("POST", path, values.Encode(), "Content-Type", roomtest.FormType, "Cookie", cookies, "Accept", "text/html", "Sec-Fetch-Site", "same-origin")
}

// cookie is the Cookie header of what an answer has set by a name; empty: nothing.
func cookie(resp *http.Response, name string) string {
	for _, c := range resp.Cookies() {
		if c.Name == name && c.MaxAge >= 0 {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// signedIn reports whether a session's cookie counts.
func (f *fixture) signedIn(session string) bool {
	f.T.Helper()
	resp, _ := f.Do("GET", "/v1/me", "", "Cookie", session)
	return session != "" && resp.StatusCode == http.StatusOK
}

// Who has the password is signed in, on the page that they came for: one of ours.
func TestSignIn(t *testing.T) {
	for _, c := range []struct{ name, email, password, next, location string }{
		{"right", "ann@acme.test", storetest.Password, "/settings?tab=1", "/settings?tab=1"},
		{"in other letters", " Ann@ACME.test", storetest.Password, "", "/connections"},
		{"on to another site", "ann@acme.test", storetest.Password, "https://evil.example/", "/connections"},
		{"on to another host", "ann@acme.test", storetest.Password, "//evil.example/", "/connections"},
		{"on by a backslash", "ann@acme.test", storetest.Password, `/\evil.example/`, "/connections"},
		{"wrong", "ann@acme.test", "another password", "/settings", ""},
		{"unknown", "nobody@acme.test", storetest.Password, "/settings", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, sqldbtest.SQLite(t), "")
			resp, page := f.post("/login", "", "email", c.email, "password", c.password, "next", c.next)
			session := cookie(resp, "ace_session")
			if c.location == "" {
				if resp.StatusCode != http.StatusUnauthorized || session != "" || !strings.Contains(page, `role="alert"`) || strings.Contains(page, c.password) {
					t.Errorf("%d %q: %s", resp.StatusCode, session, page)
				}
				return
			}
			if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != c.location || !f.signedIn(session) {
				t.Errorf("%d to %q", resp.StatusCode, resp.Header.Get("Location"))
			}
			for _, set := range resp.Cookies() {
				if !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/" {
					t.Errorf("a cookie is %v", set)
				}
			}
			again, _ := f.post("/login", session, "email", "ann@acme.test", "password", storetest.Password)
			if f.signedIn(session) || !f.signedIn(cookie(again, "ace_session")) {
				t.Error("signing in again does not take the place of the session before")
			}
		})
	}
}

func TestSignOut(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t), "")
	session := f.Cookie("ann@acme.test", "acme")
	resp, _ := f.post("/logout", session)
	if resp.StatusCode != http.StatusSeeOther || f.signedIn(session) {
		t.Errorf("%d, and the session lives on", resp.StatusCode)
	}
}

// With a second factor the password alone opens nothing; the code does, once, in the browser that gave the password.
func TestSecondFactor(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn, "")
		if resp, _ := f.Do("GET", "/login/code?next=/settings", "", "Accept", "text/html"); resp.StatusCode != http.StatusSeeOther ||
			resp.Header.Get("Location") != "/login?next=%2Fsettings" {
			t.Errorf("a code before the password: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
		}
		enrolment, _ := f.Enrol(f.Ann)
		f.Advance(time.Minute) // the code of that step is used up
		resp, _ := f.post("/login", "", "email", "ann@acme.test", "password", storetest.Password, "next", "/settings")
		pending := cookie(resp, "ace_login")
		if resp.Header.Get("Location") != "/login/code?next=%2Fsettings" || pending == "" || cookie(resp, "ace_session") != "" {
			t.Fatalf("the password: %d to %q with %v", resp.StatusCode, resp.Header.Get("Location"), resp.Cookies())
		}
		code := f.TOTP(enrolment, 0)
		for _, c := range []struct {
			name, cookies, code string
			in                  bool
		}{
			{"a wrong code", pending, "000000", false}, {"another browser", "", code, false}, {"the code", pending, code, true}, {"the code again", pending, code, false},
		} {
			resp, page := f.post("/login/code", c.cookies, "otp", c.code, "next", "/settings")
			if got := f.signedIn(cookie(resp, "ace_session")); got != c.in || got != (resp.Header.Get("Location") == "/settings") {
				t.Errorf("%s: signed in: %t, %d to %q: %s", c.name, got, resp.StatusCode, resp.Header.Get("Location"), page)
			}
		}
	})
}

// A lost password is answered alike for every address, and only an account gets a mail.
func TestForgottenPassword(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn, "")
		f.Mailed()
		pages := map[string]string{}
		for _, email := range []string{"ann@acme.test", "nob@acme.test"} {
			resp, page := f.post("/forgot", "", "email", email)
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d %s", email, resp.StatusCode, page)
			}
			pages[email] = strings.ReplaceAll(page, email, "ADDRESS")
		}
		if pages["ann@acme.test"] != pages["nob@acme.test"] {
			t.Errorf("the page tells who has an account:\n%s\n%s", pages["ann@acme.test"], pages["nob@acme.test"])
		}
		mails := f.Mailed()
		if len(mails) != 1 || mails[0].To != "ann@acme.test" {
			t.Fatalf("%d mails: %+v", len(mails), mails)
		}
		_, link, _ := strings.Cut(mails[0].Text.Reveal(), "/reset?token=")
		token, _, _ := strings.Cut(link, "\n")
		for range 2 { // programs that scan mail open links
			if resp, page := f.Do("GET", "/reset?token="+token, "", "Accept", "text/html"); resp.StatusCode != http.StatusOK || !strings.Contains(page, token) {
				t.Fatalf("opening the link: %d %s", resp.StatusCode, page)
			}
		}
		session := f.Cookie("ann@acme.test", "acme")
		resp, page := f.post("/reset", "", "token", token, "password", "quite another password")
		if resp.Header.Get("Location") != "/login?done=reset" || f.signedIn(session) {
			t.Errorf("the new password: %d %s", resp.StatusCode, page)
		}
		if resp, _ := f.post("/reset", "", "token", token, "password", "a third password"); resp.StatusCode != http.StatusNotFound {
			t.Errorf("the link works twice: %d", resp.StatusCode)
		}
		for password, in := range map[string]bool{storetest.Password: false, "quite another password": true} {
			resp, _ := f.post("/login", "", "email", "ann@acme.test", "password", password)
			if got := f.signedIn(cookie(resp, "ace_session")); got != in {
				t.Errorf("with %q: %t", password, got)
			}
		}
	})
}

var invitation = api.NewInvitation{Role: "member"}

// An invitation lets in whoever has its link: the person who is signed in, or somebody new.
func TestInvitation(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn, "")
		rita := f.Person("rita@rival.test", "rival", bridge.RoleOwner)
		_, token, _ := f.Invite(f.Ann, invitation)
		resp, page := f.Do("GET", "/invite?token="+url.QueryEscape(token.Reveal()), "", "Accept", "text/html")
		if resp.StatusCode != http.StatusOK || !strings.Contains(page, "acme") {
			t.Fatalf("the page: %d %s", resp.StatusCode, page)
		}
		resp, page = f.post("/invite", f.Cookie(rita.Email, "rival"), "token", token.Reveal())
		if resp.Header.Get("Location") != "/connections?done=joined" {
			t.Errorf("somebody who is signed in: %d %s", resp.StatusCode, page)
		}
		if got := f.Cookie(rita.Email, "acme"); !f.signedIn(got) {
			t.Error("she is no member")
		}
		_, token, _ = f.Invite(f.Ann, invitation)
		resp, page = f.post("/invite", "", "token", token.Reveal(), "name", "New", "email", "new@acme.test", "password", storetest.Password)
		if resp.Header.Get("Location") != "/confirm" || cookie(resp, "ace_session") == "" {
			t.Errorf("somebody new: %d to %q: %s", resp.StatusCode, resp.Header.Get("Location"), page)
		}
		if f.signedIn(cookie(resp, "ace_session")) {
			t.Error("somebody whose address is not proven is signed in")
		}
		if resp, _ := f.post("/invite", "", "token", "no invitation", "name", "New", "email", "b@acme.test", "password", storetest.Password); resp.StatusCode != http.StatusNotFound {
			t.Errorf("without an invitation: %d", resp.StatusCode)
		}
	})
}

// The waiting page is for somebody who waits; all others sign in.
func TestConfirmPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t), "")
	for _, method := range []string{"GET", "POST"} {
		resp, _ := f.Do(method, "/confirm", "", "Content-Type", roomtest.FormType, "Accept", "text/html")
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login" {
			t.Errorf("%s: %d to %q", method, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

// The first account is offered in a fresh cloud only, to one address, and made with the link alone.
func TestFirstAccount(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t), "olga@acme.test")
	if err := f.room.OfferFirst(t.Context()); err != nil || f.log.Len() > 0 {
		t.Errorf("in a cloud with people: %s (%v)", f.log.String(), err)
	}
	for _, table := range []string{"sessions", "refresh_tokens", "members", "users"} {
		f.Exec("DELETE FROM " + table)
	}
	if err := f.room.OfferFirst(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, token, found := strings.Cut(f.log.String(), "/first?token=")
	if token, _, _ = strings.Cut(token, `"`); !found {
		t.Fatalf("no link is logged: %s", f.log.String())
	}
	token = strings.Fields(token)[0]
	resp, page := f.post("/first", "", "token", "another", "name", "Olga", "org", "new", "password", storetest.Password)
	if cookie(resp, "ace_session") != "" {
		t.Errorf("without the link: %d %s", resp.StatusCode, page)
	}
	resp, page = f.post("/first", "", "token", token, "name", "Olga", "org", "new", "password", storetest.Password)
	if session := cookie(resp, "ace_session"); resp.Header.Get("Location") != "/connections" || !f.signedIn(session) {
		t.Errorf("with the link: %d %s", resp.StatusCode, page)
	}
	u, err := f.Accounts.UserByEmail(t.Context(), "olga@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := f.Sessions.OpenSession(t.Context(), u.ID, "new", accounts.MethodBrowser, f.Ann.Actor("", "")); err != nil || s.Principal.Role != bridge.RoleOwner {
		t.Errorf("she is %s (%v)", s.Principal.Role, err)
	}
	if resp, _ := f.post("/first", "", "token", token, "name", "Eve", "org", "other", "password", storetest.Password); cookie(resp, "ace_session") != "" {
		t.Error("the link makes a second account")
	}
}
