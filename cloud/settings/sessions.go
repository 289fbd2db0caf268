package settings

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// sessions is the page of the places where a person is signed in.
type sessions struct {
	page     *page.Writer
	sessions *accounts.Sessions
}

func (s *sessions) mount(e *echo.Echo) {
	e.GET("/settings/sessions", s.page.SignedIn(s.show))
	e.POST("/settings/sessions", s.page.SignedIn(s.change))
}

type sessionsView struct {
	Sessions []api.Session
	Error    string
}

func (s *sessions) show(ctx echo.Context, p accounts.Principal) error {
	return s.render(ctx, p, "", nil)
}

// render writes the page, with what was done or what failed.
func (s *sessions) render(ctx echo.Context, p accounts.Principal, done string, failed error) error {
	var view sessionsView
	status := http.StatusOK
	if failed != nil {
		if who.Ours(failed) {
			return failed
		}
		status, view.Error, done = api.Status(failed), page.Sentence(failed), ""
	}
	var err error
	if view.Sessions, err = s.sessions.Sessions(ctx.Request().Context(), p); err != nil {
		return err
	}
	return s.page.RenderSettings(ctx, p, status, "sessions", done, view)
}

func (s *sessions) change(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	switch r.PostForm.Get("action") {
	case "end":
		return s.render(ctx, p, "That session has ended.", s.sessions.EndSessionByID(r.Context(), who.Caller(ctx, p), r.PostForm.Get("id")))
	case "end-others":
		return s.render(ctx, p, "All other sessions have ended.", s.sessions.EndSessions(r.Context(), who.Caller(ctx, p), false))
	}
	return errNoAction
}
