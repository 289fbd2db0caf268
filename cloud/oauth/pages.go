package oauth

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

type deviceView struct {
	Error, Done string
	Request     *accounts.DeviceRequest
}

// devicePage shows which terminal asks for a login under a code, so that a person can approve it.
func (oa *OAuth) devicePage(ctx echo.Context, p accounts.Principal) error {
	var view deviceView
	if code := ctx.QueryParam("user_code"); code != "" {
		if err := oa.devices.Allow("user:" + p.UserID); err != nil { // against guessing codes
			return err
		}
		d, err := oa.sessions.LookupDevice(ctx.Request().Context(), code)
		if e := bridge.AsError(err); err != nil && e.Kind != bridge.NotFound {
			return err
		} else if err != nil {
			view.Error = e.Detail
		} else {
			view.Request = &d
		}
	}
	return oa.page.Render(ctx, http.StatusOK, "device", web.Page{Title: "Log in on a terminal", User: page.User(p), View: view})
}

// decideDevice acts on the person's decision about a device login (RFC 8628 section 3.3).
func (oa *OAuth) decideDevice(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	if err := oa.devices.Allow("user:" + p.UserID); err != nil {
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
	err := oa.sessions.DecideDevice(r.Context(), who.Caller(ctx, p), r.PostForm.Get("user_code"), action == "approve")
	if e := bridge.AsError(err); err != nil && e.Kind != bridge.NotFound {
		return err
	} else if err != nil {
		view, status = deviceView{Error: e.Detail}, http.StatusNotFound
	}
	return oa.page.Render(ctx, status, "device", web.Page{Title: "Log in on a terminal", User: page.User(p), View: view})
}
