// Package cloud is the hosted side: it builds the cloud's packages and mounts their routes.
//
//	login · dashboard · settings · v1 · oauth · sso · live     pages, the API, signing in, events
//	        servers · relay                         what calls customers' servers
//	        links · outbound                        the way there: over a link, or directly, and then which addresses may be called
//	        page · who                              how a page is written · who calls
//	        registry: preview · connections · signin · accounts · outbox · vault · schema
//
// A request goes downhill: a room parses it, cloud/who says who calls, one rule of a store decides in one transaction, and
// the room answers. There are no rules here.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/dashboard"
	"github.com/acebridge/ace/cloud/docs"
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/live"
	"github.com/acebridge/ace/cloud/login"
	"github.com/acebridge/ace/cloud/mail"
	"github.com/acebridge/ace/cloud/oauth"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/periodic"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/relay"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/settings"
	"github.com/acebridge/ace/cloud/sso"
	v1 "github.com/acebridge/ace/cloud/v1"
	"github.com/acebridge/ace/cloud/vault"
	"github.com/acebridge/ace/cloud/who"
)

// Config is what a cloud must know. PublicURL, DatabaseURL and the two keys are required.
type Config struct {
	PublicURL      bridge.ServerURL
	DatabaseURL    string
	DataDir        string         // remembers which database was used; empty: nothing does
	NewDatabase    bool           // another database than before, or an empty one, is meant
	EncryptionKeys bridge.Secret  // ACE_DATABASE_ENCRYPTION_KEY
	SigningKey     bridge.Secret  // ACE_CLOUD_SIGNING_KEY
	TrustedProxies []netip.Prefix // whose X-Forwarded-For counts
	RelayAllow     []netip.Prefix // private ranges that the cloud may call
	AllowedOrigins []string       // browser origins whose pages may use the API with a token, beside the dashboard itself
	FirstEmail     string         // who alone makes the first account, with a link that is logged; empty: an operator's command does
	Mail           mail.Sender    // nil: on loopback mail is shown at /dev/mail, elsewhere none is sent
	RelayLimits    who.RelayLimits
	Internal       links.Internal // how the cloud's other replicas reach this one; zero: one replica alone may hold links
	Version        string
	Password       passwords.Cost   // zero: the default cost
	Now            func() time.Time // nil: time.Now
	ProviderTime   time.Duration    // for one step of a sign-in at a provider; zero: 8 s
	LookupTXT      sso.LookupTXT    // nil: the system's resolver
}

// Cloud is a running cloud. [Cloud.Run] does its background work and has to run beside the handler.
type Cloud struct {
	cfg      Config
	log      *slog.Logger
	db       *sqldb.DB
	root     bridge.SigningRoot
	registry *registry.Registry
	keys     *keys.Authority // of the cloud's own API
	mark     *mark.File
	outbound *http.Client // to the servers of customers
	echo     *echo.Echo
	mailer   mail.Sender
	kept     *mail.Kept // nil unless mail goes to a page

	who       *who.Finder
	page      *page.Writer
	links     *links.Links
	relay     *relay.Relay
	servers   *servers.Servers
	live      *live.Live
	oauth     *oauth.OAuth
	sso       *sso.SSO
	login     *login.Login
	v1        *v1.API
	dashboard *dashboard.Dashboard
	settings  *settings.Settings
	docs      *docs.Docs
}

// OpenRegistry opens the database and brings it up to date, for the commands of an operator beside a cloud that may be
// running. It refuses rows whose encryption key is missing.
func OpenRegistry(ctx context.Context, cfg Config, log *slog.Logger) (*registry.Registry, *sqldb.DB, error) {
	reg, db, err := OpenAnyway(ctx, cfg, log)
	if err != nil {
		return nil, nil, err
	}
	if err := reg.Vault.CheckKeys(ctx); err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	return reg, db, nil
}

// OpenAnyway is OpenRegistry for the commands that deal with missing encryption keys.
func OpenAnyway(ctx context.Context, cfg Config, log *slog.Logger) (*registry.Registry, *sqldb.DB, error) {
	root, err := bridge.ParseSigningRoot(cfg.SigningKey)
	if err != nil {
		return nil, nil, err
	}
	vault, db, err := openVault(ctx, cfg, log)
	if err != nil {
		return nil, nil, err
	}
	reg, err := newRegistry(ctx, cfg, db, vault, root, log)
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	own, err := keys.NewBeside(ctx, db, mark.Place{Dir: cfg.DataDir, Role: "cloud"}, cfg.Now, log)
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	reg.UseKeys(own)
	return reg, db, nil
}

func openVault(ctx context.Context, cfg Config, log *slog.Logger) (*vault.Vault, *sqldb.DB, error) {
	vault, err := vault.NewVault(cfg.EncryptionKeys)
	if err != nil {
		return nil, nil, err
	}
	db, err := sqldb.OpenChecked(ctx, sqldb.Start{URL: cfg.DatabaseURL, Role: "cloud", Dir: cfg.DataDir, New: cfg.NewDatabase}, log)
	return vault, db, err
}

func newRegistry(ctx context.Context, cfg Config, db *sqldb.DB, vault *vault.Vault, root bridge.SigningRoot, log *slog.Logger) (*registry.Registry, error) {
	mailer, _ := chooseMailer(cfg.Mail, cfg.PublicURL)
	return registry.New(ctx, db, registry.Config{Issuer: cfg.PublicURL, Vault: vault, Root: root,
		Password: cfg.Password, Mail: mailer != nil, Now: cfg.Now,
		Mark: mark.Place{Dir: cfg.DataDir, Role: "cloud"}}, log)
}

// New opens the database, brings it up to date and builds the handler.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Cloud, error) {
	root, err := bridge.ParseSigningRoot(cfg.SigningKey)
	if err != nil {
		return nil, err
	}
	vault, db, err := openVault(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	kept, err := mark.Open(mark.Place{Dir: cfg.DataDir, Role: "cloud", New: db.Replaced() != ""}, log)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	own, err := keys.New(ctx, db, keys.Config{Servers: []bridge.ServerURL{cfg.PublicURL}, Catalogue: accounts.Scopes,
		Pepper: cfg.SigningKey, Personal: true, Now: cfg.Now, Mark: kept}, log)
	if err != nil {
		_, _ = db.Close(), kept.Close()
		return nil, err
	}
	cfg.Now = own.Now // the one clock, which never runs backwards
	reg, err := newRegistry(ctx, cfg, db, vault, root, log)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	if err := checkKeys(ctx, reg); err != nil {
		_, _ = db.Close(), kept.Close()
		return nil, err
	}
	if err := audit.Replaced(ctx, db, "", cfg.Now()); err != nil {
		_ = db.Close()
		return nil, err
	}
	reg.UseKeys(own)
	if err := accounts.AdoptTokens(ctx, reg.DB); err != nil {
		_ = db.Close()
		return nil, err
	}
	c := &Cloud{cfg: cfg, log: log, db: db, root: root, registry: reg, keys: own, mark: kept}
	c.mailer, c.kept = chooseMailer(cfg.Mail, cfg.PublicURL)
	if err := c.build(); err != nil {
		_, _ = db.Close(), kept.Close()
		return nil, err
	}
	c.echo = c.routes()
	if err := c.login.OfferFirst(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return c, nil
}

// checkKeys refuses a database whose rows or servers need keys that are missing, and notes the keys present.
func checkKeys(ctx context.Context, reg *registry.Registry) error {
	if err := reg.Vault.CheckKeys(ctx); err != nil {
		return err
	}
	if err := reg.Vault.UseSigningKeys(ctx); err != nil {
		return err
	}
	return reg.Vault.UseEncryptionKeys(ctx)
}

// Handler answers everything the cloud answers.
func (c *Cloud) Handler() http.Handler { return c.echo }

// Registry is the cloud's rules and rows, for the commands of its operator.
func (c *Cloud) Registry() *registry.Registry { return c.registry }

// Run does the background work of the rooms, delivers mail and clears out, until ctx ends.
func (c *Cloud) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{c.links.Run, c.servers.Run, c.relay.Run, c.live.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				c.log.Error("background work has stopped", "error", err)
			}
		})
	}
	wg.Go(func() {
		periodic.Run(ctx, c.log,
			periodic.Job{Every: mailEvery, Wake: c.registry.Outbox.MailQueued(), Do: c.deliverMail},
			periodic.Job{Every: purgeEvery, Do: c.registry.Purge},
			periodic.Job{Every: keysEvery, Do: c.registry.Vault.WatchKeys})
	})
	defer wg.Wait()
	return c.keys.Run(ctx)
}

const (
	purgeEvery = time.Hour
	keysEvery  = 10 * time.Minute
)

// Drain takes no more links, and lets the requests on those that are open finish until ctx ends. It belongs before the end of the
// HTTP server, which knows nothing of links.
func (c *Cloud) Drain(ctx context.Context) { c.links.Drain(ctx) }

// Close closes the database, after Run has returned.
func (c *Cloud) Close() error {
	c.links.Close()
	c.outbound.CloseIdleConnections()
	c.live.Close()
	c.relay.Close()
	if err := errors.Join(c.db.Close(), c.mark.Close()); err != nil {
		return fmt.Errorf("close the cloud's database: %w", err)
	}
	return nil
}

// DeveloperToken mints a developer token for a person by e-mail address, for the operator and for `ace dev`.
func (c *Cloud) DeveloperToken(ctx context.Context, email, org string) (bridge.Secret, time.Time, error) {
	user, err := c.registry.Accounts.UserByEmail(ctx, email)
	if err != nil {
		return bridge.Secret{}, time.Time{}, err
	}
	s, err := c.registry.Sessions.OpenSession(ctx, user.ID, org, accounts.MethodDeveloper, audit.Actor{ID: "operator"})
	if err != nil {
		return bridge.Secret{}, time.Time{}, err
	}
	token, err := c.who.SessionToken(s.Principal, accounts.DeveloperLife)
	return token, s.Principal.ExpiresAt, err
}
