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

// Config configures a [Server]. Only PublicURLs and DatabaseURL are required.
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
	Version        string
	Now            func() time.Time // nil: time.Now
}

// Server is a self-hosted server.
//
// [Server.Handler] answers requests; [Server.Run] must run meanwhile, and [Server.Close] comes after it.
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

// New opens and migrates the database, loads the keys and builds the handler.
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
	cfg.Now = issued.Now // the one clock, which never goes back
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

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler { return s.echo }

// Run does the background work until ctx ends: keys, open requests and refusals.
func (s *Server) Run(ctx context.Context) error {
	var helpers sync.WaitGroup
	helpers.Go(func() { _ = s.guard.Run(ctx) })
	helpers.Go(func() { s.refusals.run(ctx) })
	defer helpers.Wait()
	return s.keys.Run(ctx)
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
	if s.cfg.Trust.Org != "" {
		return s.cfg.Trust.Org
	}
	return "local"
}
