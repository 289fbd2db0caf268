// Package dashboard is the pages of people who are signed in: connections, keys, members and audit log.
//
//	page ──► what it shows is read from the stores ──► web's template
//	form ──► one rule of a store, or a use case of cloud/servers ──► the page again: done (303), or the form with its error
//	a change that ends something ──► a page that names it (cloud/preview) ──► ticked and sent again ──► done
//
// Each group of pages is a type with the fields it needs; its routes stand next to its handlers:
//
//	connectionList, newConnection   /connections, /connections/new
//	overview, serverKeys, sharing,  /connections/{id} and its tabs, written by tabs
//	explorer, auditLog              (auditLog also has /audit)
//	cloudKeys                       /keys
//	members, organizations          /members, /organizations
//
// Pages work without scripts; ace.js makes them live. cloud/page decides what a page may load. The pages of what people set
// for themselves are in cloud/settings, those of signing in in cloud/login.
package dashboard

import (
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/joins"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/upkeep"
	"github.com/acebridge/ace/cloud/who"
)

// Config holds everything that the room may use. Every field is required.
type Config struct {
	PublicURL   bridge.ServerURL // the cloud's own URL
	Keys        *keys.Authority  // of the cloud's own API
	Page        *page.Writer
	Who         *who.Finder
	Quotas      *who.Quotas
	Servers     *servers.Servers
	Accounts    *accounts.Store
	Sessions    *accounts.Sessions
	Outbox      *outbox.Outbox
	Connections *connections.Store
	Joins       *joins.Store
	History     *connections.History
	Upkeep      *upkeep.Upkeep
	Preview     *preview.Preview
	Now         func() time.Time
}

// Dashboard is the pages of people who are signed in.
type Dashboard struct {
	groups []interface{ mount(e *echo.Echo) }
}

// New returns the room. Each group of pages is built with only what it may touch.
func New(cfg Config) *Dashboard {
	tabs := &tabs{page: cfg.Page, connections: cfg.Connections}
	return &Dashboard{[]interface{ mount(e *echo.Echo) }{
		&connectionList{page: cfg.Page, connections: cfg.Connections, upkeep: cfg.Upkeep, cloud: cfg.PublicURL},
		&newConnection{page: cfg.Page, connections: cfg.Connections, joins: cfg.Joins, servers: cfg.Servers, cloud: cfg.PublicURL, now: cfg.Now},
		&overview{page: cfg.Page, tabs: tabs, connections: cfg.Connections, history: cfg.History, servers: cfg.Servers, upkeep: cfg.Upkeep, cloud: cfg.PublicURL},
		&serverKeys{page: cfg.Page, tabs: tabs, servers: cfg.Servers, quotas: cfg.Quotas},
		&sharing{page: cfg.Page, tabs: tabs, connections: cfg.Connections, history: cfg.History, servers: cfg.Servers},
		&explorer{page: cfg.Page, tabs: tabs, cloud: cfg.PublicURL},
		&cloudKeys{page: cfg.Page, who: cfg.Who, keys: cfg.Keys, servers: cfg.Servers, cloud: cfg.PublicURL},
		&members{page: cfg.Page, who: cfg.Who, accounts: cfg.Accounts, outbox: cfg.Outbox, preview: cfg.Preview, servers: cfg.Servers},
		&organizations{page: cfg.Page, accounts: cfg.Accounts, sessions: cfg.Sessions},
		&auditLog{page: cfg.Page, tabs: tabs, accounts: cfg.Accounts, connections: cfg.Connections},
	}}
}

// Mount mounts the routes of all groups.
func (d *Dashboard) Mount(e *echo.Echo) {
	for _, g := range d.groups {
		g.mount(e)
	}
}
