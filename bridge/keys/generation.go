package keys

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
)

// ChangeNumbers are the generation of an authority: the number of its last change, and at which a restored database was accepted.
type ChangeNumbers struct {
	Last     int64
	Restored int64 // 0: never
}

// Numbers are the authority's change numbers as far as this process knows.
func (a *Authority) Numbers() ChangeNumbers {
	return ChangeNumbers{Last: a.highest.Load(), Restored: a.time.marks.Load().restored}
}

func errBehind(found, known int64) error {
	e := bridge.E(bridge.Unavailable, "database_behind",
		"the database is at change %d, and change %d was made already: it has lost changes, revocations among them, as an old backup has", found, known).
		WithHint("restore the newest database; if this is the newest there is, run `ace server restore --accept` (on a cloud: `ace cloud restore --accept`)")
	e.RetryAfter = time.Minute
	return e
}

// look reads the marks, takes them over, and finds out whether the database is behind what was known before.
func (a *Authority) look(ctx context.Context) (marks, error) {
	known := a.highest.Load() // before the question: the database can have more meanwhile, never less
	m, err := readMarks(ctx, a.db)
	if err != nil {
		return marks{}, err
	}
	a.time.adopt(m)
	if known = max(known, m.known); m.version < known {
		a.fallBehind(ctx, m.version, known)
		return m, nil
	}
	raise(&a.highest, m.version)
	if a.behind.Swap(nil) != nil {
		a.log.Info("the database is not behind any more", "change", m.version)
	}
	return m, nil
}

// fallBehind refuses everything from now on, and writes down how far the database has to come.
func (a *Authority) fallBehind(ctx context.Context, found, known int64) {
	raise(&a.highest, known)
	if a.behind.Swap(&lag{found, known}) == nil {
		a.log.Error("the database is behind; refusing everything until that is accepted", "found", found, "known", known)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollTimeout)
	defer cancel()
	if _, err := a.db.ExecContext(ctx, "UPDATE key_changes SET known = $1 WHERE id = 1 AND known < $1", known); err != nil {
		a.log.Warn("could not write down that the database is behind", "error", err)
	}
}

// lag is how far the database is behind.
type lag struct{ found, known int64 }

// maxAhead bounds a number that somebody else tells.
const maxAhead = 1 << 40

// told acts on a change number that the cloud has seen: a database below it is behind.
func (a *Authority) told(ctx context.Context, number int64) error {
	if number <= a.highest.Load() || number > a.highest.Load()+maxAhead {
		return nil
	}
	m, err := a.look(ctx) // another process may have come so far
	if err != nil {
		return err
	}
	if m.version < number {
		a.fallBehind(ctx, m.version, number)
	}
	return a.Trouble()
}

// made notes that a change is committed, here and outside the database, before it is answered.
func (a *Authority) made(version int64) {
	raise(&a.highest, version)
	if err := a.cfg.Mark.Advance(version); err != nil {
		// The change is made, and is answered so. The cloud knows the number too, and the next change writes this one.
		a.log.Error("the number of a change could not be kept outside the database", "change", version, "error", err)
	}
}

// RestoreChoice says what to do with a database that is behind.
type RestoreChoice struct {
	Known       int64 // the number that is known outside the database
	DisableKeys bool  // every key that a person made is disabled, until it is enabled
}

// Restored is what accepting a restored database has done.
type Restored struct {
	Found, Known, Now int64
	Unconfirmed       int64    // keys of connections, which die unless they are used within a day
	Keys              []Record // which people made, and which may have been revoked or replaced since the backup
}

const (
	restoredConfirm = 24 * time.Hour
	maxTokenLife    = time.Hour // of access tokens of every kind
)

// Settle ends what may not live on in other tables after a restore, in the same transaction.
type Settle func(ctx context.Context, tx *sql.Tx, now time.Time) error

// AcceptRestore accepts a database that has lost changes. Connect tokens and access tokens from before now are refused, as
// are secrets that a rotation had replaced; a connection's key dies unless it is used within a day; keys that people made
// are returned to be decided on.
func AcceptRestore(ctx context.Context, db transactor, now time.Time, c RestoreChoice, actor audit.Actor, also ...Settle) (Restored, error) {
	var out Restored
	err := db.Tx(ctx, func(tx *sql.Tx) error {
		out = Restored{}
		if err := tx.QueryRowContext(ctx, "UPDATE key_changes SET epoch = epoch + 1 WHERE id = 1 RETURNING version, known").
			Scan(&out.Found, &out.Known); err != nil {
			return fmt.Errorf("accept the database: %w", err)
		}
		out.Known = max(out.Known, c.Known)
		out.Now = max(out.Found, out.Known) + 1
		if _, err := tx.ExecContext(ctx, `UPDATE key_changes SET version = $1, known = $1, restored = $1, accepted = $2,
			newest = CASE WHEN newest < $2 THEN $2 ELSE newest END, ended = CASE WHEN ended < $3 THEN $3 ELSE ended END WHERE id = 1`,
			out.Now, now.Unix(), now.Add(maxTokenLife).Unix()); err != nil {
			return fmt.Errorf("accept the database: %w", err)
		}
		if err := settleKeys(ctx, tx, now, c, &out); err != nil {
			return err
		}
		for _, settle := range also {
			if err := settle(ctx, tx, now); err != nil {
				return err
			}
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "database.accept", Target: "database", Details: map[string]string{
			"found": strconv.FormatInt(out.Found, 10), "known": strconv.FormatInt(out.Known, 10), "now": strconv.FormatInt(out.Now, 10),
			"disabled_keys": strconv.FormatBool(c.DisableKeys)}})
	})
	return out, err
}

// transactor is a database that runs transactions.
type transactor interface {
	Tx(ctx context.Context, fn func(tx *sql.Tx) error) error
}

// settleKeys decides what may live on of the keys of a database that has lost changes.
func settleKeys(ctx context.Context, tx *sql.Tx, now time.Time, c RestoreChoice, out *Restored) error {
	if _, err := tx.ExecContext(ctx, `UPDATE api_keys SET prev_hash = '', prev_public = '', prev_until = 0, rotate_token = '', rotate_salt = '',
		version = $1 WHERE prev_until <> 0 OR rotate_token <> ''`, out.Now); err != nil {
		return fmt.Errorf("end the graces of rotations: %w", err)
	}
	result, err := tx.ExecContext(ctx, `UPDATE api_keys SET confirm_by = $1, version = $2
		WHERE kind = 'sk' AND ended_at = 0 AND (confirm_by = 0 OR confirm_by > $3) AND (expires_at = 0 OR expires_at > $3)`,
		now.Add(restoredConfirm).Unix(), out.Now, now.Unix())
	if err != nil {
		return fmt.Errorf("have connections' keys confirmed: %w", err)
	}
	if out.Unconfirmed, err = result.RowsAffected(); err != nil {
		return fmt.Errorf("have connections' keys confirmed: %w", err)
	}
	const doubtful = "kind <> 'sk' AND ended_at = 0 AND (expires_at = 0 OR expires_at > $1)"
	if c.DisableKeys {
		if _, err := tx.ExecContext(ctx, "UPDATE api_keys SET disabled_at = $1, disabled_by = 'restore', version = $2 WHERE disabled_at = 0 AND "+doubtful,
			now.Unix(), out.Now); err != nil {
			return fmt.Errorf("disable keys: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE api_keys SET doubted_at = $1, version = $2 WHERE "+doubtful, now.Unix(), out.Now); err != nil {
		return fmt.Errorf("mark keys: %w", err)
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+columns+" FROM api_keys WHERE "+doubtful+" ORDER BY id", now.Unix())
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return err
		}
		out.Keys = append(out.Keys, r.Record)
	}
	return rows.Err()
}
