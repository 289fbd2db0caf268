package serving

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
)

// ConnLimits bound what clients may hold; zero values are the defaults.
type ConnLimits struct {
	// Total and PerAddress bound simultaneous connections: 16,384 in all, and 2,048 from one address (an IPv6 /64). Excess
	// ones are closed at once. Loopback and Proxies, which stand for many people, count only towards Total.
	Total, PerAddress int
	Proxies           []netip.Prefix
	// Stuck is how long a client may accept none of what is written to it: 30 s. The clock runs during a write and restarts
	// with each piece that is accepted, so it limits neither the silence of a stream nor the length of a download.
	Stuck time.Duration
}

const (
	defaultConns   = 16 << 10
	defaultPerAddr = 2 << 10
	defaultStuck   = 30 * time.Second
	writePiece     = 64 << 10 // bytes to be accepted within Stuck
	sayFullEvery   = time.Minute
)

// Bound returns a listener that enforces limits on its connections.
func Bound(ln net.Listener, limits ConnLimits, log *slog.Logger) net.Listener {
	limits.Total, limits.PerAddress = cmp.Or(limits.Total, defaultConns), cmp.Or(limits.PerAddress, defaultPerAddr)
	limits.Stuck = cmp.Or(limits.Stuck, defaultStuck)
	return &boundListener{Listener: ln, limits: limits, log: log, from: map[string]int{}}
}

// boundListener counts connections, in all and per address.
type boundListener struct {
	net.Listener
	limits ConnLimits
	log    *slog.Logger
	mu     sync.Mutex
	total  int
	from   map[string]int
	said   time.Time
}

// Accept implements net.Listener.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key := l.key(conn.RemoteAddr())
		if l.take(key) {
			return &boundConn{Conn: conn, of: l, key: key}, nil
		}
		_ = conn.Close()
	}
}

// key is the address that a connection counts towards; "" if it counts only towards the total.
func (l *boundListener) key(a net.Addr) string {
	peer, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return ""
	}
	addr := peer.Addr().Unmap()
	if addr.IsLoopback() || slices.ContainsFunc(l.limits.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return ""
	}
	return bridge.AddressKey(addr.String())
}

// take counts a connection, or reports that there is no room for it.
func (l *boundListener) take(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.limits.Total || key != "" && l.from[key] >= l.limits.PerAddress {
		if now := time.Now(); now.Sub(l.said) > sayFullEvery {
			l.said = now
			l.log.Warn("connections are refused: there are too many", "total", l.total, "from", key, "from_there", l.from[key])
		}
		return false
	}
	l.total++
	if key != "" {
		l.from[key]++
	}
	return true
}

func (l *boundListener) free(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if key == "" {
		return
	}
	if l.from[key]--; l.from[key] == 0 {
		delete(l.from, key)
	}
}

// boundConn is a connection whose client must keep accepting what is written.
type boundConn struct {
	net.Conn
	of     *boundListener
	key    string
	closed sync.Once
	busy   atomic.Bool // a request is being answered
	last   atomic.Bool // no further request is read

	mu       sync.Mutex
	deadline time.Time // set by others, such as net/http
}

// arm sets the deadline for the next piece, and reports whether one that others set has passed.
func (c *boundConn) arm() (passed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	until := now.Add(c.of.limits.Stuck)
	if !c.deadline.IsZero() && c.deadline.Before(until) {
		until, passed = c.deadline, !now.Before(c.deadline)
	}
	_ = c.Conn.SetWriteDeadline(until)
	return passed
}

// Read implements net.Conn.
func (c *boundConn) Read(p []byte) (int, error) {
	if c.last.Load() {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *boundConn) Write(p []byte) (n int, err error) {
	c.arm()
	for {
		m, err := c.Conn.Write(p[n:min(len(p), n+writePiece)])
		n += m
		if err == nil && n == len(p) {
			return n, nil
		}
		if err != nil && (m == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			if !c.arm() && errors.Is(err, os.ErrDeadlineExceeded) {
				c.drop()
			}
			return n, err
		}
		if passed := c.arm(); err != nil && passed {
			return n, err
		}
	}
}

// drop closes a connection whose client accepts nothing. Unsent data is discarded.
func (c *boundConn) drop() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// SetWriteDeadline implements net.Conn.
func (c *boundConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *boundConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

// Close implements net.Conn.
func (c *boundConn) Close() error {
	c.closed.Do(func() { c.of.free(c.key) })
	return c.Conn.Close()
}

// CloseWrite lets net/http finish a response before closing.
func (c *boundConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// takeSteadily bounds writes over HTTP/2, where a stream can stall while its connection does not.
func takeSteadily(next http.Handler, stuck time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		// The rest is sent after the handler returns.
		defer func() { _ = control.SetWriteDeadline(time.Now().Add(stuck)) }()
		next.ServeHTTP(&steadyWriter{w, control, stuck}, r)
	})
}

type steadyWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stuck   time.Duration
}

// Unwrap lets http.ResponseController reach the underlying writer.
func (w *steadyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements http.ResponseWriter.
func (w *steadyWriter) Write(p []byte) (n int, err error) {
	for {
		var m int
		err = w.within(func() (err error) {
			m, err = w.ResponseWriter.Write(p[n:min(len(p), n+writePiece)])
			return err
		})
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// Flush implements http.Flusher.
func (w *steadyWriter) Flush() { _ = w.FlushError() }

// FlushError implements what http.ResponseController looks for.
func (w *steadyWriter) FlushError() error { return w.within(w.control.Flush) }

// within runs do under a write deadline and lifts it afterwards, since it would end a stream that is silent.
func (w *steadyWriter) within(do func() error) error {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stuck))
	err := do()
	_ = w.control.SetWriteDeadline(time.Time{})
	return err
}
