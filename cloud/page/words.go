package page

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
)

// Sentence puts an error into words for a page: what is wrong, and what helps.
func Sentence(err error) string {
	e := bridge.AsError(err)
	var out []string
	for _, text := range []string{e.Detail, e.Hint} {
		switch {
		case strings.HasPrefix(text, "ace "):
			out = append(out, "In a terminal: `"+text+"`.")
		case text != "":
			text = strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".")
			if !strings.HasSuffix(text, "?") {
				text += "."
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, " ")
}

// Flashes are the messages that the query "done" chooses from, by name.
var Flashes = map[string]string{
	"added": "The connection was added.", "shared": "Everybody in the organization can use the connection now.",
	"ceiling": "The ceiling counts from now on, also for calls that are open.", "ceiling-lifted": "The ceiling was removed.",
	"member-limit": "The member's access has changed, also for calls that are open.", "presets": "The server's presets were read.",
	"unshared": "The connection is private again.", "renamed": "The connection has a new name.", "checked": "Checked just now.",
	"moved":        "The connection has another URL.",
	"key-replaced": "The connection has another key. The old one is revoked on the server, if it can revoke keys.",
	"key-disabled": "The key is disabled.", "key-enabled": "The key works again.", "key-revoked": "The key is revoked.",
	"disconnected": "Disconnected. The key is revoked on the server.",
	"forgotten":    "Disconnected. The key is forgotten here and still valid on the server: revoke it there as well.",
	"joined":       "You have joined the organization.",
	"pending":      "Disconnected. The server could not be reached: the revocation of its key is kept and delivered as soon as it answers.",
}

// ErrNotSure refuses a change whose box was not ticked.
var ErrNotSure = bridge.E(bridge.Invalid, bridge.CodeNotConfirmed, "tick the box to say that you are sure")

// Done redirects to the list of connections, which says what was done.
func Done(ctx echo.Context, what string) error {
	return ctx.Redirect(http.StatusSeeOther, "/connections?done="+url.QueryEscape(what))
}
