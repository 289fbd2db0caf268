package tunnel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"

	"github.com/coder/websocket"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

const (
	// A server that meets a replica of the cloud at which it has a link already looks for another one: again and again if it
	// knows that there are others, once if it does not.
	looksKnown, looksUnknown = 3, 1
	maxReplica               = 64
)

var (
	errSlow = errors.New("the cloud does not answer in time")
	errHeld = errors.New("this replica of the cloud holds a link already")
)

// dial opens a link at a replica of the cloud where the server has none yet, if it finds one.
//
// It reports as well whether something on the way does not let this kind of upgrade through.
func (d *Dialer) dial(ctx context.Context, n int, socket bool) (conn net.Conn, barred bool, err error) {
	for look := 0; ; look++ {
		conn, barred, err = d.open(ctx, n, socket, look >= d.looks())
		if !errors.Is(err, errHeld) {
			return conn, barred, err
		}
	}
}

// open asks for a challenge, and comes back over the same connection with the signed one. With last, any replica is good enough.
func (d *Dialer) open(ctx context.Context, n int, socket, last bool) (net.Conn, bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errSlow)
	defer cancel()
	var conn net.Conn
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { conn = got.Conn }})
	leave := func(err error) (net.Conn, bool, error) {
		if conn != nil {
			_ = conn.Close() // so that the next one may come to another replica
		}
		return nil, false, err
	}
	header := http.Header{}
	if !socket {
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", Protocol)
	}
	what := call{purpose: Open, slot: n, method: http.MethodGet, path: d.cfg.Path}
	authorization, replica, err := d.challenge(ctx, what, header)
	if err != nil {
		return nil, conn != nil && bars(err), err
	}
	if !d.claim(n, replica, last) {
		return leave(errHeld)
	}
	header.Set("Authorization", authorization)
	up, replica, err := d.switched(ctx, header, socket, &conn)
	if err != nil {
		return nil, conn != nil && bars(err), err
	}
	if !d.claim(n, replica, last) {
		_ = up.Close()
		return leave(errHeld)
	}
	return up, false, nil
}

// switched sends the request that makes a connection a link, and returns the replica of the cloud that has taken it.
func (d *Dialer) switched(ctx context.Context, header http.Header, socket bool, conn *net.Conn) (up net.Conn, replica string, err error) {
	if socket {
		client := &http.Client{Transport: d.client, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		ws, resp, err := websocket.Dial(ctx, string(d.cfg.Cloud)+d.cfg.Path, //nolint:bodyclose // documented: nobody has to
			&websocket.DialOptions{HTTPClient: client, HTTPHeader: header, Subprotocols: []string{Protocol}})
		switch {
		case err != nil && resp != nil && resp.Body != nil && resp.StatusCode != http.StatusSwitchingProtocols:
			return nil, "", d.refused(resp)
		case err != nil:
			return nil, "", d.unreachable(ctx, err)
		}
		return newSocketConn(ws, *conn), resp.Header.Get(headerReplica), nil
	}
	resp, err := d.ask(ctx, call{method: http.MethodGet, path: d.cfg.Path}, header)
	if err != nil {
		return nil, "", err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, "", d.refused(resp)
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(resp.Header.Get("Upgrade"), Protocol) {
		_ = resp.Body.Close()
		return nil, "", foreign{bridge.E(bridge.Unavailable, bridge.CodeLinkRefused, "what answers at the cloud's address switches to another protocol")}
	}
	return &upgraded{Conn: *conn, stream: stream}, resp.Header.Get(headerReplica), nil
}

// refused is why the cloud opens no link.
func (d *Dialer) refused(resp *http.Response) error {
	if token := resp.Header.Get(api.HeaderStatement); token != "" && d.cfg.Statement != nil {
		d.cfg.Statement(bridge.NewSecret(token))
	}
	return refusal(resp)
}

// foreign is an answer that is not the cloud's.
type foreign struct{ error }

func (f foreign) Unwrap() error { return f.error }

// bars reports whether a failure on an open connection may be because something on the way does not let an upgrade through.
func bars(err error) bool {
	switch code := bridge.CodeOf(err); code {
	case bridge.CodeCloudUnreachable, bridge.CodeLinkWanted: // broken off, or asked for something else
		return true
	default:
		_, ok := errors.AsType[foreign](err)
		return ok
	}
}

// looks returns how often to look for another replica of the cloud.
func (d *Dialer) looks() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.several {
		return looksKnown
	}
	return looksUnknown
}

// claim notes the replica that link n comes to, unless another link is there and this is not the last look.
func (d *Dialer) claim(n int, replica string, last bool) bool {
	if replica == "" || len(replica) > maxReplica {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, held := range d.claims {
		if i == n || held == "" {
			continue
		}
		if held != replica {
			d.several = true
		} else if !last {
			return false
		}
	}
	d.claims[n], d.links[n].Replica = replica, replica
	return true
}

// Call sends the cloud a request that the link's key signs, and returns the body of its answer.
func (d *Dialer) Call(ctx context.Context, purpose Purpose, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errSlow)
	defer cancel()
	what := call{purpose: purpose, method: method, path: path, body: body}
	authorization, _, err := d.challenge(ctx, what, nil)
	if err != nil {
		return nil, err
	}
	resp, err := d.ask(ctx, what, http.Header{"Authorization": {authorization}})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, refusal(resp)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, api.MaxProblem))
	if err != nil {
		return nil, bridge.E(bridge.Unreachable, bridge.CodeCloudUnreachable, "the cloud %s has not finished its answer: %v", d.cfg.Cloud, err)
	}
	return answer, nil
}

// call is a request to the cloud, and what it is signed for.
type call struct {
	purpose      Purpose
	slot         int // of the link that it opens
	method, path string
	body         []byte
}

// challenge asks for a challenge and returns it signed, with the replica of the cloud that has set it.
func (d *Dialer) challenge(ctx context.Context, what call, header http.Header) (authorization, replica string, err error) {
	resp, err := d.ask(ctx, what, header)
	if err != nil {
		return "", "", err
	}
	challenge, ok := challengeIn(resp.Header)
	if resp.StatusCode != http.StatusUnauthorized || !ok {
		return "", "", refusal(resp)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, headerBytes) // so that the connection is used again
	_ = resp.Body.Close()
	p := proof{keyID: d.cfg.KeyID, instance: d.cfg.Instance, slot: what.slot, replicas: d.cfg.Replicas, challenge: challenge}
	p.signature = ed25519.Sign(d.cfg.Key, p.signed(d.cfg.Cloud, what.purpose, what.body))
	return p.header(), resp.Header.Get(headerReplica), nil
}

func (d *Dialer) ask(ctx context.Context, what call, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, what.method, string(d.cfg.Cloud)+what.path, bytes.NewReader(what.body))
	if err != nil {
		return nil, fmt.Errorf("write a request to the cloud: %w", err)
	}
	if header != nil {
		r.Header = header.Clone()
	}
	if len(what.body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := d.client.RoundTrip(r)
	if err != nil {
		return nil, d.unreachable(ctx, err)
	}
	return resp, nil
}

func (d *Dialer) unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return bridge.E(bridge.Unreachable, bridge.CodeCloudUnreachable, "the cloud %s cannot be reached: %v", d.cfg.Cloud, err)
}

// refusal is why the cloud, or what stands in front of it, has not done what it was asked.
func refusal(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	err := api.ReadProblem(resp)
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch overloaded := resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusGatewayTimeout; {
	case mediaType == api.ContentTypeProblem, overloaded, resp.StatusCode == http.StatusTooManyRequests:
		return err
	}
	return foreign{err}
}

// upgraded is a connection that has been upgraded: what net/http has read of it already comes first.
type upgraded struct {
	net.Conn

	stream io.ReadWriteCloser
}

func (u *upgraded) Read(p []byte) (int, error)  { return u.stream.Read(p) }
func (u *upgraded) Write(p []byte) (int, error) { return u.stream.Write(p) }
func (u *upgraded) Close() error                { return u.stream.Close() }

// NetConn returns the connection below TLS, if there is TLS.
func (u *upgraded) NetConn() net.Conn { return below(u.Conn) }
