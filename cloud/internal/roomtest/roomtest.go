// Package roomtest gives tests one room of the cloud behind an HTTP server, over the stores of a fresh database.
//
//	New ──► the stores (cloud/internal/storetest), the cloud's own keys, who calls, how pages are written ──► Fixture
//	          the room's own New, from its Config ──► Serve ──► URL ──► Do, Client
//
// There is ann@acme.test, an admin, with a developer token; Cookie and Key give others a session or a key. What the cloud
// puts before every request stands here as well: the policy of pages, the names it answers to, forms of other sites.
//
// GET /v1/me is a stand-in for the one of cloud/v1: it says who calls, so that the test of a room can ask whether a
// credential counts. What rooms do together is tested next to package cloud, with all of them.
package roomtest

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// Fixture is what a room is built from, and the server that it answers on.
type Fixture struct {
	*storetest.Fixture
	Server  string             // the URL of the HTTP server
	HTTP    *http.Client       // follows no redirect
	Ann     accounts.Principal // an admin of acme
	Token   bridge.Secret      // a developer token of hers
	Keys    *keys.Authority
	Who     *who.Finder
	Page    *page.Writer
	Limits  who.Limits
	handler atomic.Pointer[http.Handler]
}

// Room is what a fixture serves.
type Room struct {
	Mount   func(*echo.Echo)                   // nil: nothing
	Foreign func(path string) echo.HandlerFunc // see [api.Web]; nil: no path is another server's
	Before  func(echo.Context) error           // before every request; nil: nothing
	Log     slog.Handler                       // of requests; nil: discarded
}

// New builds a fixture. Where url is empty, the cloud's own URL is that of the server.
func New(t *testing.T, dsn string, url bridge.ServerURL) *Fixture {
	t.Helper()
	f := &Fixture{HTTP: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*f.handler.Load()).ServeHTTP(w, r)
	}))
	f.Server = ts.URL
	if url == "" {
		url = bridge.ServerURL(ts.URL)
	}
	f.Fixture = storetest.New(t, dsn, url)
	t.Cleanup(ts.Close) // before the database
	f.SetClock(time.Now())
	f.Keys = f.NewAuthority()
	f.Limits = who.Limits{
		Logins:      api.NewLimiter(6*time.Second, 10, 100, f.Clock),
		Mails:       api.NewLimiter(time.Minute, 5, 300, f.Clock),
		Invitations: api.NewLimiter(20*time.Second, 50, 500, f.Clock),
	}
	f.Who = who.New(who.Config{PublicURL: url, Root: f.Root, Keys: f.Keys, Accounts: f.Accounts, Sessions: f.Sessions, SignIn: f.SignIn,
		Links: f.Links, Addresses: f.Addresses, Outbox: f.Outbox, Now: f.Clock, Limits: f.Limits})
	f.Page = page.New(page.Config{Who: f.Who, Accounts: f.Accounts})
	f.Ann = f.Person("ann@acme.test", "acme", bridge.RoleAdmin)
	f.Token = f.DeveloperToken("ann@acme.test", "acme")
	f.Serve(Room{})
	return f
}

// Serve answers with a room from now on.
func (f *Fixture) Serve(r Room) {
	if r.Foreign == nil {
		r.Foreign = func(string) echo.HandlerFunc { return nil }
	}
	before := []func(echo.Context) error{page.Strict(func(path string) bool { return r.Foreign(path) != nil }), f.Who.RefuseHosts}
	if r.Before != nil {
		before = append(before, r.Before)
	}
	before = append(before, f.Who.CORS(who.RefuseCrossOrigin(http.NewCrossOriginProtection())))
	if r.Log == nil {
		r.Log = slog.DiscardHandler
	}
	e := api.NewEcho(slog.New(r.Log), api.Web{OnError: f.Page.ErrorPage, Foreign: r.Foreign, Before: before})
	e.GET("/v1/me", f.Who.RequireCaller(func(ctx echo.Context, p accounts.Principal) error {
		return ctx.JSON(http.StatusOK, api.Me{ID: p.UserID, Email: p.Email, Name: p.Name, Org: p.Org, Role: string(p.Role), Method: p.Method})
	}))
	if r.Mount != nil {
		r.Mount(e)
	}
	handler := http.Handler(e)
	f.handler.Store(&handler)
}

// DeveloperToken makes a developer token for somebody who is there.
func (f *Fixture) DeveloperToken(email, org string) bridge.Secret {
	f.T.Helper()
	return f.TokenOf(f.session(email, org, accounts.MethodDeveloper))
}

// Cookie is the Cookie header of a new session of somebody who is there.
func (f *Fixture) Cookie(email, org string) string {
	f.T.Helper()
	return f.Who.CookieName() + "=" + f.session(email, org, accounts.MethodBrowser).Cookie.Reveal()
}

func (f *Fixture) session(email, org, method string) accounts.Session {
	f.T.Helper()
	u, err := f.Accounts.UserByEmail(f.T.Context(), email)
	if err != nil {
		f.T.Fatal(err)
	}
	s, err := f.Sessions.OpenSession(f.T.Context(), u.ID, org, method, audit.Actor{ID: "operator"})
	if err != nil {
		f.T.Fatal(err)
	}
	return s
}

// TokenOf signs the token of a session.
func (f *Fixture) TokenOf(s accounts.Session) bridge.Secret {
	f.T.Helper()
	token, err := f.Who.SessionToken(s.Principal, accounts.DeveloperLife)
	if err != nil {
		f.T.Fatal(err)
	}
	return token
}

// Key makes an API key of ann's organization, and returns its ID and its text.
func (f *Fixture) Key(scopes ...string) (id string, key bridge.Secret) {
	f.T.Helper()
	k, r, err := f.Keys.Mint(f.T.Context(), keys.By{Actor: f.Ann.Actor("", ""), Who: f.Ann.Identity()},
		keys.Wish{Kind: bridge.KindLive, Name: "ci", Scopes: scopes})
	if err != nil {
		f.T.Fatal(err)
	}
	return r.ID.String(), k.Text()
}

// Audited are the entries of an action in the log of ann's organization.
func (f *Fixture) Audited(action string) []api.AuditEntry {
	f.T.Helper()
	entries, _, err := f.Accounts.Audit(f.T.Context(), f.Ann, audit.Query{Action: action})
	if err != nil {
		f.T.Fatal(err)
	}
	return entries
}

// Client calls the room as ann.
func (f *Fixture) Client() *apiclient.Cloud {
	return apiclient.NewCloud(bridge.ServerURL(f.Server), f.Token, api.ClientConfig{})
}

// Bearer is the Authorization header of ann.
func (f *Fixture) Bearer() string { return "Bearer " + f.Token.Reveal() }

// FormType is the content type of a form.
const FormType = "application/x-www-form-urlencoded"

// Do sends a request; headers are names and values in turn.
func (f *Fixture) Do(method, path, body string, headers ...string) (*http.Response, string) {
	f.T.Helper()
	req, err := http.NewRequestWithContext(f.T.Context(), method, f.Server+path, strings.NewReader(body))
	if err != nil {
		f.T.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := f.HTTP.Do(req)
	if err != nil {
		f.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		f.T.Fatal(err)
	}
	return resp, string(raw)
}
