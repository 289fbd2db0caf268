package dashboard

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// organizations creates organizations, and switches between them.
type organizations struct {
	page     *page.Writer
	accounts *accounts.Store
	sessions *accounts.Sessions
}

func (o *organizations) mount(e *echo.Echo) {
	e.GET("/organizations/new", o.page.SignedIn(o.show))
	e.POST("/organizations", o.page.SignedIn(o.create))
	e.POST("/organizations/switch", o.page.SignedIn(o.switchTo))
}

type newOrganizationView struct {
	Form  api.NewOrganization
	Error string
}

func (o *organizations) show(ctx echo.Context, p accounts.Principal) error {
	return o.page.Render(ctx, http.StatusOK, "neworg", web.Page{Title: "New organization", Path: "/members", User: page.User(p), View: newOrganizationView{}})
}

// create makes an organization and switches to it.
func (o *organizations) create(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	n := api.NewOrganization{Slug: strings.TrimSpace(r.PostForm.Get("slug")), Name: strings.TrimSpace(r.PostForm.Get("name"))}
	if _, err := o.accounts.CreateOrganization(r.Context(), who.Caller(ctx, p), n); err != nil {
		if who.Ours(err) {
			return err
		}
		view := newOrganizationView{Form: n, Error: page.Sentence(err)}
		return o.page.Render(ctx, api.Status(err), "neworg", web.Page{Title: "New organization", Path: "/members", User: page.User(p), View: view})
	}
	return o.goTo(ctx, p, n.Slug, "/members")
}

func (o *organizations) switchTo(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	return o.goTo(ctx, p, ctx.Request().PostForm.Get("org"), "/connections")
}

// goTo moves the session to another organization; its cookie stays the same.
func (o *organizations) goTo(ctx echo.Context, p accounts.Principal, org, path string) error {
	if _, err := o.sessions.SwitchSession(ctx.Request().Context(), who.Caller(ctx, p), org); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, path)
}
