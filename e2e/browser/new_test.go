package browser

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// Add a server notices what a terminal has connected meanwhile, and leads there; what was typed by hand stays.
func TestAddAConnectionInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base, run := string(w.CloudURL), steps(t, ctx)
	run("the page", signIn(base, "admin@acme.test"), chromedp.Navigate(base+"/connections/new"), chromedp.WaitVisible(`[data-await] a`),
		chromedp.SendKeys(`input[name=server_url]`, "https://half-typed"))
	connection := w.Connect(w.Admin)
	run("it is there by itself", chromedp.WaitVisible(`[data-found]`), eventually(`document.querySelector("input[name=server_url]").value === "https://half-typed"`))
	shoot(t, ctx, "new-found")
	run("open it", chromedp.Click(`[data-found] a`), chromedp.WaitVisible(`.frame[data-connection="`+connection.ID+`"]`))
}

// It does not ask for ever: less often when it takes long, and not at all once the session has ended.
func TestAddAConnectionStopsAsking(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base, run := string(w.CloudURL), steps(t, ctx)
	run("the page", signIn(base, "admin@acme.test"), chromedp.Navigate(base+"/connections/new"), chromedp.WaitVisible(`[data-await] a`),
		evaluate(`globalThis.held = []; const real = setTimeout;
			globalThis.setTimeout = (f, ms) => f.name === "look" ? held.push({ f, ms }) : real(f, ms)`),
		eventually(`held.length === 1`)) // it has asked once
	tell := func(script string) string {
		t.Helper()
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(async () => { `+script+`; return held.map(({ ms }) => ms).join() })()`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	const again = `await held.at(-1).f()`
	if got := tell(again); got != "3000,3000" {
		t.Errorf("at first: %s", got)
	}
	if got := tell(`const now = performance.now; performance.now = () => now.call(performance) + 600_000; ` + again); got != "3000,3000,30000" {
		t.Errorf("after ten minutes: %s", got)
	}
	if got := tell(`const real = fetch; globalThis.fetch = async () => (globalThis.fetch = real, new Response("", { status: 503 })); ` + again); got != "3000,3000,30000,30000" {
		t.Errorf("after the cloud was away: %s", got)
	}
	if got := tell(`await fetch("/logout", { method: "POST" }); ` + again); got != "3000,3000,30000,30000" {
		t.Errorf("after the session: %s", got)
	}
}
