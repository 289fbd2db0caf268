package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// shared is the one Chromium of the tests that want no flags of their own, and what ends it.
var shared struct {
	sync.Mutex
	ctx  context.Context
	stop func()
}

// stopping ends the shared Chromium with the tests.
type stopping struct{ *testing.M }

func (s stopping) Run() int {
	defer func() {
		if shared.stop != nil {
			shared.stop()
		}
	}()
	return s.M.Run()
}

// browser opens a window of Chromium with cookies, stores and caches of its own, or skips the test where there is no Chromium,
// with one line that says so. Flags are for a Chromium that is started for the test.
func browser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	program := world.Installed(t, "chromium")
	var ctx context.Context
	var cancel context.CancelFunc
	if len(flags) > 0 {
		var err error
		if ctx, cancel, err = chromium(program, t.TempDir(), flags...); err != nil {
			t.Fatal(err)
		}
	} else {
		ctx, cancel = chromedp.NewContext(sharedChromium(t, program), chromedp.WithNewBrowserContext())
		if err := chromedp.Do(ctx); err != nil { // opens it; its life is that of this context
			cancel()
			t.Fatal(err)
		}
	}
	t.Cleanup(cancel)
	context.AfterFunc(t.Context(), cancel) // before what a page listens to is closed, which waits for the page
	bounded, cancelBounded := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancelBounded)
	return bounded
}

func sharedChromium(t *testing.T, program string) context.Context {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx != nil {
		return shared.ctx
	}
	dir, err := os.MkdirTemp("", "ace-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop, err := chromium(program, dir)
	if err != nil {
		t.Fatal(err)
	}
	shared.ctx, shared.stop = ctx, func() { stop(); _ = os.RemoveAll(dir) }
	return ctx
}

// chromium starts Chromium with a profile in a folder.
func chromium(program, dir string, flags ...chromedp.ExecAllocatorOption) (ctx context.Context, stop func(), err error) {
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(program), chromedp.UserDataDir(dir)}
	for _, flag := range []string{"headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync",
		"disable-dev-shm-usage", "hide-scrollbars"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
	ctx, cancel := chromedp.NewContext(allocator)
	stop = func() { cancel(); cancelAllocator() }
	if err := chromedp.Do(ctx); err != nil { // starts it
		stop()
		return nil, nil, err
	}
	return ctx, stop, nil
}

// shoot keeps a picture of the page in the folder ACE_TEST_SHOTS, for people to look at.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("ACE_TEST_SHOTS")
	if dir == "" {
		return
	}
	for _, v := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"light", 1200, 800, false}, {"dark", 1200, 800, true}, {"phone", 390, 844, false}} {
		scheme := "light"
		if v.dark {
			scheme = "dark"
		}
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(v.width, v.height), colorScheme(scheme)); err != nil {
			t.Fatal(err)
		}
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s.png", name, v.name)), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

type step = chromedp.Action[chromedp.Void]

func signIn(base, email string) step {
	return chromedp.Steps(
		chromedp.Navigate(base+"/login"), chromedp.WaitVisible(`input[name=email]`),
		chromedp.SendKeys(`input[name=email]`, email), chromedp.SendKeys(`input[name=password]`, world.Password+"\r"),
		chromedp.WaitVisible(`.who .email`),
	)
}

// eventually waits until a JavaScript expression is true; the page changes by itself.
func eventually(expression string) step {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(time.Minute))(ctx, t)
		return chromedp.Void{}, err
	}
}

// steps returns what takes steps in a browser; one that fails ends the test with what the page says.
func steps(t *testing.T, ctx context.Context) func(what string, steps ...step) {
	return func(what string, steps ...step) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			body, _ := chromedp.Run(ctx, chromedp.Text("body"))
			t.Fatalf("%s: %v\n%s", what, err, body)
		}
	}
}

func TestDashboardInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	base := string(w.CloudURL)
	run := steps(t, ctx)

	run("the sign-in page", chromedp.Navigate(base+"/"), chromedp.WaitVisible(`input[name=email]`))
	shoot(t, ctx, "login")
	run("a wrong password", chromedp.SendKeys(`input[name=email]`, "admin@acme.test"), chromedp.SendKeys(`input[name=password]`, "wrong\r"),
		chromedp.WaitVisible(`.error`))
	shoot(t, ctx, "login-error")
	run("sign in", signIn(base, "admin@acme.test"), chromedp.WaitVisible(`.empty`))
	shoot(t, ctx, "empty")

	// It opens on a working connection with nothing to click: online, and what the server says of the credential.
	connection := w.Connect(w.Admin)
	if _, err := w.Admin.Check(t.Context(), connection.ID); err != nil {
		t.Fatal(err)
	}
	run("the connection, online", chromedp.Navigate(base+"/connections"),
		eventually(`document.querySelector("[data-badge]").textContent === "online"`),
		eventually(`document.querySelector("[data-answer]").textContent.includes('"subject": "admin@acme.test"')`))
	shoot(t, ctx, "connections")
	run("the share switch", chromedp.Click(`[data-connection] h2 a`), chromedp.Click(`nav.tabs a[href$="/sharing"]`), chromedp.Click(`button[role=switch]`),
		chromedp.WaitVisible(`button[role=switch][aria-checked=true]`), chromedp.WaitVisible(`.flash`))
	run("settings", chromedp.Navigate(base+"/settings/trust"), chromedp.WaitVisible(`#trust-env`), chromedp.Click(`button[value=secret]`), chromedp.WaitVisible(`#jwt-secret`))
	shoot(t, ctx, "settings")
	run("a developer token", chromedp.Navigate(base+"/settings/token"), chromedp.Click(`form[action="/settings/token"] button`),
		chromedp.WaitVisible(`#developer-token`))
	shoot(t, ctx, "token")
	run("add a connection", chromedp.Navigate(base+"/connections/new"), chromedp.WaitVisible(`input[name=server_url]`))
	shoot(t, ctx, "new")

	device, err := apiclient.NewCloud(w.CloudURL, bridge.Secret{}, api.ClientConfig{}).StartDevice(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run("a device login", chromedp.Navigate(device.VerificationURIComplete), chromedp.WaitVisible(`.code`))
	shoot(t, ctx, "device")
	run("its approval", chromedp.Click(`button[value=approve]`), chromedp.WaitVisible(`.big`))
	run("sign out", chromedp.Click(`.who button`), chromedp.WaitVisible(`input[name=email]`))

	// The member has it at once, has no switch, and calls the server through the page.
	run("sign in as the member", signIn(base, "member@acme.test"), chromedp.WaitVisible(`[data-connection]`))
	run("no switch for a member", eventually(`document.querySelectorAll("[role=switch]").length === 0`))
	run("the member's call", chromedp.SetValue(`input[name=path]`, "/whoami"), chromedp.Click(`[data-try] button`),
		eventually(`document.querySelector("[data-answer]").textContent.includes("member@acme.test app:*")`))
	shoot(t, ctx, "member")

	html, err := chromedp.Run(ctx, chromedp.OuterHTML("html"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(html, "ace_sk_") || strings.Contains(html, "eyJ") {
		t.Error("a key or a token stands in the page")
	}
	explainsFailures(t, ctx, w, run)
	removed, err := w.Admin.Delete(t.Context(), connection.ID)
	if err != nil || removed.Revocation.Status != "delivered" {
		t.Fatal(err)
	}
	run("after the disconnect", chromedp.Click(`[data-try] button`),
		eventually(`document.querySelector("[data-explain]").textContent.includes("there is no such connection")`))
}

// explainsFailures adds two servers by hand that the browser cannot call, each for another reason, as the member.
func explainsFailures(t *testing.T, ctx context.Context, w *world.World, run func(string, ...step)) {
	t.Helper()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	silent := httptest.NewServer(http.NotFoundHandler()) // up, and allows no other origin
	t.Cleanup(silent.Close)
	for _, c := range []struct{ name, server, want string }{
		{"away", closed.URL, "unreachable from this browser"},
		{"mute", silent.URL, "ACE_ALLOWED_ORIGINS=" + string(w.CloudURL)},
	} {
		card := fmt.Sprintf(`[data-server=%q]`, c.server)
		run("add "+c.name, chromedp.Navigate(string(w.CloudURL)+"/connections/new"),
			chromedp.SendKeys(`input[name=server_url]`, c.server), chromedp.SendKeys(`input[name=name]`, c.name),
			chromedp.SendKeys(`input[name=api_key]`, "some-plain-key\r"), chromedp.WaitVisible(card),
			eventually(`document.querySelector("[data-explain]").textContent.includes("bytes")`)) // what it opened with has been answered
		run("try "+c.name, chromedp.Navigate(string(w.CloudURL)+"/connections?q="+c.name), chromedp.WaitVisible(`[data-try][data-ready]`), chromedp.Click(card+` [data-try] button`),
			eventually(fmt.Sprintf(`document.querySelector('%s [data-explain]').textContent.includes(%q)`, card, c.want)))
		shoot(t, ctx, "failure-"+c.name)
	}
	run("back to the list", chromedp.Navigate(string(w.CloudURL)+"/connections"),
		eventually(`document.querySelector("[data-explain]").textContent.includes("bytes")`))
}

// colorScheme makes the browser prefer a theme.
func colorScheme(scheme string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	})
}
