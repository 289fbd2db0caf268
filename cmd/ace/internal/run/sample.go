package run

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// identityHeaders are how the gateway tells an app who calls.
var identityHeaders = []string{
	"X-Ace-Key-Id", "X-Ace-Subject", "X-Ace-Org", "X-Ace-Environment", "X-Ace-Scopes", "X-Ace-Request-Id",
}

const (
	sampleEvents = 5
	sampleEvery  = time.Second
)

// sampleApp is the app behind the gateway of `ace dev`. All it knows of ace are the identity headers.
func sampleApp() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		//nolint:gosec // plain text, and nosniff
		_, _ = fmt.Fprintf(w, "Hello, %s. This is the sample app behind `ace server`.\n"+
			"GET /whoami says who you are, GET /events counts.\n", r.Header.Get("X-Ace-Subject"))
	})
	mux.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
		who := make(map[string]string, len(identityHeaders))
		for _, name := range identityHeaders {
			who[name] = r.Header.Get(name)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(who)
	})
	mux.HandleFunc("GET /events", sampleStream)
	return mux
}

// sampleStream counts in server-sent events. It shows that the gateway passes a stream on as it comes.
func sampleStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: {\"n\":%d}\n\n", n, n); err != nil || out.Flush() != nil {
			return
		}
		if n == sampleEvents {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
