package cloud

import (
	"context"
	"time"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/dashboard"
	"github.com/acebridge/ace/cloud/docs"
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/live"
	"github.com/acebridge/ace/cloud/login"
	"github.com/acebridge/ace/cloud/oauth"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/presence"
	"github.com/acebridge/ace/cloud/relay"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/settings"
	"github.com/acebridge/ace/cloud/sso"
	v1 "github.com/acebridge/ace/cloud/v1"
	"github.com/acebridge/ace/cloud/who"
)

// build makes the rooms, each from what it may touch. A failed call of the relay asks for a probe, and a disconnect forgets
// the relay's target: the two functions tie rooms that do not know each other.
func (c *Cloud) build() error {
	cfg, reg, now := c.cfg, c.registry, c.cfg.Now
	rules := outbound.Rules{Loopback: cfg.PublicURL.Loopback(), Allow: cfg.RelayAllow}
	c.outbound = rules.Client()
	quotas := who.NewQuotas(cfg.RelayLimits)
	limits := who.Limits{
		Logins:      api.NewLimiter(6*time.Second, 10, 100, now),
		Mails:       api.NewLimiter(time.Minute, 5, 300, now),
		Invitations: api.NewLimiter(20*time.Second, 50, 500, now),
	}
	devices := api.NewLimiter(2*time.Second, 20, 500, now)
	tokens := api.NewLimiter(100*time.Millisecond, 300, 1000, now)

	c.who = who.New(who.Config{PublicURL: cfg.PublicURL, AllowedOrigins: cfg.AllowedOrigins, Root: c.root, Keys: c.keys,
		Accounts: reg.Accounts, Sessions: reg.Sessions, SignIn: reg.SignIn, Links: reg.Links,
		Addresses: reg.Addresses, Outbox: reg.Outbox, Now: now, Limits: limits})
	c.page = page.New(page.Config{Who: c.who, Accounts: reg.Accounts})
	c.docs = docs.New(docs.Config{PublicURL: cfg.PublicURL, Page: c.page, Who: c.who})
	replica, err := presence.New(reg.DB, cfg.Internal.URL)
	if err != nil {
		return err
	}
	c.links, err = links.New(links.Config{PublicURL: cfg.PublicURL, Root: c.root, Lookup: reg.Joins.Lookup, Rotate: reg.Joins.RotateKey,
		Used: reg.Joins.KeyUsed, Leave: reg.Joins.Leave, Revocation: reg.Upkeep.PendingRevocation, Presence: replica, Internal: cfg.Internal, Now: now,
		News: func(ctx context.Context, connection string, news links.News) error {
			return c.servers.LinkNews(ctx, connection, news)
		}}, c.log)
	if err != nil {
		return err
	}
	c.relay = relay.New(relay.Config{PublicURL: cfg.PublicURL, Outbound: rules, Links: c.links, Limits: cfg.RelayLimits, Keys: c.keys, Who: c.who,
		Quotas: quotas, Tokens: reg.Tokens, History: reg.History, Now: now,
		Check: func(ctx context.Context, p accounts.Principal, id string) (api.Connection, error) {
			return c.servers.Check(ctx, p, id)
		}}, c.log)
	c.servers = servers.New(servers.Config{Version: cfg.Version, Outbound: c.outbound, Links: c.links, Keys: c.keys, Who: c.who, Quotas: quotas,
		Connections: reg.Connections, Tokens: reg.Tokens, Upkeep: reg.Upkeep, Preview: reg.Preview,
		ForgetTarget: c.relay.ForgetTarget, Now: now}, c.log)
	c.live = live.New(live.Config{Keys: c.keys, Who: c.who, Feed: reg.Feed, Now: now}, c.log)
	c.oauth = oauth.New(oauth.Config{PublicURL: cfg.PublicURL, Root: c.root, Page: c.page, Who: c.who, Sessions: reg.Sessions,
		Accounts: reg.Accounts, Connections: reg.Connections, Devices: devices, Tokens: tokens, Now: now}, c.log)
	c.sso = sso.New(sso.Config{PublicURL: cfg.PublicURL, Outbound: c.outbound, ProviderTime: cfg.ProviderTime, LookupTXT: cfg.LookupTXT,
		Page: c.page, Who: c.who, Providers: reg.Providers, Logins: limits.Logins, Tokens: tokens,
		AccessChanged: c.relay.AccessChanged, Now: now}, c.log)
	c.login = login.New(login.Config{FirstEmail: cfg.FirstEmail, Page: c.page, Who: c.who, Accounts: reg.Accounts,
		Sessions: reg.Sessions, SignIn: reg.SignIn, Links: reg.Links, Lockout: reg.Lockout, Addresses: reg.Addresses,
		Joining: reg.Joining, SignUp: reg.SignUp, Outbox: reg.Outbox, Mails: limits.Mails}, c.log)
	c.v1 = v1.New(v1.Config{Keys: c.keys, Who: c.who, Servers: c.servers, Accounts: reg.Accounts, Sessions: reg.Sessions,
		SignIn: reg.SignIn, Factors: reg.Factors, Lockout: reg.Lockout, Addresses: reg.Addresses, Joining: reg.Joining,
		Joins: reg.Joins, Joiners: api.NewLimiter(200*time.Millisecond, 100, 500, now),
		Connections: reg.Connections, History: reg.History, Tokens: reg.Tokens, Upkeep: reg.Upkeep, Preview: reg.Preview, Now: now}, c.log)
	c.dashboard = dashboard.New(dashboard.Config{PublicURL: cfg.PublicURL, Keys: c.keys, Page: c.page, Who: c.who, Quotas: quotas,
		Servers: c.servers, Accounts: reg.Accounts, Sessions: reg.Sessions, Outbox: reg.Outbox,
		Connections: reg.Connections, Joins: reg.Joins, History: reg.History, Upkeep: reg.Upkeep, Preview: reg.Preview, Now: now})
	c.settings = settings.New(settings.Config{PublicURL: cfg.PublicURL, Page: c.page, Who: c.who, Accounts: reg.Accounts, Sessions: reg.Sessions,
		Passwords: reg.Passwords, Factors: reg.Factors, Addresses: reg.Addresses, Devices: devices})
	return nil
}
