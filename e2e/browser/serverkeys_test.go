package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// A key is created on a connection's server, copied, used, given another secret, and revoked, all of it by the dashboard.
func TestServerKeysInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base := string(w.CloudURL)
	run := steps(t, ctx)
	connection := w.Connect(w.Admin)
	page := base + "/connections/" + connection.ID + "/keys"
	secret := func() bridge.Secret {
		t.Helper()
		text, err := chromedp.Run(ctx, chromedp.Value(`#new-key`))
		if err != nil {
			t.Fatal(err)
		}
		return bridge.NewSecret(text)
	}
	works := func(key bridge.Secret) bridge.Code {
		_, err := apiclient.NewServer(connection.ServerURL, key, api.ClientConfig{}).Me(t.Context())
		return bridge.CodeOf(err)
	}

	run("the keys of the server", signIn(base, "admin@acme.test"), chromedp.Navigate(page), chromedp.WaitVisible(`.cards`),
		eventually(`document.querySelector("[data-way]").textContent.startsWith("This browser")`)) // the line moves what is below it
	run("the form", chromedp.Click(`details:has(form[action$="/keys"]) summary`), chromedp.WaitVisible(`input[name=name]`))
	shoot(t, ctx, "serverkeys-form")
	run("a new key", chromedp.SendKeys(`input[name=name]`, "nightly build"), chromedp.Click(`input[name=preset][value=read-only]`),
		chromedp.Click(`form[action$="/keys"] button.primary`), chromedp.WaitVisible(`#new-key`))
	shoot(t, ctx, "serverkeys-created")
	key := secret()
	if code := works(key); code != "" {
		t.Errorf("the new key is refused: %s", code)
	}
	run("copied", chromedp.Click(`[data-copy=new-key]`),
		eventually(`document.querySelector("[data-copy=new-key]").textContent === "Copied" || getSelection().toString() !== "" || document.activeElement.id === "new-key"`))
	run("shown once", chromedp.Navigate(page), chromedp.WaitVisible(`.cards`))
	html, err := chromedp.Run(ctx, chromedp.OuterHTML("html"))
	if err != nil || strings.Contains(html, key.Reveal()) {
		t.Fatal("the secret is shown again", err)
	}
	run("what can be done with it", chromedp.Click(`.more summary`), chromedp.WaitVisible(`form[action$="/revive"]`))
	shoot(t, ctx, "serverkeys-manage")
	run("another secret", chromedp.Click(`form[action$="/revive"] input[name=sure]`), chromedp.Click(`form[action$="/revive"] button`), chromedp.WaitVisible(`#new-key`))
	revived := secret()
	if works(key) == "" || works(revived) != "" {
		t.Errorf("after reviving, the old secret: %q, the new one: %q", works(key), works(revived))
	}
	run("what revoking breaks", chromedp.Navigate(page), chromedp.Click(`.more summary`), chromedp.WaitVisible(`a[href$="#revoke"]`))
	shoot(t, ctx, "serverkeys")
	// By script: the line that says how the server is reached may move what is below it at any time.
	click := func(selector string) step { return evaluate(`document.querySelector('` + selector + `').click()`) }
	run("its page", click(`a[href$="#revoke"]`), chromedp.WaitVisible(`form[action$="/revoke"]`))
	run("revoke", click(`form[action$="/revoke"] input[name=sure]`), click(`form[action$="/revoke"] button`), chromedp.WaitVisible(`.flash`))
	if works(revived) == "" {
		t.Error("a revoked key works")
	}

	// A member whose role on the server does not let them see keys is told so, with the command that they may give an admin.
	if _, err := w.Admin.Patch(t.Context(), connection.ID, api.ConnectionPatch{Visibility: new("organization")}); err != nil {
		t.Fatal(err)
	}
	run("sign out", chromedp.Click(`.who button`), chromedp.WaitVisible(`input[name=email]`))
	run("as a member", signIn(base, "member@acme.test"), chromedp.Navigate(page), chromedp.WaitVisible(`#list`))
	shoot(t, ctx, "serverkeys-refused")
}
