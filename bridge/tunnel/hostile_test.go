package tunnel

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // RFC 9113 §3.4
	frameData     = 0
	frameHeaders  = 1
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7
	frameContinue = 9
)

// frame writes an HTTP/2 frame (RFC 9113 §4.1).
func frame(kind, flags byte, stream uint32, payload string) string {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return string(binary.BigEndian.AppendUint32(head, stream)) + payload
}

// hostileServer is what a server may say after the request of stream 1.
var hostileServer = []string{
	frame(frameSettings, 0, 0, ""),
	frame(frameSettings, 0, 0, "\x00\x05\xff\xff\xff\xff") + frame(frameHeaders, 4, 1, "\x88"),
	frame(frameSettings, 0, 0, "") + frame(frameHeaders, 5, 1, "\x88"),
	frame(frameSettings, 0, 0, "") + frame(frameHeaders, 4, 1, "\x88") + frame(frameData, 1, 1, "hello"),
	frame(frameSettings, 0, 0, "") + frame(frameData, 0, 1, "first") + frame(frameHeaders, 4, 7, "\x88"),
	frame(frameSettings, 0, 0, "") + frame(framePing, 0, 0, "12345678") + frame(frameGoAway, 0, 0, "\x7f\xff\xff\xff\x00\x00\x00\x00"),
	"HTTP/1.1 200 OK\r\n\r\n", "",
}

// Whatever a server sends, the cloud's end neither panics nor hangs.
func FuzzHostileServer(f *testing.F) {
	for _, said := range hostileServer {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		synctest.Test(t, func(t *testing.T) { // the waits for silence take no time
			near, far := net.Pipe()
			client, err := newClient(newLinkConn(near, nil))
			if err != nil {
				t.Skip()
			}
			defer func() { _ = client.Close() }()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			go func() {
				_, _ = far.Write(said)
				_ = far.Close()
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server.test/", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.RoundTrip(r)
			if err == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
				_ = resp.Body.Close()
			}
			if ctx.Err() != nil {
				t.Error("it hangs")
			}
		})
	})
}

// Whatever a cloud sends, the server's end neither panics nor hangs.
func TestHostileCloud(t *testing.T) {
	get := "\x82\x84\x86\x41\x01x" // GET / http, host x
	for _, said := range []string{
		frame(frameSettings, 0, 0, "") + frame(frameHeaders, 5, 1, get),
		frame(frameSettings, 0, 0, "") + frame(frameHeaders, 4, 1, get) + frame(frameData, 1, 1, "hello"),
		frame(frameSettings, 0, 0, "") + frame(frameHeaders, 5, 2, get) + frame(frameHeaders, 5, 1, get),
		frame(frameSettings, 0, 0, "\x00\x04\x7f\xff\xff\xff") + frame(frameHeaders, 4, 1, "\x83\x84\x86\x41\x01x") + frame(frameHeaders, 5, 1, "\x40\x01x\x01y"),
		"", "GET / HTTP/1.1\r\n\r\n",
	} {
		t.Run("", func(t *testing.T) { t.Parallel(); hostileCloud(t, []byte(said)) })
	}
}

func hostileCloud(t *testing.T, said []byte) {
	t.Helper()
	s := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }), slog.New(slog.DiscardHandler))
	go func() { _ = s.run() }()
	defer s.close()
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	go func() {
		_, _ = io.WriteString(far, clientPreface)
		_, _ = far.Write(said)
		_ = far.Close()
	}()
	served := make(chan struct{})
	go func() {
		s.serve(t.Context(), near, func() {})
		close(served)
	}()
	select {
	case <-served:
	case <-time.After(20 * time.Second):
		t.Error("it hangs")
	}
}

// Headers that never end close the link at either end before they take much memory.
func TestEndlessHeaders(t *testing.T) {
	const most = 4 << 20
	endless := func(conn net.Conn, first string) (sent int) {
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err := io.WriteString(conn, first)
		more := frame(frameContinue, 0, 1, strings.Repeat("\x00\x01x\x7f\x81\x07"+strings.Repeat("v", 262), 50)) // literals without indexing
		for sent < most && err == nil {
			var n int
			n, err = io.WriteString(conn, more)
			sent += n
		}
		_ = conn.Close()
		return sent
	}
	t.Run("of a request", func(t *testing.T) {
		s := newServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		go func() { _ = s.run() }()
		defer s.close()
		near, far := net.Pipe()
		go s.serve(t.Context(), near, func() {})
		if sent := endless(far, clientPreface+frame(frameSettings, 0, 0, "")+frame(frameHeaders, 1, 1, "\x82\x84\x86\x41\x01x")); sent >= most {
			t.Errorf("%d bytes are taken", sent)
		}
	})
	t.Run("of a response", func(t *testing.T) {
		near, far := net.Pipe()
		client, err := newClient(newLinkConn(near, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		failed := make(chan error, 1)
		go func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server.test/", nil)
			if err != nil {
				failed <- err
				return
			}
			resp, err := client.RoundTrip(r)
			if err == nil {
				err = resp.Body.Close()
			}
			failed <- err
		}()
		if sent := endless(far, frame(frameSettings, 0, 0, "")+frame(frameHeaders, 0, 1, "\x88")); sent >= most {
			t.Errorf("%d bytes are taken", sent)
		}
		if err := <-failed; err == nil {
			t.Error("the request is answered")
		}
	})
}

// A link whose other end takes nothing any more is closed, though nobody waits for what was written.
func TestStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		conn := newLinkConn(near, nil)
		if _, err := io.WriteString(conn, "nobody reads this"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(stuckAfter + time.Second)
		synctest.Wait()
		if n, err := far.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if _, err := io.WriteString(conn, "more"); err == nil {
			t.Error("it takes more")
		}
		_ = conn.Close()
	})
}

// What several writers write at the same time arrives whole and in order, and what was written before a close as well.
func TestLinkConnWrites(t *testing.T) {
	near, far := net.Pipe()
	conn := newLinkConn(near, nil)
	const blocks, size = 1000, 999
	go func() {
		for n := range blocks {
			if _, err := conn.Write([]byte(strings.Repeat(string(rune('a'+n%26)), size))); err != nil {
				t.Error(err)
			}
		}
		_ = conn.Close()
	}()
	all, err := io.ReadAll(far)
	if err != nil || len(all) != blocks*size {
		t.Fatalf("%d bytes, %v", len(all), err)
	}
	for n := range blocks {
		if want := byte('a' + n%26); all[n*size] != want || all[(n+1)*size-1] != want {
			t.Fatalf("block %d begins with %q", n, all[n*size])
		}
	}
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("a closed connection takes more")
	}
}

// Window updates may wait for company; nothing else may.
func TestWindowUpdatesWait(t *testing.T) {
	update := frame(8, 0, 0, "\x00\x00\x10\x00")
	for frames, want := range map[string]bool{
		update: true, update + update: true, update + update + update: false, "": false, update[:12]: false,
		frame(framePing, 0, 0, "12345678"): false, update + frame(frameData, 0, 1, "1234"): false,
	} {
		if got := windowUpdates([]byte(frames)); got != want {
			t.Errorf("%q: %t", frames, got)
		}
	}
	near, far := net.Pipe()
	conn := newLinkConn(near, nil)
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, update); err != nil {
		t.Fatal(err)
	}
	_ = far.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(far, make([]byte, len(update))); err != nil {
		t.Errorf("an update alone: %v", err)
	}
	_ = far.Close()
}
