package link

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/tunnel"
)

const (
	rotateEvery = 30 * 24 * time.Hour // the key of a link
	rotateRetry = 10 * time.Minute
	rotateWait  = time.Minute // for a link with the new key
	rotatePoll  = 200 * time.Millisecond
)

// keeper keeps the links of one key.
type keeper struct {
	m     *Manager
	stop  context.CancelFunc
	probe atomic.Int64 // unix milliseconds; 0: none came

	mu      sync.Mutex
	link    row
	dialer  *tunnel.Dialer // of the present key; nil: there is none
	broken  error          // why there is none
	started time.Time
}

// dialing is a dialer that runs.
type dialing struct {
	dialer *tunnel.Dialer
	stop   context.CancelFunc
	done   chan struct{}
}

// keep starts a keeper. It runs until its stop is called.
func (m *Manager) keep(ctx context.Context, l row) *keeper {
	ctx, stop := context.WithCancel(ctx)
	k := &keeper{m: m, link: l, stop: stop, started: time.Now()}
	m.keeping.Go(func() { k.run(ctx) })
	return k
}

// has reports whether the keeper is for a row as it stands.
func (k *keeper) has(l row) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.link.sealed == l.sealed || k.link.next == l.sealed
}

func (k *keeper) run(ctx context.Context) {
	k.mu.Lock()
	l := k.link
	k.mu.Unlock()
	key, err := k.m.cfg.Store.seals.open(l.KeyID, l.sealed)
	var now *dialing
	if err == nil {
		now, err = k.dial(ctx, l, key)
	}
	if err != nil {
		k.m.log.Error("the server cannot open its link", "key", l.KeyID, "error", err)
		k.mu.Lock()
		k.broken = err
		k.mu.Unlock()
		<-ctx.Done()
		return
	}
	k.use(l, now)
	for {
		wait := rotateEvery - k.m.cfg.Store.now().Sub(l.RotatedAt)
		if l.next != "" {
			wait = 0
		}
		timer := time.NewTimer(max(wait, time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			<-now.done
			return
		case <-timer.C:
		}
		after, rotated, err := k.rotate(ctx, l, now)
		if err == nil {
			before := now
			l, now = after, rotated
			k.use(l, now)
			before.stop()
			<-before.done
			continue
		}
		if ctx.Err() == nil {
			k.m.log.Warn("the key of the link cannot be rotated; trying again later", "key", l.KeyID, "error", err)
			timer := time.NewTimer(rotateRetry)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// use makes a dialer the present one.
func (k *keeper) use(l row, d *dialing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.link, k.dialer = l, d.dialer
}

// dial starts a dialer with a key.
func (k *keeper) dial(ctx context.Context, l row, key ed25519.PrivateKey) (*dialing, error) {
	d, err := k.m.dialer(l, key)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	running := &dialing{d, stop, make(chan struct{})}
	go func() {
		defer close(running.done)
		if err := d.Run(ctx, drainFor); err != nil && ctx.Err() == nil {
			k.m.log.Warn("the links have ended", "key", l.KeyID, "error", err)
		}
	}()
	return running, nil
}

// dialer returns a dialer for a link.
func (m *Manager) dialer(l row, key ed25519.PrivateKey) (*tunnel.Dialer, error) {
	return tunnel.NewDialer(tunnel.DialerConfig{Cloud: l.Cloud, Path: api.PathLink, KeyID: l.KeyID, Key: key,
		Handler: door{l.KeyID, m.cfg.Allow, m.cfg.Handler}, Links: m.cfg.Links, Replicas: m.cfg.Replicas, Transport: m.cfg.Transport, Log: m.log, Statement: m.revoked})
}

// revoked takes the revocation of a key that the cloud sends with the refusal of its link: the connection is gone.
func (m *Manager) revoked(statement bridge.Secret) {
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	if _, err := m.cfg.Keys.RevokeSigned(ctx, audit.Actor{}, statement); err != nil {
		m.log.Warn("the cloud's revocation of a link's key is not accepted", "error", err)
	}
}

// rotate tells the cloud the successor of the link's key, and returns a dialer that has opened a link with it.
//
// The old key goes on working meanwhile. A rotation that was interrupted goes on with the same successor.
func (k *keeper) rotate(ctx context.Context, l row, now *dialing) (row, *dialing, error) {
	l, key, err := k.m.cfg.Store.successor(ctx, l)
	if err != nil {
		return l, nil, err
	}
	k.mu.Lock()
	k.link = l
	k.mu.Unlock()
	public, _ := key.Public().(ed25519.PublicKey)
	body, err := json.Marshal(api.LinkKey{LinkKey: encode(public)})
	if err != nil {
		return l, nil, err
	}
	if _, err := now.dialer.Call(ctx, tunnel.Rotate, http.MethodPost, api.PathLinkKeys, body); err != nil &&
		bridge.CodeOf(err) != bridge.CodeLinkRefused { // refused: the successor may be in its place already
		return l, nil, err
	}
	after, err := k.dial(ctx, l, key)
	if err != nil {
		return l, nil, err
	}
	if err := opened(ctx, after.dialer); err != nil {
		after.stop()
		<-after.done
		return l, nil, err
	}
	l, err = k.m.cfg.Store.rotated(ctx, l)
	if err != nil {
		after.stop()
		<-after.done
	}
	return l, after, err
}

// opened waits until a dialer has a link.
func opened(ctx context.Context, d *tunnel.Dialer) error {
	ctx, cancel := context.WithTimeout(ctx, rotateWait)
	defer cancel()
	look := time.NewTicker(rotatePoll)
	defer look.Stop()
	for {
		states := d.States()
		if slices.ContainsFunc(states, func(s tunnel.State) bool { return s.Up }) {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			if cause := states[0].Cause; cause != nil {
				return cause
			}
			return bridge.E(bridge.Unreachable, bridge.CodeNoLink, "no link could be opened with the new key")
		}
	}
}

// states returns how the links are.
func (k *keeper) states() []tunnel.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dialer == nil {
		return []tunnel.State{{Since: k.started, Cause: k.broken}}
	}
	return k.dialer.States()
}
