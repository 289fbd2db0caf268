package serving

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

// Config configures [Serve].
type Config struct {
	Cert *tls.Certificate // nil: plain HTTP
	// Drain is how long everything goes on after the stop begins, so that load balancers notice; see [Serve].
	Drain time.Duration
	Log   *slog.Logger
}

// Serve answers requests on ln until ctx ends, and then stops without losing any. At once readyz is 503 and answers say
// "Connection: close"; everything else goes on for Drain. Then streams end within a second, and calls have ten seconds to
// finish. New connections are accepted until the last call that was in progress is done.
//
// A stream is a connection that was taken over (a WebSocket), or the answer to a GET that has begun without a length. Event
// streams end cleanly; any other stream that does not end by itself is cut, so that nobody takes it for complete.
//
// There is no limit on the time of a whole request, because streams pass here; a handler that reads a body bounds its size.
// Connections are bounded by default, where ln is not of [Bound].
func Serve(ctx context.Context, ln net.Listener, h http.Handler, how Config) error {
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
