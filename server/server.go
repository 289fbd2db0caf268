package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/server/link"
)

// Config configures a [Server]. Only DatabaseURL is required, and PublicURLs unless the server is reached over links alone.
type Config struct {
	PublicURLs     []bridge.ServerURL  // URLs by which the server is reached; it calls itself by the first
	DatabaseURL    string              // sqlite:PATH or postgres://…; see sqldb.Open
	DataDir        string              // records which database was used before; empty: nothing is recorded
	NewDatabase    bool                // another database than before, or an empty one, is intended
	Trust          bridge.Trust        // zero: no exchange
	JWTSecret      bridge.Secret       // signs and verifies the server's user tokens; zero: none are accepted
	Upstream       *url.URL            // the app behind the gateway; nil: no gateway
	AllowedOrigins []string            // browser origins that may call, in addition to the trusted cloud's dashboard
	TrustedProxies []netip.Prefix      // networks whose X-Forwarded-For is believed
	Catalogue      catalogue.Catalogue // zero: the built-in one
	Tunnel         Tunnel              // the links to the cloud
	UpstreamHealth *url.URL            // asked whether the app works; nil: a connection to it will do
	Version        string
	Listening      string           // the address of the port, for `ace server status`; empty: none
	Now            func() time.Time // nil: time.Now
}

// Tunnel says which links a server opens, and what comes over them. The zero value opens links once the server has joined.
type Tunnel struct {
	Mode      link.Mode
	Required  bool            // there is no other way in
	Links     int             // per key; 0: the default
	Replicas  tunnel.Replicas // whether other servers may have links of the same keys; empty: they share
	Allow     link.Allow
	GiveUp    time.Duration    // after so long without a link, Run fails; 0: never
	URL       bridge.ServerURL // by which the server joins; empty: one that only links reach
	Token     bridge.Secret    // a join token; zero: none
	JoinNow   bool             // the token's first attempt must succeed
	Joined    func(api.Joined) // told once of the token's join; nil: nobody is
	Name      string           // of the connection that the token makes
	Transport *http.Transport  // dials the cloud; nil: the default
}

// Server is a self-hosted server.
//
// [Server.Handler] answers requests; [Server.Run] must run meanwhile, and [Server.Close] comes after it.
type Server struct {
	cfg       Config
	log       *slog.Logger
	db        *sqldb.DB
	keys      *keys.Authority
	mark      *mark.File
	echo      *echo.Echo
	verifier  guard.Local // the one decision of the gateway and of forward-auth
	guard     *guard.Guard
	gateway   *httputil.ReverseProxy
	refusals  *refusals
	trust     *trust
	audiences []bridge.ServerURL // of connect tokens and access tokens
	links     *link.Manager
	app       *appState
	began     time.Time
	exchange  *api.Limiter
	leaks     *api.Limiter
}

// New opens and migrates the database, loads the keys and builds the handler.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Server, error) {
	if len(cfg.PublicURLs) == 0 && !cfg.Tunnel.Required {
		return nil, bridge.E(bridge.Invalid, bridge.CodePublicURLMissing, "the server does not know its own URL").
			WithHint("set ACE_PUBLIC_URL")
	}
	if cfg.Catalogue.IsZero() {
		cfg.Catalogue = catalogue.Builtin()
	}
	db, err := sqldb.OpenChecked(ctx, sqldb.Start{URL: cfg.DatabaseURL, Role: "server", Dir: cfg.DataDir, New: cfg.NewDatabase}, log)
	if err != nil {
		return nil, err
	}
	kept, err := mark.Open(mark.Place{Dir: cfg.DataDir, Role: "server", New: db.Replaced() != ""}, log)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, db: db, mark: kept, began: time.Now()}
	if err := build(ctx, s); err != nil {
		_, _ = db.Close(), kept.Close()
		return nil, err
	}
	return s, nil
}

// build fills in all that works on the server's database.
func build(ctx context.Context, s *Server) (err error) {
	cfg := &s.cfg
	if err := s.db.Own(); err != nil {
		return err
	}
	store, err := link.Open(ctx, s.db, cfg.JWTSecret, cfg.Now)
	if err != nil {
		return err
	}
	if s.trust, err = newTrust(ctx, cfg.Trust, store); err != nil {
		return err
	}
	if len(cfg.PublicURLs) == 0 {
		cfg.PublicURLs = []bridge.ServerURL{store.URL()}
	}
	s.audiences = append(slices.Clone(cfg.PublicURLs), store.URL())
	if s.keys, err = keys.New(ctx, s.db, keys.Config{Servers: s.audiences, Catalogue: cfg.Catalogue, Pepper: cfg.JWTSecret,
		Now: cfg.Now, Mark: s.mark}, s.log); err != nil {
		return err
	}
	cfg.Now = s.keys.Now // the one clock, which never goes back
	s.exchange = api.NewLimiter(exchangeEvery, exchangeBurst, exchangeGlobal, cfg.Now)
	s.leaks = api.NewLimiter(exchangeEvery, exchangeBurst, exchangeGlobal, cfg.Now)
	if s.refusals, err = newRefusals(s.db, s.log, cfg.Now); err != nil {
		return err
	}
	if err := audit.Replaced(ctx, s.db, s.org(), cfg.Now()); err != nil {
		return err
	}
	s.verifier = guard.Local{Authority: authority{s}, Catalogue: cfg.Catalogue}
	s.guard = guard.New(guard.Config{Verifier: s.verifier})
	s.app = newAppState(cfg.Upstream, cfg.UpstreamHealth)
	if cfg.Upstream != nil {
		s.gateway = newGateway(cfg.Upstream, cfg.TrustedProxies, s.app, s.log)
	}
	s.echo = s.routes()
	t := cfg.Tunnel
	s.links = link.New(link.Config{Store: store, DB: s.db, Keys: s.keys, Handler: s.echo, Trust: s.trust.pin, Pinned: s.trust.pinned, Mode: t.Mode, Required: t.Required,
		Links: t.Links, Replicas: t.Replicas, Allow: t.Allow, GiveUp: t.GiveUp, URL: t.URL, Token: t.Token, JoinNow: t.JoinNow, Joined: t.Joined, Name: t.Name, Transport: t.Transport,
		Agent: "ace-server/" + cfg.Version, Log: s.log})
	return nil
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler { return s.echo }

// Run does the background work until ctx ends: links, keys, open requests and refusals.
func (s *Server) Run(ctx context.Context) error {
	below, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the last request of a link
	defer stop()
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helpers.Go(func() { _ = s.guard.Run(below) })
	helpers.Go(func() { s.refusals.run(below) })
	failed := make(chan error, 1)
	ctx, end := context.WithCancel(ctx)
	defer end()
	helpers.Go(func() {
		failed <- s.keys.Run(below)
		end()
	})
	err := s.links.Run(ctx)
	stop()
	return cmp.Or(err, <-failed)
}

// Close closes the database. Call it after Run has returned.
func (s *Server) Close() error {
	if err := errors.Join(s.db.Close(), s.mark.Close()); err != nil {
		return fmt.Errorf("close the server's database: %w", err)
	}
	return nil
}

// org is the organization whose keys this server issues: the trusted cloud's, or "local" if it trusts none.
func (s *Server) org() string {
	return cmp.Or(s.trust.now().Org, "local")
}

// Links returns what keeps the links to the cloud.
func (s *Server) Links() *link.Manager { return s.links }
