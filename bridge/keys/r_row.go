package keys

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
)

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
	taken       taken // from its access tokens
}

const columns = `id, kind, prefix, hash, public_key, org, name, description, owner, created_by, scopes, created_at,
	expires_at, confirm_by, ended_at, ended_by, end_reason, used_at, used_from, used_agent, version, role, issued_at,
	disabled_at, disabled_by, prev_hash, prev_public, prev_until, rotate_token, rotate_salt, allow_from, rate_count,
	rate_seconds, max_uses, uses, withdrawn, lineage, parent_id, parent_unknown, subject, limit_scopes, limit_role, limit_number,
	limit_at, replaces, withdrawn_numbers, withdrawn_highest, doubted_at`

func scan(s interface{ Scan(...any) error }) (row, error) {
	var r row
	var id, kind, hash, public, scopes, role, prevHash, prevPublic, allow, withdrawn, parent, limitScopes, limitRole, replaces, numbers string
	var highest int64
	var created, expires, confirm, ended, used, issued, disabled, prevUntil, rateSeconds, doubted int64
	err := s.Scan(&id, &kind, &r.Prefix, &hash, &public, &r.Org, &r.Name, &r.Description, &r.Owner, &r.CreatedBy, &scopes,
		&created, &expires, &confirm, &ended, &r.EndedBy, &r.EndReason, &used, &r.UsedFrom, &r.UsedAgent, &r.version,
		&role, &issued, &disabled, &r.DisabledBy, &prevHash, &prevPublic, &prevUntil, &r.rotateToken, &r.rotateSalt,
		&allow, &r.Limits.Rate.Count, &rateSeconds, &r.Limits.MaxUses, &r.Uses, &withdrawn,
		&r.Lineage.Kind, &parent, &r.Lineage.ParentUnknown, &r.Lineage.Subject, &limitScopes, &limitRole, &r.Lineage.Limit.Number,
		&r.Lineage.Limit.At, &replaces, &numbers, &highest, &doubted)
	if err != nil {
		return row{}, err
	}
	r.Kind, r.Role = bridge.KeyKind(kind), bridge.Role(role)
	r.CreatedAt, r.ExpiresAt, r.ConfirmBy = at(created), at(expires), at(confirm)
	r.EndedAt, r.UsedAt, r.IssuedAt = at(ended), at(used), at(issued)
	r.DisabledAt, r.GraceUntil, r.DoubtedAt = at(disabled), at(prevUntil), at(doubted)
	r.Limits.Rate.Per = time.Duration(rateSeconds) * time.Second
	var errs [9]error
	r.ID, errs[0] = uuid.Parse(id)
	r.current, errs[1] = parseSecret([]byte(hash), []byte(public))
	if prevUntil != 0 {
		r.previous, errs[2] = parseSecret([]byte(prevHash), []byte(prevPublic))
	}
	r.Scopes, errs[3] = bridge.ParseScopes(scopes)
	r.Limits.AllowFrom, errs[4] = parsePrefixes(strings.Fields(allow))
	r.taken, errs[5] = parseTaken(withdrawn, numbers, highest)
	r.Lineage.Limit.Role = bridge.Role(limitRole)
	r.Lineage.Limit.Scopes, errs[6] = bridge.ParseScopes(limitScopes)
	r.Lineage.Parent, errs[7] = parseID(parent)
	r.Replaces, errs[8] = parseID(replaces)
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

// queryer reads rows.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rowsOf reads keys.
func rowsOf(ctx context.Context, q queryer, query string, args ...any) (out []row, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	return out, nil
}

// insert stores a new key.
func insert(ctx context.Context, tx *sql.Tx, r row) error {
	hash, public := r.current.columns()
	_, err := tx.ExecContext(ctx, `INSERT INTO api_keys
		(id, kind, prefix, hash, public_key, org, name, description, owner, created_by, scopes, created_at, expires_at,
		 confirm_by, ended_at, ended_by, end_reason, used_at, used_from, used_agent, version, role, issued_at, allow_from,
		 rate_count, rate_seconds, max_uses, lineage, parent_id, subject, limit_role, limit_number, limit_at, replaces)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, '', '', 0, '', '', $15, $16, $17, $18, $19,
		 $20, $21, $22, $23, $24, $25, $26, $27, $28)`,
		r.ID.String(), string(r.Kind), r.Prefix, hash, public, r.Org, r.Name, r.Description, r.Owner, r.CreatedBy,
		r.Scopes.String(), r.CreatedAt.Unix(), unix(r.ExpiresAt), unix(r.ConfirmBy), r.version, string(r.Role),
		r.IssuedAt.Unix(), strings.Join(prefixStrings(r.Limits.AllowFrom), " "), r.Limits.Rate.Count,
		int64(r.Limits.Rate.Per/time.Second), r.Limits.MaxUses, r.Lineage.Kind, idText(r.Lineage.Parent), r.Lineage.Subject,
		string(r.Lineage.Limit.Role), r.Lineage.Limit.Number, r.Lineage.Limit.At, idText(r.Replaces))
	if err != nil {
		return fmt.Errorf("store the key: %w", err)
	}
	return nil
}

// generation is that of the current secret, under the key's limit.
func (r *row) generation() uint64 { return r.Lineage.Limit.generation(r.current.generation()) }

// generation tells the secrets of one key apart.
func (s *secret) generation() uint64 { return binary.BigEndian.Uint64(s.hash[:]) }

func (s *secret) publicKey() ed25519.PublicKey { return s.public[:] }
