package cloud_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/vault"
)

const (
	benchConnections = 1000
	benchAudit       = 10_000
	benchMembers     = 50
)

// crowded returns a cloud with a full database, the cookie of an admin, and the ID of one of the admin's connections.
func crowded(b *testing.B, dsn string) (h http.Handler, cookie, connection string) {
	b.Helper()
	ctx := b.Context()
	keys, err := vault.NewEncryptionKey()
	if err != nil {
		b.Fatal(err)
	}
	cfg := cloud.Config{PublicURL: "http://localhost:7700", DatabaseURL: dsn, EncryptionKeys: keys, SigningKey: bridge.NewSigningRoot(),
		Version: "bench", Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}}
	reg, db, err := cloud.OpenRegistry(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	actor := audit.Actor{ID: "user:ann@acme.test", Org: "acme", Address: "192.0.2.7", RequestID: "BENCHBENCHBENCHBENCHBENC"}
	for i := range benchMembers {
		role := bridge.RoleMember
		email := fmt.Sprintf("member-%d@acme.test", i)
		if i == 0 {
			role, email = bridge.RoleAdmin, "ann@acme.test"
		}
		if _, err := reg.SignUp.AddUser(ctx, actor, signup.NewUser{Email: email, Password: bridge.NewSecret(password), Org: "acme", Role: role}); err != nil {
			b.Fatal(err)
		}
	}
	ann, err := reg.Accounts.UserByEmail(ctx, "ann@acme.test")
	if err != nil {
		b.Fatal(err)
	}
	session, err := reg.Sessions.OpenSession(ctx, ann.ID, "acme", accounts.MethodDeveloper, actor)
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchConnections {
		key := bridge.NewKey(bridge.KindSK, uuid.New()).Text().Disclose()
		c, _, err := reg.Connections.Register(ctx, session.Principal.As(actor), api.RegisterRequest{ServerURL: fmt.Sprintf("https://server-%d.example", i), APIKey: &key})
		if err != nil {
			b.Fatal(err)
		}
		connection = c.ID
	}
	err = db.Tx(ctx, func(tx *sql.Tx) error {
		for i := range benchAudit {
			e := audit.Entry{Actor: actor, Action: []string{"connection.share", "key.create", "session.open"}[i%3],
				Target: "connection:" + connection, Details: map[string]string{"name": fmt.Sprintf("connection %d", i)}}
			if err := audit.Write(ctx, tx, time.Now(), e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	c, err := cloud.New(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	login := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost:7700/login", strings.NewReader(url.Values{"email": {"ann@acme.test"}, "password": {password}}.Encode()))
	login.Header.Set("Content-Type", formType)
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, login)
	if w.Code != http.StatusSeeOther {
		b.Fatalf("sign in: %d %s", w.Code, w.Body)
	}
	return c.Handler(), w.Result().Cookies()[0].String(), connection
}

// BenchmarkPages measures how long the cloud takes for each page of the dashboard, with 1,000 connections and 10,000 entries
// of the audit log: 95 of 100 requests take at most p95-µs.
func BenchmarkPages(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{"SQLite": sqldbtest.SQLite, "PostgreSQL": sqldbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			h, cookie, connection := crowded(b, dsn(b))
			for _, path := range []string{"/connections", "/connections/" + connection, "/keys", "/members", "/settings", "/connections/new",
				"/audit", "/audit?actor=ann%40acme.test&action=session.switch", "/audit?outcome=refused&from=2026-01-01", "/connections/" + connection + "/audit",
				"/connections/" + connection + "/sharing", "/connections/" + connection + "/explorer", "/connections?q=server-99"} {
				b.Run(strings.ReplaceAll(strings.Trim(strings.Replace(path, connection, "ID", 1), "/"), "/", ":"), func(b *testing.B) { benchPage(b, h, cookie, path) })
			}
		})
	}
}

func benchPage(b *testing.B, h http.Handler, cookie, path string) {
	var took []time.Duration
	size := 0
	for b.Loop() {
		r := httptest.NewRequestWithContext(context.WithoutCancel(b.Context()), http.MethodGet, "http://localhost:7700"+path, http.NoBody)
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		start := time.Now()
		h.ServeHTTP(w, r)
		took = append(took, time.Since(start))
		if w.Code != http.StatusOK {
			b.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		size = w.Body.Len()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds()), "p95-µs")
	b.ReportMetric(float64(size), "bytes")
}
