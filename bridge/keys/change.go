package keys

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

const channel = "ace_keys" // of PostgreSQL's NOTIFY

// change runs one rule: do makes the conditional change of one key under the next version, and returns its audit entry,
// or nil where there was nothing to change. After the commit the table in memory has the change before change returns.
func (a *Authority) change(ctx context.Context, id uuid.UUID, do func(tx *sql.Tx, version int64) (*audit.Entry, error)) (Record, error) {
	return a.changeFamily(ctx, id, audit.Actor{}, func(x *relatives, version int64) (*audit.Entry, error) { return do(x.tx, version) })
}

// changeFamily is change for a rule that changes other keys as well, for the same actor and in the same transaction.
func (a *Authority) changeFamily(ctx context.Context, id uuid.UUID, actor audit.Actor,
	do func(x *relatives, version int64) (*audit.Entry, error)) (Record, error) {
	if err := a.Trouble(); err != nil {
		return Record{}, err
	}
	var after row
	var made int64
	var others []row
	var x *relatives
	err := a.db.Tx(ctx, func(tx *sql.Tx) error {
		x, others = &relatives{a: a, tx: tx, actor: actor}, nil
		now := a.cfg.Now()
		version, err := a.nextVersion(ctx, tx, now)
		if err != nil {
			return err
		}
		entry, err := do(x, version)
		if err != nil {
			return err
		}
		if after, err = load(ctx, tx, id); err != nil || entry == nil {
			return err
		}
		for _, other := range x.ids {
			r, err := load(ctx, tx, other)
			if err != nil {
				return err
			}
			others = append(others, r)
		}
		entry.Target = "key:" + id.String()
		if entry.Actor.Org == "" {
			entry.Actor.Org = after.Org
		}
		if a.db.Dialect == sqldb.Postgres {
			if _, err := tx.ExecContext(ctx, "SELECT pg_notify($1, '')", channel); err != nil {
				return fmt.Errorf("tell of the change: %w", err)
			}
		}
		made = max(version, x.last)
		return audit.Write(ctx, tx, now, *entry)
	})
	if err != nil {
		if e := bridge.AsError(err); e.Code == "database_behind" {
			_, _ = a.look(ctx)
		}
		a.doubt(ctx, id)
		if x != nil && len(x.ids) > 0 {
			a.poke()
		}
		return Record{}, err
	}
	a.take(&after)
	for i := range others {
		a.take(&others[i])
	}
	if made != 0 {
		a.made(made)
	}
	return after.Record, nil
}

// nextVersion takes the next number of the common version. The lock of its row is held until the commit, so that versions are
// committed in their order.
func (a *Authority) nextVersion(ctx context.Context, tx *sql.Tx, now time.Time) (version int64, err error) {
	if err := tx.QueryRowContext(ctx, `UPDATE key_changes SET version = version + 1,
		newest = CASE WHEN newest < $1 AND epoch = $2 THEN $1 ELSE newest END WHERE id = 1
		RETURNING version`, now.Unix(), a.time.marks.Load().epoch).Scan(&version); err != nil {
		return 0, fmt.Errorf("take the next version: %w", err)
	}
	if known := a.highest.Load(); version <= known { // under the lock, so that nobody else has just made that change
		return 0, errBehind(version-1, known)
	}
	return version, nil
}

// take brings a row that is committed into the table and tells who listens.
func (a *Authority) take(r *row) {
	if a.db.Dialect == sqldb.SQLite { // where others change keys too, only a pull knows that nothing is missing
		for v := a.version.Load(); v < r.version && !a.version.CompareAndSwap(v, r.version); v = a.version.Load() {
		}
	}
	if a.table.put(r) {
		a.feed.publish(r.ID)
	}
}

const doubtTimeout = 2 * time.Second

// doubt looks at a key whose change failed: an error at the commit leaves open whether the change was made, and the
// table must not stand behind the database. What cannot be read now is caught up with by Run.
func (a *Authority) doubt(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), doubtTimeout)
	defer cancel()
	r, err := load(ctx, a.db, id)
	switch {
	case err == nil:
		a.take(&r)
	case bridge.CodeOf(err) != errUnknown.Code:
		a.poke()
	}
}

// poke asks Run to compare with the database soon.
func (a *Authority) poke() {
	select {
	case a.wake <- struct{}{}:
	default: // it has been asked already
	}
}
