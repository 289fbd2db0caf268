package api

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// Serving is how [Serve] answers requests.
type Serving struct {
	Cert *tls.Certificate // nil: plain HTTP
	// Drain is how long nothing ends when the time has come to stop, so that load balancers notice; see [Serve].
	Drain time.Duration
	Log   *slog.Logger
}

// Serve answers requests on ln until ctx ends, and then stops without losing any: readyz is 503 at once, answers say
// "Connection: close", and for the time of Drain all else goes on. Then streams end, within a second, and calls have ten more
// to finish. New connections are taken until the last call of before is done. A stream is a connection that was taken over (a
// WebSocket), and the answer to a GET that has begun without saying how long it is. Events end as they do when there are no
// more of them; another stream that has not ended by itself is broken off, so that nobody takes it for complete.
//
// There is no limit on the time of a whole request, because streams pass here; a handler that reads a body bounds its size.
// Connections are bounded by default, where ln is not of [Bound].
func Serve(ctx context.Context, ln net.Listener, h http.Handler, how Serving) error {
	bound, isBound := ln.(*boundListener)
	if !isBound {
		bound, _ = Bound(ln, ConnLimits{}, how.Log).(*boundListener)
	}
	d := newDrain(how.Log)
	srv := &http.Server{
		Handler:           d.wrap(takeSteadily(h, bound.limits.Stuck)),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(how.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithValue(context.Background(), drainKey{}, d) },
		ConnContext: connContext, ConnState: d.connState,
	}
	if how.Cert != nil {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*how.Cert}, MinVersion: tls.VersionTLS12}
	}
	failed := make(chan error, 1)
	go func() {
		if how.Cert != nil {
			failed <- srv.ServeTLS(bound, "", "")
		} else {
			failed <- srv.Serve(bound)
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return d.stop(srv, how.Drain)
}
