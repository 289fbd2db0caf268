package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

const (
	appSeen     = 30 * time.Second // an answer of the app within it will do
	appRemember = 3 * time.Second  // for which nobody makes the server ask the app again
	appPatience = 3 * time.Second
)

// appState knows whether the app behind the server works, without asking it more often than every few seconds.
type appState struct {
	upstream *url.URL // nil: there is no app
	health   *url.URL // nil: a connection will do
	client   *http.Client
	answered atomic.Int64 // unix milliseconds of the last answer

	mu    sync.Mutex // held while asking: others wait for the same answer
	asked time.Time
	last  api.AppState
}

func newAppState(upstream, health *url.URL) *appState {
	return &appState{upstream: upstream, health: health, client: &http.Client{
		Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true, TLSHandshakeTimeout: appPatience},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // which is an answer
	}}
}

// answers notes an answer of the app.
func (a *appState) answers(status int) {
	if works(status) {
		a.answered.Store(time.Now().UnixMilli())
	}
}

// works reports whether a status is an answer of the app. 502 and above come from what stands in front of one.
func works(status int) bool { return status < http.StatusBadGateway }

// now returns how the app is: after an answer in the last 30 seconds it works, otherwise the server asks.
func (a *appState) now(ctx context.Context) api.AppState {
	if a.upstream == nil {
		return api.AppState{State: api.AppNone}
	}
	if seen := a.answered.Load(); seen != 0 && time.Since(time.UnixMilli(seen)) < appSeen {
		return api.AppState{State: api.AppUp}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.asked) < appRemember {
		return a.last
	}
	// Not the caller's: one that gives up must not make the others believe that the app is down.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appPatience)
	defer cancel()
	a.last = api.AppState{State: api.AppUp}
	if cause := a.ask(ctx); cause != "" {
		a.last = api.AppState{State: api.AppDown, Code: bridge.CodeAppDown, Cause: cause}
	}
	a.asked = time.Now()
	return a.last
}

// ask asks the app, and says why it does not work; empty: it does.
func (a *appState) ask(ctx context.Context) (cause string) {
	if a.health == nil {
		return a.connect(ctx)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.health.String(), nil)
	if err != nil {
		return "ACE_UPSTREAM_HEALTH cannot be asked"
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return a.upstream.Host + ": " + apiclient.WhyUnreachable(err)
	}
	_ = resp.Body.Close()
	if !works(resp.StatusCode) {
		return a.upstream.Host + " answers " + resp.Status + " at ACE_UPSTREAM_HEALTH"
	}
	return ""
}

// connect opens a connection to the app and closes it.
func (a *appState) connect(ctx context.Context) (cause string) {
	port := cmp.Or(a.upstream.Port(), map[string]string{"http": "80", "https": "443"}[a.upstream.Scheme])
	address := net.JoinHostPort(a.upstream.Hostname(), port)
	var conn net.Conn
	var err error
	if a.upstream.Scheme == "https" {
		conn, err = (&tls.Dialer{}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return a.upstream.Host + ": " + apiclient.WhyUnreachable(err)
	}
	_ = conn.Close()
	return ""
}
