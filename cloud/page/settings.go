package page

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/web"
)

// settingsTitles maps the templates of settings pages to their titles.
var settingsTitles = map[string]string{"settings": "Profile", "security": "Security", "sessions": "Sessions", "token": "Developer token",
	"trust": "Trust for a server", "provider": "Sign-in provider"}

// RenderSettings writes a settings page; its title is its name in the menu.
func (pg *Writer) RenderSettings(ctx echo.Context, p accounts.Principal, status int, name, done string, view any) error {
	return pg.Render(ctx, status, name, web.Page{Title: settingsTitles[name], Path: "/settings", User: User(p), Flash: done, View: view})
}
