// Package sample is the app behind the gateway of `ace dev`. All it knows of ace are the headers that say who calls.
package sample

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// IdentityHeaders are how the gateway tells an app who calls.
var IdentityHeaders = []string{
	"X-Ace-Key-Id", "X-Ace-Subject", "X-Ace-Org", "X-Ace-Environment", "X-Ace-Scopes", "X-Ace-Request-Id",
}

const (
	events = 5
	every  = time.Second
)

// App answers who calls, and counts in a stream of events.
func App() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		//nolint:gosec // plain text, and nosniff
		_, _ = fmt.Fprintf(w, "Hello, %s. This is the sample app behind `ace server`.\n"+
			"GET /whoami says who you are, GET /events counts.\n", r.Header.Get("X-Ace-Subject"))
	})
	mux.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
		who := make(map[string]string, len(IdentityHeaders))
		for _, name := range IdentityHeaders {
			who[name] = r.Header.Get(name)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(who)
	})
	mux.HandleFunc("GET /events", stream)
	return mux
}

// stream counts in server-sent events. It shows that the gateway passes a stream on as it comes.
func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: {\"n\":%d}\n\n", n, n); err != nil || out.Flush() != nil {
			return
		}
		if n == events {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
