package tunnel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// server serves the requests of all links with one handler.
type server struct {
	http *http.Server
	in   *inProcess
}

func newServer(handler http.Handler, log *slog.Logger) *server {
	s := &server{in: &inProcess{conns: make(chan net.Conn), closed: make(chan struct{})}}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // links: TLS, where there is any, is below
	protocols.SetHTTP1(true)            // upgrades
	s.http = &http.Server{Protocols: protocols, HTTP2: flow(), MaxHeaderBytes: headerBytes, ReadHeaderTimeout: stuckAfter,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case own(r, http.MethodPost, streamPath):
				s.serveStream(w, r)
			case own(r, http.MethodHead, askPath):
				w.WriteHeader(http.StatusNoContent)
			case r.ProtoMajor == 2:
				lasting := persistent{w}
				handler.ServeHTTP(lasting, r)
				lasting.keep()
			default:
				handler.ServeHTTP(w, r)
			}
		})}
	return s
}

// run serves links until drain or close.
func (s *server) run() error {
	if err := s.http.Serve(s.in); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serve answers the requests of a link until it ends. It calls up when something comes over it, and reports whether that was.
func (s *server) serve(ctx context.Context, conn net.Conn, up func()) bool {
	link := newLinkConn(conn, nil)
	link.up = up
	if !s.in.give(ctx, link) {
		_ = link.Close()
	}
	<-link.ended
	return link.used.Load()
}

// drain tells the cloud to send nothing more (GOAWAY, RFC 9113 §6.8), and lets what is under way finish until ctx ends.
func (s *server) drain(ctx context.Context) error { return s.http.Shutdown(ctx) }

func (s *server) close() { _ = s.http.Close() }

// serveStream serves the HTTP/1.1 connection that a request's body and its response are.
func (s *server) serveStream(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	if err := control.Flush(); err != nil {
		return
	}
	near, far := net.Pipe()
	if !s.in.give(r.Context(), far) {
		_, _ = near.Close(), far.Close()
		return
	}
	var sent sync.WaitGroup
	sent.Go(func() {
		_, _ = io.Copy(near, r.Body)
		_ = near.Close() // a client that has ended its half has ended all of it
	})
	_, _ = io.Copy(flushed{w, control}, near)
	_ = near.Close()
	_ = r.Body.Close()
	sent.Wait()
}

// flushed sends at once what is written.
type flushed struct {
	io.Writer
	*http.ResponseController
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.Flush())
}

// inProcess is a listener for connections that no network has carried.
type inProcess struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *inProcess) give(ctx context.Context, conn net.Conn) bool {
	select {
	case l.conns <- conn:
		return true
	case <-l.closed:
	case <-ctx.Done():
	}
	return false
}

// Accept implements [net.Listener].
func (l *inProcess) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *inProcess) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements [net.Listener].
func (l *inProcess) Addr() net.Addr { return linkAddr{} }
