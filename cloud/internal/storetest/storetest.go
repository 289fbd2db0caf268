// Package storetest gives tests the stores of a cloud over a fresh database, with people and connections in them.
//
//	Each ──► SQLite, PostgreSQL ──► Fixture: a clock that stands still, and every store
//	                                   ├─ Person, Invite, Give       somebody, signed in · an invitation · all that one can be given
//	                                   └─ Register, Shared, Limit    connections and who may use them
//
// The tests of a store stand next to it, in an external package, since the fixture is built with all of them. The tests of
// cloud/registry hold what the stores do together. The package knows nothing of HTTP; cloud/internal/roomtest adds that.
package storetest

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/vault"
)

// What every fixture has.
const (
	Issuer   bridge.ServerURL = "https://cloud.example.com"
	Password string           = "correct horse battery"
)

// Fixture is the stores of a cloud over one database.
type Fixture struct {
	*registry.Registry
	T    *testing.T
	URL  bridge.ServerURL // the cloud's own
	SQL  *sqldb.DB
	Root bridge.SigningRoot
	Dead map[uuid.UUID]bool // API keys of the cloud that were revoked
	Mark mark.Place

	mu  sync.Mutex
	now time.Time
}

// Clock is the time for the stores.
func (f *Fixture) Clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Advance moves the clock.
func (f *Fixture) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// SetClock sets the clock.
func (f *Fixture) SetClock(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t
}

// Open builds the stores again, over the same database, with the given encryption keys.
func (f *Fixture) Open(keys bridge.Secret) {
	f.T.Helper()
	vault, err := vault.NewVault(keys)
	if err != nil {
		f.T.Fatal(err)
	}
	f.Registry, err = registry.New(f.T.Context(), f.SQL, registry.Config{Issuer: f.URL, Vault: vault, Root: f.Root,
		Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}, Mail: true, Now: f.Clock, Mark: f.Mark}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.T.Fatal(err)
	}
}

// NewKeys makes a value of ACE_DATABASE_ENCRYPTION_KEY.
func NewKeys(t *testing.T) bridge.Secret {
	t.Helper()
	keys, err := vault.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Each runs a test on a fresh SQLite and on a fresh PostgreSQL.
func Each(t *testing.T, test func(t *testing.T, f *Fixture)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, dsn string) { test(t, New(t, dsn, Issuer)) })
}

// New builds the stores of a cloud with the given URL, over a database that is there.
func New(t *testing.T, dsn string, url bridge.ServerURL) *Fixture {
	t.Helper()
	f := &Fixture{T: t, URL: url, now: time.Unix(1_800_000_000, 0)}
	var err error
	if f.SQL, err = sqldb.Open(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.SQL.Close() })
	if f.Root, err = bridge.ParseSigningRoot(bridge.NewSigningRoot()); err != nil {
		t.Fatal(err)
	}
	f.Open(NewKeys(t))
	return f
}

// Person adds a user and signs them in.
func (f *Fixture) Person(email, org string, role bridge.Role) accounts.Principal {
	f.T.Helper()
	u, err := f.SignUp.AddUser(f.T.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: email,
		Password: bridge.NewSecret(Password), Org: org, Role: role})
	if err != nil {
		f.T.Fatal(err)
	}
	s, err := f.Sessions.OpenSession(f.T.Context(), u.ID, org, accounts.MethodBrowser, audit.Actor{})
	if err != nil {
		f.T.Fatal(err)
	}
	p, err := f.Sessions.BrowserSession(f.T.Context(), s.Cookie)
	if err != nil || p.Email != email || p.Role != role {
		f.T.Fatalf("the session is not that of %s: %+v %v", email, p, err)
	}
	return p
}

// Register adds a connection by hand.
func (f *Fixture) Register(p accounts.Principal, server, key string) api.Connection {
	f.T.Helper()
	k := bridge.NewSecret(key).Disclose()
	c, _, err := f.Connections.Register(f.T.Context(), p.As(p.Actor("", "")), api.RegisterRequest{ServerURL: server, APIKey: &k})
	if err != nil {
		f.T.Fatal(err)
	}
	return c
}

// AceKey makes a key of an ace server.
func AceKey() bridge.Key { return bridge.NewKey(bridge.KindSK, uuid.New()) }

// Dump fails the test where a row of a table holds a canary, and returns how many rows there are.
func Dump(t *testing.T, db *sqldb.DB, table string, canaries []string) int {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
		values := make([]any, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			text, _ := v.(string)
			for _, canary := range canaries {
				if strings.Contains(text, canary) {
					t.Errorf("%s.%s holds a secret in the clear", table, columns[i])
				}
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
