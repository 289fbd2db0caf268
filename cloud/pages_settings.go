package cloud

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/web"
)

type settingsView struct {
	Role      string
	ExpiresAt time.Time
	Token     string // shown once
	Trust     *api.TrustVariables
}

func (c *Cloud) settings(ctx echo.Context, p registry.Principal, view settingsView) error {
	view.Role, view.ExpiresAt = string(p.Role), p.ExpiresAt.UTC()
	return c.render(ctx, http.StatusOK, "settings", web.Page{Title: "Settings", Path: "/settings", User: user(p), View: view})
}

func (c *Cloud) settingsPage(ctx echo.Context, p registry.Principal) error {
	return c.settings(ctx, p, settingsView{})
}

func (c *Cloud) changeSettings(ctx echo.Context, p registry.Principal) error {
	if err := form(ctx); err != nil {
		return err
	}
	switch ctx.Request().PostForm.Get("action") {
	case "developer-token":
		token, err := c.developerToken(ctx, p)
		if err != nil {
			return err
		}
		return c.settings(ctx, p, settingsView{Token: token.Token.Reveal()})
	case "trust":
		trust, err := c.registry.Trust(p, p.Org)
		if err != nil {
			return err
		}
		if err := c.registry.Note(ctx.Request().Context(), actor(ctx, p), "trust.show", "organization:"+p.Org, nil); err != nil {
			return err
		}
		return c.settings(ctx, p, settingsView{Trust: &trust})
	}
	return c.settingsPage(ctx, p)
}
