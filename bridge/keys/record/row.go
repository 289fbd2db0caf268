package record

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/statements"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Proof is what is stored of a key's secret: a hash and a public key.
type Proof struct {
	Hash   [sha256.Size]byte
	public [ed25519.PublicKeySize]byte
}

// ProofOf returns what to store of a new key.
func ProofOf(key bridge.Key) Proof {
	return Proof{Hash: key.Hash(), public: [ed25519.PublicKeySize]byte(key.PublicKey())}
}

// Columns returns the proof in its stored form: hash in hex, public key in base64url.
func (p Proof) Columns() (hash, public string) {
	return hex.EncodeToString(p.Hash[:]), base64.RawURLEncoding.EncodeToString(p.public[:])
}

// ParseProof parses what [Proof.Columns] returned.
func ParseProof(hash, public []byte) (s Proof, err error) {
	if len(hash) != hex.EncodedLen(len(s.Hash)) || len(public) != base64.RawURLEncoding.EncodedLen(len(s.public)) {
		return Proof{}, errors.New("its hash or public key has the wrong length")
	}
	if _, err := hex.Decode(s.Hash[:], hash); err != nil {
		return Proof{}, errors.New("its hash is damaged")
	}
	if _, err := base64.RawURLEncoding.Decode(s.public[:], public); err != nil {
		return Proof{}, errors.New("its public key is damaged")
	}
	return s, nil
}

// Row is a record together with what verifies the key.
type Row struct {
	Record
	Version     int64
	Current     Proof
	Previous    Proof // set while GraceUntil is
	RotateToken string
	RotateSalt  string
	Taken       statements.Taken // from its access tokens
}

// Columns are the columns of api_keys that [Scan] reads, in its order.
const Columns = `id, kind, prefix, hash, public_key, org, name, description, owner, created_by, scopes, created_at,
	expires_at, confirm_by, ended_at, ended_by, end_reason, used_at, used_from, used_agent, version, role, issued_at,
	disabled_at, disabled_by, prev_hash, prev_public, prev_until, rotate_token, rotate_salt, allow_from, rate_count,
	rate_seconds, max_uses, uses, withdrawn, lineage, parent_id, parent_unknown, subject, limit_scopes, limit_role, limit_number,
	limit_at, replaces, withdrawn_numbers, withdrawn_highest, doubted_at`

// Scan reads one row of [Columns].
func Scan(s interface{ Scan(...any) error }) (Row, error) {
	var r Row
	var id, kind, hash, public, scopes, role, prevHash, prevPublic, allow, withdrawn, parent, limitScopes, limitRole, replaces, numbers string
	var highest int64
	var created, expires, confirm, ended, used, issued, disabled, prevUntil, rateSeconds, doubted int64
	err := s.Scan(&id, &kind, &r.Prefix, &hash, &public, &r.Org, &r.Name, &r.Description, &r.Owner, &r.CreatedBy, &scopes,
		&created, &expires, &confirm, &ended, &r.EndedBy, &r.EndReason, &used, &r.UsedFrom, &r.UsedAgent, &r.Version,
		&role, &issued, &disabled, &r.DisabledBy, &prevHash, &prevPublic, &prevUntil, &r.RotateToken, &r.RotateSalt,
		&allow, &r.Limits.Rate.Count, &rateSeconds, &r.Limits.MaxUses, &r.Uses, &withdrawn,
		&r.Lineage.Kind, &parent, &r.Lineage.ParentUnknown, &r.Lineage.Subject, &limitScopes, &limitRole, &r.Lineage.Limit.Number,
		&r.Lineage.Limit.At, &replaces, &numbers, &highest, &doubted)
	if err != nil {
		return Row{}, err
	}
	r.Kind, r.Role = bridge.KeyKind(kind), bridge.Role(role)
	r.CreatedAt, r.ExpiresAt, r.ConfirmBy = At(created), At(expires), At(confirm)
	r.EndedAt, r.UsedAt, r.IssuedAt = At(ended), At(used), At(issued)
	r.DisabledAt, r.GraceUntil, r.DoubtedAt = At(disabled), At(prevUntil), At(doubted)
	r.Limits.Rate.Per = time.Duration(rateSeconds) * time.Second
	var errs [9]error
	r.ID, errs[0] = uuid.Parse(id)
	r.Current, errs[1] = ParseProof([]byte(hash), []byte(public))
	if prevUntil != 0 {
		r.Previous, errs[2] = ParseProof([]byte(prevHash), []byte(prevPublic))
	}
	r.Scopes, errs[3] = bridge.ParseScopes(scopes)
	r.Limits.AllowFrom, errs[4] = parsePrefixes(strings.Fields(allow))
	r.Taken, errs[5] = statements.ParseTaken(withdrawn, numbers, highest)
	r.Lineage.Limit.Role = bridge.Role(limitRole)
	r.Lineage.Limit.Scopes, errs[6] = bridge.ParseScopes(limitScopes)
	r.Lineage.Parent, errs[7] = parseID(parent)
	r.Replaces, errs[8] = parseID(replaces)
	if err := errors.Join(errs[:]...); err != nil {
		return Row{}, fmt.Errorf("the stored key %s is damaged: %w", id, err)
	}
	return r, nil
}

// parseID parses a stored key ID; empty is zero.
func parseID(s string) (uuid.UUID, error) {
	if s == "" {
		return uuid.Nil, nil
	}
	return uuid.Parse(s)
}

// IDText returns a key ID in its stored form; zero is empty.
func IDText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// At converts a stored time (unix seconds); 0 is the zero time.
func At(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

// Unix converts a time to its stored form (unix seconds); the zero time is 0.
func Unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// ErrUnknown is the error of a key that does not exist, or that the caller cannot see.
var ErrUnknown = bridge.E(bridge.NotFound, bridge.CodeKeyUnknown, "there is no such key").WithHint("ace api-key list")

// RowQueryer is a database or a transaction that reads one row.
type RowQueryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Load reads one key, or fails with [ErrUnknown].
func Load(ctx context.Context, q RowQueryer, id uuid.UUID) (Row, error) {
	r, err := Scan(q.QueryRowContext(ctx, "SELECT "+Columns+" FROM api_keys WHERE id = $1", id.String()))
	if errors.Is(err, sql.ErrNoRows) {
		return Row{}, ErrUnknown
	}
	return r, err
}

// Queryer is a database or a transaction that reads rows.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Rows reads keys with a query for [Columns].
func Rows(ctx context.Context, q Queryer, query string, args ...any) (out []Row, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	out, err = sqldb.Collect(rows, err, func(row sqldb.Row) (Row, error) { return Scan(row) })
	return out, sqldb.Wrap("read the keys", err)
}

// Insert stores a new key.
func Insert(ctx context.Context, tx *sql.Tx, r Row) error {
	hash, public := r.Current.Columns()
	_, err := tx.ExecContext(ctx, `INSERT INTO api_keys
		(id, kind, prefix, hash, public_key, org, name, description, owner, created_by, scopes, created_at, expires_at,
		 confirm_by, ended_at, ended_by, end_reason, used_at, used_from, used_agent, version, role, issued_at, allow_from,
		 rate_count, rate_seconds, max_uses, lineage, parent_id, subject, limit_role, limit_number, limit_at, replaces)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, '', '', 0, '', '', $15, $16, $17, $18, $19,
		 $20, $21, $22, $23, $24, $25, $26, $27, $28)`,
		r.ID.String(), string(r.Kind), r.Prefix, hash, public, r.Org, r.Name, r.Description, r.Owner, r.CreatedBy,
		r.Scopes.String(), r.CreatedAt.Unix(), Unix(r.ExpiresAt), Unix(r.ConfirmBy), r.Version, string(r.Role),
		r.IssuedAt.Unix(), strings.Join(prefixStrings(r.Limits.AllowFrom), " "), r.Limits.Rate.Count,
		int64(r.Limits.Rate.Per/time.Second), r.Limits.MaxUses, r.Lineage.Kind, IDText(r.Lineage.Parent), r.Lineage.Subject,
		string(r.Lineage.Limit.Role), r.Lineage.Limit.Number, r.Lineage.Limit.At, IDText(r.Replaces))
	if err != nil {
		return fmt.Errorf("store the key: %w", err)
	}
	return nil
}

// Generation identifies the current secret together with the key's limit.
func (r *Row) Generation() uint64 { return r.Lineage.Limit.Generation(r.Current.Generation()) }

// Generation identifies a secret among those of one key.
func (p *Proof) Generation() uint64 { return binary.BigEndian.Uint64(p.Hash[:]) }

// PublicKey returns the key that verifies what the secret has signed.
func (p *Proof) PublicKey() ed25519.PublicKey { return p.public[:] }
