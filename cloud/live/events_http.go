package live

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/api/serving"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

const (
	streamBeat  = 15 * time.Second // how often a stream says something, so that proxies do not take it for dead
	streamStuck = 10 * time.Second // how long a client may take to accept what is sent
	maxEventID  = 100
)

// eventID is the ID of an event. Changes are numbered per organization, and a browser that resumes a stream may have switched to
// another organization meanwhile.
func eventID(org string, seq int64) string { return org + "." + strconv.FormatInt(seq, 10) }

// parseEventID returns where the last stream ended. An ID of another organization counts as none: a browser does not retry a
// request that was refused.
func parseEventID(id, org string) (seq int64, ok bool) {
	if len(id) > maxEventID {
		return 0, false
	}
	number, ours := strings.CutPrefix(id, org+".")
	seq, err := strconv.ParseInt(number, 10, 64)
	return seq, ours && err == nil && seq >= 0 && eventID(org, seq) == id
}

// eventText is an event in its wire form, without the ID.
func eventText(change connections.Change) (string, error) {
	name, data := "status", any(change.Event)
	if change.Lost {
		name, data = "removed", api.ConnectionRemoved{ID: change.Event.ID}
	}
	encoded, err := json.Marshal(data)
	if err != nil {
		return "", fmt.Errorf("encode an event: %w", err)
	}
	return "event: " + name + "\ndata: " + string(encoded) + "\n", nil
}

// Mount adds the route GET /v1/connections/events.
func (lv *Live) Mount(e *echo.Echo) {
	e.GET("/v1/connections/events", lv.who.RequireScope("connection:read", lv.connectionEvents))
}

// connectionEvents streams the changes of the connections that the caller sees, as server-sent events.
func (lv *Live) connectionEvents(ctx echo.Context, p accounts.Principal) error {
	r := ctx.Request()
	last, from, err := lv.feed.Position(r.Context(), p, lv.cfg.Now().Add(-watchedBefore))
	if err != nil {
		return err
	}
	if seq, ok := parseEventID(r.Header.Get("Last-Event-ID"), p.OrgID); ok && seq <= last {
		from = seq
	}
	w := &watcher{who: p, since: from, told: make(chan string, 1), ended: make(chan struct{})}
	if p.Kind != "" {
		w.key = p.Identity()
	}
	if err := lv.watchers.add(w); err != nil {
		return err
	}
	defer lv.watchers.remove(w)
	h := ctx.Response().Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx
	ctx.Response().WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	// The browser remembers an ID without an event, and raises no event for it.
	text := "retry: 2000\nid: " + eventID(p.OrgID, from) + "\n\n"
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	control := http.NewResponseController(ctx.Response())
	for {
		_ = control.SetWriteDeadline(time.Now().Add(streamStuck))
		if _, err := io.WriteString(ctx.Response(), text); err != nil {
			return nil //nolint:nilerr // the listener has gone
		}
		if err := control.Flush(); err != nil {
			return nil //nolint:nilerr // the listener has gone
		}
		_ = control.SetWriteDeadline(time.Time{})
		select {
		case <-r.Context().Done():
			return nil
		case <-serving.Draining(r.Context()):
			return nil
		case <-w.ended:
			return nil
		case text = <-w.told:
		case <-beat.C:
			text = ": still here\n\n"
		}
	}
}
