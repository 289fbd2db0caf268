package browser

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// A key that cannot be renewed is told of on the card and on the connection's pages, beside the status, which may still be
// online.
func TestRotationInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	created, err := w.Operator.CreateKey(t.Context(), api.CreateKeyRequest{Name: "dashboard", ExpiresIn: "30d"})
	if err != nil {
		t.Fatal(err)
	}
	connection, err := w.Admin.Register(t.Context(), api.RegisterRequest{ServerURL: string(w.URL), APIKey: &created.Key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Admin.Check(t.Context(), connection.ID); err != nil {
		t.Fatal(err)
	}
	w.Advance(25 * 24 * time.Hour)
	w.Work(connection.ID, func(c api.Connection) bool { return c.Rotation != nil })
	run, base := steps(t, ctx), string(w.CloudURL)
	run("sign in", signIn(base, "admin@acme.test"))
	for name, path := range map[string]string{"rotation-card": "/connections", "rotation": "/connections/" + connection.ID} {
		run(name, chromedp.Navigate(base+path), chromedp.WaitVisible("[data-badge]"),
			eventually(`[...document.querySelectorAll(".cause")].some(e => e.textContent.includes("could not be renewed") && e.textContent.includes("ace api-key rotate"))`))
		shoot(t, ctx, name)
	}
}
