package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Transport returns the way to the server of a connection. The host in a request's URL is passed on and never dialed. Requests
// for the paths that a link keeps for itself, in any spelling, are refused with [bridge.CodeLinkForbidden].
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
	if reserved(r.URL) {
		return nil, unsent(r, errReserved)
	}
	if r.Header.Get("Upgrade") != "" {
		return t.upgrades.RoundTrip(r)
	}
	l, err := t.links.take(t.connection)
	if err != nil {
		return nil, unsent(r, err)
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

// unsent closes the body of a request that is not sent, and returns why.
func unsent(r *http.Request, why error) error {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return why
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
