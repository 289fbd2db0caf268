package settings

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/boombuler/barcode/qr"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/who"
)

// security is the page of password, second factor and recovery codes.
type security struct {
	page      *page.Writer
	accounts  *accounts.Store
	passwords *signin.Passwords
	factors   *factors.Store
	devices   *api.Limiter
}

func (s *security) mount(e *echo.Echo) {
	e.GET("/settings/security", s.page.SignedIn(s.show))
	e.POST("/settings/security", s.page.SignedIn(s.change))
}

type securityView struct {
	Account  accounts.Account
	Provider bool // the person signed in through a provider, which keeps their password and second factor
	Error    string
	Enrol    *enrolView
	Codes    []bridge.Secret // recovery codes, shown once
}

// enrolView is what an authenticator app reads: a QR code, or its secret as text.
type enrolView struct {
	Secret string
	Size   int    // of the QR code with its margin, in modules
	Path   string // SVG
}

func (s *security) show(ctx echo.Context, p accounts.Principal) error {
	return s.render(ctx, p, securityView{}, "", nil)
}

// render writes the page, with what was done or what failed.
func (s *security) render(ctx echo.Context, p accounts.Principal, view securityView, done string, failed error) error {
	r := ctx.Request()
	status := http.StatusOK
	if failed != nil {
		if who.Ours(failed) {
			return failed
		}
		status, view.Error = api.Status(failed), page.Sentence(failed)
	}
	view.Provider = p.Provider != ""
	var err error
	if view.Account, err = s.accounts.Account(r.Context(), p.UserID); err != nil {
		return err
	}
	return s.page.RenderSettings(ctx, p, status, "security", done, view)
}

func (s *security) change(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r, by := ctx.Request(), who.Actor(ctx, p)
	field := func(name string) bridge.Secret { return bridge.NewSecret(r.PostForm.Get(name)) }
	password, otp := field("password"), r.PostForm.Get("otp")
	var view securityView
	var done string
	var err error
	switch r.PostForm.Get("action") {
	case "password":
		done, err = "Your password is changed, and your other sessions have ended.", s.passwords.Change(r.Context(), p.As(by), password, field("new_password"))
	case "totp-begin":
		var e factors.Enrolment
		if e, err = s.factors.Begin(r.Context(), p.As(by), password); err == nil {
			view.Enrol, err = enrol(e)
		}
	case "totp-confirm":
		return s.confirmTOTP(ctx, p, otp)
	case "totp-disable":
		done, err = "Two-factor authentication is off.", s.factors.Disable(r.Context(), p.As(by), password, otp)
	case "recovery-codes":
		view.Codes, err = s.factors.RenewRecoveryCodes(r.Context(), p.As(by), password, otp)
	}
	if err != nil {
		done = ""
	}
	return s.render(ctx, p, view, done, err)
}

// confirmTOTP checks the first code; after a wrong one, the page shows the same QR code again.
func (s *security) confirmTOTP(ctx echo.Context, p accounts.Principal, otp string) error {
	r := ctx.Request()
	if err := s.devices.Allow("user:" + p.UserID); err != nil {
		return err
	}
	codes, failed := s.factors.Confirm(r.Context(), who.Caller(ctx, p), otp)
	if failed == nil {
		return s.render(ctx, p, securityView{Codes: codes}, "Two-factor authentication is on.", nil)
	}
	var view securityView
	if e, err := s.factors.Pending(r.Context(), p); err == nil {
		if view.Enrol, err = enrol(e); err != nil {
			return err
		}
	}
	return s.render(ctx, p, view, "", failed)
}

const qrMargin = 4 // modules, of ISO/IEC 18004

// enrol draws the QR code as one SVG path, since the page's policy forbids data: URLs.
func enrol(e factors.Enrolment) (*enrolView, error) {
	code, err := qr.Encode(e.URI.Reveal(), qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("draw a QR code: %w", err)
	}
	size := code.Bounds().Dx()
	var path strings.Builder
	for y := range size {
		for x := range size {
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				_, _ = fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+qrMargin, y+qrMargin)
			}
		}
	}
	return &enrolView{Secret: e.Secret.Reveal(), Size: size + 2*qrMargin, Path: path.String()}, nil
}
