// Package audit owns the audit log: who did what to what, from where, and how it ended. A change and its entry are
// written in one transaction, so that neither can be without the other.
package audit

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrate makes or updates the table.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return db.Migrate(ctx, "audit", fsys)
}

// OK is the outcome of what succeeded; a refusal has the code of its error.
const OK = "ok"

// Actor is who acts: "user:<email>", "key:<id>", "operator" or "system", and from where.
type Actor struct {
	ID  string
	Key string // the ID of the API key behind an access token; it goes into the details
	// Connection is the cloud's ID of the connection that an access token was made for; it goes into the details.
	Connection string
	Org        string
	Address    string
	RequestID  string
	UserAgent  string // the program; a session keeps it, the log does not
}

// Entry is one line to be written. Details never hold a secret.
type Entry struct {
	Actor   Actor
	Action  string // noun.verb
	Target  string
	Outcome string // empty means OK
	Details map[string]string
}

const maxField = 512

// Write writes an entry in the transaction of the change that it tells of.
func Write(ctx context.Context, tx *sql.Tx, now time.Time, e Entry) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if e.Outcome == "" {
		e.Outcome = OK
	}
	for name, value := range map[string]string{"key": e.Actor.Key, "connection": e.Actor.Connection} {
		if value != "" {
			e.Details = maps.Clone(e.Details)
			if e.Details == nil {
				e.Details = map[string]string{}
			}
			e.Details[name] = value
		}
	}
	for k, v := range e.Details {
		e.Details[k] = clip(v)
	}
	details, err := json.Marshal(e.Details)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO audit
		(id, at, org, actor, action, target, outcome, address, request_id, details)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		id.String(), now.Unix(), e.Actor.Org, clip(e.Actor.ID), e.Action, clip(e.Target), e.Outcome, e.Actor.Address,
		e.Actor.RequestID, string(details))
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// Record writes an entry of something that changed nothing else, a refusal for example.
func Record(ctx context.Context, db *sqldb.DB, now time.Time, e Entry) error {
	return db.Tx(ctx, func(tx *sql.Tx) error { return Write(ctx, tx, now, e) })
}

// clip bounds a field and drops what no text column takes.
func clip(s string) string {
	if len(s) > maxField {
		s = s[:maxField]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�")
}

// Query selects entries of one organization, newest first. Empty fields select all; Before is the cursor of a page.
type Query struct {
	Org       string
	Action    string
	Actor     string
	Target    string
	RequestID string
	From      time.Time // zero: from the beginning
	To        time.Time // entries before it; zero: to the end
	Before    string
	Limit     int
}

const (
	defaultLimit = 50
	maxLimit     = 500
)

// List returns a page of entries and the cursor of the next one.
func List(ctx context.Context, db *sqldb.DB, q Query) ([]api.AuditEntry, string, error) {
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, maxLimit)
	where, args := []string{"org = $1"}, []any{q.Org}
	for _, f := range []struct{ condition, value string }{
		{"action = $", q.Action}, {"actor = $", q.Actor}, {"target = $", q.Target}, {"request_id = $", q.RequestID}, {"id < $", q.Before},
	} {
		if f.value != "" {
			args = append(args, f.value)
			where = append(where, f.condition+strconv.Itoa(len(args)))
		}
	}
	for condition, at := range map[string]time.Time{"at >= $": q.From, "at < $": q.To} {
		if !at.IsZero() {
			args = append(args, at.Unix())
			where = append(where, condition+strconv.Itoa(len(args)))
		}
	}
	args = append(args, q.Limit+1)
	rows, err := db.QueryContext(ctx, `SELECT id, at, org, actor, action, target, outcome, address, request_id, details
		FROM audit WHERE `+strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT $`+strconv.Itoa(len(args)), args...) //nolint:gosec // only conditions from above
	if err != nil {
		return nil, "", fmt.Errorf("read the audit log: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := []api.AuditEntry{}
	for rows.Next() {
		var e api.AuditEntry
		var at int64
		var details string
		err := rows.Scan(&e.ID, &at, &e.Org, &e.Actor, &e.Action, &e.Target, &e.Outcome, &e.Address, &e.RequestID, &details)
		if err != nil {
			return nil, "", fmt.Errorf("read the audit log: %w", err)
		}
		e.At = time.Unix(at, 0).UTC()
		if err := json.Unmarshal([]byte(details), &e.Details); err != nil {
			return nil, "", bridge.E(bridge.Internal, "audit_damaged", "an audit entry cannot be read: %w", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("read the audit log: %w", err)
	}
	if len(out) > q.Limit {
		return out[:q.Limit], out[q.Limit-1].ID, nil
	}
	return out, "", nil
}
