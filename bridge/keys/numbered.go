package keys

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Rule does a transaction's work and reports whether it took something away, so that losing it puts the database behind.
type Rule func(tx *sql.Tx) (takes bool, err error)

// Numbered runs a rule on other tables of the authority's database. If it takes something away, it gets a change number,
// which is stored outside the database before Numbered returns. The number is taken last, so that its lock is held only
// for the commit.
func (a *Authority) Numbered(ctx context.Context, rule Rule) error {
	var made int64
	err := a.db.Tx(ctx, func(tx *sql.Tx) error {
		made = 0
		takes, err := rule(tx)
		if err != nil || !takes {
			return err
		}
		made, err = a.nextVersion(ctx, tx, a.cfg.Now())
		return err
	})
	switch {
	case err == nil && made != 0:
		a.made(made)
	case bridge.CodeOf(err) == "database_behind":
		_, _ = a.look(ctx)
	}
	return err
}

// Numbered is [Authority.Numbered] in a process without an authority, such as an operator's command beside a running cloud.
func Numbered(ctx context.Context, db *sqldb.DB, place mark.Place, log *slog.Logger, rule Rule) error {
	kept, err := mark.Open(place, log)
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }()
	var made int64
	err = db.Tx(ctx, func(tx *sql.Tx) error {
		made = 0
		takes, err := rule(tx)
		if err != nil || !takes {
			return err
		}
		if err := tx.QueryRowContext(ctx, "UPDATE key_changes SET version = version + 1 WHERE id = 1 RETURNING version").Scan(&made); err != nil {
			return fmt.Errorf("take the next version: %w", err)
		}
		if known := kept.Number(); made <= known {
			return errBehind(made-1, known)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return kept.Advance(made)
}
