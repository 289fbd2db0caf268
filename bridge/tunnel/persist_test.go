package tunnel_test

import (
	"io"
	"net/http"
	"testing"
)

// An answer with "Connection: close" is about the server's own connection: the link stays, and what is under way on it goes on.
func TestCloseIsNotTheLinks(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		switch r.URL.Path {
		case "/slow":
			close(arrived)
			<-release
			_, _ = io.WriteString(w, "slow")
		case "/status":
			w.WriteHeader(http.StatusTeapot)
		case "/flush":
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "flushed")
		case "/flusher":
			w.(http.Flusher).Flush()
		case "/write":
			_, _ = io.WriteString(w, "written")
		}
	})
	g.link(1)
	link := g.links.Of(connection)[0]
	slow := make(chan string, 1)
	go func() { slow <- g.text("GET", "/slow", nil) }()
	<-arrived
	for range 3 {
		for path, want := range map[string]string{"/status": "418 ", "/flush": "200 flushed", "/flusher": "200 ", "/write": "200 written", "/nothing": "200 "} {
			if got := g.text("GET", path, nil); got != want {
				t.Errorf("%s: %q", path, got)
			}
		}
	}
	close(release)
	if got := <-slow; got != "200 slow" {
		t.Errorf("the slow one: %q", got)
	}
	if now := g.links.Of(connection); len(now) != 1 || now[0] != link {
		t.Error("the link has been replaced")
	}
}
