package browser

import (
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// What changes shows on an open page: a status, the end of the access, the end of the session.
func TestLiveStatusInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	w.Background()
	connection, srv := w.ByHand(&world.PlainApp{}, "changing")
	w.Check(connection)
	w.Share(connection)
	run := steps(t, ctx)
	const badge, cause = `document.querySelector("[data-badge]").textContent`, `document.querySelector("[data-cause]").textContent`
	run("sign in", signIn(string(w.CloudURL), "member@acme.test"), chromedp.Navigate(string(w.CloudURL)+"/connections/"+connection.ID), eventually(badge+` === "online"`))
	srv.Close()
	w.Check(connection)
	run("the status changes", eventually(badge+` === "offline" && `+cause+`.includes("nothing answers")`))
	if _, err := w.Admin.Patch(t.Context(), connection.ID, api.ConnectionPatch{Visibility: new("private")}); err != nil {
		t.Fatal(err)
	}
	run("the access ends", eventually(cause+`.includes("no access to this connection")`))
	run("sign out elsewhere", chromedp.Evaluate[chromedp.Void](`fetch("/logout", { method: "POST", redirect: "manual" })`, chromedp.EvalAwaitPromise),
		eventually(`document.querySelector("[data-signed-out] a") !== null`))
	shoot(t, ctx, "signed-out")
}

// An answer that was asked for before a change and arrives after it does not undo what the change has shown.
func TestLiveStatusIsNotUndoneByALateAnswer(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	w.Background()
	connection, srv := w.ByHand(&world.PlainApp{}, "changing")
	w.Check(connection)
	w.Share(connection)
	run := steps(t, ctx)
	run("sign in", signIn(string(w.CloudURL), "member@acme.test"))
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `const ask = fetch;
			const held = new Promise((release) => { globalThis.release = release; });
			globalThis.fetch = async (...args) => {
				const answer = await ask(...args);
				if (!globalThis.holding && String(args[0]?.url ?? args[0]).endsWith("/v1/connections/` + connection.ID + `")) {
					globalThis.holding = true;
					await held;
					const read = answer.json.bind(answer);
					answer.json = () => read().finally(() => setTimeout(() => { globalThis.late = true; }));
				}
				return answer;
			}`}); err != nil {
		t.Fatal(err)
	}
	run("the page", chromedp.Navigate(string(w.CloudURL)+"/connections/"+connection.ID), eventually(`globalThis.holding === true`))
	srv.Close()
	w.Check(connection)
	const badge = `document.querySelector("[data-badge]").textContent`
	run("the status changes", eventually(badge+` === "offline"`))
	run("the late answer", chromedp.Evaluate[chromedp.Void](`release()`), eventually(`globalThis.late === true`))
	run("the status stays", chromedp.Evaluate[chromedp.Void](`if (`+badge+` !== "offline") throw new Error(`+badge+`)`))
}

// Where there are no events to be had, the page asks again and again.
func TestLiveStatusWithoutEvents(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	w.Background()
	connection, srv := w.ByHand(&world.PlainApp{}, "changing")
	w.Check(connection)
	w.Share(connection)
	token, _, err := w.Cloud.DeveloperToken(t.Context(), "member@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	const most = 16 // streams of a member
	for range most {
		w.Listen(token)
	}
	run := steps(t, ctx)
	run("sign in", signIn(string(w.CloudURL), "member@acme.test"))
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `const slow = setInterval; globalThis.setInterval = (what, ms) => slow(what, ms / 20)`}); err != nil {
		t.Fatal(err)
	}
	run("the page", chromedp.Navigate(string(w.CloudURL)+"/connections/"+connection.ID), eventually(`document.querySelector("[data-badge]").textContent === "online"`),
		eventually(`performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/v1/connections/`+connection.ID+`")).length > 3`))
	srv.Close()
	w.Check(connection)
	run("the status changes", eventually(`document.querySelector("[data-badge]").textContent === "offline"`))
}

// A page whose stream a proxy or the cloud has refused, once, comes back to it.
func TestLiveStatusComesBack(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	w.Background()
	connection, _ := w.ByHand(&world.PlainApp{}, "steady")
	w.Check(connection)
	w.Share(connection)
	token, _, err := w.Cloud.DeveloperToken(t.Context(), "member@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	const most = 16 // streams of a member
	var others []func()
	for range most {
		others = append(others, w.Listen(token))
	}
	run := steps(t, ctx)
	run("sign in", signIn(string(w.CloudURL), "member@acme.test"))
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `const later = setTimeout, Source = EventSource;
			globalThis.setTimeout = (what, ms, ...more) => later(what, ms / 20, ...more);
			globalThis.tried = globalThis.opened = 0;
			globalThis.EventSource = class extends Source {
				constructor(url) {
					super(url);
					tried++;
					this.addEventListener("open", () => { opened++; });
				}
			}`}); err != nil {
		t.Fatal(err)
	}
	run("it is refused", chromedp.Navigate(string(w.CloudURL)+"/connections/"+connection.ID), eventually(`tried > 1 && opened === 0`))
	for _, end := range others {
		end()
	}
	run("it comes back", eventually(`opened === 1`))
}
