package cloud

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/web"
)

type settingsView struct {
	Role      string
	ExpiresAt time.Time
	Token     string // shown once
	Trust     *api.TrustVariables
	Account   registry.Account
	Error     string // of the profile
	Done      string
}

func (c *Cloud) settings(ctx echo.Context, p registry.Principal, view settingsView) error {
	view.Role, view.ExpiresAt = string(p.Role), p.ExpiresAt.UTC()
	if view.Error == "" {
		var err error
		if view.Account, err = c.registry.Account(ctx.Request().Context(), p.UserID); err != nil {
			return err
		}
	}
	status := http.StatusOK
	if view.Error != "" {
		status = http.StatusBadRequest
	}
	return c.render(ctx, status, "settings", web.Page{Title: "Settings", Path: "/settings", User: user(p), Flash: view.Done, View: view})
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
	case "profile":
		return c.changeProfile(ctx, p)
	}
	return c.settingsPage(ctx, p)
}

func (c *Cloud) changeProfile(ctx echo.Context, p registry.Principal) error {
	r := ctx.Request()
	name, country, currency := r.PostForm.Get("name"), r.PostForm.Get("country"), r.PostForm.Get("currency")
	_, err := c.registry.PatchAccount(r.Context(), p, api.ProfilePatch{Name: &name, Country: &country, Currency: &currency}, actor(ctx, p))
	if err != nil {
		if bridge.AsError(err).Kind == bridge.Internal {
			return err
		}
		return c.settings(ctx, p, settingsView{Error: sentence(err), Account: registry.Account{Name: name, Country: country, Currency: currency}})
	}
	return c.settings(ctx, p, settingsView{Done: "Your profile is saved."})
}
