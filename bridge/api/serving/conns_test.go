package serving_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acebridge/ace/bridge/api/serving"
)

// pipes is an in-memory listener whose clients have addresses.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

type pipe struct {
	net.Conn
	from net.Addr
}

func (p *pipe) RemoteAddr() net.Addr { return p.from }

func (p *pipes) dial(from string) net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- &pipe{theirs, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	return ours
}

// writers are handlers that report how they ended.
func writers() (http.Handler, <-chan error) {
	const size = 300 << 10
	big := make([]byte, size)
	ended := make(chan error, 1)
	handler := http.NewServeMux()
	handler.HandleFunc("/file", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, err := w.Write(big)
		ended <- err
	})
	handler.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			if _, err := io.WriteString(w, "line\n"); err != nil {
				ended <- err
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Minute)
		}
		ended <- nil
	})
	handler.HandleFunc("/socket", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, err = conn.Write(big)
			_ = conn.Close()
		}
		ended <- err
	})
	handler.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * time.Second))
		_, err := w.Write(big)
		ended <- err
	})
	return handler, ended
}

// A client that accepts nothing is cut. A slow one, a silent stream and a long download are not.
func TestSlowReaders(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		pause time.Duration // before reading each KiB; 0: nothing is read
		fails bool
		after time.Duration
	}{
		"nothing is taken":             {"/file", 0, true, 30 * time.Second},
		"nothing of a socket is taken": {"/socket", 0, true, 30 * time.Second},
		"slowly":                       {"/file", 25 * time.Second, false, 2 * time.Hour},
		"slowly, of a socket":          {"/socket", 25 * time.Second, false, 2 * time.Hour},
		"a silent stream":              {"/stream", time.Second, false, time.Hour},
		"a deadline of the handler":    {"/cut", 0, true, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler, ended := writers()
				ctx, stop := context.WithCancel(t.Context())
				ln, served := newPipes(), make(chan error, 1)
				go func() { served <- serving.Serve(ctx, ln, handler, serving.Config{Log: slog.New(slog.DiscardHandler)}) }()
				client, began := ln.dial("192.0.2.1:1000"), time.Now()
				if _, err := io.WriteString(client, "GET "+c.path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				var reading sync.WaitGroup
				if c.pause > 0 {
					reading.Go(func() {
						in, piece := bufio.NewReaderSize(client, 1<<10), make([]byte, 1<<10)
						for {
							time.Sleep(c.pause)
							if _, err := in.Read(piece); err != nil {
								return
							}
						}
					})
				}
				if err := <-ended; (err != nil) != c.fails {
					t.Errorf("it ended with %v", err)
				}
				if took := time.Since(began); took < c.after || c.fails && took > c.after+time.Second {
					t.Errorf("it ended after %v, want %v", took, c.after)
				}
				_ = client.Close()
				reading.Wait()
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Over HTTP/2 a stream whose client accepts nothing is reset while the connection's other streams continue. A slow one is not.
func TestSlowReadersOfHTTP2(t *testing.T) {
	for name, c := range map[string]struct {
		pause time.Duration // before reading each MiB; 0: nothing is read
		fails bool
		after time.Duration
	}{
		"nothing is taken": {0, true, 30 * time.Second},
		"slowly":           {25 * time.Second, false, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 12 << 20 // more than a client's window for one stream
				ended := make(chan error, 1)
				d := newDrainedOf(t, true, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/call" {
						return
					}
					w.Header().Set("Content-Length", fmt.Sprint(size))
					_, err := w.Write(make([]byte, size))
					ended <- err
				}))
				resp, err := d.client.Get("https://server/big")
				if err != nil || resp.ProtoMajor != 2 {
					t.Fatal(resp, err)
				}
				began := time.Now()
				if c.pause > 0 {
					go func() {
						for piece := make([]byte, 1<<20); err == nil; {
							time.Sleep(c.pause)
							_, err = io.ReadFull(resp.Body, piece)
						}
					}()
				}
				if err := <-ended; (err != nil) != c.fails {
					t.Errorf("it ended with %v", err)
				}
				if took := time.Since(began); took < c.after || c.fails && took > c.after+time.Second {
					t.Errorf("it ended after %s, want %s", took, c.after)
				}
				if got := <-d.do("GET", "/call", began); got.status != 200 {
					t.Errorf("another stream: %+v", got)
				}
				_ = resp.Body.Close()
				d.stop()
				if err := <-d.served; err != nil {
					t.Error(err)
				}
				d.client.CloseIdleConnections()
				time.Sleep(time.Hour) // until the reader has noticed
			})
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	ln := newPipes()
	bound := serving.Bound(ln, serving.ConnLimits{Total: 5, PerAddress: 2, Proxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, slog.New(slog.DiscardHandler))
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := bound.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	var open []net.Conn
	for i, c := range []struct {
		from string
		ok   bool
	}{{"192.0.2.1:1", true}, {"192.0.2.1:2", true}, {"192.0.2.1:3", false}, {"[2001:db8::1]:1", true}, {"198.51.100.1:1", true}, {"198.51.100.1:2", true},
		{"203.0.113.1:1", false}} {
		client := ln.dial(c.from)
		if !c.ok {
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%d: %v", i, err)
			}
			continue
		}
		open = append(open, <-accepted)
	}
	_ = open[0].Close()
	_ = open[0].Close() // closing twice counts once
	_ = ln.dial("192.0.2.1:4")
	<-accepted
	client := ln.dial("203.0.113.1:2")
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection too many is taken: %v", err)
	}
	_ = bound.Close()
}
