package keys

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Rotation says how to rotate a key.
type Rotation struct {
	Grace     string // how long the old secret stays valid; empty: 24 hours
	ExpiresIn string // empty: the same lifetime as the old secret had
	// Idempotency makes the rotation retryable: the same value leads to the same secret. It must be random; zero: not
	// retryable.
	Idempotency bridge.Secret
}

const (
	defaultGrace   = 24 * time.Hour
	maxGrace       = 30 * 24 * time.Hour
	minIdempotency = 16
	maxIdempotency = 128
)

// ParseGrace parses how long an old secret stays valid after a rotation.
//
// It takes "" (24 hours), "0", a duration ("12h") or days ("7d"), up to 30 days.
func ParseGrace(s string) (time.Duration, error) {
	grace, err := defaultGrace, error(nil)
	switch {
	case s == "":
	case len(s) > 20:
		err = strconv.ErrSyntax
	case strings.HasSuffix(s, "d"):
		var days uint64
		days, err = strconv.ParseUint(strings.TrimSuffix(s, "d"), 10, 8)
		grace = time.Duration(days) * 24 * time.Hour //nolint:gosec // 8 bits
	default:
		grace, err = time.ParseDuration(s)
	}
	if err != nil || grace < 0 || grace > maxGrace {
		return 0, bridge.E(bridge.Invalid, bridge.CodeGraceMalformed,
			"the grace is not a duration of at most 30 days").WithHint("use 24h, 7d or 0s")
	}
	return grace, nil
}

// Rotate gives a key a new secret under the same ID; the old one stays valid until its grace ends.
//
// While the grace of another rotation runs, it fails with [bridge.CodeRotationPending], unless it repeats that rotation with the
// same idempotency key: then it returns the same secret and changes nothing.
func (a *Authority) Rotate(ctx context.Context, by By, id uuid.UUID, w Rotation) (bridge.Key, record.Record, error) {
	now := a.line.Now()
	grace, err := ParseGrace(w.Grace)
	if err != nil {
		return bridge.Key{}, record.Record{}, err
	}
	if n := w.Idempotency.Len(); n != 0 && (n < minIdempotency || n > maxIdempotency) {
		return bridge.Key{}, record.Record{}, bridge.E(bridge.Invalid, bridge.CodeIdempotencyKeyMalformed,
			"the idempotency key is not %d to %d random characters", minIdempotency, maxIdempotency).WithHint("use a UUID, for example")
	}
	var key bridge.Key
	made, err := a.changeFamily(ctx, id, by.Actor, func(x *relatives, version int64) (*audit.Entry, error) {
		r, err := record.Load(ctx, x.tx, id)
		if err != nil {
			return nil, err
		}
		own := IsOwnKey(by.Who, id)
		var b bounds
		if !own {
			if b, err = (minting{a, by}).requireReissue(r.Record); err != nil {
				return nil, err
			}
		}
		if state := r.Status(now); state != record.StatusActive {
			return nil, stateError(id, state)
		}
		if err := requireStillValid(ctx, x.tx, by.Who, now); err != nil {
			return nil, err
		}
		if again, ok := w.madeBefore(a.cfg.Pepper, r); ok {
			key = again
			// Nothing changes, but the secret is disclosed once more.
			return &audit.Entry{Actor: by.Actor, Action: "key.rotate_again", Details: map[string]string{"name": r.Name}}, nil
		}
		if own && by.Who.Generation != r.Generation() {
			return nil, errReplaced
		}
		if now.Before(r.GraceUntil) {
			return nil, bridge.E(bridge.Conflict, bridge.CodeRotationPending, "the grace of another rotation runs until %s",
				r.GraceUntil.Format(time.RFC3339)).WithHint("wait for its end, or replace the secret at once: ace api-key revive %s", id)
		}
		var expires time.Time
		if own {
			expires, err = prolonged(r.Record, w.ExpiresIn, now)
		} else {
			expires, err = (minting{a, by}).rotatedExpiry(b, r.Record, w.ExpiresIn, now)
		}
		if err != nil {
			return nil, err
		}
		if r.Lineage.Parent != uuid.Nil {
			if err := requireLivingParent(ctx, x.tx, r.Lineage.Parent, now); err != nil {
				return nil, err
			}
			expires = a.table.CutExpiry(r.Lineage, expires)
		}
		var salt, token string
		if key, salt, token, err = w.newKey(a.cfg.Pepper, r.Kind, id); err != nil {
			return nil, err
		}
		if err := storeRotation(ctx, x.tx, r, rotated{key, salt, token, now, grace, expires, version}); err != nil {
			return nil, err
		}
		if err := x.touchBelow(ctx, id); err != nil {
			return nil, err
		}
		return &audit.Entry{Actor: by.Actor, Action: "key.rotate",
			Details: map[string]string{"name": r.Name, "grace": grace.String()}}, nil
	})
	if err != nil {
		return bridge.Key{}, record.Record{}, err
	}
	return key, made, nil
}

// IsOwnKey reports whether who is a connection's own key, asking about itself.
//
// Such a key may rotate itself without any scope, which is how a cloud keeps a connection working: only the cloud has its
// secret. Members' credentials are derived from it and are never the key itself, whatever subject and scopes they name.
func IsOwnKey(who bridge.Identity, id uuid.UUID) bool {
	return who.Type == bridge.TypeAPIKey && who.Kind == bridge.KindSK && who.KeyID == id
}

// prolonged returns the expiry of a connection's key that rotates itself: from now at most as long as it was given before, and
// at most as long as an exchange would give.
func prolonged(r record.Record, expiresIn string, now time.Time) (time.Time, error) {
	life := bridge.DefaultKeyLife
	if !r.ExpiresAt.IsZero() {
		life = min(life, r.ExpiresAt.Sub(r.IssuedAt))
	}
	most := now.Add(life)
	if expiresIn == "" {
		return most, nil
	}
	expires, err := record.ParseExpiry(expiresIn, now)
	if err != nil {
		return time.Time{}, err
	}
	return bounds{expires: most}.expiry(expires, true)
}

// rotatedExpiry returns the expiry of a key rotated by a person or another key, within what they may grant.
func (m minting) rotatedExpiry(b bounds, r record.Record, expiresIn string, now time.Time) (expires time.Time, err error) {
	if expiresIn == "" {
		if !r.ExpiresAt.IsZero() {
			expires = now.Add(r.ExpiresAt.Sub(r.IssuedAt))
		}
	} else if expires, err = record.ParseExpiry(expiresIn, now); err != nil {
		return time.Time{}, err
	}
	return m.grantExpiry(b, expires, expiresIn != "")
}

type rotated struct {
	key         bridge.Key
	salt, token string
	now         time.Time
	grace       time.Duration
	expires     time.Time
	version     int64
}

// storeRotation replaces the secret, if it is still the one that was read, and keeps the old one for its grace.
func storeRotation(ctx context.Context, tx *sql.Tx, r record.Row, n rotated) error {
	until, prevHash, prevPublic := n.now.Add(n.grace), "", ""
	if !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(until) {
		until = r.ExpiresAt // a rotation does not lengthen the life of any secret
	}
	if !n.expires.IsZero() && n.expires.Before(until) {
		until = n.expires
	}
	if n.grace < time.Second {
		until = time.Time{}
	} else {
		prevHash, prevPublic = r.Current.Columns()
	}
	hash, public := record.ProofOf(n.key).Columns()
	old, _ := r.Current.Columns()
	changed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE api_keys SET hash = $1, public_key = $2, prev_hash = $3,
		prev_public = $4, prev_until = $5, rotate_token = $6, rotate_salt = $7, issued_at = $8, expires_at = $9,
		warned_days = 0, version = $10
		WHERE id = $11 AND hash = $12 AND ended_at = 0 AND disabled_at = 0 AND prev_until <= $8`,
		hash, public, prevHash, prevPublic, record.Unix(until), n.token, n.salt, n.now.Unix(), record.Unix(n.expires), n.version,
		r.ID.String(), old))
	if err != nil || !changed {
		return lost("rotate", err)
	}
	return nil
}

// newKey makes the new secret, either at random or derived so that the same idempotency key leads to it again. The derivation
// takes the idempotency key, the server's pepper and a salt, of which only the salt is in the database.
func (w Rotation) newKey(pepper bridge.Secret, kind bridge.KeyKind, id uuid.UUID) (key bridge.Key, salt, token string, err error) {
	if w.Idempotency.IsZero() {
		return bridge.NewKey(kind, id), "", "", nil
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	salt = hex.EncodeToString(random[:])
	secret, token, err := w.secret(pepper, id, salt)
	return bridge.KeyFrom(kind, id, secret), salt, token, err
}

// secret derives the new secret, and a token by which to recognise the idempotency key (HKDF-SHA256, RFC 5869).
func (w Rotation) secret(pepper bridge.Secret, id uuid.UUID, salt string) (secret [32]byte, token string, err error) {
	input := []byte(w.Idempotency.Reveal() + "\x00" + pepper.Reveal())
	out, err := hkdf.Key(sha256.New, input, []byte(salt), "ace rotation v1 "+id.String(), 64)
	if err != nil {
		return secret, "", fmt.Errorf("derive the secret: %w", err)
	}
	copy(secret[:], out[:32])
	return secret, hex.EncodeToString(out[32:]), nil
}

// madeBefore returns the key that this rotation has already led to, if it is a repetition.
func (w Rotation) madeBefore(pepper bridge.Secret, r record.Row) (bridge.Key, bool) {
	if w.Idempotency.IsZero() || r.RotateToken == "" {
		return bridge.Key{}, false
	}
	secret, token, err := w.secret(pepper, r.ID, r.RotateSalt)
	if err != nil || token != r.RotateToken {
		return bridge.Key{}, false
	}
	key := bridge.KeyFrom(r.Kind, r.ID, secret)
	return key, record.ProofOf(key) == r.Current
}
