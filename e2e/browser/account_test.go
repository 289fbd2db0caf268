package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// A person turns two-factor authentication on, signs in with a recovery code, and sets a new password by mail, in a browser.
func TestAccountInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	w.Background()
	base := string(w.CloudURL)
	run := steps(t, ctx)
	value := func(selector string) string {
		t.Helper()
		got, err := chromedp.Run(ctx, chromedp.Value(selector))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}

	run("sign in", signIn(base, "member@acme.test"))
	run("the profile", chromedp.Navigate(base+"/settings"), chromedp.SetValue(`input[name=country]`, "de"),
		chromedp.Click(`form:has(input[name=country]) button`), chromedp.WaitVisible(`.flash`))
	if got := value(`input[name=country]`); got != "DE" {
		t.Errorf("the country is %q", got)
	}
	shoot(t, ctx, "profile")
	run("sessions", chromedp.Navigate(base+"/settings/sessions"), chromedp.WaitVisible(`.rows li`))
	shoot(t, ctx, "sessions")
	run("security", chromedp.Navigate(base+"/settings/security"), chromedp.WaitVisible(`form:has([value=totp-begin])`))
	shoot(t, ctx, "security")
	run("set up", chromedp.SendKeys(`form:has([value=totp-begin]) input[name=password]`, world.Password+"\r"), chromedp.WaitVisible(`svg.qr`))
	shoot(t, ctx, "totp")
	code, err := totp.GenerateCode(value(`#totp-secret`), w.Now())
	if err != nil {
		t.Fatal(err)
	}
	run("the first code", chromedp.SendKeys(`input[name=otp]`, code+"\r"), chromedp.WaitVisible(`#recovery-codes`))
	shoot(t, ctx, "recovery")
	recovery := value(`#recovery-codes`)[:19]

	run("sign out", chromedp.Click(`.who button`), chromedp.WaitVisible(`input[name=email]`))
	run("the second step", chromedp.SendKeys(`input[name=email]`, "member@acme.test"), chromedp.SendKeys(`input[name=password]`, world.Password+"\r"),
		chromedp.WaitVisible(`input[name=otp]`))
	shoot(t, ctx, "code")
	run("the code again", chromedp.SendKeys(`input[name=otp]`, code+"\r"), chromedp.WaitVisible(`.error`))
	shoot(t, ctx, "code-error")
	run("a recovery code", chromedp.Click(`summary`), chromedp.SendKeys(`details input[name=otp]`, recovery+"\r"), chromedp.WaitVisible(`.who .email`))
	run("it is on", chromedp.Navigate(base+"/settings/security"), chromedp.WaitVisible(`.badge.online`), chromedp.Click(`summary`))
	shoot(t, ctx, "security-on")

	run("a forgotten password", chromedp.Navigate(base+"/forgot"), chromedp.SendKeys(`input[name=email]`, "member@acme.test\r"), chromedp.WaitVisible(`.flash`))
	shoot(t, ctx, "forgot")
	reloaded := func() bool {
		found, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.querySelector('a[href*="/reset?token="]') !== null`))
		return err == nil && found
	}
	for tries := 0; ; tries++ {
		run("the mail", chromedp.Navigate(base+"/dev/mail"), chromedp.WaitVisible(`h1`))
		if reloaded() {
			break
		}
		if tries == 200 {
			t.Fatal("the mail did not come")
		}
	}
	shoot(t, ctx, "mail")
	run("its link", chromedp.Click(`a[href*="/reset?token="]`), chromedp.WaitVisible(`input[name=password]`), eventually(`document.readyState === "complete"`))
	shoot(t, ctx, "reset")
	run("the new password", chromedp.SendKeys(`input[name=password]`, "another horse battery\r"), chromedp.WaitVisible(`.flash`))
	shoot(t, ctx, "login-done")
}
