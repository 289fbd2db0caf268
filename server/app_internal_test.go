package server

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func parsed(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The state of an app comes from a connection, or from its health endpoint.
func TestAppState(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := map[string]int{"/broken": 500, "/away": 503, "/proxy": 502, "/moved": 302, "/private": 401}[r.URL.Path]
		w.WriteHeader(max(status, 200))
	}))
	defer app.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	down := "http://" + gone.Addr().String()
	for name, c := range map[string]struct{ upstream, health, state, cause string }{
		"none":                    {"", "", api.AppNone, ""},
		"a connection":            {app.URL, "", api.AppUp, ""},
		"no connection":           {down, "", api.AppDown, gone.Addr().String()},
		"health":                  {app.URL, app.URL + "/healthz", api.AppUp, ""},
		"health is an error":      {app.URL, app.URL + "/broken", api.AppUp, ""}, // an answer of the app
		"health wants a login":    {app.URL, app.URL + "/private", api.AppUp, ""},
		"health is elsewhere":     {app.URL, app.URL + "/moved", api.AppUp, ""},
		"health is unavailable":   {app.URL, app.URL + "/away", api.AppDown, "503"},
		"a proxy without the app": {app.URL, app.URL + "/proxy", api.AppDown, "502"},
		"health does not answer":  {down, down + "/healthz", api.AppDown, gone.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			var upstream, health *url.URL
			if c.upstream != "" {
				upstream = parsed(t, c.upstream)
			}
			if c.health != "" {
				health = parsed(t, c.health)
			}
			got := newAppState(upstream, health).now(t.Context())
			if got.State != c.state || !strings.Contains(got.Cause, c.cause) || (got.Code == bridge.CodeAppDown) != (c.state == api.AppDown) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// asked counts the requests of an app that answers with a status.
type asked struct {
	calls  atomic.Int64
	status atomic.Int64
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	a.calls.Add(1)
	status := int(a.status.Load())
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: r}, nil
}

// Many probes at once ask the app once, an answer to a client will do for 30 seconds, and one that gives up ends nothing.
func TestAppStateIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		app := &asked{}
		app.status.Store(http.StatusServiceUnavailable)
		a := newAppState(parsed(t, "http://app.test"), parsed(t, "http://app.test/healthz"))
		a.client.Transport = app
		expect := func(when, state string, calls int64) {
			t.Helper()
			if got := a.now(t.Context()); got.State != state || app.calls.Load() != calls {
				t.Errorf("%s: %+v after %d calls", when, got, app.calls.Load())
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if got := a.now(gone); got.State != api.AppDown || !strings.Contains(got.Cause, "ACE_UPSTREAM_HEALTH") {
					t.Errorf("at once: %+v", got)
				}
			})
		}
		all.Wait()
		expect("within three seconds", api.AppDown, 1)
		app.status.Store(http.StatusOK)
		time.Sleep(appRemember)
		expect("later", api.AppUp, 2)
		time.Sleep(appRemember)
		a.answers(http.StatusBadGateway) // of the gateway's own making
		expect("after no answer of the app", api.AppUp, 3)
		time.Sleep(appRemember)
		app.status.Store(http.StatusServiceUnavailable)
		a.answers(http.StatusInternalServerError)
		expect("after an answer of the app", api.AppUp, 3)
		time.Sleep(appSeen - time.Second)
		expect("within 30 seconds of it", api.AppUp, 3)
		time.Sleep(time.Second)
		expect("after 30 seconds", api.AppDown, 4)
	})
}
