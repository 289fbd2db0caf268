package term

import (
	"net/http"
	"net/url"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// Transport returns the transport for calls to clouds and servers.
func (t *Terminal) Transport() http.RoundTripper {
	next := watched{t, http.DefaultTransport}
	if t.Debug {
		return tracing{say: t.Say, next: next}
	}
	return next
}

// tracing logs each request for --debug. Headers, bodies and queries are left out, since they may hold secrets.
type tracing struct {
	say  func(format string, args ...any)
	next http.RoundTripper
}

func (t tracing) RoundTrip(r *http.Request) (*http.Response, error) {
	where := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}
	start := time.Now()
	resp, err := t.next.RoundTrip(r)
	took := time.Since(start).Round(time.Millisecond)
	if err != nil {
		t.say("debug: %s %s failed after %s: %s", r.Method, bridge.Printable(where.String()), took, apiclient.WhyUnreachable(err))
		return resp, err
	}
	id := resp.Header.Get(api.HeaderRequestID)
	if id == "" || len(id) > 100 {
		id = "-"
	}
	t.say("debug: %s %s %d in %s, request %s", r.Method, bridge.Printable(where.String()), resp.StatusCode, took, bridge.Printable(id))
	return resp, nil
}
