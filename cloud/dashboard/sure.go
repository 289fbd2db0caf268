package dashboard

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/web"
)

// sureView asks for confirmation of a change, and says what else ends with it.
type sureView struct {
	Title, Heading string
	Lead           []string
	Ends           endsView
	Action, Back   string // addresses
	Box, Button    string
	Fields         []field // hidden fields
	Error          string
}

// field is a hidden field of a form.
type field struct{ Name, Value string }

// askSure writes the question, with an error if the form was sent without its box ticked.
func askSure(ctx echo.Context, pg *page.Writer, p accounts.Principal, section string, view sureView) error {
	status := http.StatusOK
	if view.Heading == "" {
		view.Heading = "What ends"
	}
	if ctx.Request().Method == http.MethodPost && ctx.FormValue("sure") == "" && view.Error == "" && len(view.Fields) == 0 {
		status, view.Error = api.Status(page.ErrNotSure), page.Sentence(page.ErrNotSure)
	}
	return pg.Render(ctx, status, "sure", web.Page{Title: view.Title, Path: section, User: page.User(p), View: view})
}
