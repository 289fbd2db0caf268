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

// Config configures [Serve]. Log is required.
type Config struct {
	Cert *tls.Certificate // nil: plain HTTP
	// Drain is how long everything continues after ctx ends, so that load balancers notice; see [Serve].
	Drain time.Duration
	Log   *slog.Logger
}

// Serve answers requests on ln until ctx ends, and then stops without losing any.
//
// From then on readyz is 503 and responses say "Connection: close", while everything else continues for Drain. After that,
// streams end within a second, and calls get ten seconds to finish. New connections are accepted until the last call that was
// in progress is done.
//
// A stream is a hijacked connection (a WebSocket), or a response to GET without a declared length. Event streams end cleanly;
// any other stream that does not end by itself is cut, so that nobody takes it for complete.
//
// There is no time limit on a whole request, because of streams; a handler that reads a body bounds its size. If ln is not
// from [Bound], its connections get the default limits.
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
