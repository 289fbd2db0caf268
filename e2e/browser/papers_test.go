package browser

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/websocket"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// The scripts that docs/api.md shows work in a page of the cloud, one after the other.
func TestPapersScripts(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	blocks := regexp.MustCompile("(?s)```js\n(.*?)```").FindAllSubmatch(raw, -1)
	if len(blocks) < 2 {
		t.Fatalf("docs/api.md shows %d scripts", len(blocks))
	}
	for _, m := range blocks {
		script.Write(m[1])
	}
	ctx := browser(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-Ace-Subject")) })
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: an event\n\n")
	})
	mux.Handle("/socket", websocket.Server{Handler: func(ws *websocket.Conn) { _, _ = io.WriteString(ws, "from the socket") }})
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), behindIt(t, mux))
	w.Share(w.Connect(w.Admin))
	steps(t, ctx)("sign in", signIn(string(w.CloudURL), "member@acme.test"), chromedp.Navigate(string(w.CloudURL)+"/settings"))

	// What a page has around the scripts: its own names, and no import where it is no module.
	around := strings.Replace(script.String(), `import { Ace } from "/static/ace.js";`, "", 1)
	got := scripted{t, ctx}.run(`const all = [], stop = new AbortController(), { signal } = stop;
		const show = (data) => { all.push(data); stop.abort(); };
		` + strings.Replace(around, "const conn", "conn", 1) + `
		all.push(await new Promise((resolve) => { socket.onmessage = ({ data }) => resolve(data); socket.onerror = () => resolve("no socket"); }));
		return { ...await read(answer), all };`)
	if got.Status != http.StatusOK || got.Body != "member@acme.test" || strings.Join(got.All, ", ") != "an event, from the socket" {
		t.Errorf("the scripts did this: %+v", got)
	}
}
