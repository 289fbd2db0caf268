package keys

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// The kinds of credential that an [Identity] comes from.
const (
	TypeAPIKey      = "api_key"
	TypeAccessToken = "access_token"
)

// Identity is who a verified credential stands for and what it may do.
type Identity struct {
	Type        string
	KeyID       uuid.UUID
	Kind        bridge.KeyKind
	Name        string
	Subject     string // the key's owner, or the member that an access token names
	Org         string
	Environment string // live or test
	Connection  string
	Scopes      bridge.Scopes
	ExpiresAt   time.Time // of the credential; zero: never
}

// Use is from where a credential is used.
type Use struct {
	Address   string
	UserAgent string
}

// invalid is what a caller is told of any credential that does not pass. Which of the reasons it was goes to the
// operator, through the wrapped cause: a caller who does not hold the secret learns nothing about the key.
func invalid(cause error) error {
	return bridge.E(bridge.Unauthenticated, "key_invalid", "API key is invalid or expired").Because(cause).
		WithHint("connect again with `ace connect`, or create a key with `ace api-key create`")
}

// Verify checks an API key or a derived access token. The first use of an exchanged key confirms it; apart from that,
// nothing is written here. Every refusal has the code key_invalid and wraps the exact cause.
func (a *Authority) Verify(ctx context.Context, p bridge.Presented, use Use) (Identity, error) {
	now := a.cfg.Now()
	var id Identity
	var err error
	if p.IsKey() {
		id, err = a.verifyKey(ctx, p, now)
	} else {
		id, err = a.verifyAccess(ctx, p.Value, now)
	}
	if err != nil {
		if e := bridge.AsError(err); e.Kind == bridge.Internal || e.Kind == bridge.Unavailable {
			return Identity{}, err
		}
		return Identity{}, invalid(err)
	}
	a.use.note(id.KeyID, now, use)
	return id, nil
}

func (a *Authority) verifyKey(ctx context.Context, p bridge.Presented, now time.Time) (Identity, error) {
	key, err := p.Key()
	if err != nil {
		return Identity{}, err
	}
	row, err := a.load(ctx, key.ID)
	if err != nil {
		return Identity{}, err
	}
	hash := key.Hash()
	if subtle.ConstantTimeCompare(hash[:], row.hash) != 1 || key.Kind != row.Kind {
		return Identity{}, bridge.E(bridge.Unauthenticated, "key_secret", "the secret is not that of the key")
	}
	if err := a.alive(ctx, row, now); err != nil {
		return Identity{}, err
	}
	return row.identity(TypeAPIKey), nil
}

func (a *Authority) verifyAccess(ctx context.Context, token bridge.Secret, now time.Time) (Identity, error) {
	if bridge.TokenType(token) != bridge.TypeAccess {
		return Identity{}, bridge.E(bridge.Unauthenticated, "token_type", "the credential is neither a key nor an access token")
	}
	keyID, err := bridge.TokenKeyID(token)
	if err != nil {
		return Identity{}, err
	}
	row, err := a.load(ctx, keyID)
	if err != nil {
		return Identity{}, err
	}
	claims, err := bridge.VerifyAccess(token, row.public, a.cfg.Servers, now)
	if err != nil {
		return Identity{}, err
	}
	if err := a.alive(ctx, row, now); err != nil {
		return Identity{}, err
	}
	id := row.identity(TypeAccessToken)
	id.Subject, id.Connection = claims.Subject, claims.Connection
	id.Scopes = id.Scopes.Cap(claims.Scopes())
	if claims.Role != "" {
		id.Scopes = id.Scopes.Cap(a.cfg.Catalogue.Ceiling(claims.Role))
	}
	id.ExpiresAt = at(claims.ExpiresAt)
	return id, nil
}

func (r row) identity(credential string) Identity {
	environment := "live"
	if r.Kind == bridge.KindTest {
		environment = "test"
	}
	return Identity{Type: credential, KeyID: r.ID, Kind: r.Kind, Name: r.Name, Subject: r.Owner, Org: r.Org,
		Environment: environment, Scopes: r.Scopes, ExpiresAt: r.ExpiresAt}
}

// alive checks that the key may be used now, and confirms it where this is its first use.
func (a *Authority) alive(ctx context.Context, r row, now time.Time) error {
	switch status := r.Status(now); status {
	case StatusActive:
		return nil
	case StatusUnconfirmed:
		return a.confirm(ctx, r, now)
	default:
		return bridge.E(bridge.Unauthenticated, "key_"+status, "the key is %s", status)
	}
}

var errLost = errors.New("another request was faster")

func (a *Authority) confirm(ctx context.Context, r row, now time.Time) error {
	err := a.db.Tx(ctx, func(tx *sql.Tx) error {
		confirmed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE api_keys SET confirm_by = 0
			WHERE id = $1 AND confirm_by > $2 AND ended_at = 0`, r.ID.String(), now.Unix()))
		if err != nil {
			return fmt.Errorf("confirm the key: %w", err)
		}
		if !confirmed {
			return errLost
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: audit.Actor{ID: "key:" + r.ID.String(), Org: r.Org},
			Action: "key.confirm", Target: "key:" + r.ID.String()})
	})
	if !errors.Is(err, errLost) {
		return err
	}
	again, err := a.load(ctx, r.ID)
	if err != nil {
		return err
	}
	if status := again.Status(now); status != StatusActive {
		return bridge.E(bridge.Unauthenticated, "key_"+status, "the key is %s", status)
	}
	return nil
}
