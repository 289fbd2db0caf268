package main

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"time"

	"github.com/acebridge/ace/bridge/api"
)

type httpHandler = http.Handler

// cleanupTimeout bounds what is still done after an interrupt.
const cleanupTimeout = 10 * time.Second

// ownTransport calls the process beside this one.
func ownTransport() http.RoundTripper {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see ownAddress
}

// transport is how the command calls clouds and servers.
func (a *app) transport() http.RoundTripper {
	next := watched{a, http.DefaultTransport}
	if a.debug {
		return tracing{say: a.say, next: next}
	}
	return next
}

// tracing tells of each request what can be shown to anybody: never a header, a body or a query, which may be secret.
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
		t.say("debug: %s %s failed after %s: %s", r.Method, printable(where.String()), took, api.WhyUnreachable(err))
		return resp, err
	}
	id := resp.Header.Get(api.HeaderRequestID)
	if id == "" || len(id) > 100 {
		id = "-"
	}
	t.say("debug: %s %s %d in %s, request %s", r.Method, printable(where.String()), resp.StatusCode, took, printable(id))
	return resp, nil
}
