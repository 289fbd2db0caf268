package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// bufferBytes is how much a link takes to write before its writers wait.
	bufferBytes = 128 << 10
	// creditWait is how long window updates wait for more to write, and creditWrites how many of them wait at most. A window
	// is far larger than what they are late for.
	creditWait   = time.Millisecond
	creditWrites = 8
	// lastWords is how long a closed link may take to send what was written before.
	lastWords = time.Second
)

// linkAddr is the address of what comes over a link: no client's address is known there.
type linkAddr struct{}

func (linkAddr) Network() string { return Protocol }
func (linkAddr) String() string  { return Protocol }

// linkConn is the connection of a link. It tells when it is closed.
//
// A goroutine of its own writes to the network, so that the frames of many requests share a system call and a TLS record.
// A write that makes no progress for stuckAfter closes the connection.
type linkConn struct {
	net.Conn

	reader *bufio.Reader // what net/http has read ahead before the upgrade; may be nil
	once   sync.Once
	ended  chan struct{} // closed with it
	used   atomic.Bool   // something has been read
	up     func()        // called when it is; may be nil

	mu      sync.Mutex
	change  sync.Cond // of the fields below
	pending *[]byte   // to be written; nil: nothing
	credits int       // writes in pending, when all of them are window updates
	urgent  bool      // something else is pending
	closed  bool
	err     error
	timer   *time.Timer // ends creditWait
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func newLinkConn(conn net.Conn, reader *bufio.Reader) *linkConn {
	c := &linkConn{Conn: conn, reader: reader, ended: make(chan struct{})}
	c.change.L = &c.mu
	go c.send()
	return c
}

// Read implements [net.Conn].
func (c *linkConn) Read(p []byte) (int, error) {
	if c.reader != nil {
		if c.reader.Buffered() > 0 {
			return c.reader.Read(p)
		}
		c.reader = nil
	}
	n, err := c.Conn.Read(p)
	if n > 0 && !c.used.Load() {
		if c.used.Store(true); c.up != nil {
			c.up()
		}
	}
	return n, err
}

// Write implements [net.Conn]. What it returns is of an earlier write.
func (c *linkConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending != nil && len(*c.pending) >= bufferBytes && c.err == nil && !c.closed {
		c.change.Wait()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	if c.pending == nil {
		c.pending, _ = buffers.Get().(*[]byte)
	}
	*c.pending = append(*c.pending, p...)
	if !c.urgent && windowUpdates(p) {
		if c.credits++; c.credits < creditWrites {
			if c.credits == 1 {
				c.later()
			}
			return len(p), nil
		}
	}
	c.flush()
	return len(p), nil
}

// flush has all that is pending written now. The caller holds mu.
func (c *linkConn) flush() {
	if !c.urgent {
		c.urgent = true
		c.change.Broadcast()
	}
}

// later has all that is pending written after creditWait. The caller holds mu.
func (c *linkConn) later() {
	if c.timer != nil {
		c.timer.Reset(creditWait)
		return
	}
	c.timer = time.AfterFunc(creditWait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.credits > 0 {
			c.flush()
		}
	})
}

// windowUpdates reports whether frames are WINDOW_UPDATE and nothing else (RFC 9113 §6.9). Nothing waits for one of them.
func windowUpdates(frames []byte) bool {
	const size, kind = 13, 8
	if len(frames) == 0 || len(frames)%size != 0 || len(frames) > 2*size {
		return false
	}
	for ; len(frames) > 0; frames = frames[size:] {
		if frames[0] != 0 || frames[1] != 0 || frames[2] != 4 || frames[3] != kind {
			return false
		}
	}
	return true
}

// send writes what is pending, until the connection is closed.
func (c *linkConn) send() {
	defer func() { _ = c.Conn.Close() }() // the reader notices
	var until time.Time                   // of the write deadline
	for c.wait() {
		runtime.Gosched() // who is about to write as well writes first
		out := c.take(&until)
		err := c.write(*out)
		*out = (*out)[:0]
		buffers.Put(out)
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.change.Broadcast()
			c.mu.Unlock()
		}
	}
}

// wait reports whether there is something to write, now or later.
func (c *linkConn) wait() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.urgent && !c.closed && c.err == nil {
		c.change.Wait()
	}
	return c.err == nil && c.pending != nil
}

// take takes what is pending. A write deadline is moved only now and then, because that is costly.
func (c *linkConn) take(until *time.Time) *[]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.pending
	c.pending, c.urgent, c.credits = nil, false, 0
	c.change.Broadcast()
	if now := time.Now(); !c.closed && until.Sub(now) < stuckAfter-time.Second {
		*until = now.Add(stuckAfter)
		_ = c.Conn.SetWriteDeadline(*until)
	}
	return out
}

func (c *linkConn) write(p []byte) error {
	var under *corked
	if secure, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		under, _ = secure.NetConn().(*corked)
	}
	if under == nil {
		_, err := c.Conn.Write(p)
		return err
	}
	under.cork()
	_, err := c.Conn.Write(p)
	if sent := under.uncork(); err == nil {
		err = sent
	}
	return err
}

// Close implements [net.Conn]. What was written before is still sent, unless that takes long.
func (c *linkConn) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		c.closed = true
		_ = c.Conn.SetDeadline(time.Now().Add(lastWords))
		c.change.Broadcast()
		c.mu.Unlock()
		close(c.ended)
	})
	return nil
}

// RemoteAddr implements [net.Conn].
func (c *linkConn) RemoteAddr() net.Addr { return linkAddr{} }

// SetDeadline implements [net.Conn]. Writes have a deadline of their own.
func (c *linkConn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }

// SetWriteDeadline implements [net.Conn]. Writes have a deadline of their own.
func (c *linkConn) SetWriteDeadline(time.Time) error { return nil }

// corked is a network connection below TLS. It sends the records of a write together.
type corked struct {
	net.Conn

	mu   sync.Mutex
	on   bool
	held *[]byte
}

// Write implements [net.Conn].
func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on {
		return c.Conn.Write(p)
	}
	*c.held = append(*c.held, p...)
	return len(p), nil
}

func (c *corked) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = true
	c.held, _ = buffers.Get().(*[]byte)
}

func (c *corked) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Conn.Write(*c.held)
	*c.held = (*c.held)[:0]
	buffers.Put(c.held)
	c.on, c.held = false, nil
	return err
}

// below returns the connection below TLS, or nil.
func below(conn net.Conn) net.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return nil
}

// socketConn is the connection that a WebSocket's binary messages make.
type socketConn struct {
	net.Conn

	ws    *websocket.Conn
	under net.Conn // that it was upgraded from; nil: unknown
}

func newSocketConn(ws *websocket.Conn, under net.Conn) socketConn {
	return socketConn{websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws, under}
}

// NetConn returns the connection below TLS, if there is TLS.
func (c socketConn) NetConn() net.Conn { return below(c.under) }

// Close implements [net.Conn]. It waits for nobody, unlike the closing handshake of RFC 6455 §7.
func (c socketConn) Close() error {
	_ = c.ws.CloseNow()
	return c.Conn.Close()
}
