package link

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/connect"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/tunnel"
)

const (
	joinWaitFirst = time.Second
	joinWaitMost  = 30 * time.Second
	underWay      = "-" // no key's ID
)

func (m *Manager) setPending(keyID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending, m.turn = keyID, m.turn+1
}

// RequireTrust refuses a cloud that is not the one of a pin; empty: there is none.
func RequireTrust(configured bridge.Trust, pin string) (bridge.Trust, error) {
	if pin == "" {
		return configured, nil
	}
	pinned, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: pin})
	if err != nil {
		return bridge.Trust{}, err
	}
	both, err := configured.With(pinned)
	if err != nil {
		return bridge.Trust{}, bridge.E(bridge.Invalid, bridge.CodeCloudPinned,
			"the join is to %s of %s, and ACE_CLOUD_PUBLIC_KEY or ACE_CLOUD_JWT_SECRET names another cloud, organization or key: %s of %s",
			pinned.Org, pinned.Issuer, configured.Org, configured.Issuer).
			WithHint("unset the variable; a server that is to join another cloud leaves the first one: ace server leave")
	}
	return both, nil
}

// Join has the server join an organization, and opens its links.
func (m *Manager) Join(ctx context.Context, actor audit.Actor, token bridge.Secret, name string) (api.Joined, error) {
	m.joining.Lock()
	defer m.joining.Unlock()
	parsed, err := bridge.ParseJoinToken(token)
	if err != nil {
		return api.Joined{}, err
	}
	if m.cfg.Mode == Off {
		return api.Joined{}, bridge.E(bridge.Conflict, bridge.CodeNoLink, "ACE_TUNNEL=off: this server opens no links").
			WithHint("unset ACE_TUNNEL and start the server again")
	}
	if err := m.requireUnpinned(ctx, parsed); err != nil {
		return api.Joined{}, err
	}
	if m.cfg.Store.seals.aead == nil {
		return api.Joined{}, errNoSecret
	}
	m.setPending(underWay)
	defer func() {
		m.setPending("")
		m.poke() // which also sets the trust right again after a failure
	}()
	j := &join{pin: parsed.PublicKey()}
	joined, err := connect.Join(ctx, connect.JoinConfig{Token: parsed, ServerID: m.cfg.Store.ServerID(), ServerURL: m.cfg.URL, Name: name,
		Prove: func(ctx context.Context, p bridge.JoinProof) ([]string, error) {
			return m.cfg.Store.proofs(ctx, parsed, p)
		},
		Server: inProcess{m.cfg.Handler, j}, Pin: func(_ context.Context, pin string) error { return m.cfg.Trust(pin) },
		Client: api.ClientConfig{UserAgent: m.cfg.Agent, Transport: m.roundTripper()},
		Note:   func(line string) { m.log.Info("join: "+line, "org", parsed.Org()) }})
	after := context.WithoutCancel(ctx)
	if err != nil {
		// Where the cloud may have finished the join, the link stays: the cloud's first use settles it, or the key lapses.
		if j.row != nil && refusal(err) && ctx.Err() == nil {
			_ = m.cfg.Store.drop(after, actor, *j.row, "the join failed", nil)
		}
		m.repin(after)
		return api.Joined{}, err
	}
	if err := m.cfg.Store.joined(after, actor, *j.row); err != nil {
		return api.Joined{}, err
	}
	m.log.Info("the server has joined", "org", joined.Org, "cloud", joined.Cloud, "connection", joined.Connection)
	m.mu.Lock()
	m.waiting = nil
	m.mu.Unlock()
	return joined, nil
}

// refusal reports whether the cloud has decided against a join. After any other error, it may have finished it.
func refusal(err error) bool {
	switch bridge.AsError(err).Kind {
	case bridge.Unreachable, bridge.Unavailable, bridge.Timeout, bridge.Internal:
		return false
	}
	return true
}

// repin goes back to what the rows say about trust.
func (m *Manager) repin(ctx context.Context) {
	pin, err := m.cfg.Store.Pin(ctx)
	if err == nil {
		err = m.cfg.Trust(pin)
	}
	if err != nil {
		m.log.Warn("the trust from before the join cannot be restored yet", "error", err)
	}
}

func (m *Manager) roundTripper() http.RoundTripper {
	if m.cfg.Transport == nil {
		return nil
	}
	return m.cfg.Transport
}

// requireUnpinned refuses the join of another cloud or organization than the one that is pinned.
func (m *Manager) requireUnpinned(ctx context.Context, token bridge.JoinToken) error {
	rows, err := m.cfg.Store.rows(ctx)
	if err != nil {
		return err
	}
	for _, l := range rows {
		if l.Joined && l.State == stateLive && (l.Org != token.Org() || l.Cloud != token.Cloud()) {
			return bridge.E(bridge.Conflict, bridge.CodeCloudPinned, "this server has joined %s of %s already", l.Org, l.Cloud).
				WithHint("leave it first: ace server leave")
		}
	}
	return nil
}

// joinAtStart joins with the token of the start. It tries again while the cloud cannot be reached.
func (m *Manager) joinAtStart(ctx context.Context) error {
	if m.cfg.Token.IsZero() {
		return nil
	}
	token, err := bridge.ParseJoinToken(m.cfg.Token)
	if err != nil {
		return err
	}
	for wait := joinWaitFirst; ; wait = min(2*wait, joinWaitMost) {
		already, err := m.joinedAlready(ctx, token)
		if err == nil && already {
			m.log.Info("the server has joined already; the join token is ignored", "org", token.Org(), "cloud", token.Cloud())
			m.mu.Lock()
			m.waiting = nil
			m.mu.Unlock()
			m.tell(api.Joined{Org: token.Org(), Cloud: token.Cloud(), ServerURL: m.cfg.URL})
			return nil
		}
		var joined api.Joined
		if err == nil {
			joined, err = m.Join(ctx, audit.Actor{ID: "operator"}, m.cfg.Token, m.cfg.Name)
		}
		if err == nil {
			m.tell(joined)
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		e := bridge.AsError(err)
		if m.cfg.JoinNow || !mayPass(e) {
			return err
		}
		m.mu.Lock()
		m.waiting = err
		m.mu.Unlock()
		m.log.Warn("the server cannot join yet; trying again", "error", err)
		timer := time.NewTimer(max(wait, e.RetryAfter))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

func (m *Manager) tell(joined api.Joined) {
	if m.cfg.Joined != nil {
		m.cfg.Joined(joined)
	}
}

// mayPass reports whether a failed join may succeed later with the same token.
func mayPass(e *bridge.Error) bool {
	return e.Kind == bridge.Unreachable || e.Kind == bridge.Unavailable || e.Kind == bridge.TooMany
}

// joinedAlready reports whether the server has joined the organization of a token.
func (m *Manager) joinedAlready(ctx context.Context, token bridge.JoinToken) (bool, error) {
	rows, err := m.cfg.Store.rows(ctx)
	for _, l := range rows {
		if l.Joined && l.State == stateLive && l.Org == token.Org() && l.Cloud == token.Cloud() {
			status, err := m.status(ctx, l.KeyID)
			return status == "active" || status == "unconfirmed", err
		}
	}
	return false, err
}

// Leave undoes a join at the cloud and here. With force, it forgets the join also where the cloud cannot be told.
func (m *Manager) Leave(ctx context.Context, actor audit.Actor, force bool) (api.Left, error) {
	m.joining.Lock()
	defer m.joining.Unlock()
	rows, err := m.cfg.Store.rows(ctx)
	if err != nil {
		return api.Left{}, err
	}
	left := api.Left{}
	for _, l := range rows {
		if !l.Joined {
			continue
		}
		told, err := m.tellLeave(ctx, l)
		if err != nil && !force {
			e := bridge.AsError(err)
			return api.Left{}, bridge.E(bridge.Unreachable, e.Code, "the server has not left: %s", e.Detail).
				WithHint("try again when the cloud can be reached, or forget the join here only: ace server leave --force")
		}
		if err := m.forget(ctx, actor, l); err != nil {
			return api.Left{}, err
		}
		if left.Org == "" || l.State == stateLive {
			left = api.Left{Org: l.Org, Cloud: l.Cloud, Told: told}
		}
	}
	if left.Org == "" {
		return api.Left{}, bridge.E(bridge.NotFound, bridge.CodeNotJoined, "this server has joined no organization").
			WithHint("a connection made with `ace connect` is removed with `ace disconnect`")
	}
	m.poke()
	return left, m.cfg.Trust("")
}

// tellLeave has the cloud remove a joined connection. It says whether the cloud did: one that refuses the link's key knows nothing of
// it any more, which is no error.
func (m *Manager) tellLeave(ctx context.Context, l row) (told bool, err error) {
	key, err := m.cfg.Store.seals.open(l.KeyID, l.sealed)
	if err != nil {
		return false, err
	}
	d, err := m.dialer(l, key)
	if err != nil {
		return false, err
	}
	_, err = d.Call(ctx, tunnel.Leave, http.MethodDelete, api.PathLink, nil)
	if code := bridge.CodeOf(err); code == bridge.CodeLinkRefused || code == bridge.CodeConnectionUnknown {
		return false, nil
	}
	return err == nil, err
}

// forget drops a joined link and revokes its key, in one transaction.
func (m *Manager) forget(ctx context.Context, actor audit.Actor, l row) error {
	var ended []uuid.UUID
	err := m.cfg.Store.drop(ctx, actor, l, "the server has left", func(tx *sql.Tx) (err error) {
		ended, err = m.cfg.Keys.RevokeIn(ctx, tx, keys.Ending{Actor: actor, Reason: "the server has left its organization", IDs: []string{l.KeyID}})
		return err
	})
	if err == nil {
		m.cfg.Keys.TakeIn(ctx, ended...)
	}
	return err
}
