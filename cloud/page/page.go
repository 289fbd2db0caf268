package page

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// SignedIn wraps the handler of a page, and sends people who are not signed in to sign in and back. Only the cookie counts;
// tokens in headers are for the API.
func (pg *Writer) SignedIn(h func(echo.Context, accounts.Principal) error) echo.HandlerFunc {
	return func(ctx echo.Context) error {
		r := ctx.Request()
		p, signedIn, err := pg.who.Visitor(ctx)
		switch {
		case bridge.CodeOf(err) == bridge.CodeEmailUnverified:
			return ctx.Redirect(http.StatusSeeOther, ConfirmPath)
		case err != nil:
			return err
		case signedIn:
			return h(ctx, p)
		}
		next := "/connections"
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			next = r.URL.RequestURI()
		}
		return ctx.Redirect(http.StatusSeeOther, "/login?next="+url.QueryEscape(next))
	}
}

// Render writes a page that loads nothing from elsewhere and runs no inline script. Its own script may call the origins in
// connect.
func (pg *Writer) Render(ctx echo.Context, status int, name string, page web.Page, connect ...string) error {
	return pg.RenderUnder(ctx, status, name, page, Policy{connect: connect})
}

var (
	strictPolicy = []string{"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	noReferrer   = []string{"no-referrer"}
	deny         = []string{"DENY"}
)

// Strict sets the deny-all policy on every response, except on paths that set their own.
func Strict(own func(path string) bool) func(echo.Context) error {
	return func(ctx echo.Context) error {
		if !own(ctx.Request().URL.EscapedPath()) {
			h := ctx.Response().Header()
			h["Content-Security-Policy"], h["Referrer-Policy"], h["X-Frame-Options"] = strictPolicy, noReferrer, deny
		}
		return nil
	}
}

// Policy is what a page may do beyond what all pages may.
type Policy struct {
	connect    []string // origins that its script calls
	FormTarget string   // where its form may redirect to: browsers apply form-action to redirects too
}

// RenderUnder writes a page like [Writer.Render], under a policy of its own.
func (pg *Writer) RenderUnder(ctx echo.Context, status int, name string, page web.Page, allowed Policy) error {
	slices.Sort(allowed.connect)
	h := ctx.Response().Header()
	h.Set("Content-Security-Policy", strings.Join([]string{"default-src 'self'", "base-uri 'none'",
		strings.TrimSpace("form-action 'self' " + allowed.FormTarget),
		"frame-ancestors 'none'", "object-src 'none'",
		strings.Join(append([]string{"connect-src 'self'"}, slices.Compact(allowed.connect)...), " ")}, "; "))
	if page.User != nil {
		p, _ := ctx.Get(who.VisitorKey).(accounts.Principal)
		orgs, err := pg.accounts.Orgs(ctx.Request().Context(), p)
		if err != nil {
			return err
		}
		for _, o := range orgs {
			page.User.Orgs = append(page.User.Orgs, o.Slug)
		}
	}
	return web.Render(ctx.Response(), ctx.Request(), status, name, page)
}

// User returns the person for the frame of a page.
func User(p accounts.Principal) *web.User {
	return &web.User{ID: p.UserID, Email: p.Email, Org: p.Org, Admin: p.Role.AtLeast(bridge.RoleAdmin),
		Audit: p.Can("audit:read")}
}

// ErrorPage answers an error with a page, and reports false if a program asked: it gets a problem document.
func (pg *Writer) ErrorPage(ctx echo.Context, err error) bool {
	r := ctx.Request()
	path := r.URL.Path
	program := strings.HasPrefix(path, "/v1/") || (strings.HasPrefix(path, "/oauth/") && path != "/oauth/authorize")
	if program || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	e := bridge.AsError(err)
	status := api.Status(err)
	page := web.Page{Title: http.StatusText(status), View: struct{ Error, RequestID string }{Sentence(e), api.RequestID(r)}}
	if status < http.StatusInternalServerError { // a database that fails must not fail the error page
		if p, signedIn, err := pg.who.Visitor(ctx); err == nil && signedIn {
			page.User = User(p)
		}
	}
	api.SetRetryAfter(ctx.Response().Header(), err)
	return pg.Render(ctx, status, "error", page) == nil
}

// LocalPath returns s if it is a path of this cloud, and else the front page: //evil.example is another host.
func LocalPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.ContainsAny(s, "\\\r\n\t") {
		return "/connections"
	}
	return s
}

// PageRows is how many items of a list are on a page; nobody reads more.
const PageRows = 30

// MaxForm bounds the body of a page's form.
const MaxForm = 64 << 10

// Form parses the request's form, up to [MaxForm] bytes, and refuses text that is malformed.
func Form(ctx echo.Context) error {
	r := ctx.Request()
	r.Body = http.MaxBytesReader(ctx.Response(), r.Body, MaxForm)
	if err := r.ParseForm(); err != nil {
		return bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form could not be read")
	}
	if err := api.CheckText(r.PostForm); err != nil {
		return err
	}
	for name, values := range r.PostForm {
		if strings.Contains(name, "password") {
			continue // white space may be part of a password
		}
		for i := range values {
			text, err := bridge.OutsideText(values[i])
			if err != nil {
				return bridge.E(bridge.Invalid, bridge.CodeTextMalformed, "the field %.40q cannot be read: %w", name, err)
			}
			values[i] = text
		}
	}
	return nil
}
