package run

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api/serving"
	"github.com/acebridge/ace/cmd/ace/internal/files"
)

// certificate reads the files of ACE_TLS_CERT and ACE_TLS_KEY.
func (e *CommonEnv) certificate() (tls.Certificate, error) {
	var pem [2]string
	for i, file := range []struct{ name, path string }{{"ACE_TLS_CERT", e.TLSCert}, {"ACE_TLS_KEY", e.TLSKey}} {
		var err error
		if pem[i], err = files.ReadNamedFile(file.path); err != nil {
			return tls.Certificate{}, fmt.Errorf("%s: %w", file.name, err)
		}
	}
	pair, err := tls.X509KeyPair([]byte(pem[0]), []byte(pem[1]))
	if err != nil {
		return pair, fmt.Errorf("ACE_TLS_CERT and ACE_TLS_KEY: %w", err)
	}
	return pair, nil
}

// listen opens the port, and reads the certificate if there is one.
func (e *CommonEnv) listen(ctx context.Context, s settings) (net.Listener, *tls.Certificate, error) {
	var cert *tls.Certificate
	if e.TLSCert != "" {
		pair, err := e.certificate()
		if err != nil {
			return nil, nil, bridge.E(bridge.Invalid, bridge.CodeTLS, "%w", err).
				WithHint("name two PEM files that this user may read: the certificate with its chain, and its key")
		}
		cert = &pair
	}
	ln, err := listenOn(ctx, s.addr)
	return ln, cert, err
}

func listenOn(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, bridge.E(bridge.Internal, bridge.CodeListen, "cannot listen on %s: %w", addr, err).
			WithHint("stop the program that listens there, or use another address")
	}
	return ln, nil
}

// bound limits the connections that a client may hold. A trusted proxy may hold more, since many people come through it.
func bound(ln net.Listener, proxies []netip.Prefix, log *slog.Logger) net.Listener {
	return serving.Bound(ln, serving.ConnLimits{Proxies: proxies}, log)
}

// part is a server or a cloud, ready to serve.
type part struct {
	ln      net.Listener // nil: there is no port
	cert    *tls.Certificate
	drain   time.Duration // see [serving.Config]
	handler http.Handler
	links   func(context.Context) // lets requests on links finish until its context ends; nil: there are none
	run     func(context.Context) error
	close   func() error
}

// serve runs the parts until ctx ends or one fails. Then all stop: requests first, background work after them, databases last.
func serve(ctx context.Context, log *slog.Logger, parts ...part) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan error, len(parts))
	for _, p := range parts {
		go func() { done <- p.serve(ctx, stop, log) }()
	}
	var failed error
	for range parts {
		if err := <-done; err != nil && failed == nil {
			failed = err
			stop(err)
		}
	}
	return failed
}

func (p part) serve(ctx context.Context, stop context.CancelCauseFunc, log *slog.Logger) error {
	if p.close != nil {
		defer func() {
			if err := p.close(); err != nil {
				log.Error("close", "error", err)
			}
		}()
	}
	// The background work outlives the last request: it writes what that request left to write.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	ran := make(chan error, 1)
	go func() {
		if p.run == nil {
			ran <- nil
			return
		}
		err := p.run(background)
		if err != nil && background.Err() == nil {
			stop(err)
		}
		ran <- err
	}()
	drained := p.drainLinks(ctx)
	var err error
	if p.ln == nil {
		<-ctx.Done()
	} else {
		err = serving.Serve(ctx, p.ln, p.handler, serving.Config{Cert: p.cert, Drain: p.drain, Log: log})
	}
	drained()
	stopBackground()
	if runErr := <-ran; err == nil && runErr != nil && errors.Is(context.Cause(ctx), runErr) {
		err = runErr
	}
	return err
}

// linksEnd is for requests of other replicas that are still under way on links here, once this one answers nobody any more.
const linksEnd = time.Second

// drainLinks lets the requests on links finish once ctx has ended: as long as the server still answers, and for a moment more. The
// function that it returns waits for that.
func (p part) drainLinks(ctx context.Context) (wait func()) {
	if p.links == nil {
		return func() {}
	}
	serving, served := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		p.links(serving)
	})
	return func() {
		defer served()
		if stop() {
			return // the server has failed
		}
		select {
		case <-done:
		case <-time.After(linksEnd):
			served()
			<-done
		}
	}
}
