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
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/who"
)

const (
	maxTargets    = 1024
	targetIdle    = 2 * time.Minute
	targetConns   = 64 // idle connections per server
	suspectPause  = 5 * time.Second
	relayBuffer   = 16 << 10
	continueAfter = time.Second // how long a request with Expect: 100-continue waits before it sends its body anyway
)

// relayTarget is the server of one connection. It has its own transport for direct calls, so that a slow or busy server affects nobody else.
type relayTarget struct {
	server    bridge.ServerURL
	url       *url.URL
	proxy     *httputil.ReverseProxy
	transport *http.Transport
	used      time.Time
	suspected time.Time // when it was last probed after a failure
}

// relayTargets are the targets in use, by connection. A connection whose URL changes gets another target.
type relayTargets struct {
	rules  outbound.Rules
	links  *links.Links
	limits who.RelayLimits
	proxy  httputil.ReverseProxy // template of a target's proxy, without the transport
	mu     sync.Mutex
	all    *simplelru.LRU[string, *relayTarget]
}

// get returns a connection's target, creating it if needed.
func (t *relayTargets) get(connection string, server bridge.ServerURL, now time.Time) *relayTarget {
	t.mu.Lock()
	defer t.mu.Unlock()
	target, _ := t.all.Get(connection)
	if target == nil || target.server != server {
		t.all.Remove(connection)
		target = t.newTarget(connection, server)
		t.all.Add(connection, target)
	}
	target.used = now
	return target
}

func (t *relayTargets) newTarget(connection string, server bridge.ServerURL) *relayTarget {
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
	way := t.links.Way(connection, server, &direct{transport, server.URL().Scheme != "https" && !t.rules.Plain(server)})
	way.Answer, way.Silence = t.limits.Answer, t.limits.Silence
	proxy.Transport = &relayTransport{next: way}
	target.proxy = &proxy
	return target
}

// forget drops the target of a connection that was removed. Calls in progress continue.
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

// suspect reports whether to probe a target after a failure; it says yes at most once in suspectPause.
func (t *relayTargets) suspect(target *relayTarget, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(target.suspected) < suspectPause {
		return false
	}
	target.suspected = now
	return true
}

// relayTransport hides informational responses (1xx) from httputil.ReverseProxy, which would forward them with any headers and
// lose ours. [http.Transport] skips them, up to a limit.
type relayTransport struct{ next http.RoundTripper }

func (t *relayTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r.WithContext(quietContext{r.Context()}))
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// direct calls a server without a link. It refuses plain http where cloud/outbound does; that is decided once, since a target has a
// single server.
type direct struct {
	*http.Transport

	blocked bool
}

func (t *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.blocked {
		return nil, outbound.ErrBlocked
	}
	return t.Transport.RoundTrip(r)
}

// quietContext ends with its parent but has none of its values, such as the hooks of net/http/httptrace.
type quietContext struct{ context.Context }

// Value implements context.Context.
func (quietContext) Value(any) any { return nil }

// AfterFunc lets derived contexts end with this one without a goroutine each.
func (c quietContext) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.Context, f) }

// watchedConn closes after some time without any traffic. That is the only limit on a stream.
type watchedConn struct {
	net.Conn
	silence time.Duration
	set     atomic.Int64 // when the deadline was last set, in nanoseconds since 1970
}

// touch postpones the deadline. It is called for each piece of traffic but acts only once in a sixteenth of the silence.
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
