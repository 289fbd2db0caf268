package browser

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// tabTo presses Tab until what the selector finds has the focus.
func tabTo(selector string) step {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		for range 60 {
			if _, err := chromedp.KeyEvent("\t")(ctx, t); err != nil {
				return chromedp.Void{}, err
			}
			here, err := chromedp.Evaluate[bool](fmt.Sprintf("document.activeElement.matches(%q)", selector))(ctx, t)
			if here || err != nil {
				return chromedp.Void{}, err
			}
		}
		return chromedp.Void{}, fmt.Errorf("no Tab leads to %s", selector)
	}
}

func press(keys string) step { return chromedp.KeyEvent(keys) }

// choose comes to what the selector finds and types the beginning of an option.
func choose(selector, option string) step {
	return chromedp.Steps(tabTo(selector), press(option))
}

// A connection is shared, given a ceiling, and unshared with the keyboard alone; a member reads what they may.
func TestSharingInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	connection := w.Connect(w.Admin)
	if _, err := w.Admin.Check(t.Context(), connection.ID); err != nil {
		t.Fatal(err)
	}
	base, run := string(w.CloudURL), steps(t, ctx)
	page := base + "/connections/" + connection.ID + "/sharing"
	visibility := func(want string) {
		t.Helper()
		if c, err := w.Admin.Connection(t.Context(), connection.ID); err != nil || c.Visibility != want {
			t.Errorf("the connection is %s (%v), want %s", c.Visibility, err, want)
		}
	}
	const toggle, flash = `button[role=switch]`, `.flash`

	run("sign in", signIn(base, "admin@acme.test"), chromedp.Navigate(page), chromedp.WaitVisible(toggle+`[aria-checked=false]`))
	shoot(t, ctx, "sharing-private")
	run("share with the space bar", tabTo(toggle), press(" "), chromedp.WaitVisible(toggle+`[aria-checked=true]`), chromedp.WaitVisible(flash))
	visibility("organization")
	shoot(t, ctx, "sharing-shared")
	run("read the presets", tabTo(`form[action$="/presets"] button`), press("\r"), chromedp.WaitVisible(`button[formaction$="/presets"]`))
	run("a ceiling", choose(`form[action$="/ceiling"] select`, "preset read"), tabTo(`form[action$="/ceiling"] button`), press("\r"), chromedp.WaitVisible(`#ceiling + p code`),
		eventually(`document.querySelector('#ceiling + p').innerText.includes('app:read (preset read-only)')`))
	shoot(t, ctx, "sharing-ceiling")
	run("one member gets nothing", tabTo(`.sharers a[aria-label="Change what viewer may"]`), press("\r"), chromedp.WaitVisible(`.sharers select`), eventually(`document.activeElement.matches('.sharers select')`),
		press("nothing"), tabTo(`.sharers form button`), press("\r"), chromedp.WaitVisible(`.sharers .cause`),
		eventually(`document.querySelector('.sharers').innerText.includes('neither sees nor uses it')`))
	run("a scope that does not exist", tabTo(`.sharers a[aria-label="Change what member may"]`), press("\r"), chromedp.WaitVisible(`.sharers select`), eventually(`document.activeElement.matches('.sharers select')`),
		press("the scopes"), tabTo(`.sharers textarea`), press("app:raed"), tabTo(`.sharers form button`), press("\r"), chromedp.WaitVisible(`.error`), eventually(`document.querySelector('.error').innerText.includes('did you mean app:read?')`),
		eventually(`document.querySelector('.sharers textarea').value == 'app:raed'`))
	shoot(t, ctx, "sharing-error")

	member := browser(t)
	theirs := steps(t, member)
	theirs("a member reads what they may", signIn(base, "member@acme.test"), chromedp.Navigate(page),
		eventually(`document.querySelector('main').innerText.includes('You get at most app:read')`), eventually(`!document.querySelector('`+toggle+`')`))
	shoot(t, member, "sharing-member")
	if _, err := w.Viewer.Connection(t.Context(), connection.ID); err == nil {
		t.Error("the viewer, who gets nothing, sees the connection")
	}

	run("unsharing is asked about once", chromedp.Navigate(page), tabTo(toggle), press(" "), chromedp.WaitVisible(`.destructive`),
		eventually(`document.querySelector('.danger').innerText.includes('1 person loses access')`), eventually(`document.activeElement.matches('.destructive')`))
	visibility("organization")
	shoot(t, ctx, "sharing-ask")
	run("with Enter on the button that has the focus", press("\r"), chromedp.WaitVisible(toggle+`[aria-checked=false]`), chromedp.WaitVisible(flash))
	visibility("private")
}

// The key of a server that knows no scopes has no ceiling; there is nothing to choose but all or nothing.
func TestSharingAPlainKeyInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	key := bridge.NewSecret("a-plain-key").Disclose()
	connection, err := w.Admin.Register(t.Context(), api.RegisterRequest{ServerURL: "http://127.0.0.1:1", APIKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	base := string(w.CloudURL)
	steps(t, ctx)("the page", signIn(base, "admin@acme.test"), chromedp.Navigate(base+"/connections/"+connection.ID+"/sharing"),
		eventually(`document.querySelector('main').innerText.includes('would not keep to a ceiling')`),
		chromedp.Click(`.sharers a.button`), chromedp.WaitVisible(`.sharers select`), eventually(`!document.querySelector('textarea')`),
		eventually(`document.querySelectorAll('.sharers option').length == 2`))
	shoot(t, ctx, "sharing-plain")
}
