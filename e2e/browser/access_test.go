package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
	"golang.org/x/oauth2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
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

// violations are what axe finds on a page as it is now.
func violations(t *testing.T, ctx context.Context, script string) []violation {
	t.Helper()
	there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`"axe" in window`))
	if err == nil && !there {
		err = chromedp.Do(ctx, evaluate(script+"\nvoid 0"))
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := chromedp.Run(ctx, chromedp.Evaluate[string](axeRun, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	var found []violation
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// accessible looks at a page as it is now: in both themes, wide and as wide as a phone, nothing serious is found, and at no
// width is there anything to the right of the window.
func accessible(t *testing.T, ctx context.Context, script, name string) {
	t.Helper()
	for _, v := range []window{{"light", 1200, 800, "light"}, {"dark", 1200, 800, "dark"}, {"phone", 390, 844, "light"}} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(v.width, v.height), colorScheme(v.scheme)); err != nil {
			t.Fatal(err)
		}
		for _, f := range violations(t, ctx, script) {
			say := t.Errorf
			if f.Impact != "serious" && f.Impact != "critical" {
				say = t.Logf
			}
			say("%s, %s: %s (%s): %s", name, v.name, f.ID, f.Impact, f.Help)
			for _, n := range f.Nodes[:min(3, len(f.Nodes))] {
				t.Logf("  %s", n.HTML)
			}
		}
	}
	fits(t, ctx, name)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1200, 800), colorScheme("light")); err != nil {
		t.Fatal(err)
	}
}

// fits holds that a page has nothing to the right of a narrow window.
func fits(t *testing.T, ctx context.Context, name string) {
	t.Helper()
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
}

// evaluate runs a script for what it does.
func evaluate(script string) step {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[chromedp.Void](script)(ctx, t)
		return chromedp.Void{}, err
	}
}

// onlooker looks at pages in a browser; each is accessible and has a title of its own.
type onlooker struct {
	t      *testing.T
	ctx    context.Context
	base   string
	script string
	run    func(what string, steps ...step)
	titles map[string]string
}

func newOnlooker(t *testing.T) (*onlooker, *world.World) {
	t.Helper()
	script := axe(t)
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	return &onlooker{t, ctx, string(w.CloudURL), script, steps(t, ctx), map[string]string{}}, w
}

// at opens a page, takes steps there, and looks.
func (o *onlooker) at(name, path string, more ...step) {
	o.t.Helper()
	o.run(name, chromedp.Navigate(o.base+path), chromedp.WaitVisible(`main h1`))
	o.after(name, more...)
}

// after takes steps on the page that is open, and looks. A page in another state has the name of the page and more words.
func (o *onlooker) after(name string, more ...step) {
	o.t.Helper()
	o.run(name, append(more, chromedp.WaitVisible(`main h1`))...)
	title, err := chromedp.Run(o.ctx, chromedp.Evaluate[string](`document.title`))
	if err != nil {
		o.t.Fatal(err)
	}
	if page, ok := o.titles[title]; !ok {
		o.titles[title] = name
	} else if !strings.HasPrefix(name, page+" ") {
		o.t.Errorf("%s has the title of %s: %s", name, page, title)
	}
	accessible(o.t, o.ctx, o.script, name)
	shoot(o.t, o.ctx, "access-"+strings.ReplaceAll(name, " ", "-"))
}

// value is what a field holds.
func (o *onlooker) value(selector string) string {
	o.t.Helper()
	got, err := chromedp.Run(o.ctx, chromedp.Value(selector))
	if err != nil {
		o.t.Fatal(err)
	}
	return got
}

// What is wrong is found: else the tests below could pass with a script that looks at nothing.
func TestAxeFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	o, _ := newOnlooker(t)
	o.run("a page with two mistakes", chromedp.Navigate(o.base+"/login"), chromedp.WaitVisible(`main h1`),
		evaluate(`document.querySelector("main").insertAdjacentHTML("beforeend", "<button></button><p class=faint>faint</p>");
			document.querySelector(".faint").style.color = "#d0d0d0"`))
	found := map[string]string{}
	for _, v := range violations(t, o.ctx, o.script) {
		found[v.ID] = v.Impact
	}
	if found["button-name"] != "critical" || found["color-contrast"] != "serious" {
		t.Errorf("only this was found: %v", found)
	}
}

func TestPagesBeforeTheSignInAreAccessible(t *testing.T) {
	t.Parallel()
	o, w := newOnlooker(t)
	o.at("login", "/login")
	o.after("login refused", chromedp.SendKeys(`input[name=email]`, "ann@acme.test"), chromedp.SendKeys(`input[name=password]`, "wrong\r"), chromedp.WaitVisible(`.error`))
	o.at("forgotten", "/forgot")
	o.after("forgotten sent", chromedp.SendKeys(`input[name=email]`, "member@acme.test\r"), chromedp.WaitVisible(`.flash`))
	o.at("provider", "/login/provider")
	o.after("provider refused", chromedp.SendKeys(`input[name=email]`, "bob@elsewhere.test\r"), chromedp.WaitVisible(`.error`))
	o.at("reset", "/reset?token=none")
	o.at("verify", "/verify?token=none")
	o.at("no invitation", "/invite?token=none")
	o.at("mail", "/dev/mail")
	o.at("documentation", "/docs")
	o.at("documentation api", "/docs/api") // has all that the others have: tables, commands, scripts, lists
	for _, page := range []string{"use", "cli", "operate", "apps", "sso", "security", "errors", "architecture"} {
		o.run(page, chromedp.Navigate(o.base+"/docs/"+page), chromedp.WaitVisible(`main h1`))
		fits(t, o.ctx, "documentation "+page)
	}
	o.run("wide again", chromedp.EmulateViewport(1200, 800))
	invitation, err := w.Admin.Invite(t.Context(), "acme", api.NewInvitation{Role: "member"})
	if err != nil {
		t.Fatal(err)
	}
	o.at("invitation", strings.TrimPrefix(invitation.URL.Reveal(), o.base))
}

func TestEmptyPagesAreAccessible(t *testing.T) {
	t.Parallel()
	o, _ := newOnlooker(t)
	o.run("sign in", signIn(o.base, "admin@acme.test"))
	o.at("connections", "/connections")
	o.at("add", "/connections/new")
	o.at("add asked", "/connections/new?since=2000000000")
	o.after("add refused", chromedp.SendKeys(`input[name=server_url]`, "http://127.0.0.1:1/?x"), chromedp.SendKeys(`input[name=api_key]`, "x\r"), chromedp.WaitVisible(`.error`))
	o.at("keys", "/keys")
	o.after("keys created", chromedp.SendKeys(`form[action="/keys"] input[name=name]`, "terraform\r"), chromedp.WaitVisible(`#new-key`))
	o.at("keys manage", "/keys", chromedp.Click(`.more summary`))
	o.at("members", "/members")
	o.after("members invited", chromedp.Click(`form[action="/members/invite"] button`), chromedp.WaitVisible(`#invitation`))
}

func TestFurtherPagesAreAccessible(t *testing.T) {
	t.Parallel()
	o, _ := newOnlooker(t)
	o.run("sign in", signIn(o.base, "admin@acme.test"))
	o.at("new organization", "/organizations/new")
	o.at("audit", "/audit")
	o.at("audit empty", "/audit?actor=nobody@acme.test")
	o.at("audit refused", "/audit?from=yesterday")
	o.at("no such connection", "/connections/none")
}

func TestApprovalsAreAccessible(t *testing.T) {
	t.Parallel()
	o, w := newOnlooker(t)
	o.run("sign in", signIn(o.base, "admin@acme.test"))
	o.at("device", "/device")
	o.at("device refused", "/device?user_code=BBBB-BBBB")
	device, err := apiclient.NewCloud(w.CloudURL, bridge.Secret{}, api.ClientConfig{}).StartDevice(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.at("device asks", strings.TrimPrefix(device.VerificationURIComplete, o.base))
	o.after("device approved", chromedp.Click(`button[value=approve]`), chromedp.WaitVisible(`.big`))
	o.at("authorize", "/oauth/authorize?"+url.Values{"client_id": {api.CLIClientID}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "response_type": {"code"},
		"state": {"s"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())}, "code_challenge_method": {"S256"}}.Encode())
}

func TestSettingsAreAccessible(t *testing.T) {
	t.Parallel()
	o, _ := newOnlooker(t)
	o.run("sign in", signIn(o.base, "admin@acme.test"))
	o.at("profile", "/settings")
	o.at("sign-in provider", "/settings/provider")
	o.at("sessions", "/settings/sessions")
	o.at("token", "/settings/token")
	o.after("token shown", chromedp.Click(`form[action="/settings/token"] button`), chromedp.WaitVisible(`#developer-token`))
	o.at("trust", "/settings/trust?server=https://ace.acme.test")
	o.after("trust secret", chromedp.Click(`button[value=secret]`), chromedp.WaitVisible(`#jwt-secret`))
	o.at("trust refused", "/settings/trust?server=ace")
}

func TestSecurityIsAccessible(t *testing.T) {
	t.Parallel()
	o, w := newOnlooker(t)
	o.run("sign in", signIn(o.base, "admin@acme.test"))
	o.at("security", "/settings/security")
	o.after("security refused", chromedp.SendKeys(`form:has([value=totp-begin]) input[name=password]`, "wrong\r"), chromedp.WaitVisible(`.error`))
	o.after("security two-factor", chromedp.SendKeys(`form:has([value=totp-begin]) input[name=password]`, world.Password+"\r"), chromedp.WaitVisible(`svg.qr`))
	code, err := totp.GenerateCode(o.value(`#totp-secret`), w.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.after("security codes", chromedp.SendKeys(`input[name=otp]`, code+"\r"), chromedp.WaitVisible(`#recovery-codes`))
	o.at("security on", "/settings/security", chromedp.Click(`summary`))
	o.run("sign out", chromedp.Click(`.who form[action="/logout"] button`), chromedp.WaitVisible(`input[name=email]`))
	o.after("second factor", chromedp.SendKeys(`input[name=email]`, "admin@acme.test"), chromedp.SendKeys(`input[name=password]`, world.Password+"\r"),
		chromedp.WaitVisible(`input[name=otp]`), chromedp.Click(`summary`))
	o.after("second factor refused", chromedp.SendKeys(`form input[name=otp]`, "000000\r"), chromedp.WaitVisible(`.error`))
}

func TestConnectionsAreAccessible(t *testing.T) {
	t.Parallel()
	o, w := newOnlooker(t)
	o.run("sign in", signIn(o.base, "admin@acme.test"))
	connection := w.Connect(w.Admin)
	o.at("connections", "/connections")
	o.at("overview", "/connections/"+connection.ID)
	tabs, err := chromedp.Run(o.ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("nav.tabs a:not([aria-current])")].map((a) => a.pathname)`))
	if err != nil || len(tabs) < 2 {
		t.Fatalf("the connection has the tabs %v (%v)", tabs, err)
	}
	for _, tab := range tabs {
		o.at("tab "+path.Base(tab), tab)
	}
}

// Many connections are cards side by side, in whichever state each of them is, and can be searched.
func TestManyConnectionsAreAccessible(t *testing.T) {
	t.Parallel()
	o, w := newOnlooker(t)
	o.run("sign in", signIn(o.base, "admin@acme.test"))
	w.Connect(w.Admin)
	for i := range 12 {
		key := bridge.NewSecret("a-plain-key").Disclose()
		c, err := w.Admin.Register(t.Context(), api.RegisterRequest{ServerURL: fmt.Sprintf("http://127.0.0.1:%d", i+1), Name: fmt.Sprintf("server %d", i), APIKey: &key})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if _, err := w.Admin.Check(t.Context(), c.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	o.at("many connections", "/connections")
	o.at("many connections not found", "/connections?q=no-such-server")
}
