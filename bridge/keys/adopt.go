package keys

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys/record"
)

// adoption gives a lineage to keys created before lineages were recorded.
//
// Their created_by says who created them: a person through a cloud ("user:…"), a user token of the server ("operator:…") or a
// key ("key:ID"). The audit entry of the creation names the key behind a person's access token. The person's role was not
// recorded. A key counts as created by an admin if nobody below admin could have created it: because of the scopes that roles
// have, because of an expiry that only admins may grant, or because the person has connected as an admin. Any other key
// created by a person through a cloud, or by a key, becomes personal. Keys created with a user token stay the organization's,
// since the operator holds the secret of those tokens.
type adoption struct{ *Authority }

// run adopts all keys without a lineage, and logs the ones that are left to be decided on.
func (a adoption) run(ctx context.Context) error {
	var waiting bool
	if err := a.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM api_keys WHERE lineage = '' AND kind <> 'sk')").Scan(&waiting); err != nil {
		return fmt.Errorf("look for keys without a lineage: %w", err)
	}
	if waiting {
		if err := a.db.Tx(ctx, func(tx *sql.Tx) error { return a.all(ctx, tx) }); err != nil {
			return fmt.Errorf("give the keys a lineage: %w", err)
		}
		if err := a.table.Pull(ctx); err != nil {
			return err
		}
	}
	orphans, err := a.Orphans(ctx)
	if err != nil {
		return err
	}
	for i, r := range orphans {
		if i == maxOrphansLogged {
			a.log.Warn("there are more personal keys whose parent is not known", "keys", len(orphans)-i)
			break
		}
		a.log.Warn("the parent of this personal key is not known; what any connection withdraws from its subject limits it: "+
			"replace it, and revoke it: ace api-key list --parent unknown", "key", r.ID, "name", r.Name, "subject", r.Lineage.Subject)
	}
	return nil
}

// listDoubted logs the keys that may have been revoked before a restore and that nobody has decided on yet.
func (a adoption) listDoubted(ctx context.Context) error {
	rows, err := record.Rows(ctx, a.db, "SELECT "+record.Columns+" FROM api_keys WHERE doubted_at <> 0 AND ended_at = 0 ORDER BY id")
	if err != nil {
		return err
	}
	for i, r := range rows {
		if i == maxOrphansLogged {
			a.log.Warn("there are more keys that may have been revoked before the database was restored", "keys", len(rows)-i)
			break
		}
		a.log.Warn("this key may have been revoked before the database was restored; end it: ace api-key revoke ID, or keep it: ace api-key enable ID",
			"key", r.ID, "name", r.Name, "owner", r.Owner, "status", r.Status(a.line.Now()), "restored", r.DoubtedAt)
	}
	return nil
}

const maxOrphansLogged = 50

// all gives every key without a lineage one: first those for which SQL is enough, then the others one by one.
func (a adoption) all(ctx context.Context, tx *sql.Tx) error {
	x := &relatives{a: a.Authority, tx: tx, actor: audit.Actor{ID: "system"}}
	// Locks the row, so that no other process adopts keys at the same time.
	if _, err := tx.ExecContext(ctx, "UPDATE key_changes SET version = version + 1 WHERE id = 1"); err != nil {
		return err
	}
	queries := []string{
		`UPDATE api_keys SET lineage = 'personal', subject = owner WHERE lineage = '' AND kind = 'pat' AND created_by NOT LIKE 'key:%'`,
		`UPDATE api_keys SET lineage = 'organization' WHERE lineage = '' AND kind IN ('live', 'test') AND created_by NOT LIKE 'user:%'
			AND created_by NOT LIKE 'key:%'`,
	}
	if a.cfg.Personal || !a.membersCreate() {
		queries = append(queries, `UPDATE api_keys SET lineage = 'organization' WHERE lineage = '' AND kind IN ('live', 'test')
			AND created_by LIKE 'user:%'`)
	}
	for _, query := range queries {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	rows, err := record.Rows(ctx, tx, "SELECT "+record.Columns+" FROM api_keys WHERE lineage = '' AND kind <> 'sk' ORDER BY id")
	if err != nil {
		return err
	}
	for i := range rows {
		if err := x.adopt(ctx, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// membersCreate reports whether anyone below admin may create keys.
func (a adoption) membersCreate() bool {
	return a.cfg.Catalogue.Ceiling(bridge.RoleMember).Covers("key:create") || a.cfg.Catalogue.Ceiling(bridge.RoleViewer).Covers("key:create")
}

// adopt gives one key its lineage.
func (x *relatives) adopt(ctx context.Context, r *record.Row) error {
	byKey, made := strings.CutPrefix(r.CreatedBy, "key:")
	if !made {
		byAdmin, err := x.byAdmin(ctx, r)
		if err != nil {
			return err
		}
		if byAdmin {
			_, err := x.tx.ExecContext(ctx, "UPDATE api_keys SET lineage = 'organization' WHERE id = $1", r.ID.String())
			return err
		}
		if byKey, err = x.keyBehind(ctx, r); err != nil {
			return err
		}
	}
	var parent string
	if id, err := uuid.Parse(byKey); err == nil && id != r.ID {
		err := x.tx.QueryRowContext(ctx, "SELECT id FROM api_keys WHERE id = $1 AND org = $2", id.String(), r.Org).Scan(&parent)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	version, err := x.next(ctx, r.ID)
	if err != nil {
		return err
	}
	if _, err := x.tx.ExecContext(ctx, `UPDATE api_keys SET lineage = 'personal', parent_id = $1, parent_unknown = $2, subject = owner,
		limit_at = created_at, version = $3 WHERE id = $4`, parent, parent == "", version, r.ID.String()); err != nil {
		return err
	}
	if !r.EndedAt.IsZero() {
		return nil
	}
	return x.audit(ctx, r, "key.adopt", map[string]string{"lineage": record.LineagePersonal, "parent": parent, "subject": r.Owner})
}

// byAdmin reports whether a key was certainly created by an admin.
func (x *relatives) byAdmin(ctx context.Context, r *record.Row) (known bool, err error) {
	if x.a.cfg.Catalogue.GrantExpiry(catalogue.Minter{Org: r.Org}, r.ExpiresAt, r.CreatedAt.Add(time.Minute)) != nil {
		return true, nil
	}
	err = x.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM api_keys WHERE kind = 'sk' AND org = $1 AND owner = $2
		AND role IN ('admin', 'owner'))`, r.Org, r.Owner).Scan(&known)
	return known, err
}

// keyBehind returns the ID of the key whose access token created a key, according to the audit log; empty if it does not say.
func (x *relatives) keyBehind(ctx context.Context, r *record.Row) (string, error) {
	var details string
	err := x.tx.QueryRowContext(ctx, "SELECT details FROM audit WHERE target = $1 AND action = 'key.create' ORDER BY id LIMIT 1",
		"key:"+r.ID.String()).Scan(&details)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var d struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal([]byte(details), &d); err != nil {
		return "", nil //nolint:nilerr // an entry that cannot be read says nothing
	}
	return d.Key, nil
}
