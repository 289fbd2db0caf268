package browser

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/e2e/world"
)

func TestAceScriptIsSmall(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../web/static/ace.js")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > 300 {
		t.Errorf("ace.js has %d lines; 300 is what people read", lines)
	}
	for _, forbidden := range []string{"console.", "innerHTML", "document.cookie", "eval("} {
		if strings.Contains(string(text), forbidden) {
			t.Errorf("ace.js contains %q", forbidden)
		}
	}
}

// scripted runs scripts in a page of the dashboard, as a page of the vendor's own would.
type scripted struct {
	t   *testing.T
	ctx context.Context
}

// told is what a script tells.
type told struct {
	Way, Why, Code, Message, Body string
	Status                        int
	All                           []string
}

// run runs a script that knows Ace and `ace`, which is kept from one script to the next. What it returns is told, together with
// how `conn` is called in the end.
func (s scripted) run(script string) told {
	s.t.Helper()
	got, err := chromedp.Run(s.ctx, chromedp.Evaluate[told](`import("/static/ace.js").then(async ({ Ace, AceError, parseEvents }) => {
		const ace = globalThis.ace ??= new Ace();
		const asked = () => performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/credential")).length;
		let conn, told = {};
		const read = async (answer) => ({ status: answer.status, body: await answer.text() });
		try {
			told = await (async () => { `+script+` })();
		} catch (error) {
			if (!(error instanceof AceError)) throw error;
			told = { code: error.code, message: error.message };
		}
		return { way: conn?.way ?? "", why: conn?.why ?? "", ...told };
	})`, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("%s\n%v", script, err)
	}
	return got
}

func TestAceScriptInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/whoami", http.StatusFound) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Ace-Subject"))
	})
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), behindIt(t, mux))
	connection := w.Connect(w.Admin)
	plain := &world.PlainApp{Cors: true}
	shared, _ := w.ByHand(plain, "plain")
	for _, one := range []api.Connection{connection, shared} {
		w.Share(one)
		if _, err := w.Admin.Check(t.Context(), one.ID); err != nil {
			t.Fatal(err)
		}
	}
	s, run := scripted{t, ctx}, steps(t, ctx)
	run("sign in", signIn(string(w.CloudURL), "member@acme.test"), chromedp.Navigate(string(w.CloudURL)+"/settings"))
	if got := s.run(`conn = await ace.connection(); return read(await conn.fetch("/x"))`); got.Way != "relay" || got.Body != "GET /x member@acme.test" ||
		!strings.Contains(got.Why, "policy of this page") {
		t.Errorf("a page whose policy does not name the server: %+v", got)
	}
	run("a page whose policy does", chromedp.Evaluate[chromedp.Void](`sessionStorage.clear()`),
		chromedp.Navigate(string(w.CloudURL)+"/connections/"+connection.ID), chromedp.WaitVisible(`[data-badge]`))

	scriptsWork(t, s)
	scriptsRefresh(t, s, w)
	scriptsReadEvents(t, s)

	// The key of a server that knows plain keys only is the owner's: a member goes through the relay, always.
	if got := s.run(`conn = await ace.connection("plain"); return read(await conn.fetch("/x", { method: "POST", body: "b" }))`); got.Way != "relay" ||
		got.Body != "POST /x" || got.Why != "Its API key is shown to nobody but its owner." || plain.Direct.Load() != 0 {
		t.Errorf("%+v, and %d direct calls", got, plain.Direct.Load())
	}
	if got := s.run(`conn = await ace.connection("plain"); return read(await conn.fetch("/%2e%2e/../../../../me"))`); got.Code != "path_outside" {
		t.Errorf("a path led out of the relay: %+v", got)
	}
	if got := s.run(`conn = await ace.connection("plain"); const all = [];
		const stop = new AbortController();
		for await (const { data } of conn.events("/ticks", { signal: stop.signal })) if (all.push(data) === 3) stop.abort();
		return { all }`); strings.Join(got.All, ",") != "after ,after +,after ++" {
		t.Errorf("events: %q", got.All)
	}
	if got := s.run(`conn = await ace.connection("plain"); const all = [];
		const stop = new AbortController();
		for await (const { data } of conn.events("/many", { signal: stop.signal })) if (all.push(data) === 3) stop.abort();
		return { all }`); len(got.All) != 3 {
		t.Errorf("%d events were given, %d of them after the end", len(got.All), len(got.All)-3)
	}
	if got := s.run(`conn = await ace.connection("plain"); const ws = conn.websocket("/echo");
		return new Promise((resolve) => {
			ws.onopen = () => ws.send("there and back");
			ws.onmessage = ({ data }) => { ws.close(); resolve({ body: data }); };
			ws.onerror = () => resolve({ body: "failed" });
		})`); got.Body != "there and back" {
		t.Errorf("a WebSocket: %+v", got)
	}
	if got := s.run(`conn = await ace.connection(); return { body: conn.info.name }`); got.Body != "plain" {
		t.Errorf("the choice was not remembered: %+v", got)
	}
	if got := s.run(`await ace.connection("none")`); got.Code != "not_found" {
		t.Errorf("%+v", got)
	}
}

// scriptsWork does what the vendor's page does in three lines, and looks for what is left behind.
func scriptsWork(t *testing.T, s scripted) {
	t.Helper()
	if got := s.run(`conn = await new Ace().connection();
		const answer = await conn.fetch("/whoami");
		return read(answer)`); got.Way != "direct" || got.Why != "" || got.Body != "GET /whoami member@acme.test" {
		t.Errorf("%+v", got)
	}
	if got := s.run(`conn = await ace.connection();
		return read(await conn.fetch("/x", { method: "PUT", body: new Blob(["x"]), headers: { Authorization: "Bearer mine", "X-API-Key": "mine" } }))`); got.Way != "direct" ||
		got.Body != "PUT /x member@acme.test" {
		t.Errorf("%+v", got)
	}
	if got := s.run(`conn = await ace.connection(); return read(await conn.fetch("/moved"))`); got.Body != "GET /whoami member@acme.test" {
		t.Errorf("a redirect: %+v", got)
	}
	if got := s.run(`conn = await ace.connection(); return read(await conn.fetch("/moved", { method: "POST" }))`); got.Code != "redirected" {
		t.Errorf("a redirect of a call that must not be repeated: %+v", got)
	}
	if got := s.run(`conn = await ace.connection();
		return conn.fetch("/x", { signal: AbortSignal.abort() }).then(read, ({ name }) => ({ code: name }))`); got.Code != "AbortError" {
		t.Errorf("%+v", got)
	}
	if got := s.run(`conn = await ace.connection();
		return conn.fetch("/x", { headers: { "no header": "" } }).then(read, ({ name }) => ({ code: name }))`); got.Code != "TypeError" || got.Way != "direct" {
		t.Errorf("the caller's mistake was taken for the server's: %+v", got)
	}
	left := s.run(`conn = await ace.connection(); return { all: [JSON.stringify({ ...sessionStorage }), JSON.stringify({ ...localStorage }), JSON.stringify(conn),
		Object.getOwnPropertyNames(conn).map((name) => JSON.stringify(conn[name])).join(), document.documentElement.outerHTML, location.href, history.length + "",
		...performance.getEntriesByType("resource").map(({ name }) => name)] }`)
	for _, text := range left.All {
		if strings.Contains(text, "eyJ") || strings.Contains(text, "ace_sk_") {
			t.Errorf("a credential was left in %.200s", text)
		}
	}
	if len(left.All) < 10 {
		t.Errorf("only %d places were looked at", len(left.All))
	}
}

// scriptsRefresh lets credentials come to their end, by the page's clock and by the server's.
func scriptsRefresh(t *testing.T, s scripted, w *world.World) {
	t.Helper()
	const ahead = `const real = globalThis.realNow ??= Date.now; Date.now = () => real() + %d; `
	const five = `conn = await ace.connection(); const before = asked();
		const all = await Promise.all([1, 2, 3, 4, 5].map(() => conn.fetch("/x").then(({ status }) => status)));
		return { status: asked() - before, body: all.join() }`
	for _, c := range []struct {
		what    string
		ahead   time.Duration
		advance time.Duration // of the clocks of cloud and server
		want    int
	}{
		{"they share one that is good", 0, 0, 0},
		{"it is renewed before its end", 4*time.Minute + 30*time.Second, 0, 1},
		{"the new one is good", 4*time.Minute + 40*time.Second, 0, 0},
		{"the server refuses it: the clocks differ", 4*time.Minute + 40*time.Second, 6 * time.Minute, 1},
	} {
		w.Advance(c.advance)
		got := s.run(fmt.Sprintf(ahead, c.ahead.Milliseconds()) + five)
		if got.Status != c.want || got.Body != "200,200,200,200,200" {
			t.Errorf("%s: %d credentials were asked for, want %d; %s", c.what, got.Status, c.want, got.Body)
		}
	}
}

// scriptsReadEvents reads streams that are cut in every place.
func scriptsReadEvents(t *testing.T, s scripted) {
	t.Helper()
	got := s.run("const stream = `\\ufeff: hello\\r\\ndata: one\\r\\ndata:two\\r\\n\\r\\nevent: mine\\rid: 7\\rretry: 25\\rdata\\r\\rdata: ü\\nid: a\\0b\\n\\nid\\ndata:  x\\nother: y\\n\\ndata: cut`;" + `
		const bytes = new TextEncoder().encode(stream), all = new Set();
		for (let size = 1; size < 12; size++) {
			const pieces = [], state = { id: "0", retry: 1 };
			for (let i = 0; i < bytes.length; i += size) pieces.push(bytes.slice(i, i + size));
			const events = [];
			for await (const event of parseEvents(new ReadableStream({ start: (to) => { pieces.forEach((piece) => to.enqueue(piece)); to.close(); } }), state)) events.push(event);
			all.add(JSON.stringify([events, state]));
		}
		return { all: [...all] }`)
	const want = `[[{"event":"message","data":"one\ntwo","id":"0"},{"event":"mine","data":"","id":"7"},` +
		`{"event":"message","data":"ü","id":"7"},{"event":"message","data":" x","id":""}],{"id":"","retry":25}]`
	if len(got.All) != 1 || got.All[0] != want {
		t.Errorf("got  %q\nwant %q", got.All, want)
	}
}

// What stands in the way of a direct call is said in one line, and the relay takes over. Nothing that may have arrived is sent
// again.
func TestAceScriptSaysWhyNotDirectly(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	breaking := &world.PlainApp{Cors: true}
	mute := &world.PlainApp{}
	breaks, _ := w.ByHand(breaking, "breaking")
	w.ByHand(mute, "mute")
	_, closed := w.ByHand(&world.PlainApp{}, "closed")
	closed.Close()
	s, run := scripted{t, ctx}, steps(t, ctx)
	run("sign in", signIn(string(w.CloudURL), "admin@acme.test"))

	if got := s.run(`conn = await ace.connection("mute"); return read(await conn.fetch("/x", { method: "POST", body: "b" }))`); got.Way != "relay" ||
		got.Body != "POST /x" || got.Why != "The server is up, but it redirects or does not let this page read its answers (CORS): start it with ACE_ALLOWED_ORIGINS="+string(w.CloudURL) {
		t.Errorf("CORS: %+v", got)
	}
	if got := s.run(`conn = await ace.connection("closed"); return read(await conn.fetch("/x"))`); got.Way != "relay" || got.Code != "server_unreachable" ||
		!strings.HasPrefix(got.Why, "The server is unreachable from this browser") {
		t.Errorf("unreachable: %+v", got)
	}

	if got := s.run(`conn = await ace.connection("breaking"); return read(await conn.fetch("/x", { method: "POST", body: "b" }))`); got.Way != "direct" || got.Body != "POST /x" {
		t.Errorf("the owner of a plain key: %+v", got)
	}
	if got := s.run(`conn = await ace.connection("breaking"); return read(await conn.fetch("/break", { method: "POST", body: "b" }))`); got.Code != "maybe_sent" ||
		got.Way != "relay" || !strings.Contains(got.Message, "The call may have arrived all the same") {
		t.Errorf("a call that broke off: %+v", got)
	}
	if n := breaking.Breaks.Load(); n != 1 {
		t.Errorf("the call was sent %d times", n)
	}
	if got := s.run(`conn = await ace.connection("breaking"); return read(await conn.fetch("/break", { method: "POST", body: "b" }))`); got.Code != "server_unreachable" {
		t.Errorf("the next call: %+v", got)
	}
	if n := breaking.Breaks.Load(); n != 2 {
		t.Errorf("two calls were sent %d times", n)
	}

	run("a new page, direct again", chromedp.Evaluate[chromedp.Void](`sessionStorage.clear()`), chromedp.Navigate(string(w.CloudURL)+"/connections/"+breaks.ID), chromedp.WaitVisible(`[data-badge]`))
	if got := s.run(`conn = await ace.connection("breaking"); await conn.ready(); return { all: [conn.way, await conn.fetch("/break").catch(({ code }) => code)] }`); len(got.All) != 2 ||
		got.All[0] != "direct" || got.All[1] != "server_unreachable" || breaking.Breaks.Load() < 4 {
		t.Errorf("a call that may be repeated was not: %+v, %d", got, breaking.Breaks.Load())
	}
}

// keyed is a plain app that keeps which keys pages have shown it.
type keyed struct {
	world.PlainApp
	keys sync.Map
}

func (k *keyed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if key := r.Header.Get("X-Api-Key"); key != "" && r.Header.Get("Origin") != "" {
		k.keys.Store(key, true)
	}
	k.PlainApp.ServeHTTP(w, r)
}

// has reports whether pages have shown it a key.
func (k *keyed) has(key string) bool {
	_, found := k.keys.Load(key)
	return found
}

// A connection that is moved has another key: what the page holds is shown to no other server than it was for, and the way is
// looked for again.
func TestAceScriptOfAConnectionThatIsMoved(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	mute, open, last := &keyed{}, &keyed{PlainApp: world.PlainApp{Cors: true}}, &keyed{PlainApp: world.PlainApp{Cors: true}}
	connection, _ := w.ByHand(mute, "moving")
	_, opened := w.ByHand(open, "open") // so that the page's policy lets it call their servers
	_, lasting := w.ByHand(last, "last")
	move := func(to, key string) {
		t.Helper()
		sealed := bridge.NewSecret(key).Disclose()
		if _, err := w.Admin.Patch(t.Context(), connection.ID, api.ConnectionPatch{ServerURL: &to, APIKey: &sealed}); err != nil {
			t.Fatal(err)
		}
	}
	const call = `conn = await ace.connection("moving"); return read(await conn.fetch("/x", { method: "POST", body: "b" }))`
	s, run := scripted{t, ctx}, steps(t, ctx)
	run("sign in", signIn(string(w.CloudURL), "admin@acme.test"), eventually(`document.querySelectorAll("[data-connection]").length === 3`))

	if got := s.run(call); got.Way != "relay" || got.Body != "POST /x" || !strings.Contains(got.Why, "(CORS)") {
		t.Errorf("before: %+v", got)
	}
	move(opened.URL, "second-key")
	got := s.run(`const real = Date.now; Date.now = () => real() + 70_000; ` + call) // the way is looked for again, the credential is good yet
	if got.Way != "direct" || got.Body != "POST /x" || open.has("a-plain-key") || !open.has("second-key") || mute.has("second-key") {
		t.Errorf("moved: %+v", got)
	}
	before := open.Direct.Load()
	move(lasting.URL, "third-key")
	if got := s.run(call); got.Way != "direct" || got.Body != "POST /x" || open.Direct.Load() != before || last.has("second-key") || !last.has("third-key") {
		t.Errorf("moved again, while the way of before is held: %+v, %d calls to the server of before", got, open.Direct.Load()-before)
	}
}

// vendorPage serves a page of the vendor's own, whose script is set later.
func vendorPage(t *testing.T, start func(http.Handler) *httptest.Server) (*httptest.Server, *atomic.Pointer[string]) {
	t.Helper()
	var module atomic.Pointer[string]
	srv := start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>vendor</title><pre id="out"></pre><script type="module">%s</script>`, *module.Load())
	}))
	t.Cleanup(srv.Close)
	return srv, &module
}

const vendorSays = `document.getElementById("out")?.textContent`

// vendorScript does what docs/api.md shows, as a member, and tells of it.
func vendorScript(w *world.World) string {
	w.T.Helper()
	token, _, err := w.Cloud.DeveloperToken(w.T.Context(), "member@acme.test", "acme")
	if err != nil {
		w.T.Fatal(err)
	}
	return fmt.Sprintf(`
		const say = (...words) => { document.getElementById("out").textContent += words.join(" ") + "\n"; };
		say("cookie", await fetch("%[1]s/v1/me", { credentials: "include" }).then(({ status }) => status, () => "unreadable"));
		const { Ace } = await import("%[1]s/static/ace.js").catch((error) => { say("no script"); throw error; });
		const conn = await new Ace({ token: async () => "%[2]s" }).connection();
		try {
			const answer = await conn.fetch("/whoami");
			say(conn.way, answer.status, await answer.text(), conn.why);
		} catch (error) {
			say(conn.way, error.code, conn.why);
		}`, w.CloudURL, token.Reveal())
}

// A page of another origin does the same with a token, where the cloud's operator has named that origin. Cookies count for nothing
// there.
func TestAceScriptElsewhere(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	vendor, module := vendorPage(t, httptest.NewServer)
	stranger, strangers := vendorPage(t, httptest.NewServer)
	w := world.NewOf(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), func(cfg *cloud.Config) { cfg.AllowedOrigins = []string{vendor.URL} },
		nil, slog.New(slog.DiscardHandler))
	w.Connect(w.Member)
	page := vendorScript(w)
	module.Store(&page)
	strangers.Store(&page)
	run := steps(t, ctx)
	run("sign in, so that there is a cookie", signIn(string(w.CloudURL), "admin@acme.test"))
	run("the vendor's page", chromedp.Navigate(vendor.URL), eventually(vendorSays+`?.includes("relay 200 member@acme.test app:*")`),
		eventually(vendorSays+`.includes("cookie unreadable") && `+vendorSays+`.includes("(CORS): start it with ACE_ALLOWED_ORIGINS=`+vendor.URL+`")`))
	run("a page that nobody has named", chromedp.Navigate(stranger.URL), eventually(vendorSays+`?.includes("no script")`))
}

// Chromium asks people before a public page may call their own machine or network.
func TestAceScriptAndTheLocalNetwork(t *testing.T) {
	t.Parallel()
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	connection := w.Connect(w.Admin)
	ctx := browser(t, chromedp.Flag("ip-address-space-overrides", strings.TrimPrefix(string(w.CloudURL), "http://")+"=public"))
	s, run := scripted{t, ctx}, steps(t, ctx)
	run("sign in", signIn(string(w.CloudURL), "admin@acme.test"))
	for _, c := range []struct {
		setting  cdpbrowser.PermissionSetting
		way, why string
	}{
		{cdpbrowser.PermissionSettingDenied, "relay", "This browser forbids the page the local network: allow it in the site's settings."},
		{cdpbrowser.PermissionSettingGranted, "direct", ""},
	} {
		for _, name := range []string{"local-network-access", "local-network", "loopback-network"} {
			if _, err := chromedp.CallBrowser(ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
				Permission: &cdpbrowser.PermissionDescriptor{Name: name}, Setting: c.setting, Origin: string(w.CloudURL)}); err != nil {
				t.Fatal(err)
			}
		}
		run("the page", chromedp.Evaluate[chromedp.Void](`sessionStorage.clear()`), chromedp.Navigate(string(w.CloudURL)+"/connections/"+connection.ID+"/explorer"),
			eventually(`document.querySelector("[data-answer]").textContent.includes("admin@acme.test")`),
			eventually(fmt.Sprintf(`document.querySelector("[data-explain]").textContent.includes(%q)`, c.why)))
		if got := s.run(`conn = await ace.connection(); return read(await conn.fetch("/whoami"))`); got.Way != c.way || got.Why != c.why || got.Status != http.StatusOK {
			t.Errorf("%s: %+v", c.setting, got)
		}
		shoot(t, ctx, "explorer-network-"+string(c.setting))
	}
}

// A page on https may not call a server on http.
func TestAceScriptAndMixedContent(t *testing.T) {
	t.Parallel()
	vendor, module := vendorPage(t, httptest.NewTLSServer)
	origin := strings.Replace(vendor.URL, "127.0.0.1", "vendor.test", 1)
	w := world.NewOf(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), func(cfg *cloud.Config) { cfg.AllowedOrigins = []string{origin} }, nil, slog.New(slog.DiscardHandler))
	key := bridge.NewSecret("a-plain-key").Disclose()
	if _, err := w.Member.Register(t.Context(), api.RegisterRequest{ServerURL: "http://server.test:7777", Name: "mixed", APIKey: &key}); err != nil {
		t.Fatal(err)
	}
	page := vendorScript(w)
	module.Store(&page)
	ctx := browser(t, chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"))
	steps(t, ctx)("the vendor's page", chromedp.Navigate(origin), eventually(vendorSays+`?.includes("relay server_unreachable This page is https and the server is http")`))
}
