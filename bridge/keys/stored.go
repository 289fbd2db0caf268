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

// View is the set of keys that a caller can see.
//
// These are the keys of one organization and of one environment, or both if that is empty. [Stored.ViewOf] narrows it further.
type View struct {
	Org         string
	Environment string
	Parent      uuid.UUID // in a list: only keys created with this one
	Orphans     bool      // in a list: only unrevoked keys whose parent is not known
	owner       string    // only this owner's keys; empty: everybody's
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

// Get returns a key, or [record.ErrUnknown] if it is not in the view.
func (s Stored) Get(ctx context.Context, v View, id uuid.UUID) (record.Record, error) {
	r, err := loadSeen(ctx, s.db, v, id)
	return r.Record, err
}

// Behind returns the key behind a verified identity, with the times of the secret that was used.
//
// A secret from before a rotation ends with the grace; since when it was valid is no longer known.
func (s Stored) Behind(ctx context.Context, id bridge.Identity) (record.Record, error) {
	r, err := loadSeen(ctx, s.db, View{Org: id.Org}, id.KeyID)
	if err == nil && id.Generation != r.Generation() {
		r.IssuedAt, r.ExpiresAt = time.Time{}, r.GraceUntil
	}
	return r.Record, err
}

// loadSeen loads a key; one that is outside of the view does not exist for the caller.
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

// List returns a page of keys, newest first and including dead ones, and the cursor of the next page.
func (s Stored) List(ctx context.Context, v View, cursor string, limit int) ([]record.Record, string, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	if cursor == "" {
		// Sorts after every key ID in any collation; PostgreSQL sorts by its locale, in which punctuation comes first.
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

// ViewOf returns which keys an identity can see.
//
// Test keys see only test keys, live keys only live keys, and neither sees personal access tokens. With personal access tokens
// a person sees their own keys, and an admin all keys of the organization.
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

// livingBelow selects the living keys below a key, in order of creation.
const livingBelow = `WITH RECURSIVE below (id) AS (SELECT id FROM api_keys WHERE parent_id = $1
	UNION SELECT k.id FROM api_keys k JOIN below b ON k.parent_id = b.id)
	SELECT ` + record.Columns + ` FROM api_keys WHERE id IN (SELECT id FROM below) AND ended_at = 0 ORDER BY id`

// descendants returns the living keys created with a key, and with those.
func descendants(ctx context.Context, q record.Queryer, id uuid.UUID) ([]record.Row, error) {
	return record.Rows(ctx, q, livingBelow, id.String())
}

// Descendants returns the living keys that end when this key ends.
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

// Ends returns the keys that revoking a key would end, the key itself first; none if it has already ended.
func (s Stored) Ends(ctx context.Context, v View, id uuid.UUID) ([]record.Record, error) {
	r, err := loadSeen(ctx, s.db, v, id)
	if err != nil || r.Ended(s.now()) != nil && r.Status(s.now()) != record.StatusExpired {
		return nil, err
	}
	below, err := s.Descendants(ctx, v, id)
	return append([]record.Record{r.Record}, below...), err
}

// Orphans returns the living personal keys whose parent is not known.
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

// EndedIn returns the keys among ids that the caller's transaction has revoked.
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
