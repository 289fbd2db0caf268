// Package audit is the audit log: who did what to what, from where, and how it ended.
//
// A change and its entry are written in one transaction ([Write]), so neither can exist without the other; a refusal, which
// changes nothing else, is written by itself ([Record]). Entries belong to an organization and are never changed. Reading is by
// page, newest first ([List]), with filters that an index supports. Details must not contain secrets; each text is cut to 512
// bytes of valid UTF-8 before it is stored.
package audit

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
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

// Migrate creates or updates the table.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	fsys, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return db.Migrate(ctx, "audit", fsys)
}

// OK is the outcome of an action that succeeded; a refusal has the code of its error.
const OK = "ok"

// Actor is who acts, and from where. Its ID is "user:<email>", "key:<id>", "operator" or "system".
type Actor struct {
	ID  string
	Key string // ID of the API key behind an access token; goes into the details
	// Connection is the cloud's ID of the connection that an access token was issued for; goes into the details.
	Connection string
	Org        string
	Address    string
	RequestID  string
	UserAgent  string // stored with a session, not in the log
}

// Entry is one entry to be written. Details must not contain a secret.
type Entry struct {
	Actor   Actor
	Action  string // noun.verb
	Target  string
	Outcome string // empty means OK
	Details map[string]string
}

const maxField = 512

// Write writes an entry in the transaction of the change that it describes.
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
		e.Details[k] = bridge.StoredText(v, maxField)
	}
	details, err := json.Marshal(e.Details)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO audit
		(id, at, org, actor, action, target, outcome, address, request_id, details)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		id.String(), now.Unix(), e.Actor.Org, bridge.StoredText(e.Actor.ID, maxField), e.Action, bridge.StoredText(e.Target, maxField), e.Outcome, e.Actor.Address,
		e.Actor.RequestID, string(details))
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// Record writes an entry by itself, for something that changed nothing else: a refusal, for example.
func Record(ctx context.Context, db *sqldb.DB, now time.Time, e Entry) error {
	return db.Tx(ctx, func(tx *sql.Tx) error { return Write(ctx, tx, now, e) })
}

// Refused is the outcome with which a query selects everything that did not succeed.
const Refused = "refused"

// Query selects entries of one organization, newest first.
//
// Empty fields select everything. Before and After are cursors, of which only one may be set; After takes precedence.
type Query struct {
	Org       string
	Action    string
	Actor     string
	Target    string
	Outcome   string // OK, Refused, or the code of a refusal
	RequestID string
	From      time.Time // inclusive; zero: from the beginning
	To        time.Time // exclusive; zero: to the end
	Before    string    // ID of an entry: the page of older ones
	After     string    // ID of an entry: the page of newer ones
	Limit     int
}

const (
	defaultLimit = 50
	maxLimit     = 500
)

// conditions returns the query as SQL conditions, with the values of their parameters.
func (q Query) conditions() ([]string, []any) {
	where, args := []string{"org = $1"}, []any{q.Org}
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, strings.ReplaceAll(condition, "$?", "$"+strconv.Itoa(len(args))))
	}
	for _, f := range []struct{ column, value string }{
		{"action", q.Action}, {"actor", q.Actor}, {"target", q.Target}, {"request_id", q.RequestID},
	} {
		if f.value != "" {
			add(f.column+" = $?", f.value)
		}
	}
	switch q.Outcome {
	case "":
	case OK:
		where = append(where, "outcome = 'ok'")
	default: // worded like the condition of the index of refusals
		where = append(where, "outcome <> 'ok'")
		if q.Outcome != Refused {
			add("outcome = $?", q.Outcome)
		}
	}
	if !q.From.IsZero() {
		add("at >= $?", q.From.Unix())
	}
	if !q.To.IsZero() {
		add("at < $?", q.To.Unix())
	}
	switch {
	case q.After != "":
		add("(at, id) > (SELECT at, id FROM audit WHERE id = $? AND org = $1)", q.After)
	case q.Before != "":
		add("(at, id) < (SELECT at, id FROM audit WHERE id = $? AND org = $1)", q.Before)
	}
	return where, args
}

// statement selects a page plus one entry, which only shows that another page follows.
func (q Query) statement() (string, []any) {
	order := "at DESC, id DESC"
	if q.After != "" {
		order = "at, id"
	}
	where, args := q.conditions()
	args = append(args, q.Limit+1)
	return `SELECT id, at, org, actor, action, target, outcome, address, request_id, details FROM audit
		WHERE ` + strings.Join(where, " AND ") + ` ORDER BY ` + order + ` LIMIT $` + strconv.Itoa(len(args)), args
}

// List returns a page of entries, newest first, and a cursor for the next page.
//
// The next page has older entries, or newer ones if q.After is set. The cursor is empty if there are no more.
func List(ctx context.Context, db *sqldb.DB, q Query) ([]api.AuditEntry, string, error) {
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, maxLimit)
	statement, args := q.statement()
	rows, err := db.QueryContext(ctx, statement, args...)
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
			return nil, "", bridge.E(bridge.Internal, bridge.CodeAuditDamaged, "an audit entry cannot be read: %w", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("read the audit log: %w", err)
	}
	next := ""
	if len(out) > q.Limit {
		out = out[:q.Limit]
		next = out[q.Limit-1].ID
	}
	if q.After != "" {
		slices.Reverse(out)
	}
	return out, next, nil
}
