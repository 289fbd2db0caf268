package cloud

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/web"
)

// page is a handler of the dashboard: whoever is not signed in is sent to sign in, and back. Only the cookie counts
// here; a token in a header is for the API.
func (c *Cloud) page(h func(echo.Context, accounts.Principal) error) echo.HandlerFunc {
	return func(ctx echo.Context) error {
		r := ctx.Request()
		p, signedIn, err := c.visitor(ctx)
		switch {
		case bridge.CodeOf(err) == bridge.CodeEmailUnverified:
			return ctx.Redirect(http.StatusSeeOther, confirmPath)
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

// render writes a page under a policy that lets it load nothing from elsewhere and run no inline script; connect are the
// origins of the servers that "try it" calls.
func (c *Cloud) render(ctx echo.Context, status int, name string, page web.Page, connect ...string) error {
	return c.renderUnder(ctx, status, name, page, policy{connect: connect})
}

var (
	strictPolicy = []string{"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	noReferrer   = []string{"no-referrer"}
	deny         = []string{"DENY"}
)

// strict sets the deny-all policy on every response; pages replace it, and paths that set their own are left out.
func strict(own func(path string) bool) func(echo.Context) error {
	return func(ctx echo.Context) error {
		if !own(ctx.Request().URL.EscapedPath()) {
			h := ctx.Response().Header()
			h["Content-Security-Policy"], h["Referrer-Policy"], h["X-Frame-Options"] = strictPolicy, noReferrer, deny
		}
		return nil
	}
}

// policy is what a page may do beyond the strict policy of all.
type policy struct {
	connect    []string // origins that its script calls
	formTarget string   // where the answer to its form may lead: browsers hold redirects against form-action, too
}

func (c *Cloud) renderUnder(ctx echo.Context, status int, name string, page web.Page, allowed policy) error {
	slices.Sort(allowed.connect)
	h := ctx.Response().Header()
	h.Set("Content-Security-Policy", strings.Join([]string{"default-src 'self'", "base-uri 'none'",
		strings.TrimSpace("form-action 'self' " + allowed.formTarget),
		"frame-ancestors 'none'", "object-src 'none'",
		strings.Join(append([]string{"connect-src 'self'"}, slices.Compact(allowed.connect)...), " ")}, "; "))
	if page.User != nil {
		p, _ := ctx.Get(visitorKey).(accounts.Principal)
		orgs, err := c.registry.Accounts.Orgs(ctx.Request().Context(), p)
		if err != nil {
			return err
		}
		for _, o := range orgs {
			page.User.Orgs = append(page.User.Orgs, o.Slug)
		}
	}
	return web.Render(ctx.Response(), ctx.Request(), status, name, page)
}

func user(p accounts.Principal) *web.User {
	return &web.User{ID: p.UserID, Email: p.Email, Org: p.Org, Admin: p.Role.AtLeast(bridge.RoleAdmin),
		Audit: p.Can("audit:read")}
}

// ours reports whether an error is a failure on our side, which a form cannot put right: the error page says it.
func ours(err error) bool { return bridge.AsError(err).Kind == bridge.Internal || sqldb.IsFault(err) }

// errorPage answers people who look at pages with a page; programs get their problem document.
func (c *Cloud) errorPage(ctx echo.Context, err error) bool {
	r := ctx.Request()
	path := r.URL.Path
	program := strings.HasPrefix(path, "/v1/") || (strings.HasPrefix(path, "/oauth/") && path != "/oauth/authorize")
	if program || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	e := bridge.AsError(err)
	status := api.Status(err)
	page := web.Page{Title: http.StatusText(status), View: struct{ Error, RequestID string }{sentence(e), api.RequestID(r)}}
	if status < http.StatusInternalServerError { // else the registry may be what has failed
		if p, signedIn, err := c.visitor(ctx); err == nil && signedIn {
			page.User = user(p)
		}
	}
	api.SetRetryAfter(ctx.Response().Header(), err)
	return c.render(ctx, status, "error", page) == nil
}

// localPath is a path of our own to go on to; anything else, such as //evil.example, is the front page.
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.ContainsAny(s, "\\\r\n\t") {
		return "/connections"
	}
	return s
}

// pageRows is how many items of a list stand on a page: more are not read, and take time to lay out.
const pageRows = 30

// maxForm bounds the body of a page's form.
const maxForm = 64 << 10

func form(ctx echo.Context) error {
	r := ctx.Request()
	r.Body = http.MaxBytesReader(ctx.Response(), r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form could not be read")
	}
	if err := api.CheckText(r.PostForm); err != nil {
		return err
	}
	for name, values := range r.PostForm {
		if strings.Contains(name, "password") {
			continue // white space may be a part of it
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

func (c *Cloud) logout(ctx echo.Context, p accounts.Principal) error {
	if err := c.registry.Sessions.EndSession(ctx.Request().Context(), caller(ctx, p)); err != nil {
		return err
	}
	c.setCookie(ctx, bridge.NewSecret("-"), -time.Second)
	return ctx.Redirect(http.StatusSeeOther, "/login")
}

type deviceView struct {
	Error, Done string
	Request     *accounts.DeviceRequest
}

func (c *Cloud) devicePage(ctx echo.Context, p accounts.Principal) error {
	var view deviceView
	if code := ctx.QueryParam("user_code"); code != "" {
		if err := c.devices.Allow("user:" + p.UserID); err != nil { // guesses
			return err
		}
		d, err := c.registry.Sessions.LookupDevice(ctx.Request().Context(), code)
		if e := bridge.AsError(err); err != nil && e.Kind != bridge.NotFound {
			return err
		} else if err != nil {
			view.Error = e.Detail
		} else {
			view.Request = &d
		}
	}
	return c.render(ctx, http.StatusOK, "device", web.Page{Title: "Log in a terminal", User: user(p), View: view})
}

func (c *Cloud) decideDevice(ctx echo.Context, p accounts.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	if err := c.devices.Allow("user:" + p.UserID); err != nil {
		return err
	}
	r := ctx.Request()
	action := r.PostForm.Get("action")
	if action != "approve" && action != "deny" {
		return bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form says neither approve nor deny")
	}
	view, status := deviceView{Done: "The terminal is logged in."}, http.StatusOK
	if action == "deny" {
		view.Done = "The login was denied."
	}
	err := c.registry.Sessions.DecideDevice(r.Context(), caller(ctx, p), r.PostForm.Get("user_code"), action == "approve")
	if e := bridge.AsError(err); err != nil && e.Kind != bridge.NotFound {
		return err
	} else if err != nil {
		view, status = deviceView{Error: e.Detail}, http.StatusNotFound
	}
	return c.render(ctx, status, "device", web.Page{Title: "Log in a terminal", User: user(p), View: view})
}
