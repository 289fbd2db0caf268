package main

import (
	"context"
	"encoding/json"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// axe is the script of axe-core, which finds what keeps people with assistive technology out of a page. ACE_TEST_AXE is the
// path of its axe.min.js; without it the test is skipped, or fails if ACE_TEST_REQUIRE has "axe".
func axe(t *testing.T) string {
	t.Helper()
	file := os.Getenv("ACE_TEST_AXE")
	if file == "" && sqldbtest.Required("axe") {
		t.Fatal("axe is required: set ACE_TEST_AXE to the path of axe.min.js")
	}
	if file == "" {
		t.Skip("skipped: no axe-core: ACE_TEST_AXE is not set")
	}
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

// violation is what axe has against a page.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML string }
}

// axeRun asks for all rules that can find something serious, the experimental ones apart.
const axeRun = `axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations.map((v) =>
	({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map((n) => ({html: n.html + " " + (n.failureSummary ?? "")}))}))))`

// window is a way in which people look at the pages.
type window struct {
	name          string
	width, height int64
	scheme        string
}

// accessible looks at a page as it is now: in both themes, wide and as wide as a phone, nothing serious is found, and at no
// width is there anything to the right of the window.
func accessible(t *testing.T, ctx context.Context, script, name string) {
	t.Helper()
	if err := chromedp.Do(ctx, evaluate(script)); err != nil {
		t.Fatal(err)
	}
	for _, v := range []window{{"light", 1200, 800, "light"}, {"dark", 1200, 800, "dark"}, {"phone", 390, 844, "light"}} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(v.width, v.height), colorScheme(v.scheme)); err != nil {
			t.Fatal(err)
		}
		out, err := chromedp.Run(ctx, chromedp.Evaluate[string](axeRun, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatalf("%s, %s: %v", name, v.name, err)
		}
		var findings []violation
		if err := json.Unmarshal([]byte(out), &findings); err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Impact == "serious" || f.Impact == "critical" {
				t.Errorf("%s, %s: %s: %s", name, v.name, f.ID, f.Help)
			} else {
				t.Logf("%s, %s: %s (%s): %s", name, v.name, f.ID, f.Impact, f.Help)
			}
			for i, n := range f.Nodes {
				if i < 3 {
					t.Logf("  %s", n.HTML)
				}
			}
		}
	}
	for _, width := range []int64{390, 320} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 800)); err != nil {
			t.Fatal(err)
		}
		wide, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.documentElement.scrollWidth <= innerWidth ? "" :
			[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map((e) => e.outerHTML.slice(0, 200)).join("\n")`))
		if err != nil {
			t.Fatal(err)
		}
		if wide != "" {
			t.Errorf("%s is wider than a window of %d: %s", name, width, wide)
		}
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1200, 800), colorScheme("light")); err != nil {
		t.Fatal(err)
	}
}

// evaluate runs a script for what it does.
func evaluate(script string) step {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[chromedp.Void](script)(ctx, t)
		return chromedp.Void{}, err
	}
}

// visit opens pages one after the other; each is accessible and has a title of its own.
func visit(t *testing.T, ctx context.Context, base string) func(name, path string, more ...step) {
	script, run := axe(t), steps(t, ctx)
	titles := map[string]string{}
	return func(name, path string, more ...step) {
		t.Helper()
		run(name, append([]step{chromedp.Navigate(base + path), chromedp.WaitVisible(`main h1`)}, more...)...)
		title, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.title`))
		if err != nil {
			t.Fatal(err)
		}
		if page, ok := titles[title]; !ok {
			titles[title] = name
		} else if !strings.HasPrefix(name, page+" ") {
			t.Errorf("%s has the title of %s: %s", name, page, title)
		}
		accessible(t, ctx, script, name)
		shoot(t, ctx, "access-"+strings.ReplaceAll(name, " ", "-"))
	}
}

func TestPagesBeforeTheSignInAreAccessible(t *testing.T) {
	axe(t)
	ctx := browser(t)
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	look := visit(t, ctx, string(w.cloudURL))
	look("login", "/login")
	look("login refused", "/login", chromedp.SendKeys(`input[name=email]`, "ann@acme.test"), chromedp.SendKeys(`input[name=password]`, "wrong\r"), chromedp.WaitVisible(`.error`))
	look("forgotten", "/forgot")
	look("provider", "/login/provider")
	look("reset", "/reset?token=none")
	look("verify", "/verify?token=none")
	look("invitation", "/invite?token=none")
	look("mail", "/dev/mail")
}

func TestEmptyPagesAreAccessible(t *testing.T) {
	axe(t)
	ctx := browser(t)
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base := string(w.cloudURL)
	look := visit(t, ctx, base)
	steps(t, ctx)("sign in", signIn(base, "admin@acme.test"))
	look("connections", "/connections")
	look("add", "/connections/new")
	look("add asked", "/connections/new?since=2000000000")
	look("add refused", "/connections/new", chromedp.SendKeys(`input[name=server_url]`, "http://127.0.0.1:1/?x"), chromedp.SendKeys(`input[name=api_key]`, "x\r"), chromedp.WaitVisible(`.error`))
	look("keys", "/keys")
	look("members", "/members")
	look("new organization", "/organizations/new")
	look("audit", "/audit")
	look("audit empty", "/audit?actor=nobody@acme.test")
	look("audit refused", "/audit?from=yesterday")
	look("device", "/device")
	look("device refused", "/device?user_code=BBBB-BBBB")
	look("no such connection", "/connections/none")
}

func TestSettingsAreAccessible(t *testing.T) {
	axe(t)
	ctx := browser(t)
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base := string(w.cloudURL)
	look := visit(t, ctx, base)
	steps(t, ctx)("sign in", signIn(base, "admin@acme.test"))
	look("profile", "/settings")
	look("security", "/settings/security")
	look("sign-in provider", "/settings/provider")
	look("sessions", "/settings/sessions")
	look("token", "/settings/token")
	look("token shown", "/settings/token", chromedp.Click(`form[action="/settings/token"] button`), chromedp.WaitVisible(`#developer-token`))
	look("trust", "/settings/trust?server=https://ace.acme.test")
	look("trust secret", "/settings/trust", chromedp.Click(`button[value=secret]`), chromedp.WaitVisible(`#jwt-secret`))
	look("trust refused", "/settings/trust?server=ace")
}

func TestConnectionsAreAccessible(t *testing.T) {
	axe(t)
	ctx := browser(t)
	w := newWorld(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base := string(w.cloudURL)
	look := visit(t, ctx, base)
	steps(t, ctx)("sign in", signIn(base, "admin@acme.test"))
	connection := w.connect(w.admin)
	look("connections", "/connections")
	tabs, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("[data-connection] a")].slice(0, 1).map((a) => a.pathname)`))
	if err != nil || len(tabs) != 1 || tabs[0] != "/connections/"+connection.ID {
		t.Fatalf("the list leads to %v (%v)", tabs, err)
	}
	look("overview", tabs[0])
	tabs, err = chromedp.Run(ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("nav.tabs a:not([aria-current])")].map((a) => a.pathname)`))
	if err != nil || len(tabs) < 2 {
		t.Fatalf("the connection has the tabs %v (%v)", tabs, err)
	}
	for _, tab := range tabs {
		look("tab "+path.Base(tab), tab)
	}
}
