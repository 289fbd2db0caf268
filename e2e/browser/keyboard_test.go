package browser

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// focus is what has the keyboard, as a person sees it.
type focus struct {
	What    string // its tag and its text
	Wanted  bool   // it is what was looked for
	Marked  bool   // there is a ring around it
	InView  bool   // it is within the window
	Forward bool   // it comes after what had the keyboard before, in the order in which the page is read
}

// focused looks at what has the keyboard. It keeps in the page what that was, to tell the order.
const focused = `(() => {
	const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect(), last = window.lastFocus;
	window.lastFocus = e;
	return {What: e.tagName + " " + (e.getAttribute("aria-label") ?? e.innerText ?? "").trim().slice(0, 60), Wanted: e.matches(%q),
		Marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
		InView: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
		Forward: !last || !last.isConnected || Boolean(last.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)};
})()`

// mostTabs is how often somebody may press Tab before they give up.
const mostTabs = 60

// walk presses Tab until what a selector means has the keyboard. Whatever has it on the way can be seen, and stands after
// the one before.
func walk(t *testing.T, ctx context.Context, selector string) {
	t.Helper()
	way := ""
	for range mostTabs {
		if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab)); err != nil {
			t.Fatal(err)
		}
		f, err := chromedp.Run(ctx, chromedp.Evaluate[focus](fmt.Sprintf(focused, selector)))
		if err != nil {
			t.Fatal(err)
		}
		way += "\n  " + f.What
		if !f.Marked || !f.InView || !f.Forward {
			t.Errorf("on the way to %s: marked %v, in view %v, forward %v: %s", selector, f.Marked, f.InView, f.Forward, f.What)
		}
		if f.Wanted {
			return
		}
	}
	t.Fatalf("%s is not reached with Tab:%s", selector, way)
}

// A person without a mouse signs in, opens a connection, shares it, and takes it back.
func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	connection := w.Connect(w.Admin)
	base := string(w.CloudURL)
	run := steps(t, ctx)
	key := func(keys string) step { return chromedp.KeyEvent(keys) }

	run("the sign-in page has the keyboard where one types", chromedp.Navigate(base+"/connections"), chromedp.WaitVisible(`input[name=email]`),
		eventually(`document.activeElement.name === "email"`), key("admin@acme.test"))
	walk(t, ctx, `input[name=password]`)
	run("sign in", key(world.Password), key(kb.Enter), chromedp.WaitVisible(`.who .email`))

	walk(t, ctx, `.skip`)
	run("skip to the content", key(kb.Enter), eventually(`document.activeElement.id === "main"`))
	walk(t, ctx, `main a[href="/connections/new"]`) // the first link of the content
	walk(t, ctx, fmt.Sprintf(`main a[href="/connections/%s"]`, connection.ID))
	run("open the connection", key(kb.Enter), chromedp.WaitVisible(`nav.tabs`))
	walk(t, ctx, `nav.tabs a[href$="/sharing"]`)
	run("its sharing", key(kb.Enter), chromedp.WaitVisible(`nav.tabs a[href$="/sharing"][aria-current=page]`))
	walk(t, ctx, `button[role=switch]`)
	run("share it", key(" "), chromedp.WaitVisible(`button[role=switch][aria-checked=true]`), chromedp.WaitVisible(`.flash[role=status]`))
	shared, err := w.Member.Connections(t.Context())
	if err != nil || len(shared) != 1 || shared[0].ID != connection.ID {
		t.Errorf("the member has %v (%v)", shared, err)
	}
	walk(t, ctx, `button[role=switch]`)
	run("it asks before it takes away", key(" "), chromedp.WaitVisible(`.danger`), eventually(`document.activeElement.matches(".danger button")`))
	run("take it back", key(kb.Enter), chromedp.WaitVisible(`button[role=switch][aria-checked=false]`))
	if shared, err := w.Member.Connections(t.Context()); err != nil || len(shared) != 0 {
		t.Errorf("the member still has %v (%v)", shared, err)
	}
	walk(t, ctx, `.who form[action="/logout"] button`)
	run("sign out", key(kb.Enter), chromedp.WaitVisible(`input[name=email]`))
}
