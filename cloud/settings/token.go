package settings

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// developerToken is the page that makes a token for trying the API.
type developerToken struct {
	page  *page.Writer
	who   *who.Finder
	cloud bridge.ServerURL
}

func (t *developerToken) mount(e *echo.Echo) {
	e.GET("/settings/token", t.page.SignedIn(t.show))
	e.POST("/settings/token", t.page.SignedIn(t.create))
}

type tokenView struct {
	Token     string // shown this once
	ExpiresAt time.Time
	CloudURL  bridge.ServerURL
}

func (t *developerToken) show(ctx echo.Context, p accounts.Principal) error {
	return t.page.RenderSettings(ctx, p, http.StatusOK, "token", "", tokenView{})
}

func (t *developerToken) create(ctx echo.Context, p accounts.Principal) error {
	token, err := t.who.DeveloperToken(ctx, p)
	if err != nil {
		return err
	}
	return t.page.RenderSettings(ctx, p, http.StatusOK, "token", "",
		tokenView{Token: token.Token.Reveal(), ExpiresAt: token.ExpiresAt, CloudURL: t.cloud})
}
