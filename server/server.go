package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
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
)

// Config is what a server must know. Only PublicURLs and DatabaseURL are required.
type Config struct {
	PublicURLs     []bridge.ServerURL // what the server is called; the first is what it calls itself
	DatabaseURL    string
	DataDir        string              // remembers which database was used; empty: nothing does
	NewDatabase    bool                // another database than before, or an empty one, is meant
	Trust          bridge.Trust        // zero: no exchange
	JWTSecret      bridge.Secret       // signs and verifies the server's own user tokens; zero: none are taken
	Upstream       *url.URL            // the app behind the gateway; nil: no gateway
	AllowedOrigins []string            // browser origins that may call, beside the trusted cloud's dashboard
	TrustedProxies []netip.Prefix      // whose X-Forwarded-For counts
	Catalogue      catalogue.Catalogue // zero: the built-in one
	Version        string
	Now            func() time.Time // nil: time.Now
}

// Server is a running server. [Server.Run] does its background work and has to run beside the handler.
type Server struct {
	cfg      Config
	log      *slog.Logger
	db       *sqldb.DB
	keys     *keys.Authority
	mark     *mark.File
	echo     *echo.Echo
	verifier guard.Local // the one decision of the gateway and of forward-auth
	guard    *guard.Guard
	gateway  *httputil.ReverseProxy
	refusals *refusals
	exchange *api.Limiter
	leaks    *api.Limiter
}

// New opens the database, brings it up to date and builds the handler.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Server, error) {
	if len(cfg.PublicURLs) == 0 {
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
	issued, err := keys.New(ctx, db, keys.Config{Servers: cfg.PublicURLs, Catalogue: cfg.Catalogue,
		Pepper: cfg.JWTSecret, Now: cfg.Now, Mark: kept}, log)
	if err != nil {
		_, _ = db.Close(), kept.Close()
		return nil, err
	}
	cfg.Now = issued.Now // the one clock, which never runs backwards
	s := &Server{
		cfg: cfg, log: log, db: db, keys: issued, mark: kept,
		exchange: api.NewLimiter(exchangeEvery, exchangeBurst, exchangeGlobal, cfg.Now),
		leaks:    api.NewLimiter(exchangeEvery, exchangeBurst, exchangeGlobal, cfg.Now),
	}
	if s.refusals, err = newRefusals(db, log, cfg.Now); err != nil {
		_ = db.Close()
		return nil, err
	}
	if err := audit.Replaced(ctx, db, s.org(), cfg.Now()); err != nil {
		_ = db.Close()
		return nil, err
	}
	s.verifier = guard.Local{Authority: authority{s}, Catalogue: cfg.Catalogue}
	s.guard = guard.New(guard.Config{Verifier: s.verifier})
	if cfg.Upstream != nil {
		s.gateway = newGateway(cfg.Upstream, cfg.TrustedProxies, log)
	}
	s.echo = s.routes()
	return s, nil
}

// Handler answers everything the server answers.
func (s *Server) Handler() http.Handler { return s.echo }

// Run does the background work until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var helpers sync.WaitGroup
	helpers.Go(func() { _ = s.guard.Run(ctx) })
	helpers.Go(func() { s.refusals.run(ctx) })
	defer helpers.Wait()
	return s.keys.Run(ctx)
}

// Close closes the database, after Run has returned.
func (s *Server) Close() error {
	if err := errors.Join(s.db.Close(), s.mark.Close()); err != nil {
		return fmt.Errorf("close the server's database: %w", err)
	}
	return nil
}

// org is the organization whose keys this server keeps: the trusted cloud's, or "local" where it trusts none.
func (s *Server) org() string {
	if s.cfg.Trust.Org != "" {
		return s.cfg.Trust.Org
	}
	return "local"
}
