package link

import (
	"context"
	"slices"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/tunnel"
)

// Probed notes that a probe of the cloud has come, if it came over a link.
func (m *Manager) Probed(ctx context.Context) {
	keyID, over := Over(ctx)
	if !over {
		return
	}
	m.mu.Lock()
	k := m.keepers[keyID]
	m.mu.Unlock()
	if k != nil {
		k.probe.Store(time.Now().UnixMilli())
	}
}

// ServerID returns the ID by which a cloud knows this server.
func (m *Manager) ServerID() string { return m.cfg.Store.ServerID() }

// URL returns the URL by which the server joins.
func (m *Manager) URL() bridge.ServerURL { return m.cfg.URL }

// Linked reports whether the server opens links.
func (m *Manager) Linked() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cfg.Mode == On || len(m.keepers) > 0
}

// Wanted reports whether there is to be a link.
func (m *Manager) Wanted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wanted()
}

// Ready says why no path of the cloud through a link works, or returns nil: also where no link is wanted.
func (m *Manager) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.wanted() {
		return nil
	}
	for _, k := range m.keepers {
		if at := k.probe.Load(); at != 0 && time.Since(time.UnixMilli(at)) < probeSilent {
			return nil
		}
	}
	if m.up() {
		return bridge.E(bridge.Unavailable, bridge.CodeLinkSilent, "the link to the cloud is up, and no probe has come over it for %s", probeSilent).
			WithHint("look at the connection's page in the dashboard: it says what the cloud's probe met")
	}
	cause := m.cause()
	e := bridge.E(bridge.Unavailable, bridge.CodeNoLink, "there is no link to the cloud%s", because(cause))
	if cause != nil {
		e.Hint = bridge.AsError(cause).Hint
	}
	if e.Hint == "" && m.cfg.Required && len(m.keepers) == 0 {
		e.Hint = "join an organization: ace server join -"
	}
	return e
}

// Links returns how the links of each key are.
func (m *Manager) Links() []api.ServerLinks {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []api.ServerLinks{}
	for _, l := range m.rows {
		k := m.keepers[l.KeyID]
		if k == nil {
			continue
		}
		links := api.ServerLinks{KeyID: l.KeyID, Joined: l.Joined, Links: []api.ServerLink{}}
		if at := k.probe.Load(); at != 0 {
			links.ProbeAt = new(time.UnixMilli(at).UTC())
		}
		for _, s := range k.states() {
			links.Links = append(links.Links, shown(s))
		}
		out = append(out, links)
	}
	return out
}

func shown(s tunnel.State) api.ServerLink {
	l := api.ServerLink{Up: s.Up, Since: s.Since.UTC(), Reconnects: s.Reconnects}
	if s.Cause != nil {
		e := bridge.AsError(s.Cause)
		l.Code, l.Cause = e.Code, e.Detail
	}
	return l
}

// Pinned reports whether the server has joined.
func (m *Manager) Pinned() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.looked {
		return m.cfg.Pinned
	}
	return slices.ContainsFunc(m.rows, func(l row) bool { return l.Joined && l.State == stateLive })
}
