package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// The states of a key.
const (
	StatusActive      = "active"
	StatusUnconfirmed = "unconfirmed" // exchanged, and waiting for its first use
	StatusDisabled    = "disabled"    // until it is enabled
	StatusExpired     = "expired"
	StatusUsedUp      = "used_up" // all its uses are taken
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
	Role        bridge.Role // of the person whom an exchange was for; an access token of the key has no higher one
	Scopes      bridge.Scopes
	Limits      Limits
	Uses        int64 // counted where there is a limit
	CreatedAt   time.Time
	IssuedAt    time.Time // of the secret
	ExpiresAt   time.Time
	ConfirmBy   time.Time
	GraceUntil  time.Time // the secret before a rotation is valid until then
	UsedAt      time.Time
	UsedFrom    string
	UsedAgent   string
	DisabledAt  time.Time
	DisabledBy  string
	DoubtedAt   time.Time // a restored database was accepted then, and the key may have been revoked before
	EndedAt     time.Time
	EndedBy     string
	EndReason   string
	Lineage     Lineage
	Replaces    uuid.UUID // of a connection's key: the one that it replaces
}

// Status is the state of the key at a time.
func (r Record) Status(now time.Time) string {
	return status(statusFacts{ended: !r.EndedAt.IsZero(), disabled: !r.DisabledAt.IsZero(), expires: unix(r.ExpiresAt),
		confirmBy: unix(r.ConfirmBy), usedUp: r.Limits.MaxUses > 0 && r.Uses >= r.Limits.MaxUses}, now.Unix())
}

// statusFacts are what the state of a key follows from.
type statusFacts struct {
	ended, disabled, usedUp bool
	expires, confirmBy      int64 // 0: never, not needed
}

func status(f statusFacts, now int64) string {
	switch {
	case f.ended:
		return StatusRevoked
	case f.expires != 0 && now >= f.expires:
		return StatusExpired
	case f.confirmBy != 0 && now >= f.confirmBy:
		return StatusLapsed
	case f.usedUp:
		return StatusUsedUp
	case f.disabled:
		return StatusDisabled
	case f.confirmBy != 0:
		return StatusUnconfirmed
	}
	return StatusActive
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
	case StatusUsedUp:
		at := r.UsedAt
		if at.IsZero() {
			at = r.IssuedAt // the last use is stored some seconds late
		}
		return &api.KeyEnd{At: at, By: "system", Reason: fmt.Sprintf("all %d uses are taken", r.Limits.MaxUses)}
	}
	return nil
}

// api is the key in its wire form, without the effect of its ancestors.
func (r Record) api(now time.Time) api.APIKey {
	k := api.APIKey{
		KeyID: r.ID.String(), Prefix: r.Prefix, Kind: string(r.Kind), Name: r.Name, Description: r.Description,
		Owner: r.Owner, Org: r.Org, Scopes: r.Scopes.Strings(), Status: r.Status(now), CreatedBy: r.CreatedBy,
		CreatedAt: r.CreatedAt, Ended: r.end(now), AllowFrom: prefixStrings(r.Limits.AllowFrom),
		Rate: r.Limits.Rate.String(), MaxUses: r.Limits.MaxUses, Uses: r.Uses,
	}
	k.Lineage, k.Subject, k.ParentUnknown = r.Lineage.Kind, r.Lineage.Subject, r.Lineage.ParentUnknown
	k.Parent = idText(r.Lineage.Parent)
	k.Limit = r.Lineage.Limit.API()
	if !r.ExpiresAt.IsZero() {
		k.ExpiresAt = &r.ExpiresAt
	}
	if !r.DoubtedAt.IsZero() && r.EndedAt.IsZero() {
		k.DoubtedAt = &r.DoubtedAt
	}
	if !r.DisabledAt.IsZero() {
		k.Disabled = &api.KeyDisabled{At: r.DisabledAt, By: r.DisabledBy}
	}
	if now.Before(r.GraceUntil) {
		k.GraceUntil = &r.GraceUntil
	}
	if !r.UsedAt.IsZero() {
		k.LastUsed = &api.LastUse{At: r.UsedAt, Address: r.UsedFrom, UserAgent: r.UsedAgent}
	}
	return k
}

// API is the limit in its wire form; nil if there is none.
func (l Limit) API() *api.KeyLimit {
	if len(l.Scopes) == 0 && l.Role == "" {
		return nil
	}
	return &api.KeyLimit{Scopes: l.Scopes.Strings(), Role: l.Role}
}

// secret is what is stored of a key's secret.
type secret struct {
	hash   [sha256.Size]byte
	public [ed25519.PublicKeySize]byte
}

func secretOf(key bridge.Key) secret {
	return secret{hash: key.Hash(), public: [ed25519.PublicKeySize]byte(key.PublicKey())}
}

func (s secret) columns() (hash, public string) {
	return hex.EncodeToString(s.hash[:]), base64.RawURLEncoding.EncodeToString(s.public[:])
}

func parseSecret(hash, public []byte) (s secret, err error) {
	if len(hash) != hex.EncodedLen(len(s.hash)) || len(public) != base64.RawURLEncoding.EncodedLen(len(s.public)) {
		return secret{}, errors.New("its hash or public key has another length")
	}
	if _, err := hex.Decode(s.hash[:], hash); err != nil {
		return secret{}, errors.New("its hash is damaged")
	}
	if _, err := base64.RawURLEncoding.Decode(s.public[:], public); err != nil {
		return secret{}, errors.New("its public key is damaged")
	}
	return s, nil
}

// row is a record with what verifies the key.
type row struct {
	Record
	version     int64
	current     secret
	previous    secret // while GraceUntil is set
	rotateToken string
	rotateSalt  string
	withdrawn   withdrawals
	numbers     takenNumbers
	highest     int64 // number of a withdrawal
}

const columns = `id, kind, prefix, hash, public_key, org, name, description, owner, created_by, scopes, created_at,
	expires_at, confirm_by, ended_at, ended_by, end_reason, used_at, used_from, used_agent, version, role, issued_at,
	disabled_at, disabled_by, prev_hash, prev_public, prev_until, rotate_token, rotate_salt, allow_from, rate_count,
	rate_seconds, max_uses, uses, withdrawn, lineage, parent_id, parent_unknown, subject, limit_scopes, limit_role, limit_number,
	limit_at, replaces, withdrawn_numbers, withdrawn_highest, doubted_at`

func scan(s interface{ Scan(...any) error }) (row, error) {
	var r row
	var id, kind, hash, public, scopes, role, prevHash, prevPublic, allow, withdrawn, parent, limitScopes, limitRole, replaces, numbers string
	var created, expires, confirm, ended, used, issued, disabled, prevUntil, rateSeconds, doubted int64
	err := s.Scan(&id, &kind, &r.Prefix, &hash, &public, &r.Org, &r.Name, &r.Description, &r.Owner, &r.CreatedBy, &scopes,
		&created, &expires, &confirm, &ended, &r.EndedBy, &r.EndReason, &used, &r.UsedFrom, &r.UsedAgent, &r.version,
		&role, &issued, &disabled, &r.DisabledBy, &prevHash, &prevPublic, &prevUntil, &r.rotateToken, &r.rotateSalt,
		&allow, &r.Limits.Rate.Count, &rateSeconds, &r.Limits.MaxUses, &r.Uses, &withdrawn,
		&r.Lineage.Kind, &parent, &r.Lineage.ParentUnknown, &r.Lineage.Subject, &limitScopes, &limitRole, &r.Lineage.Limit.Number,
		&r.Lineage.Limit.At, &replaces, &numbers, &r.highest, &doubted)
	if err != nil {
		return row{}, err
	}
	r.Kind, r.Role = bridge.KeyKind(kind), bridge.Role(role)
	r.CreatedAt, r.ExpiresAt, r.ConfirmBy = at(created), at(expires), at(confirm)
	r.EndedAt, r.UsedAt, r.IssuedAt = at(ended), at(used), at(issued)
	r.DisabledAt, r.GraceUntil, r.DoubtedAt = at(disabled), at(prevUntil), at(doubted)
	r.Limits.Rate.Per = time.Duration(rateSeconds) * time.Second
	var errs [10]error
	r.ID, errs[0] = uuid.Parse(id)
	r.current, errs[1] = parseSecret([]byte(hash), []byte(public))
	if prevUntil != 0 {
		r.previous, errs[2] = parseSecret([]byte(prevHash), []byte(prevPublic))
	}
	r.Scopes, errs[3] = bridge.ParseScopes(scopes)
	r.Limits.AllowFrom, errs[4] = parsePrefixes(strings.Fields(allow))
	r.withdrawn, errs[5] = parseWithdrawals(withdrawn)
	r.Lineage.Limit.Role = bridge.Role(limitRole)
	r.Lineage.Limit.Scopes, errs[6] = bridge.ParseScopes(limitScopes)
	r.Lineage.Parent, errs[7] = parseID(parent)
	r.Replaces, errs[8] = parseID(replaces)
	r.numbers, errs[9] = parseNumbers(numbers)
	if err := errors.Join(errs[:]...); err != nil {
		return row{}, fmt.Errorf("the stored key %s is damaged: %w", id, err)
	}
	return r, nil
}

// parseID reads a key ID; none is zero.
func parseID(s string) (uuid.UUID, error) {
	if s == "" {
		return uuid.Nil, nil
	}
	return uuid.Parse(s)
}

// idText is a key ID as it is stored; none is empty.
func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
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

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func load(ctx context.Context, q querier, id uuid.UUID) (row, error) {
	r, err := scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM api_keys WHERE id = $1", id.String()))
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, errUnknown
	}
	return r, err
}

// View is which keys somebody sees: those of an organization, and of one environment or, where it is empty, of both. What
// else an identity does not see is in [Authority.ViewOf].
type View struct {
	Org         string
	Environment string
	Parent      uuid.UUID // in a list: only the keys made through this one
	Orphans     bool      // in a list: only the keys that have not been revoked and whose parent is not known
	owner       string    // empty: everybody's
	impersonal  bool      // no personal access tokens
}

func (v View) sees(r Record) bool {
	return r.Org == v.Org && (v.Environment == "" || v.Environment == r.Kind.Environment()) &&
		(v.owner == "" || v.owner == r.Owner) && (!v.impersonal || r.Kind != bridge.KindPAT)
}

// Get returns a key.
func (a *Authority) Get(ctx context.Context, v View, id uuid.UUID) (Record, error) {
	r, err := loadSeen(ctx, a.db, v, id)
	return r.Record, err
}

// Behind returns the key behind a verified identity, with the times of the very secret that it was verified by: the one
// before a rotation ends with the grace, and since when it was valid is not known any more.
func (a *Authority) Behind(ctx context.Context, id bridge.Identity) (Record, error) {
	r, err := loadSeen(ctx, a.db, View{Org: id.Org}, id.KeyID)
	if err == nil && id.Generation != r.generation() {
		r.IssuedAt, r.ExpiresAt = time.Time{}, r.GraceUntil
	}
	return r.Record, err
}

// loadSeen is load for somebody, to whom what they do not see does not exist.
func loadSeen(ctx context.Context, q querier, v View, id uuid.UUID) (row, error) {
	r, err := load(ctx, q, id)
	if err == nil && !v.sees(r.Record) {
		return row{}, errUnknown
	}
	return r, err
}

const (
	defaultLimit = 50
	maxLimit     = 500
)

// List returns a page of keys, dead ones included, newest first, and the cursor of the next page.
func (a *Authority) List(ctx context.Context, v View, cursor string, limit int) ([]Record, string, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	if cursor == "" {
		// After every key ID in every collation: PostgreSQL sorts as its locale says, where punctuation comes first.
		cursor = uuid.Max.String()
	}
	const test, personal = string(bridge.KindTest), string(bridge.KindPAT)
	rows, err := a.db.QueryContext(ctx, "SELECT "+columns+` FROM api_keys WHERE org = $1 AND id < $2
		AND ($3 = '' OR ($3 = 'test') = (kind = '`+test+`')) AND ($4 = '' OR owner = $4) AND (NOT $5 OR kind <> '`+personal+`')
		AND ($6 = '' OR parent_id = $6) AND (NOT $7 OR (parent_unknown AND ended_at = 0)) ORDER BY id DESC LIMIT $8`,
		v.Org, cursor, v.Environment, v.owner, v.impersonal, idText(v.Parent), v.Orphans, limit+1)
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
