package tunnel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

const (
	// DefaultLinks is how many links a server keeps unless it is told otherwise.
	DefaultLinks = 2
	// MaxLinks is how many links a server may keep.
	MaxLinks = 4

	dialTimeout = 15 * time.Second
	// A lost link is dialed again after a random time of up to waitFirst, and up to twice as long after each failure.
	waitFirst = 3 * time.Second
	waitMost  = 10 * time.Second
	// steady is how long a link has to last for the waits to start over.
	steady = 10 * time.Second
	// refusedWait is the shortest wait after the cloud has refused the credential.
	refusedWait = 5 * time.Second
)

// DialerConfig says what a server links to, and what it serves there.
type DialerConfig struct {
	// Cloud is the cloud's public URL: https, or http on loopback. Required. It is what the key signs.
	Cloud bridge.ServerURL
	// Path is that of the cloud's [Acceptor]. Required.
	Path string
	// KeyID is the ID of the API key of the connection that the links are for. Required.
	KeyID string
	// Key signs the cloud's challenges. Required.
	Key ed25519.PrivateKey
	// Handler answers what comes over the links. Required.
	Handler http.Handler
	// Links is how many to keep, up to [MaxLinks]; 0 means [DefaultLinks].
	Links int
	// Transport dials the cloud: proxies, trusted certificates. Nil means [http.DefaultTransport]'s settings. TLS is 1.3 at least.
	Transport *http.Transport
	// Statement takes the signed revocation of the API key, which the cloud sends where it refuses a link because the connection is
	// gone. It may come again and again. Nil means that nobody asks.
	Statement func(token bridge.Secret)
	// Log takes what happens to links. Required.
	Log *slog.Logger
}

// Dialer keeps a server's links to its cloud up. Its methods are safe for concurrent use.
type Dialer struct {
	cfg    DialerConfig
	client *http.Transport
	server *server

	mu    sync.Mutex
	links []State
}

// State is how one of a server's links is.
type State struct {
	Up         bool
	Since      time.Time // of the current state
	Reconnects int       // how often the link came up again
	Cause      error     // why it is not up; nil when it is or was never tried
}

// NewDialer checks a configuration. [Dialer.Run] opens the links.
func NewDialer(cfg DialerConfig) (*Dialer, error) {
	if cfg.Links == 0 {
		cfg.Links = DefaultLinks
	}
	if cfg.Links < 1 || cfg.Links > MaxLinks || cfg.KeyID == "" || len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("a link wants the ID of an API key, an Ed25519 key, and 1 to %d links", MaxLinks)
	}
	if cfg.Cloud.URL().Scheme != "https" && !cfg.Cloud.Loopback() {
		return nil, bridge.E(bridge.Invalid, bridge.CodeLinkPlain, "a link goes over https, and the cloud's URL is %s", cfg.Cloud).
			WithHint("give the server the https URL of its cloud")
	}
	client := cfg.Transport
	if client == nil {
		client = http.DefaultTransport.(*http.Transport) //nolint:forcetypeassert // documented
	}
	client = client.Clone()
	dial := client.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	client.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &corked{Conn: conn}, nil
	}
	client.DisableKeepAlives = false
	client.MaxIdleConnsPerHost = cfg.Links
	client.ForceAttemptHTTP2 = false // an upgrade is HTTP/1.1's (RFC 9110 §7.8)
	client.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if client.TLSClientConfig == nil {
		client.TLSClientConfig = &tls.Config{} //nolint:gosec // MinVersion follows
	}
	client.TLSClientConfig.MinVersion, client.TLSClientConfig.NextProtos = tls.VersionTLS13, []string{"http/1.1"}
	now := time.Now()
	links := make([]State, cfg.Links)
	for i := range links {
		links[i].Since = now
	}
	return &Dialer{cfg: cfg, client: client, server: newServer(cfg.Handler, cfg.Log), links: links}, nil
}

// States returns how each link is.
func (d *Dialer) States() []State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.links)
}

// Run keeps the links up until ctx ends. Then it lets requests finish for up to drain, and closes the links.
func (d *Dialer) Run(ctx context.Context, drain time.Duration) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { _ = d.server.run() })
	for n := range d.links {
		wg.Go(func() { d.keep(ctx, serving, n) })
	}
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := d.server.drain(last)
	stop()
	d.server.close()
	wg.Wait()
	d.client.CloseIdleConnections()
	return err
}

// keep dials link n again and again until ctx ends. The requests of a link are served under serving.
func (d *Dialer) keep(ctx, serving context.Context, n int) {
	wait := waitFirst
	for ctx.Err() == nil {
		began := time.Now()
		conn, err := d.dial(ctx)
		if err == nil {
			began = time.Now()
			d.note(n, nil)
			d.server.serve(serving, conn)
			err = bridge.E(bridge.Unavailable, bridge.CodeLinkLost, "the link to the cloud has ended")
		}
		if ctx.Err() != nil {
			return
		}
		d.note(n, err)
		if time.Since(began) > steady {
			wait = waitFirst
		}
		least := time.Duration(0)
		if e := bridge.AsError(err); e.Code == bridge.CodeLinkRefused || e.RetryAfter > 0 {
			least = max(e.RetryAfter, refusedWait)
		}
		pause := time.NewTimer(least + rand.N(wait)) //nolint:gosec // spreads servers, no secret
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		wait = min(2*wait, waitMost)
	}
}

// note keeps how link n is, and logs what has changed.
func (d *Dialer) note(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	link, log := &d.links[n], d.cfg.Log.With("link", n)
	switch {
	case err == nil && !link.Up:
		if link.Up, link.Since = true, time.Now(); link.Cause != nil {
			link.Reconnects++
		}
		link.Cause = nil
		log.Info("the link to the cloud is up", "cloud", d.cfg.Cloud)
	case err != nil:
		if link.Up || link.Cause == nil || link.Cause.Error() != err.Error() {
			log.Warn("the link to the cloud is down; trying again", "cloud", d.cfg.Cloud, "error", err)
		}
		if link.Up || link.Cause == nil {
			link.Since = time.Now()
		}
		link.Up, link.Cause = false, err
	}
}

// dial opens a link: it asks for a challenge, and comes back over the same connection with the signed one.
func (d *Dialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errSlow)
	defer cancel()
	var conn net.Conn
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { conn = got.Conn }})
	resp, err := d.signed(ctx, Open, http.MethodGet, d.cfg.Path, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		if token := resp.Header.Get(api.HeaderStatement); token != "" && d.cfg.Statement != nil {
			d.cfg.Statement(bridge.NewSecret(token))
		}
		return nil, refusal(resp)
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(resp.Header.Get("Upgrade"), Protocol) {
		_ = resp.Body.Close()
		return nil, bridge.E(bridge.Unavailable, bridge.CodeLinkRefused, "what answers at the cloud's address switches to another protocol")
	}
	return &upgraded{Conn: conn, stream: stream}, nil
}

var errSlow = errors.New("the cloud does not answer in time")

// Call sends the cloud a request that the link's key signs, and returns the body of its answer.
func (d *Dialer) Call(ctx context.Context, purpose Purpose, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errSlow)
	defer cancel()
	resp, err := d.signed(ctx, purpose, method, path, body)
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

// signed sends a request with the signature of a challenge that it asks for first.
func (d *Dialer) signed(ctx context.Context, purpose Purpose, method, path string, body []byte) (*http.Response, error) {
	resp, err := d.ask(ctx, "", purpose, method, path, body)
	if err != nil {
		return nil, err
	}
	challenge, ok := challengeIn(resp.Header)
	if resp.StatusCode != http.StatusUnauthorized || !ok {
		return nil, refusal(resp)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, headerBytes) // so that the connection is used again
	_ = resp.Body.Close()
	p := proof{keyID: d.cfg.KeyID, challenge: challenge}
	p.signature = ed25519.Sign(d.cfg.Key, p.signed(d.cfg.Cloud, purpose, body))
	return d.ask(ctx, p.header(), purpose, method, path, body)
}

func (d *Dialer) ask(ctx context.Context, authorization string, purpose Purpose, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, string(d.cfg.Cloud)+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("write a request to the cloud: %w", err)
	}
	if purpose == Open {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", Protocol)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := d.client.RoundTrip(r)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, bridge.E(bridge.Unreachable, bridge.CodeCloudUnreachable, "the cloud %s cannot be reached: %v", d.cfg.Cloud, err)
	}
	return resp, nil
}

// refusal is why the cloud, or what stands in front of it, has not done what it was asked.
func refusal(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	return api.ReadProblem(resp)
}

// NetConn returns the connection below TLS, if there is TLS.
func (u *upgraded) NetConn() net.Conn {
	if secure, ok := u.Conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return nil
}

// upgraded is a connection that has been upgraded: what net/http has read of it already comes first.
type upgraded struct {
	net.Conn

	stream io.ReadWriteCloser
}

func (u *upgraded) Read(p []byte) (int, error)  { return u.stream.Read(p) }
func (u *upgraded) Write(p []byte) (int, error) { return u.stream.Write(p) }
func (u *upgraded) Close() error                { return u.stream.Close() }
