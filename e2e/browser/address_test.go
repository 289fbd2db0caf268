package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/e2e/world"
)

// The pages of an address that is proven or changed, and of a cloud's first person, are accessible; the change works by clicks.
func TestAddressPagesAreAccessible(t *testing.T) {
	t.Parallel()
	o, w := newOnlooker(t)
	w.Run()
	o.at("address", "/address?token=none")
	o.at("stop", "/address/stop?token=none")
	o.at("first", "/first?token=none")
	invitation, err := w.Admin.Invite(t.Context(), "acme", api.NewInvitation{Role: "member"})
	if err != nil {
		t.Fatal(err)
	}
	o.run("sign up", chromedp.Navigate(invitation.URL.Reveal()), chromedp.WaitVisible(`input[name=name]`), chromedp.SendKeys(`input[name=name]`, "Eve"),
		chromedp.SendKeys(`input[name=email]`, "eve@acme.test"), chromedp.SendKeys(`input[name=password]`, "correct horse battery\r"),
		chromedp.WaitVisible(`button[value=resend]`))
	o.after("confirm")
	o.after("confirm sent", chromedp.Click(`button[value=resend]`), chromedp.WaitVisible(`.flash`))
	o.run("sign out", chromedp.Click(`button[value=sign-out]`), chromedp.WaitVisible(`input[name=email]`))
	o.run("sign in", signIn(o.base, "admin@acme.test"))
	o.at("profile", "/settings")
	o.after("profile refused", chromedp.SendKeys(`form[action="/settings/address"] input[name=email]`, "ada@new.test"),
		chromedp.SendKeys(`form[action="/settings/address"] input[name=password]`, "wrong\r"), chromedp.WaitVisible(`.error`))
	o.after("profile asked", chromedp.SendKeys(`form[action="/settings/address"] input[name=password]`, world.Password+"\r"),
		chromedp.WaitVisible(`button[value=cancel]`))
	link := func(page string) (path string) {
		for range 100 { // until it is delivered
			o.run("the mails", chromedp.Navigate(o.base+"/dev/mail"), chromedp.WaitVisible(`main h1`))
			href, err := chromedp.Run(o.ctx, chromedp.Evaluate[string](`(document.querySelector('a[href*="`+page+`?token="]') || {href: ""}).href`))
			if err != nil {
				t.Fatal(err)
			}
			if href != "" {
				return strings.TrimPrefix(href, o.base)
			}
		}
		t.Fatalf("no mail has a link to %s", page)
		return ""
	}
	o.at("stop asks", link("/address/stop"))
	o.at("address asks", link("/address"))
	o.after("profile changed", chromedp.Click(`form[action="/address"] button`), chromedp.WaitVisible(`.flash`))
}
