package connections_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/vault"
)

// watched returns an organization of 50 members who watch 1,000 shared connections, one of them with a full history.
func watched(b *testing.B, dsn string) (r *registry.Registry, who []accounts.Principal, ids []string) {
	b.Helper()
	ctx := b.Context()
	keys, err := vault.NewEncryptionKey()
	if err != nil {
		b.Fatal(err)
	}
	vault, err := vault.NewVault(keys)
	if err != nil {
		b.Fatal(err)
	}
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		b.Fatal(err)
	}
	db, err := sqldb.Open(ctx, dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if r, err = registry.New(ctx, db, registry.Config{Issuer: storetest.Issuer, Vault: vault, Root: root,
		Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}}, slog.New(slog.DiscardHandler)); err != nil {
		b.Fatal(err)
	}
	for i := range 50 {
		u, err := r.SignUp.AddUser(ctx, audit.Actor{}, signup.NewUser{Email: fmt.Sprintf("m%d@a.test", i), Password: bridge.NewSecret(storetest.Password), Org: "acme"})
		if err != nil {
			b.Fatal(err)
		}
		s, err := r.Sessions.OpenSession(ctx, u.ID, "acme", accounts.MethodDeveloper, audit.Actor{})
		if err != nil {
			b.Fatal(err)
		}
		who = append(who, s.Principal)
	}
	for i := range 1000 {
		key := bridge.NewSecret("a-plain-key").Disclose()
		c, _, err := r.Connections.Register(ctx, who[0].As(audit.Actor{}), api.RegisterRequest{ServerURL: fmt.Sprintf("https://s%d.a.test", i), APIKey: &key})
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	if _, err := db.ExecContext(ctx, "UPDATE connections SET visibility = 'organization'"); err != nil {
		b.Fatal(err)
	}
	var uses []connections.RelayUse
	for i := range 30 * 48 {
		uses = append(uses, connections.RelayUse{Connection: ids[0], UserID: who[i%len(who)].UserID, Calls: 1, Answers: 1, Latency: time.Second,
			Last: time.Now().Add(-time.Duration(i) * 30 * time.Minute)})
	}
	if err := r.History.AddRelayUses(ctx, uses); err != nil {
		b.Fatal(err)
	}
	return r, who, ids
}

// BenchmarkWatching measures the queries of live status for 50 members and 1,000 connections: which streams may go on, asked
// several times a second; who is told of a change of one connection, or of 100; and the query of a page.
func BenchmarkWatching(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{"SQLite": sqldbtest.SQLite, "PostgreSQL": sqldbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			r, who, ids := watched(b, dsn(b))
			ctx := b.Context()
			last, _, err := r.Feed.Position(ctx, who[0], time.Now())
			if err != nil {
				b.Fatal(err)
			}
			changes := func(n int64) func() error {
				return func() error {
					told, _, err := r.Feed.Changes(ctx, who[0].OrgID, last-n, last, who)
					if err == nil && len(told) != int(n)*len(who) {
						err = fmt.Errorf("%d are told", len(told))
					}
					return err
				}
			}
			for _, c := range []struct {
				name string
				do   func() error
			}{
				{"Standing", func() error { _, err := r.Feed.Watchers(ctx, who); return err }},
				{"OneChange", changes(1)},
				{"HundredChanges", changes(100)},
				{"Position", func() error {
					_, _, err := r.Feed.Position(ctx, who[0], time.Now().Add(-time.Minute))
					return err
				}},
				{"History", func() error { _, err := r.History.Of(ctx, who[0], ids[0]); return err }},
				{"MemberUses", func() error { _, err := r.History.MemberUses(ctx, who[0], ids[0], 20); return err }},
			} {
				b.Run(c.name, func(b *testing.B) {
					for b.Loop() {
						if err := c.do(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkLostTokens measures the query, made twice a second, for those of 2,000 token holders who are no longer entitled to
// their tokens.
func BenchmarkLostTokens(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{"SQLite": sqldbtest.SQLite, "PostgreSQL": sqldbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			url := dsn(b)
			r, who, _ := watched(b, url)
			db, err := sqldb.Open(b.Context(), url)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = db.Close() })
			const manyConnections = 40
			if _, err := db.ExecContext(b.Context(), `INSERT INTO handed_tokens (connection_id, user_id, api_key_id, terms, org_id, subject, role, manage, environment, maker_id,
				server_key_id, issued_at, expires_at, withdrawn_at, next_at) SELECT c.id, m.user_id, '', m.role || '|||||', m.org_id, u.email, m.role,
				CASE m.role WHEN 'admin' THEN 'manage' ELSE '' END, '', '', c.key_id, $1, $2, 0, 0
				FROM members m JOIN users u ON u.id = m.user_id, (SELECT id, key_id FROM connections ORDER BY id LIMIT $3) c`,
				time.Now().Unix(), time.Now().Add(time.Hour).Unix(), manyConnections); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				lost, err := r.Tokens.LostTokens(b.Context(), tokens.Look{Alive: func(uuid.UUID) bool { return true }, Everybody: true})
				if err != nil || len(lost) != 0 {
					b.Fatalf("%d of %d are lost (%v)", len(lost), manyConnections*len(who), err)
				}
			}
		})
	}
}
