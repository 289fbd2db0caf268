package keys_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, keys.Migrate) }

const self bridge.ServerURL = "https://ace.example.com"

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type fixture struct {
	*keys.Authority
	db    *sqldb.DB
	clock *clock
}

func each(t *testing.T, test func(t *testing.T, f fixture)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		c := &clock{t: time.Unix(1_800_000_000, 0)}
		a, err := keys.New(t.Context(), db, keys.Config{Servers: []bridge.ServerURL{self},
			Catalogue: catalogue.Builtin(), Now: c.now}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		test(t, fixture{a, db, c})
	})
}

var operator = audit.Actor{ID: "operator:ops", Org: "acme"}

var acme = keys.View{Org: "acme"}

// person returns an operator of an organization, in person.
func person(org string, role bridge.Role) keys.By {
	return keys.By{Actor: audit.Actor{ID: "operator:ops", Org: org}, Who: bridge.Identity{Type: bridge.TypeUserToken, Subject: "ops",
		Org: org, Role: role, Environment: bridge.EnvironmentLive, Scopes: catalogue.Builtin().Ceiling(role)}}
}

var admin = person("acme", bridge.RoleAdmin)

func (f fixture) create(t *testing.T, change func(*keys.NewKey)) (bridge.Key, record.Record) {
	t.Helper()
	n := keys.NewKey{Kind: bridge.KindLive, Name: "ci", Org: "acme", Owner: "ann@example.com",
		Scopes: bridge.Scopes{"app:*", "key:*"}, ExpiresAt: f.clock.now().Add(bridge.DefaultKeyLife)}
	if change != nil {
		change(&n)
	}
	key, record, err := f.Create(t.Context(), operator, n)
	if err != nil {
		t.Fatal(err)
	}
	return key, record
}

func (f fixture) verify(t *testing.T, s bridge.Secret) (bridge.Identity, error) {
	t.Helper()
	p, err := bridge.ParsePresented(s)
	if err != nil {
		t.Fatal(err)
	}
	return f.Verify(t.Context(), p, bridge.Use{Address: "192.0.2.1", UserAgent: "test\xff"})
}

// cause returns the exact code behind the public refusal.
func cause(err error) bridge.Code {
	e := bridge.AsError(err)
	if e.Err == nil {
		return e.Code
	}
	return bridge.CodeOf(e.Err)
}

func TestLifecycle(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key, made := f.create(t, nil)
		id, err := f.verify(t, key.Text())
		if err != nil {
			t.Fatal(err)
		}
		if id.Subject != "ann@example.com" || id.KeyID != key.ID || id.Environment != "live" || id.Org != "acme" {
			t.Errorf("the identity is wrong: %+v", id)
		}
		if _, err := f.verify(t, bridge.NewSecret(key.ID.String()+"."+key.Text().Reveal())); err != nil {
			t.Errorf("KEYID.KEY: %v", err)
		}
		other, _ := f.create(t, nil)
		if _, err := f.verify(t, bridge.NewSecret(other.ID.String()+"."+key.Text().Reveal())); cause(err) != "key_id_mismatch" {
			t.Errorf("another key's ID before the key: %v", cause(err))
		}
		forged := bridge.NewKey(bridge.KindLive, key.ID)
		if _, err := f.verify(t, forged.Text()); cause(err) != "key_secret" || bridge.CodeOf(err) != "key_invalid" {
			t.Errorf("a well-formed key with another secret: %v", err)
		}
		for range 2 { // the second time changes nothing
			dead, err := f.Revoke(t.Context(), admin, made.ID, "leaked")
			if err != nil || dead.EndReason != "leaked" || dead.Status(f.clock.now()) != record.StatusRevoked {
				t.Fatalf("revoke: %v %+v", err, dead)
			}
		}
		if _, err := f.verify(t, key.Text()); cause(err) != "key_revoked" {
			t.Errorf("a revoked key: %v", cause(err))
		}
		if _, err := f.Revoke(t.Context(), person("rival", bridge.RoleAdmin), other.ID, ""); bridge.CodeOf(err) != "key_unknown" {
			t.Errorf("another organization revokes: %v", err)
		}
		f.clock.advance(bridge.DefaultKeyLife)
		if _, err := f.verify(t, other.Text()); cause(err) != "key_expired" {
			t.Errorf("an expired key: %v", cause(err))
		}
		entries, _, err := audit.List(t.Context(), f.db, audit.Query{Org: "acme", Action: "key.revoke"})
		if err != nil || len(entries) != 1 {
			t.Errorf("audit: %v, %d entries of key.revoke, want 1", err, len(entries))
		}
	})
}

func exchange(jti string, f fixture) func(*keys.NewKey) {
	return func(n *keys.NewKey) {
		n.Kind = bridge.KindSK
		n.Exchange = &keys.Exchange{Issuer: "https://cloud.example.com", JTI: jti, Expires: f.clock.now().Add(5 * time.Minute)}
	}
}

func TestUnconfirmedKeyDies(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		used, _ := f.create(t, exchange("one", f))
		unused, _ := f.create(t, exchange("two", f))
		f.clock.advance(9 * time.Minute)
		if _, err := f.verify(t, used.Text()); err != nil {
			t.Fatalf("the first use: %v", err)
		}
		f.clock.advance(time.Minute)
		if _, err := f.verify(t, used.Text()); err != nil {
			t.Errorf("a confirmed key: %v", err)
		}
		if _, err := f.verify(t, unused.Text()); cause(err) != "key_lapsed" {
			t.Errorf("an unconfirmed key after ten minutes: %v", cause(err))
		}
	})
}

func TestConnectTokenIsUsedOnce(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		const tries = 8
		results := make(chan error, tries)
		for range tries {
			go func() {
				n := keys.NewKey{Name: "c", Org: "acme", Owner: "ann", Scopes: bridge.Scopes{"app:*"}}
				exchange("same", f)(&n)
				_, _, err := f.Create(context.Background(), operator, n)
				results <- err
			}()
		}
		won := 0
		for range tries {
			switch err := <-results; bridge.CodeOf(err) {
			case "":
				won++
			case "connect_token_used":
			default:
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d exchanges of one connect token succeeded", won)
		}
		list, _, err := f.List(t.Context(), acme, "", 0)
		if err != nil || len(list) != 1 {
			t.Errorf("%d keys are stored (%v), want 1", len(list), err)
		}
	})
}

func TestAccessToken(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key, record := f.create(t, func(n *keys.NewKey) { n.Kind = bridge.KindSK })
		sign := func(c bridge.AccessClaims) bridge.Secret {
			t.Helper()
			c.Times = bridge.NewTimes(f.clock.now(), bridge.MaxAccessTokenLife)
			token, err := key.SignAccess(c.ForServer(self))
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		id, err := f.verify(t, sign(bridge.AccessClaims{Subject: "bob@example.com", Scope: "*", Connection: "c1"}))
		if err != nil {
			t.Fatal(err)
		}
		if id.Subject != "bob@example.com" || id.Connection != "c1" || id.Scopes.String() != record.Scopes.String() {
			t.Errorf("identity: %+v; a token never has more than its key", id)
		}
		id, err = f.verify(t, sign(bridge.AccessClaims{Subject: "bob@example.com", Scope: "*", Role: bridge.RoleViewer}))
		if err != nil || id.Scopes.String() != "app:read" {
			t.Errorf("a viewer's token has %q (%v), want app:read", id.Scopes, err)
		}
		token := sign(bridge.AccessClaims{Subject: "bob@example.com", Scope: "app:read"})
		f.clock.advance(bridge.MaxAccessTokenLife)
		if _, err := f.verify(t, token); cause(err) != "token_expired" {
			t.Errorf("an expired token: %v", cause(err))
		}
		token = sign(bridge.AccessClaims{Subject: "bob@example.com", Scope: "app:read"})
		if _, err := f.Revoke(t.Context(), admin, key.ID, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := f.verify(t, token); cause(err) != "key_revoked" {
			t.Errorf("a token of a revoked key: %v", cause(err))
		}
	})
}

func TestRevokeSigned(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key, _ := f.create(t, nil)
		other, _ := f.create(t, nil)
		token, err := key.SignRevocation("ann@example.com", "disconnected", f.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			record, err := f.RevokeSigned(t.Context(), audit.Actor{}, token)
			if err != nil || record.EndedBy != "user:ann@example.com" {
				t.Fatalf("%v %+v", err, record)
			}
		}
		if _, err := f.verify(t, key.Text()); cause(err) != "key_revoked" {
			t.Errorf("the key lives on: %v", err)
		}
		if _, err := f.verify(t, other.Text()); err != nil {
			t.Errorf("another key died: %v", err)
		}
		forged := bridge.NewKey(bridge.KindLive, other.ID)
		token, _ = forged.SignRevocation("mallory", "", f.clock.now())
		if _, err := f.RevokeSigned(t.Context(), audit.Actor{}, token); bridge.CodeOf(err) != "revocation_invalid" {
			t.Errorf("a revocation signed with another key: %v", err)
		}
	})
}

func TestAuditFailureFailsTheChange(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key, record := f.create(t, nil)
		if _, err := f.db.ExecContext(t.Context(), "DROP TABLE audit"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Revoke(t.Context(), admin, record.ID, ""); err == nil {
			t.Error("a revocation without an audit entry succeeded")
		}
		if _, err := f.verify(t, key.Text()); err != nil {
			t.Errorf("the change was made although its audit entry failed: %v", err)
		}
	})
}

func TestLastUseIsStoredInBatches(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key, record := f.create(t, nil)
		if _, err := f.verify(t, key.Text()); err != nil {
			t.Fatal(err)
		}
		if r, err := f.Get(t.Context(), acme, record.ID); err != nil || !r.UsedAt.IsZero() {
			t.Errorf("verifying has written to the database (%v): %v", err, r.UsedAt)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Run(ctx); err != nil {
			t.Fatal(err)
		}
		r, err := f.Get(t.Context(), acme, record.ID)
		if err != nil || !r.UsedAt.Equal(f.clock.now()) || r.UsedFrom != "192.0.2.1" {
			t.Errorf("the last use was not stored at the end: %v %+v", err, r)
		}
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		for range 5 {
			f.create(t, nil)
		}
		seen, cursor := 0, ""
		for {
			page, next, err := f.List(t.Context(), acme, cursor, 2)
			if err != nil {
				t.Fatal(err)
			}
			seen += len(page)
			if cursor = next; cursor == "" {
				break
			}
		}
		if seen != 5 {
			t.Errorf("the pages hold %d keys, want 5", seen)
		}
	})
}

// TestParseExpiry checks that a date means the end of that day in UTC, wherever the machine is, and that a time has its own zone.
func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.FixedZone("here", -8*3600))
	for s, want := range map[string]string{
		"2026-12-01": "2026-12-01T23:59:59Z", "2026-12-31": "2026-12-31T23:59:59Z", "2028-02-29": "2028-02-29T23:59:59Z",
		"2026-12-02T00:30:00+02:00": "2026-12-01T22:30:00Z", "2026-12-02T09:00:00+01:00": "2026-12-02T08:00:00Z", "2026-12-01T18:00:01Z": "2026-12-01T18:00:01Z",
		"12h": "2026-12-02T06:00:00Z", "1d": "2026-12-02T18:00:00Z",
		"2026-11-30": "", "2026-12-01T18:00:00Z": "", "2026-02-30": "", "1.12.2026": "", "2026-12-02T09:00:00": "",
	} {
		at, err := record.ParseExpiry(s, now)
		if got := at.UTC().Format(time.RFC3339); (err != nil) != (want == "") || (err == nil && got != want) {
			t.Errorf("%s is %s (%v), not %s", s, got, err, want)
		}
	}
}

func FuzzParseExpiry(f *testing.F) {
	for _, s := range []string{"", "never", "90d", "12h", "2027-01-31", "2027-01-31T10:00:00Z", "-1d", "9999999d", "1e9h"} {
		f.Add(s)
	}
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, s string) {
		at, err := record.ParseExpiry(s, now)
		if err == nil && !at.IsZero() && !at.After(now) {
			t.Errorf("%q expires at %v, which is not after now", s, at)
		}
	})
}
