package vault

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// UnknownKey is the key ID of rows from older versions that no key decrypts.
const UnknownKey = "unknown"

const (
	identifyAtOnce = 500    // rows in one transaction
	identifyTell   = 10_000 // rows between two lines in the log
	maxHost        = 253    // bytes of a host name
)

// keyNeed counts the rows of each kind that need one key.
type keyNeed struct {
	id   string // of the key, or UnknownKey
	rows []rowCount
}

type rowCount struct {
	what string
	n    int
}

type keyNeeds []keyNeed

// add counts rows that need a key. id is the key ID in the rows; empty: unknown.
func (k *keyNeeds) add(id, what string, n int) {
	if n == 0 {
		return
	}
	id = cmp.Or(id, UnknownKey)
	i := slices.IndexFunc(*k, func(need keyNeed) bool { return need.id == id })
	if i < 0 {
		i = len(*k)
		*k = append(*k, keyNeed{id: id})
	}
	need := &(*k)[i]
	if j := slices.IndexFunc(need.rows, func(c rowCount) bool { return c.what == what }); j >= 0 {
		need.rows[j].n += n
		return
	}
	need.rows = append(need.rows, rowCount{what, n})
}

func (k keyNeed) total() (n int) {
	for _, c := range k.rows {
		n += c.n
	}
	return n
}

func (k keyNeeds) total() (n int) {
	for _, need := range k {
		n += need.total()
	}
	return n
}

// counted is a number with its noun.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// kinds lists what a key is needed for, such as "3 mails, 2 connections".
func (k keyNeed) kinds() string {
	var out []string
	for _, c := range k.rows {
		out = append(out, counted(c.n, c.what))
	}
	return strings.Join(out, ", ")
}

// words says which rows need which key, and where each key was last used.
func (k keyNeeds) words(v *Vault, known map[string]usedKey) string {
	var out []string
	for _, need := range k {
		verb := "need"
		if need.total() == 1 {
			verb = "needs"
		}
		text := fmt.Sprintf("%s %s the encryption key with the ID %s, which is not in ACE_DATABASE_ENCRYPTION_KEY (%s)",
			counted(need.total(), "row"), verb, need.id, need.kinds())
		if need.id == UnknownKey {
			text = fmt.Sprintf("%s of an older version %s an encryption key that is not in ACE_DATABASE_ENCRYPTION_KEY, and whose ID is not known (%s)",
				counted(need.total(), "row"), verb, need.kinds())
		}
		if used, ok := known[need.id]; ok && used.last != 0 {
			text += fmt.Sprintf("; it was last the first key on %s", time.Unix(used.last, 0).UTC().Format("2 January 2006"))
			if used.host != "" {
				text += ", on the host " + used.host
			}
		}
		out = append(out, text)
	}
	here := "the keys that are there have the IDs "
	if len(v.keys) == 1 {
		here = "the key that is there has the ID "
	}
	return strings.Join(append(out, here+strings.Join(v.KeyIDs(), ", ")), "; ")
}

// usedKey is an encryption key as the table of keys records it.
type usedKey struct {
	last     int64  // Unix time when it was last the first key; zero: never
	host     string // where that was
	accepted bool   // the operator has accepted that it is missing
}

// encryptionKeys reads the table of keys, by ID.
func (kp *Keeper) encryptionKeys(ctx context.Context) (map[string]usedKey, error) {
	rows, err := kp.db.QueryContext(ctx, "SELECT id, last_used_at, host, accepted_at <> 0 FROM encryption_keys")
	out := map[string]usedKey{}
	err = sqldb.Each(rows, err, func(row sqldb.Row) error {
		var id string
		var k usedKey
		err := row.Scan(&id, &k.last, &k.host, &k.accepted)
		out[id] = k
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is known of encryption keys: %w", err)
	}
	return out, nil
}

// CheckKeys fails with [bridge.CodeEncryptionKeyMissing] if rows need a key that is missing and that no operator has accepted as
// lost.
func (kp *Keeper) CheckKeys(ctx context.Context) error {
	missing, known, err := kp.missingKeys(ctx)
	if err != nil {
		return err
	}
	var refused keyNeeds
	for _, need := range missing {
		if !known[need.id].accepted {
			refused = append(refused, need)
			continue
		}
		kp.log.Warn("rows stay unreadable, because it was accepted that their encryption key is missing", "key", need.id, "rows", need.kinds())
	}
	if len(refused) == 0 {
		return nil
	}
	var lost []string
	for _, need := range refused {
		lost = append(lost, "ace cloud accept-missing-key "+need.id)
	}
	return bridge.E(bridge.Unavailable, bridge.CodeEncryptionKeyMissing, "%s", refused.words(kp.vault, known)).
		WithHint("add the missing key to ACE_DATABASE_ENCRYPTION_KEY, after a comma; if it is lost: %s", strings.Join(lost, "; "))
}

// UseEncryptionKeys records that the first key is in use on this host, and that none of the present keys is missing any more.
func (kp *Keeper) UseEncryptionKeys(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil || !bridge.PlainText(host, maxHost) {
		host = ""
	}
	return kp.db.Tx(ctx, func(tx *sql.Tx) error {
		for i, id := range kp.vault.KeyIDs() {
			query, args := "UPDATE encryption_keys SET accepted_at = 0 WHERE id = $1 AND accepted_at <> 0", []any{id}
			if i == 0 {
				query, args = `INSERT INTO encryption_keys (id, first_used_at, last_used_at, host, accepted_at) VALUES ($1, $2, $2, $3, 0)
					ON CONFLICT (id) DO UPDATE SET last_used_at = $2, host = $3, accepted_at = 0`, []any{id, kp.db.Now().Unix(), host}
			}
			if _, err := tx.ExecContext(ctx, query, args...); err != nil {
				return fmt.Errorf("note the encryption keys: %w", err)
			}
		}
		return nil
	})
}

// WatchKeys fails if another process has encrypted rows with a key that is missing here. Call it at intervals.
func (kp *Keeper) WatchKeys(ctx context.Context) error {
	if err := kp.UseEncryptionKeys(ctx); err != nil {
		return err
	}
	return kp.CheckKeys(ctx)
}

// AcceptMissingKey lets a cloud start although rows need a missing key. The rows stay, and can be decrypted once the key is back. It
// returns what stays unreadable, such as "2 connections".
func (kp *Keeper) AcceptMissingKey(ctx context.Context, id string, actor audit.Actor) (kinds string, err error) {
	missing, known, err := kp.missingKeys(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(missing, func(need keyNeed) bool { return need.id == id })
	if i < 0 {
		refusal := bridge.E(bridge.NotFound, bridge.CodeEncryptionKeyNotMissing,
			"no row needs a missing encryption key with the ID %.64q", id)
		if len(missing) > 0 {
			return "", refusal.WithHint("%s", missing.words(kp.vault, known))
		}
		return "", refusal.WithHint("nothing is to be accepted: every row has its key")
	}
	now := kp.db.Now()
	kinds = missing[i].kinds()
	return kinds, kp.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO encryption_keys (id, first_used_at, last_used_at, host, accepted_at) VALUES ($1, 0, 0, '', $2)
			ON CONFLICT (id) DO UPDATE SET accepted_at = $2`, id, now.Unix()); err != nil {
			return fmt.Errorf("accept a missing key: %w", err)
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "encryption_key.accept_missing", Target: "encryption_key:" + id,
			Details: map[string]string{"rows": kinds}})
	})
}

// missingKeys counts the rows that need each missing key, and reads the table of keys.
func (kp *Keeper) missingKeys(ctx context.Context) (keyNeeds, map[string]usedKey, error) {
	var out keyNeeds
	here := kp.vault.KeyIDs()
	for _, q := range sealedColumns {
		counts, err := kp.rowsByKey(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		for _, c := range counts {
			n := c.n
			if c.what == "" {
				if n, err = kp.identifyRows(ctx, q); err != nil {
					return nil, nil, err
				}
			} else if slices.Contains(here, c.what) {
				continue
			}
			out.add(c.what, q.what, n)
		}
	}
	known, err := kp.encryptionKeys(ctx)
	return out, known, err
}

// rowsByKey counts the rows of a column by key ID, which is empty in rows of older versions.
func (kp *Keeper) rowsByKey(ctx context.Context, q sealedRow) ([]rowCount, error) {
	rows, err := kp.db.QueryContext(ctx, "SELECT id, COUNT(*) FROM (SELECT CASE WHEN "+labelled(q.column)+" THEN substr("+q.column+ //nolint:gosec // names of this package
		", 1, 8) ELSE '' END AS id FROM "+q.table+" WHERE "+q.column+" <> '') AS sealed GROUP BY id ORDER BY id")
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (rowCount, error) {
		var c rowCount
		if err := row.Scan(&c.what, &c.n); err != nil {
			return c, err
		}
		return c, nil
	})
	return out, sqldb.Wrap("count the rows of "+q.table+" by their key", err)
}

// labelled is the SQL condition that a column's value starts with a key ID.
func labelled(column string) string { return "substr(" + column + ", 9, 1) = '.'" }

// identifyRows finds the key of rows that an older version encrypted, and adds its ID to them. It returns the number of rows that
// no key decrypts.
func (kp *Keeper) identifyRows(ctx context.Context, q sealedRow) (unreadable int, err error) {
	done, last := 0, ""
	for {
		rows, err := kp.sealedRows(ctx, q, " AND NOT "+labelled(q.column)+" AND "+q.key+" > $1", " LIMIT $2", last, identifyAtOnce)
		if err != nil {
			return 0, err
		}
		by := make([]string, len(rows))
		for i, row := range rows {
			last = row.id
			if _, by[i], err = kp.vault.OpenWith(row.identity, row.token); err != nil {
				unreadable++
			}
		}
		err = kp.db.Tx(ctx, func(tx *sql.Tx) error {
			for i, row := range rows {
				if by[i] == "" {
					continue
				}
				if _, err := row.replace(ctx, tx, by[i]+keyIDEnd+row.token); err != nil {
					return fmt.Errorf("note the key of a row: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if done += len(rows); done%identifyTell == 0 || len(rows) < identifyAtOnce {
			kp.log.Info("finding out which encryption key the rows of an older version need", "table", q.table, "done", done)
		}
		if len(rows) < identifyAtOnce {
			return unreadable, nil
		}
	}
}
