package tunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
)

const (
	// DefaultLinks is how many links a server keeps unless it is told otherwise.
	DefaultLinks = 2
	// MaxLinks is how many links a server may keep.
	MaxLinks = 4

	dialTimeout    = 15 * time.Second
	connectTimeout = 5 * time.Second // of its first part, which a network that is away holds up
	// A lost link is dialed again after a random time of up to waitFirst, and up to twice as long after each failure.
	waitFirst = 3 * time.Second
	waitMost  = 8 * time.Second
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
	// Replicas says whether other processes may have links of the connection as well; empty means [ReplicasShare].
	Replicas Replicas
	// Instance tells this process from others with links of the connection; empty means an ID that is made at each start.
	Instance string
	// Transport dials the cloud: proxies, trusted certificates. Nil means [http.DefaultTransport]'s settings, with the proxy of
	// HTTPS_PROXY and NO_PROXY. TLS is 1.3 at least.
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

	mu      sync.Mutex
	links   []State
	claims  []string // replicas of the cloud that links are at, or come to
	several bool     // the cloud has several replicas
	worked  [2]bool  // plain upgrades, WebSockets
}

// process tells the links of this process from those of others.
var process = sync.OnceValue(rand.Text)

// State is how one of a server's links is.
type State struct {
	Up         bool
	Since      time.Time // of the current state
	Reconnects int       // how often the link came up again
	Cause      error     // why it is not up; nil when it is or was never tried
	Replica    string    // of the cloud, where it has several: the one that holds the link, or was asked for it last
	WebSocket  bool      // the link is a WebSocket, because a plain upgrade does not come through
}

// NewDialer checks a configuration. [Dialer.Run] opens the links.
func NewDialer(cfg DialerConfig) (*Dialer, error) {
	if cfg.Links == 0 {
		cfg.Links = DefaultLinks
	}
	if cfg.Replicas == "" {
		cfg.Replicas = ReplicasShare
	}
	if cfg.Instance == "" {
		cfg.Instance = process()
	}
	if form := (proof{keyID: cfg.KeyID, instance: cfg.Instance, replicas: cfg.Replicas, challenge: "c", signature: make([]byte, ed25519.SignatureSize)}); !form.valid() {
		return nil, errors.New("a link wants IDs of letters, digits and hyphens, and replicas that share or refuse")
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
		dial = new(net.Dialer).DialContext
	}
	client.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &corked{Conn: conn}, nil
	}
	client.DisableKeepAlives = false
	client.MaxIdleConnsPerHost = cfg.Links
	client.IdleConnTimeout = dialTimeout / 5 // a connection that has become no link is not kept
	client.ForceAttemptHTTP2 = false         // an upgrade is HTTP/1.1's (RFC 9110 §7.8)
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
	return &Dialer{cfg: cfg, client: client, server: newServer(cfg.Handler, cfg.Log), links: links, claims: make([]string, cfg.Links)}, nil
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
	wait, barred := waitFirst, 0 // barred: how often one after the other
	for ctx.Err() == nil {
		began, socket := time.Now(), d.next(barred)
		conn, bars, err := d.dial(ctx, n, socket)
		if err == nil {
			began = time.Now()
			bars = !d.server.serve(serving, conn, func() { d.up(n, socket) })
			err = bridge.E(bridge.Unavailable, bridge.CodeLinkLost, "the link to the cloud has ended")
		}
		d.release(n)
		if ctx.Err() != nil {
			return
		}
		d.down(n, err)
		if time.Since(began) > steady {
			wait = waitFirst
		}
		if !bars {
			barred = 0
		} else if barred++; barred%2 == 1 {
			continue // the other kind of upgrade, at once
		}
		e := bridge.AsError(err)
		least := e.RetryAfter
		if e.Code == bridge.CodeLinkRefused {
			least = max(least, refusedWait)
		}
		pause := time.NewTimer(least + mathrand.N(wait)) //nolint:gosec // spreads servers, no secret
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		wait = min(2*wait, waitMost)
	}
}

// next reports whether to dial a WebSocket: if only that has worked, or if something barred the other.
func (d *Dialer) next(barred int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	only := d.worked[1] && !d.worked[0]
	return only != (barred%2 == 1)
}

func (d *Dialer) release(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims[n] = ""
}

// up notes that link n is up, and logs it.
func (d *Dialer) up(n int, socket bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.worked[flag(socket)] = true
	link := &d.links[n]
	if link.Cause != nil {
		link.Reconnects++
	}
	link.Up, link.Since, link.Cause, link.WebSocket = true, time.Now(), nil, socket
	d.cfg.Log.Info("the link to the cloud is up", "link", n, "cloud", d.cfg.Cloud, "replica", link.Replica, "websocket", socket)
}

// down notes why link n is down, and logs it if that is new.
func (d *Dialer) down(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	link := &d.links[n]
	if link.Up || link.Cause == nil || link.Cause.Error() != err.Error() {
		d.cfg.Log.Warn("the link to the cloud is down; trying again", "link", n, "cloud", d.cfg.Cloud, "error", err)
	}
	if link.Up || link.Cause == nil {
		link.Since = time.Now()
	}
	link.Up, link.Cause = false, err
}
