package keys

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
)

// View is which keys somebody sees: those of an organization, and of one environment or, where it is empty, of both. What
// else an identity does not see is in [Stored.ViewOf].
type View struct {
	Org         string
	Environment string
	Parent      uuid.UUID // in a list: only the keys made through this one
	Orphans     bool      // in a list: only the keys that have not been revoked and whose parent is not known
	owner       string    // empty: everybody's
	impersonal  bool      // no personal access tokens
}

func (v View) sees(r record.Record) bool {
	return r.Org == v.Org && (v.Environment == "" || v.Environment == r.Kind.Environment()) &&
		(v.owner == "" || v.owner == r.Owner) && (!v.impersonal || r.Kind != bridge.KindPAT)
}

// Stored reads keys from the database.
type Stored struct {
	db       *sqldb.DB
	now      func() time.Time
	personal bool
}

// Get returns a key.
func (s Stored) Get(ctx context.Context, v View, id uuid.UUID) (record.Record, error) {
	r, err := loadSeen(ctx, s.db, v, id)
	return r.Record, err
}

// Behind returns the key behind a verified identity, with the times of the very secret that it was verified by: the one
// before a rotation ends with the grace, and since when it was valid is not known any more.
func (s Stored) Behind(ctx context.Context, id bridge.Identity) (record.Record, error) {
	r, err := loadSeen(ctx, s.db, View{Org: id.Org}, id.KeyID)
	if err == nil && id.Generation != r.Generation() {
		r.IssuedAt, r.ExpiresAt = time.Time{}, r.GraceUntil
	}
	return r.Record, err
}

// loadSeen is load for somebody, to whom what they do not see does not exist.
func loadSeen(ctx context.Context, q record.RowQueryer, v View, id uuid.UUID) (record.Row, error) {
	r, err := record.Load(ctx, q, id)
	if err == nil && !v.sees(r.Record) {
		return record.Row{}, record.ErrUnknown
	}
	return r, err
}

const (
	defaultLimit = 50
	maxLimit     = 500
)

// List returns a page of keys, dead ones included, newest first, and the cursor of the next page.
func (s Stored) List(ctx context.Context, v View, cursor string, limit int) ([]record.Record, string, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	if cursor == "" {
		// After every key ID in every collation: PostgreSQL sorts as its locale says, where punctuation comes first.
		cursor = uuid.Max.String()
	}
	const test, personal = string(bridge.KindTest), string(bridge.KindPAT)
	rows, err := s.db.QueryContext(ctx, "SELECT "+record.Columns+` FROM api_keys WHERE org = $1 AND id < $2
		AND ($3 = '' OR ($3 = 'test') = (kind = '`+test+`')) AND ($4 = '' OR owner = $4) AND (NOT $5 OR kind <> '`+personal+`')
		AND ($6 = '' OR parent_id = $6) AND (NOT $7 OR (parent_unknown AND ended_at = 0)) ORDER BY id DESC LIMIT $8`,
		v.Org, cursor, v.Environment, v.owner, v.impersonal, record.IDText(v.Parent), v.Orphans, limit+1)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (record.Record, error) {
		r, err := record.Scan(row)
		return r.Record, err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list keys: %w", err)
	}
	if len(out) > limit {
		return out[:limit], out[limit-1].ID.String(), nil
	}
	return out, "", nil
}

// ViewOf is which keys an identity sees. Test keys see test keys only, live keys live ones, and neither sees anybody's
// personal access tokens. Where there are such tokens, a person sees their own keys, and an admin all of the organization.
func (s Stored) ViewOf(who bridge.Identity) View {
	v := View{Org: who.Org}
	switch {
	case who.Kind == bridge.KindLive || who.Kind == bridge.KindTest:
		v.Environment, v.impersonal = who.Environment, true
	case s.personal && !who.Role.AtLeast(bridge.RoleAdmin):
		v.owner = who.Subject
	}
	return v
}

// livingBelow are living keys below one, in the order in which they were made.
const livingBelow = `WITH RECURSIVE below (id) AS (SELECT id FROM api_keys WHERE parent_id = $1
	UNION SELECT k.id FROM api_keys k JOIN below b ON k.parent_id = b.id)
	SELECT ` + record.Columns + ` FROM api_keys WHERE id IN (SELECT id FROM below) AND ended_at = 0 ORDER BY id`

// descendants are the living keys made through a key, and through those.
func descendants(ctx context.Context, q record.Queryer, id uuid.UUID) ([]record.Row, error) {
	return record.Rows(ctx, q, livingBelow, id.String())
}

// Descendants are the living keys that end when a key does.
func (s Stored) Descendants(ctx context.Context, v View, id uuid.UUID) ([]record.Record, error) {
	if _, err := loadSeen(ctx, s.db, v, id); err != nil {
		return nil, err
	}
	rows, err := descendants(ctx, s.db, id)
	out := make([]record.Record, 0, len(rows))
	for _, r := range rows {
		if now := s.now(); r.Ended(now) == nil {
			out = append(out, r.Record)
		}
	}
	return out, err
}

// Ends lists the keys that end when a key is revoked, itself first; none if it has ended already.
func (s Stored) Ends(ctx context.Context, v View, id uuid.UUID) ([]record.Record, error) {
	r, err := loadSeen(ctx, s.db, v, id)
	if err != nil || r.Ended(s.now()) != nil && r.Status(s.now()) != record.StatusExpired {
		return nil, err
	}
	below, err := s.Descendants(ctx, v, id)
	return append([]record.Record{r.Record}, below...), err
}

// Orphans are the living personal keys whose parent is not known.
func (s Stored) Orphans(ctx context.Context) ([]record.Record, error) {
	rows, err := record.Rows(ctx, s.db, "SELECT "+record.Columns+" FROM api_keys WHERE parent_unknown AND ended_at = 0 ORDER BY id")
	if err != nil {
		return nil, err
	}
	var out []record.Record
	for _, r := range rows {
		if r.Ended(s.now()) == nil {
			out = append(out, r.Record)
		}
	}
	return out, nil
}

// EndedIn returns those of the keys that the caller's transaction has revoked.
func (s Stored) EndedIn(ctx context.Context, tx *sql.Tx, ids []uuid.UUID) ([]api.APIKey, error) {
	var out []api.APIKey
	for _, id := range ids {
		r, err := record.Load(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if r.EndedAt = (time.Time{}); r.Ended(s.now()) == nil {
			out = append(out, r.API(s.now()))
		}
	}
	return out, nil
}
