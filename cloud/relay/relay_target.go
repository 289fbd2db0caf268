package relay

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/who"
)

const (
	maxTargets    = 1024
	targetIdle    = 2 * time.Minute
	targetConns   = 64 // idle ones
	suspectPause  = 5 * time.Second
	relayBuffer   = 16 << 10
	continueAfter = time.Second // how long a body waits for the server to ask for it, where the client lets it
)

// relayTarget is the server of one connection, with a transport of its own: what is slow or full there is so for nobody else.
type relayTarget struct {
	server    bridge.ServerURL
	url       *url.URL
	proxy     *httputil.ReverseProxy
	transport *http.Transport
	used      time.Time
	suspected time.Time // when it was last to be probed
}

// relayTargets are those in use, by the connection's ID. A connection that has been given another URL gets another target.
type relayTargets struct {
	rules  outbound.Rules
	limits who.RelayLimits
	proxy  httputil.ReverseProxy // that of a target, but for the transport
	mu     sync.Mutex
	all    *simplelru.LRU[string, *relayTarget]
}

func (t *relayTargets) get(connection string, server bridge.ServerURL, now time.Time) *relayTarget {
	t.mu.Lock()
	defer t.mu.Unlock()
	target, _ := t.all.Get(connection)
	if target == nil || target.server != server {
		t.all.Remove(connection)
		target = t.newTarget(server)
		t.all.Add(connection, target)
	}
	target.used = now
	return target
}

func (t *relayTargets) newTarget(server bridge.ServerURL) *relayTarget {
	transport := t.rules.Transport()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watchedConn{Conn: conn, silence: t.limits.Silence}, nil
	}
	transport.ResponseHeaderTimeout = t.limits.Answer
	transport.ExpectContinueTimeout = continueAfter
	transport.MaxIdleConnsPerHost = targetConns
	transport.ReadBufferSize, transport.WriteBufferSize = relayBuffer, relayBuffer
	target := &relayTarget{server: server, url: server.URL(), transport: transport}
	proxy := t.proxy
	proxy.Transport = &relayTransport{next: transport, blocked: server.URL().Scheme != "https" && !t.rules.Plain(server)}
	target.proxy = &proxy
	return target
}

// forget drops the target of a connection that is gone. What is under way there goes on.
func (t *relayTargets) forget(connection string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all.Remove(connection)
}

// forgetUnused drops the targets that were last used before since.
func (t *relayTargets) forgetUnused(since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if _, oldest, ok := t.all.GetOldest(); !ok || !oldest.used.Before(since) {
			return
		}
		t.all.RemoveOldest()
	}
}

// suspect reports whether a target that has failed is to be probed now.
func (t *relayTargets) suspect(target *relayTarget, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(target.suspected) < suspectPause {
		return false
	}
	target.suspected = now
	return true
}

// relayTransport keeps httputil.ReverseProxy from seeing informational answers (1xx), which it would hand to the client with
// whatever headers they have, and which would take ours with them. [http.Transport] reads past them, up to a bound.
//
// It is [httpsOnly] as well, which it finds out once, since a target has one server.
type relayTransport struct {
	next    *http.Transport
	blocked bool
}

func (t *relayTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.blocked {
		return nil, outbound.ErrBlocked
	}
	resp, err := t.next.RoundTrip(r.WithContext(quietContext{r.Context()}))
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// quietContext ends when the one below does and has none of its values, of which net/http/httptrace's hooks are one.
type quietContext struct{ context.Context }

// Value implements context.Context.
func (quietContext) Value(any) any { return nil }

// AfterFunc lets contexts that are made from this one end with it without a goroutine.
func (c quietContext) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.Context, f) }

// watchedConn ends when nothing has come or gone for a time. That is the only limit on a stream.
type watchedConn struct {
	net.Conn
	silence time.Duration
	set     atomic.Int64 // when the deadline was set, nanoseconds since 1970
}

// touch puts the deadline off. It is called for each piece that passes, and acts on few.
func (c *watchedConn) touch() {
	const few = 16
	now := time.Now()
	if last := c.set.Load(); now.UnixNano()-last > int64(c.silence/few) && c.set.CompareAndSwap(last, now.UnixNano()) {
		_ = c.SetDeadline(now.Add(c.silence))
	}
}

func (c *watchedConn) Read(p []byte) (int, error) {
	c.touch()
	n, err := c.Conn.Read(p)
	if err == nil {
		c.touch()
	}
	return n, err
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.touch()
	return c.Conn.Write(p)
}
