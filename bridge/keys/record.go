package keys

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// The states of a key.
const (
	StatusActive      = "active"
	StatusUnconfirmed = "unconfirmed" // exchanged, and waiting for its first use
	StatusExpired     = "expired"
	StatusRevoked     = "revoked"
	StatusLapsed      = "lapsed" // exchanged, and never used in time
)

// Record is a key as it is stored, less what verifies it. Times are zero where there is none.
type Record struct {
	ID          uuid.UUID
	Kind        bridge.KeyKind
	Prefix      string
	Name        string
	Description string
	Org         string
	Owner       string
	CreatedBy   string
	Scopes      bridge.Scopes
	CreatedAt   time.Time
	ExpiresAt   time.Time
	ConfirmBy   time.Time
	UsedAt      time.Time
	UsedFrom    string
	UsedAgent   string
	EndedAt     time.Time
	EndedBy     string
	EndReason   string
}

// Status is the state of the key at a time.
func (r Record) Status(now time.Time) string {
	switch {
	case !r.EndedAt.IsZero():
		return StatusRevoked
	case !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt):
		return StatusExpired
	case r.ConfirmBy.IsZero():
		return StatusActive
	case now.Before(r.ConfirmBy):
		return StatusUnconfirmed
	default:
		return StatusLapsed
	}
}

// end says when, by whom and why the key died; nil while it lives.
func (r Record) end(now time.Time) *api.KeyEnd {
	switch r.Status(now) {
	case StatusRevoked:
		return &api.KeyEnd{At: r.EndedAt, By: r.EndedBy, Reason: r.EndReason}
	case StatusExpired:
		return &api.KeyEnd{At: r.ExpiresAt, By: "system", Reason: "it expired"}
	case StatusLapsed:
		return &api.KeyEnd{At: r.ConfirmBy, By: "system", Reason: "it was never used after the exchange"}
	}
	return nil
}

// API is the key as it goes over the wire.
func (r Record) API(now time.Time) api.APIKey {
	k := api.APIKey{
		KeyID: r.ID.String(), Prefix: r.Prefix, Kind: string(r.Kind), Name: r.Name, Description: r.Description,
		Owner: r.Owner, Org: r.Org, Scopes: r.Scopes.Strings(), Status: r.Status(now), CreatedBy: r.CreatedBy,
		CreatedAt: r.CreatedAt, Ended: r.end(now),
	}
	if !r.ExpiresAt.IsZero() {
		k.ExpiresAt = &r.ExpiresAt
	}
	if !r.UsedAt.IsZero() {
		k.LastUsed = &api.LastUse{At: r.UsedAt, Address: r.UsedFrom, UserAgent: r.UsedAgent}
	}
	return k
}

// row is a record with what verifies the key.
type row struct {
	Record
	hash   []byte
	public ed25519.PublicKey
}

const columns = `id, kind, prefix, hash, public_key, org, name, description, owner, created_by, scopes, created_at,
	expires_at, confirm_by, ended_at, ended_by, end_reason, used_at, used_from, used_agent`

func scan(s interface{ Scan(...any) error }) (row, error) {
	var r row
	var id, kind, hash, public, scopes string
	var created, expires, confirm, ended, used int64
	err := s.Scan(&id, &kind, &r.Prefix, &hash, &public, &r.Org, &r.Name, &r.Description, &r.Owner, &r.CreatedBy, &scopes,
		&created, &expires, &confirm, &ended, &r.EndedBy, &r.EndReason, &used, &r.UsedFrom, &r.UsedAgent)
	if err != nil {
		return row{}, err
	}
	r.Kind = bridge.KeyKind(kind)
	r.CreatedAt, r.ExpiresAt, r.ConfirmBy = at(created), at(expires), at(confirm)
	r.EndedAt, r.UsedAt = at(ended), at(used)
	var errs [4]error
	r.ID, errs[0] = uuid.Parse(id)
	r.hash, errs[1] = hex.DecodeString(hash)
	r.public, errs[2] = base64.RawURLEncoding.DecodeString(public)
	r.Scopes, errs[3] = bridge.ParseScopes(scopes)
	if err := errors.Join(errs[:]...); err != nil || len(r.public) != ed25519.PublicKeySize {
		return row{}, fmt.Errorf("the stored key %s is damaged: %w", id, err)
	}
	return r, nil
}

func at(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

var errUnknown = bridge.E(bridge.NotFound, "key_unknown", "there is no such key").WithHint("ace api-key list")

func (a *Authority) load(ctx context.Context, id uuid.UUID) (row, error) {
	r, err := scan(a.db.QueryRowContext(ctx, "SELECT "+columns+" FROM api_keys WHERE id = $1", id.String()))
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, errUnknown
	}
	return r, err
}

// Get returns a key of an organization.
func (a *Authority) Get(ctx context.Context, org string, id uuid.UUID) (Record, error) {
	r, err := a.load(ctx, id)
	if err != nil {
		return Record{}, err
	}
	if r.Org != org {
		return Record{}, errUnknown
	}
	return r.Record, nil
}

const (
	defaultLimit = 50
	maxLimit     = 500
)

// List returns a page of an organization's keys, dead ones included, newest first, and the cursor of the next page.
func (a *Authority) List(ctx context.Context, org, cursor string, limit int) ([]Record, string, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	if cursor == "" {
		// After every key ID in every collation: PostgreSQL sorts as its locale says, where punctuation comes first.
		cursor = uuid.Max.String()
	}
	rows, err := a.db.QueryContext(ctx, "SELECT "+columns+` FROM api_keys WHERE org = $1 AND id < $2
		ORDER BY id DESC LIMIT $3`, org, cursor, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, "", err
		}
		out = append(out, r.Record)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("list keys: %w", err)
	}
	if len(out) > limit {
		return out[:limit], out[limit-1].ID.String(), nil
	}
	return out, "", nil
}
