package browser

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// The list of connections, which can be searched, and the overview of one, with all that it is managed by.
func TestConnectionsInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base := string(w.CloudURL)
	run := steps(t, ctx)
	connection := w.Connect(w.Admin)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for name, server := range map[string]string{"billing": plain.URL, "search-eu": "http://localhost:1", "archive of the old warehouse": "http://localhost:2"} {
		key := bridge.NewSecret("a plain key").Disclose()
		added, err := w.Admin.Register(t.Context(), api.RegisterRequest{Name: name, ServerURL: server, APIKey: &key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Admin.Check(t.Context(), added.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Admin.Check(t.Context(), connection.ID); err != nil {
		t.Fatal(err)
	}

	run("the list", signIn(base, "admin@acme.test"), eventually(`document.querySelectorAll("[data-connection]").length === 4`),
		eventually(`document.querySelectorAll("[data-try]").length === 1`),
		eventually(`document.querySelector("[data-answer]").textContent.includes("admin@acme.test")`))
	run("the line of the way has its place before it comes", eventually(`document.querySelector("[data-way]:empty") &&
		new Set([...document.querySelectorAll("[data-way]")].map((line) => Math.round(line.getBoundingClientRect().height))).size === 1`))
	shoot(t, ctx, "list")
	run("a search", chromedp.SendKeys(`input[name=q]`, "WAREHOUSE\r"), chromedp.WaitVisible(`input[name=q][value=WAREHOUSE]`),
		eventually(`document.querySelectorAll("[data-connection]").length === 1`))
	run("a search in vain", chromedp.Navigate(base+"/connections?q=nothing&status=online"), chromedp.WaitVisible(`.empty`))
	shoot(t, ctx, "list-nothing")

	page := base + "/connections/" + connection.ID
	run("the overview", chromedp.Navigate(page), chromedp.WaitVisible(`.strip svg`))
	shoot(t, ctx, "overview")
	run("a check", chromedp.Click(`form[action$="/check"] button`), chromedp.WaitVisible(`.flash`))
	run("another name", chromedp.Click(`details:has(form[action$="/rename"]) summary`), chromedp.SetValue(`input[name=name]`, "warehouse"),
		chromedp.Click(`form[action$="/rename"] button`), chromedp.WaitReady(`input[name=name][value=warehouse]`))
	run("what is to be known before", evaluate(`document.querySelectorAll("details").forEach((d) => { d.open = true; })`))
	shoot(t, ctx, "overview-manage")
	run("a new URL", chromedp.SetValue(`input[name=server_url]`, plain.URL), chromedp.Click(`form[action$="/move"] input[name=sure]`),
		chromedp.Click(`form[action$="/move"] button`), chromedp.WaitVisible(`#fix`))
	shoot(t, ctx, "overview-moved")
	run("what a disconnect ends", chromedp.Click(`a[href$="/delete"]`), chromedp.WaitVisible(`form[action$="/delete"]`))
	shoot(t, ctx, "disconnect")
	run("the disconnect", chromedp.Click(`form[action$="/delete"] input[name=sure]`),
		chromedp.Click(`form[action$="/delete"] button`), chromedp.WaitVisible(`.cards`),
		eventually(`document.querySelectorAll("[data-connection]").length === 3`))
}
