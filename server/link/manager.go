package link

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/tunnel"
)

const (
	// MaxLinked is how many keys have links at a time.
	MaxLinked = 8

	lookEvery   = 30 * time.Second // at rows that another process may have changed
	watchEvery  = time.Second
	probeSilent = 30 * time.Second // without a probe, the path counts as broken
	drainFor    = 10 * time.Second
)

// Mode says for which keys a server opens links (ACE_TUNNEL).
type Mode int

// Modes.
const (
	Auto Mode = iota // for joined servers
	On               // also for connections made with `ace connect`
	Off              // never
)

// Config configures a [Manager].
type Config struct {
	// Store keeps the rows. Required.
	Store *Store
	// DB is the store's database, and that of the keys. Required.
	DB *sqldb.DB
	// Keys says whether the key of a link is alive. Required.
	Keys *keys.Authority
	// Handler answers what comes over links. Required.
	Handler http.Handler
	// Trust tells the server whom a join pins; an empty value takes the pin away. Required.
	Trust func(pin string) error
	// Mode says for which keys there are links.
	Mode Mode
	// Pinned: the server has joined before, so a link is wanted from the start.
	Pinned bool
	// Required: the server has no other way in, so a link is always wanted.
	Required bool
	// Links is how many to keep for each key; 0 means [tunnel.DefaultLinks].
	Links int
	// Replicas says whether other processes may have links of the same keys; empty means [tunnel.ReplicasShare].
	Replicas tunnel.Replicas
	// Allow narrows what comes over links.
	Allow Allow
	// GiveUp ends [Manager.Run] after so long without a link that is wanted; 0: never.
	GiveUp time.Duration
	// URL is the one by which the server joins; empty: [bridge.LinkURL] of its ID.
	URL bridge.ServerURL
	// Token joins when Run starts, unless the server has joined that organization already; zero: it does not.
	Token bridge.Secret
	// JoinNow: the first attempt of that join must succeed. Otherwise it is repeated while the cloud cannot be reached.
	JoinNow bool
	// Joined is told of that join, and nothing but the organization if the server has joined it before. Nil: nobody is told.
	Joined func(api.Joined)
	// Name is the name of the connection of that join.
	Name string
	// Transport dials the cloud; nil means [http.DefaultTransport]'s settings.
	Transport *http.Transport
	// Agent is the User-Agent of the join's calls.
	Agent string
	// Log takes what happens. Required.
	Log *slog.Logger
}

// Manager keeps a server's links. Its methods are safe for concurrent use.
type Manager struct {
	cfg  Config
	log  *slog.Logger
	wake chan struct{}

	joining sync.Mutex     // one join or leave at a time
	keeping sync.WaitGroup // keepers that have not ended

	mu      sync.Mutex
	keepers map[string]*keeper
	rows    []row
	pending string // the key of a join that is under way, or underWay before there is one
	turn    int    // changes with pending
	waiting error  // why the join of the start has not succeeded yet; nil: it has, or there is none
	lastUp  time.Time
	looked  bool // the rows were read
}

// New returns a manager. [Manager.Run] opens the links.
func New(cfg Config) *Manager {
	if cfg.URL == "" {
		cfg.URL = cfg.Store.URL()
	}
	m := &Manager{cfg: cfg, log: cfg.Log, wake: make(chan struct{}, 1), keepers: map[string]*keeper{}, lastUp: time.Now()}
	if !cfg.Token.IsZero() {
		m.waiting = bridge.E(bridge.Unreachable, bridge.CodeNoLink, "the server has not joined yet")
	}
	return m
}

// Issue makes the key of a link for a key that an exchange has issued, and returns its public half; empty: there is to be no link.
func (m *Manager) Issue(ctx context.Context, key record.Record, trust bridge.Trust) (string, error) {
	j := joinOf(ctx)
	if j == nil && m.cfg.Mode != On {
		return "", nil
	}
	l := row{KeyID: key.ID.String(), Cloud: trust.Issuer, Org: key.Org, Joined: j != nil}
	if j != nil {
		l.PublicKey = j.pin
	}
	if j != nil {
		m.setPending(l.KeyID)
	}
	public, err := m.cfg.Store.issue(ctx, l)
	if err != nil {
		return "", err
	}
	if j != nil {
		j.row = &l
	}
	m.poke()
	return public, nil
}

// poke has Run look at the rows now.
func (m *Manager) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run keeps the links up until ctx ends; then it lets their requests finish.
//
// It fails if the join of the start is refused, and when [Config.GiveUp] is over.
func (m *Manager) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	var first sync.WaitGroup
	first.Go(func() {
		if err := m.joinAtStart(ctx); err != nil {
			stop(err)
		}
	})
	defer func() {
		stop(nil)
		first.Wait()
	}()
	defer m.stopAll()
	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	since, looked := uint64(0), time.Time{}
	for {
		ids, next, complete, changed := m.cfg.Keys.Changes(since)
		since = next
		if time.Since(looked) >= lookEvery || !complete || m.concerns(ids) {
			m.look(ctx)
			looked = time.Now()
		}
		select {
		case <-ctx.Done():
			if err := context.Cause(ctx); err != context.Canceled { //nolint:errorlint // of an outer context, or our own error
				return err
			}
			return nil
		case <-m.wake:
			looked = time.Time{}
		case <-changed:
		case <-watch.C:
			if err := m.givenUp(); err != nil {
				return err
			}
		}
	}
}

// concerns reports whether one of these keys has a link.
func (m *Manager) concerns(ids []uuid.UUID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.rows, func(l row) bool {
		id, err := uuid.Parse(l.KeyID)
		return err == nil && slices.Contains(ids, id)
	})
}

// look reads the rows, drops those whose key is gone, and starts and stops links.
func (m *Manager) look(ctx context.Context) {
	m.mu.Lock()
	pending, turn := m.pending, m.turn
	m.mu.Unlock()
	rows, err := m.cfg.Store.rows(ctx)
	if err != nil {
		if ctx.Err() == nil {
			m.log.Warn("the links cannot be read; trying again", "error", err)
		}
		return
	}
	var kept, wanted []row
	for _, l := range rows {
		if l.KeyID == pending {
			kept = append(kept, l)
			continue
		}
		stay, dial := m.examine(ctx, &l)
		if stay {
			kept = append(kept, l)
		}
		if dial && len(wanted) < MaxLinked {
			wanted = append(wanted, l)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.turn != turn {
		m.poke() // a join has begun or ended meanwhile
		return
	}
	if pending == "" { // a join decides about the pin itself
		if err := m.cfg.Trust(pinOf(kept)); err != nil {
			m.log.Error("the cloud that was joined is not trusted", "error", err)
		}
	}
	m.arrange(ctx, kept, wanted)
}

// examine decides by the state of its key whether a link stays, and whether it is to be open.
func (m *Manager) examine(ctx context.Context, l *row) (stay, dial bool) {
	drop := func(why string) (bool, bool) {
		if err := m.cfg.Store.drop(ctx, audit.Actor{ID: "system"}, *l, why, nil); err != nil {
			m.log.Warn("a link whose key is gone cannot be forgotten; trying again", "key", l.KeyID, "error", err)
		} else if l.Joined && l.State == stateLive {
			m.log.Warn("the server has left its organization: the key of the connection is revoked", "org", l.Org, "cloud", l.Cloud)
		}
		return false, false
	}
	status, err := m.status(ctx, l.KeyID)
	switch {
	case bridge.CodeOf(err) == bridge.CodeKeyUnknown:
		return drop("its key is not known")
	case err != nil:
		return true, m.running(l.KeyID) // the database is away: what runs goes on
	case status == record.StatusRevoked:
		return drop("its key is revoked")
	case l.State == stateLapsed:
		return false, false
	case status == record.StatusLapsed && l.Joined:
		if err := m.cfg.Store.lapse(ctx, *l); err != nil {
			m.log.Warn("a link whose key was never used cannot be put aside; trying again", "key", l.KeyID, "error", err)
		}
		return false, false
	case status == record.StatusLapsed:
		return drop(neverUsed)
	}
	active := status == record.StatusActive
	if active && l.Joined && l.State == stateNew { // a join whose end this process has not seen
		if err := m.cfg.Store.joined(ctx, audit.Actor{ID: "system"}, *l); err == nil {
			l.State = stateLive
		}
	}
	if l.Joined {
		return true, m.cfg.Mode != Off && (active || status == record.StatusUnconfirmed)
	}
	return true, m.cfg.Mode == On && active
}

func (m *Manager) status(ctx context.Context, keyID string) (string, error) {
	id, err := uuid.Parse(keyID)
	if err != nil {
		return "", record.ErrUnknown
	}
	r, err := record.Load(ctx, m.cfg.DB, id)
	if err != nil {
		return "", err
	}
	return r.Status(m.cfg.Keys.Now()), nil
}

func (m *Manager) running(keyID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keepers[keyID] != nil
}

// arrange stops links that are not wanted any more, and starts those that are. The caller holds mu.
func (m *Manager) arrange(ctx context.Context, kept, wanted []row) {
	m.rows, m.looked = kept, true
	for id, k := range m.keepers {
		i := slices.IndexFunc(wanted, func(l row) bool { return l.KeyID == id })
		if i >= 0 && k.has(wanted[i]) {
			continue
		}
		k.stop()
		delete(m.keepers, id)
	}
	for _, l := range wanted {
		if m.keepers[l.KeyID] == nil {
			m.keepers[l.KeyID] = m.keep(context.WithoutCancel(ctx), l) // stopAll ends it, after others were told
		}
	}
}

// stopAll stops all links and waits for them.
func (m *Manager) stopAll() {
	m.mu.Lock()
	all := m.keepers
	m.keepers = map[string]*keeper{}
	m.mu.Unlock()
	for _, k := range all {
		k.stop()
	}
	m.keeping.Wait()
}

// givenUp returns an error when a link has been wanted in vain for too long.
func (m *Manager) givenUp() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if !m.wanted() || m.up() {
		m.lastUp = now
	}
	if m.cfg.GiveUp == 0 || now.Sub(m.lastUp) < m.cfg.GiveUp {
		return nil
	}
	e := bridge.E(bridge.Unreachable, bridge.CodeNoLink, "no link to the cloud for %s (ACE_TUNNEL_GIVE_UP)%s", m.cfg.GiveUp, because(m.cause()))
	return e.WithHint("look at `ace server status`, or let the supervisor start the server again")
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// wanted reports whether there is to be a link. The caller holds mu.
func (m *Manager) wanted() bool {
	return m.cfg.Mode != Off && (m.cfg.Required || m.waiting != nil || len(m.keepers) > 0 || m.cfg.Pinned && !m.looked)
}

// up reports whether any link is up. The caller holds mu.
func (m *Manager) up() bool {
	for _, k := range m.keepers {
		if slices.ContainsFunc(k.states(), func(s tunnel.State) bool { return s.Up }) {
			return true
		}
	}
	return false
}

// cause returns why no link is up; nil if that is not known. The caller holds mu.
func (m *Manager) cause() error {
	for _, k := range m.keepers {
		for _, s := range k.states() {
			if s.Cause != nil {
				return s.Cause
			}
		}
	}
	return m.waiting
}
