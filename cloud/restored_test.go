package cloud_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/registry"
)

// The cloud notices at its start that yesterday's database was restored, even if no API key has changed since; otherwise a
// session that has ended would be alive again.
func TestOldBackupOfACloud(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), func(c *cloud.Config) { c.DataDir = t.TempDir() })
	file := strings.TrimPrefix(f.cfg.DatabaseURL, "sqlite:")
	if err := f.cloud.Close(); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f.restart()
	if err := f.client().RevokeSession(t.Context(), f.token); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client().Me(t.Context()); bridge.AsError(err).Kind != bridge.Unauthenticated {
		t.Fatalf("the session has not ended: %v", err)
	}
	if err := f.cloud.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := cloud.New(t.Context(), f.cfg, slog.New(slog.DiscardHandler))
	if bridge.CodeOf(err) != "database_behind" || bridge.AsError(err).Hint == "" {
		t.Errorf("a start on yesterday's database: %v, want database_behind with a hint", err)
	}
	if err == nil {
		_ = again.Close()
	}
	db, err := sqldb.Open(t.Context(), f.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := keys.AcceptRestore(t.Context(), db, f.now, keys.RestoreChoice{Known: 1000}, audit.Actor{ID: "operator"}, registry.SettleRestored); err != nil {
		t.Fatal(err)
	}
	f.restart()
	if _, err := f.client().Me(t.Context()); bridge.AsError(err).Kind != bridge.Unauthenticated {
		t.Errorf("a session that may have ended is alive after the restore: %v", err)
	}
	if f.token, _, err = f.cloud.DeveloperToken(t.Context(), "ann@acme.test", "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client().Me(t.Context()); err != nil {
		t.Errorf("signed in again: %v", err)
	}
}
