package page

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/web"
)

// settingsTitles are the titles of the pages of settings, by template.
var settingsTitles = map[string]string{"settings": "Profile", "security": "Security", "sessions": "Sessions", "token": "Developer token",
	"trust": "Trust for a server", "provider": "Sign-in provider"}

// RenderSettings writes one of the settings' pages; its title is its name in their menu.
func (pg *Writer) RenderSettings(ctx echo.Context, p accounts.Principal, status int, name, done string, view any) error {
	return pg.Render(ctx, status, name, web.Page{Title: settingsTitles[name], Path: "/settings", User: User(p), Flash: done, View: view})
}
