package tunnel

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
)

// bulkBytes is what makes a request a bulk transfer, so that small requests take another link.
const bulkBytes = 256 << 10

// Links are the links that a cloud has, by connection. The zero value is ready; its methods are safe for concurrent use.
type Links struct {
	// Changed is called after a link of a connection has come or gone. Nil means that nobody asks. Set it before the first link.
	Changed func(connection string)

	mu      sync.Mutex
	all     map[string][]*Link
	closing bool
	// turn makes links that are as free as each other take turns.
	turn atomic.Uint32
}

// Link is one link of a server.
type Link struct {
	connection string
	opened     time.Time
	client     *http.ClientConn
	open       atomic.Int32    // requests under way
	bulk       atomic.Int32    // those that have moved more than bulkBytes
	done       <-chan struct{} // closed with its connection
}

// Open returns how many requests are under way on the link.
func (l *Link) Open() int { return int(l.open.Load()) }

// Opened returns when the link was opened.
func (l *Link) Opened() time.Time { return l.opened }

func (l *Link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// why returns what a failure on the link means.
func (l *Link) why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if !l.ended() {
		return err
	}
	return bridge.E(bridge.Unreachable, bridge.CodeLinkLost, "the link to the server ended while it had this request").
		WithHint("look at what the request has done before sending it again")
}

func (ls *Links) add(l *Link) {
	ls.mu.Lock()
	if ls.closing {
		ls.mu.Unlock()
		_ = l.client.Close()
		return
	}
	if ls.all == nil {
		ls.all = map[string][]*Link{}
	}
	ls.all[l.connection] = append(ls.all[l.connection], l)
	ls.mu.Unlock()
	ls.changed(l.connection)
	go func() {
		<-l.done
		ls.remove(l)
	}()
}

func (ls *Links) remove(l *Link) {
	ls.mu.Lock()
	left := slices.DeleteFunc(ls.all[l.connection], func(other *Link) bool { return other == l })
	if ls.all[l.connection] = left; len(left) == 0 {
		delete(ls.all, l.connection)
	}
	ls.mu.Unlock()
	ls.changed(l.connection)
}

func (ls *Links) changed(connection string) {
	if ls.Changed != nil {
		ls.Changed(connection)
	}
}

// Of returns the open links of a connection.
func (ls *Links) Of(connection string) []*Link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Clone(ls.all[connection])
}

// Cut closes the links of a connection at once, as when it is gone.
func (ls *Links) Cut(connection string) {
	for _, l := range ls.Of(connection) {
		_ = l.client.Close()
	}
}

// Drain takes no more links and requests, and lets requests finish until ctx ends. It closes each link as soon as it is free, so
// that its server dials another replica.
func (ls *Links) Drain(ctx context.Context) {
	ls.mu.Lock()
	ls.closing = true
	all := slices.Concat(slices.Collect(maps.Values(ls.all))...)
	ls.mu.Unlock()
	var wg sync.WaitGroup
	for _, l := range all {
		wg.Go(func() {
			free := make(chan struct{}, 1)
			l.client.SetStateHook(func(*http.ClientConn) {
				select {
				case free <- struct{}{}:
				default:
				}
			})
			for l.client.InFlight() > 0 && ctx.Err() == nil {
				select {
				case <-free:
				case <-l.done:
				case <-ctx.Done():
				}
			}
			_ = l.client.Close()
		})
	}
	wg.Wait()
}

var errClosing = bridge.E(bridge.Unavailable, bridge.CodeStopping, "this cloud is stopping")

// take reserves a request on the freest link of a connection: without bulk transfers, then with the fewest requests.
func (ls *Links) take(connection string) (*Link, error) {
	all := slices.DeleteFunc(ls.Of(connection), (*Link).ended)
	if len(all) == 0 {
		return nil, bridge.E(bridge.Unreachable, bridge.CodeNoLink, "the server has no link to this cloud").
			WithHint("look at `ace server` on its machine: it says why the link is down")
	}
	turn := int(ls.turn.Add(1)) % len(all)
	all = append(all[turn:], all[:turn]...)
	slices.SortStableFunc(all, func(a, b *Link) int {
		if busy := int(min(a.bulk.Load(), 1) - min(b.bulk.Load(), 1)); busy != 0 {
			return busy
		}
		return int(a.open.Load() - b.open.Load())
	})
	for _, l := range all {
		switch err := ls.reserve(l); {
		case errors.Is(err, errClosing):
			return nil, err
		case err == nil:
			return l, nil
		}
	}
	return nil, &bridge.Error{Kind: bridge.Unavailable, Code: bridge.CodeLinkBusy, Detail: "the links of the server take no more requests at the moment",
		RetryAfter: time.Second}
}

// reserve reserves a request on a link. [Links.Drain] waits for what was reserved before it.
func (ls *Links) reserve(l *Link) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closing {
		return errClosing
	}
	if err := l.client.Reserve(); err != nil {
		return err
	}
	l.open.Add(1)
	return nil
}

// Transport returns the way to the server of a connection. The host in a request's URL is passed on and never dialed.
func (ls *Links) Transport(connection string) http.RoundTripper {
	t := &transport{links: ls, connection: connection}
	t.upgrades = &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: headerBytes,
		DialContext:    func(ctx context.Context, _, _ string) (net.Conn, error) { return t.stream(ctx) },
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return t.stream(ctx) }}
	return t
}

type transport struct {
	links      *Links
	connection string
	upgrades   *http.Transport // carries each request as HTTP/1.1 in a stream of a link
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.upgrades.RoundTrip(r)
	}
	l, err := t.links.take(t.connection)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	moved := &transfer{link: l}
	if r.Body != nil && r.Body != http.NoBody {
		sent := *r
		sent.Body = &requestBody{r.Body, moved}
		r = &sent
	}
	resp, err := l.client.RoundTrip(r)
	if err != nil {
		moved.end()
		return nil, l.why(r.Context(), err)
	}
	resp.Body = &responseBody{ReadCloser: resp.Body, transfer: moved, ctx: r.Context()}
	return resp, nil
}

// transfer counts what one request moves, both ways.
type transfer struct {
	link  *Link
	bytes atomic.Int64
	bulk  atomic.Bool
	once  sync.Once
}

func (t *transfer) add(n int) {
	if t.bytes.Add(int64(n)) > bulkBytes && t.bulk.CompareAndSwap(false, true) {
		t.link.bulk.Add(1)
	}
}

func (t *transfer) end() {
	t.once.Do(func() {
		t.link.open.Add(-1)
		if t.bulk.Swap(true) {
			t.link.bulk.Add(-1)
		}
	})
}

type requestBody struct {
	io.ReadCloser

	transfer *transfer
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.transfer.add(n)
	return n, err
}

type responseBody struct {
	io.ReadCloser
	*transfer

	ctx context.Context //nolint:containedctx // of the request that this answers
}

func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.add(n)
	if err != nil {
		b.end()
		if !errors.Is(err, io.EOF) {
			err = b.link.why(b.ctx, err)
		}
	}
	return n, err
}

func (b *responseBody) Close() error {
	b.end()
	return b.ReadCloser.Close()
}

// stream opens an HTTP/1.1 connection to the server's handler, within a link.
func (t *transport) stream(dial context.Context) (net.Conn, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(dial))
	out, in := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+Protocol+streamPath, out)
	if err != nil {
		cancel()
		return nil, err
	}
	l, err := t.links.take(t.connection)
	if err != nil {
		cancel()
		return nil, err
	}
	inDial := context.AfterFunc(dial, cancel)
	resp, err := l.client.RoundTrip(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.Join(errStream, resp.Body.Close())
	}
	if !inDial() && err == nil {
		err = errors.Join(context.Cause(dial), resp.Body.Close())
	}
	if err != nil {
		cancel()
		l.open.Add(-1)
		return nil, l.why(dial, err)
	}
	return &streamConn{link: l, body: resp.Body, in: in, cancel: cancel}, nil
}

var errStream = errors.New("the server's end of the link takes no upgrades")

// streamConn is an HTTP/1.1 connection within a link. Deadlines are the link's own.
type streamConn struct {
	link   *Link
	body   io.ReadCloser
	in     *io.PipeWriter
	cancel context.CancelFunc
	once   sync.Once
}

func (c *streamConn) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = c.link.why(context.Background(), err)
	}
	return n, err
}

func (c *streamConn) Write(p []byte) (int, error) { return c.in.Write(p) }

// Close ends the stream, in both directions.
func (c *streamConn) Close() error {
	c.once.Do(func() {
		_ = c.in.Close()
		c.cancel()
		_ = c.body.Close()
		c.link.open.Add(-1)
	})
	return nil
}

func (c *streamConn) LocalAddr() net.Addr              { return linkAddr{} }
func (c *streamConn) RemoteAddr() net.Addr             { return linkAddr{} }
func (c *streamConn) SetDeadline(time.Time) error      { return nil }
func (c *streamConn) SetReadDeadline(time.Time) error  { return nil }
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }
