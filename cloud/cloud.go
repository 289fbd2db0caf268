// Package cloud is the hosted side: it logs people in, narrows their sessions into connect tokens, keeps the registry of
// connections, says how they are, and serves the dashboard.
//
// A request flows from a thin handler to cloud/registry, which holds the rules and rows, and back as an answer or an
// error that one handler renders.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/mail"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/vault"
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
	RelayLimits    RelayLimits
	Version        string
	Password       signin.PasswordCost // zero: the default cost
	Now            func() time.Time    // nil: time.Now
	ProviderTime   time.Duration       // for one step of a sign-in at a provider; zero: 8 s
	LookupTXT      LookupTXT           // nil: the system's resolver
}

// Cloud is a running cloud. [Cloud.Run] does its background work and has to run beside the handler.
type Cloud struct {
	cfg      Config
	log      *slog.Logger
	db       *sqldb.DB
	root     bridge.SigningRoot
	origin   bridge.ServerURL // its own URL without the path
	registry *registry.Registry
	keys     *keys.Authority // of the cloud's own API
	mark     *mark.File
	outbound *http.Client // to the servers of customers
	relay    *relay
	quotas   *quotas
	// What the relay is told: that a connection is gone, and that somebody's access may have changed.
	forgetTarget  func(connection string)
	accessChanged func()
	watchers      watchers
	echo          *echo.Echo
	logins        *api.Limiter
	devices       *api.Limiter
	tokens        *api.Limiter
	mails         *api.Limiter
	mailer        mail.Sender
	kept          *mail.Kept // nil unless mail goes to a page

	withdrawals deliveries
	sweep       sweep

	providers *oidcProviders // of organizations, for sign-in

	invitations *api.Limiter
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
	if err := reg.SignIn.AdoptTokens(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	mailer, mails := chooseMailer(cfg.Mail, cfg.PublicURL)
	if cfg.LookupTXT == nil {
		cfg.LookupTXT = net.DefaultResolver.LookupTXT
	}
	rules := dialRules{loopback: cfg.PublicURL.Loopback(), allow: cfg.RelayAllow}
	c := &Cloud{
		cfg: cfg, log: log, db: db, root: root, origin: bridge.ServerURL(cfg.PublicURL.Origin()), registry: reg, keys: own, mark: kept,
		outbound: rules.client(), relay: newRelay(cfg.PublicURL, rules, cfg.RelayLimits, log),
		logins:  api.NewLimiter(6*time.Second, 10, 100, cfg.Now),
		devices: api.NewLimiter(2*time.Second, 20, 500, cfg.Now),
		tokens:  api.NewLimiter(100*time.Millisecond, 300, 1000, cfg.Now),
		mails:   api.NewLimiter(time.Minute, 5, 300, cfg.Now),
		mailer:  mailer, kept: mails,

		invitations: api.NewLimiter(20*time.Second, 50, 500, cfg.Now),
	}
	c.quotas = newQuotas(cfg.RelayLimits)
	c.forgetTarget, c.accessChanged = c.relay.targets.forget, c.relay.grants.forget
	c.watchers = watchers{all: map[*watcher]struct{}{}, of: map[string]int{}, most: maxStreams}
	c.providers = newOIDCProviders(c.outbound, cfg.PublicURL.Loopback(), cfg.ProviderTime, cfg.Now)
	c.echo = c.routes()
	if err := c.offerFirst(ctx); err != nil {
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

// Run probes connections, rotates their keys, delivers revocations and mail and clears out, until ctx ends.
func (c *Cloud) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, work := range []struct {
		every time.Duration
		wake  <-chan struct{} // nil: only the time
		do    func(context.Context) error
	}{
		{probeEvery, nil, c.probeStale},
		{deliverEvery, c.registry.Upkeep.RevocationsDue(), c.deliverRevocations},
		{rotateEvery, nil, c.rotateKeys},
		{mailEvery, c.registry.Outbox.MailQueued(), c.deliverMail},
		{purgeEvery, nil, c.registry.Purge},
		{recheckEvery, nil, c.recheckRelays},
		{withdrawEvery, c.registry.Tokens.WithdrawalsDue(), c.withdrawTokens},
		{usesEvery, nil, c.storeUses},
		{keysEvery, nil, c.registry.Vault.WatchKeys},
	} {
		wg.Go(func() { c.every(ctx, work.every, work.wake, work.do) })
	}
	wg.Go(func() { c.probeSuspects(ctx) })
	wg.Go(func() { c.watch(ctx) })
	defer c.withdrawals.wg.Wait()
	defer wg.Wait()
	return c.keys.Run(ctx)
}

const (
	purgeEvery = time.Hour
	keysEvery  = 10 * time.Minute
)

func (c *Cloud) every(ctx context.Context, interval time.Duration, wake <-chan struct{}, do func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := do(ctx); err != nil && !errors.Is(err, context.Canceled) {
			c.log.Warn("background work failed; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-ticker.C:
		}
	}
}

// Close closes the database, after Run has returned.
func (c *Cloud) Close() error {
	c.outbound.CloseIdleConnections()
	c.relay.close()
	c.watchers.close()
	last, cancel := context.WithTimeout(context.Background(), usesEvery)
	defer cancel()
	if err := c.storeUses(last); err != nil {
		c.log.Warn("the last calls through the relay are not in the history", "error", err)
	}
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
	token, err := c.sessionToken(s.Principal, accounts.DeveloperLife)
	return token, s.Principal.ExpiresAt, err
}
