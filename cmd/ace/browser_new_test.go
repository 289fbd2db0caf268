package main

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// Add a connection notices what a terminal has connected meanwhile, and leads there; what was typed by hand stays.
func TestAddAConnectionInABrowser(t *testing.T) {
	ctx := browser(t)
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base, run := string(w.cloudURL), steps(t, ctx)
	run("the page", signIn(base, "admin@acme.test"), chromedp.Navigate(base+"/connections/new"), chromedp.WaitVisible(`[data-await] a`),
		chromedp.SendKeys(`input[name=server_url]`, "https://half-typed"))
	connection := w.connect(w.admin)
	run("it is there by itself", chromedp.WaitVisible(`[data-found]`), eventually(`document.querySelector("input[name=server_url]").value === "https://half-typed"`))
	shoot(t, ctx, "new-found")
	run("open it", chromedp.Click(`[data-found] a`), chromedp.WaitVisible(`.frame[data-connection="`+connection.ID+`"]`))
}
