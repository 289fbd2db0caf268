package sqldbtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/acebridge/ace/bridge/sqldb"
)

// migrate are the migrations that the databases of this test process have gone through; see [Main].
var migrate []func(context.Context, *sqldb.DB) error

// migrated opens a database and migrates it.
func migrated(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, step := range migrate {
		if err := step(ctx, db); err != nil {
			return fmt.Errorf("migrate the template of the tests' databases: %w", err)
		}
	}
	return nil
}

// sqliteTemplate returns a migrated SQLite file.
var sqliteTemplate = sync.OnceValues(func() ([]byte, error) {
	dir, err := scratch()
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "template.db")
	if err := migrated(context.Background(), "sqlite:"+path); err != nil {
		return nil, err
	}
	return os.ReadFile(path) //nolint:gosec // in our own folder
})

// made is the name of the PostgreSQL template once it exists.
var made string

// postgresTemplate returns the name of a migrated PostgreSQL database; empty: databases start empty.
var postgresTemplate = sync.OnceValues(func() (string, error) {
	if len(migrate) == 0 {
		return "", nil
	}
	dsn, err := server()
	if err != nil {
		return "", err
	}
	ctx := context.Background()
	if made, err = create(ctx, ""); err != nil {
		return "", err
	}
	if dsn, err = named(dsn, made); err != nil {
		return "", err
	}
	return made, migrated(ctx, dsn)
})

func noTemplate() (string, error) { return "", nil }

func stopTemplates() {
	if made != "" && process == nil { // the server outlives this process
		drop(made)
	}
}

// create creates a PostgreSQL database: a copy of the template, or an empty one.
func create(ctx context.Context, template string) (name string, err error) {
	var random [8]byte
	_, _ = rand.Read(random[:])
	name = "ace_test_" + hex.EncodeToString(random[:])
	if template == "" {
		// Most databases sort text by language, not by bytes; SQL that only works by bytes should fail here.
		template = "template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
	}
	// Copying files is eight times as fast as copying pages through the log.
	return name, admin(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+" STRATEGY file_copy")
}

func drop(name string) {
	_ = admin(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
}

// named returns the URL of another database on the same server.
func named(dsn, name string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}
