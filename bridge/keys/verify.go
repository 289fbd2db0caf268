package keys

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// invalid is what a caller is told of any credential that does not pass. Which of the reasons it was goes to the
// operator, through the wrapped cause: a caller who does not hold the secret learns nothing about the key.
func invalid(cause error) error {
	return bridge.E(bridge.Unauthenticated, "key_invalid", "API key is invalid or expired").Because(cause).
		WithHint("connect again with `ace connect`, or create a key with `ace api-key create`")
}

// Verify checks an API key or a derived access token. The first use of an exchanged key confirms it; apart from that,
// nothing is written here. Every refusal has the code key_invalid and wraps the exact cause.
func (a *Authority) Verify(ctx context.Context, p bridge.Presented, use bridge.Use) (bridge.Identity, error) {
	now := a.cfg.Now()
	var id bridge.Identity
	var err error
	if p.IsKey() {
		id, err = a.verifyKey(ctx, p, now)
	} else {
		id, err = a.verifyAccess(ctx, p.Value, now)
	}
	if err != nil {
		if e := bridge.AsError(err); e.Kind == bridge.Internal || e.Kind == bridge.Unavailable {
			return bridge.Identity{}, err
		}
		return bridge.Identity{}, invalid(err)
	}
	a.use.note(id.KeyID, now, use)
	return id, nil
}

func (a *Authority) verifyKey(ctx context.Context, p bridge.Presented, now time.Time) (bridge.Identity, error) {
	key, err := p.Key()
	if err != nil {
		return bridge.Identity{}, err
	}
	row, err := a.load(ctx, key.ID)
	if err != nil {
		return bridge.Identity{}, err
	}
	hash := key.Hash()
	if subtle.ConstantTimeCompare(hash[:], row.hash) != 1 || key.Kind != row.Kind {
		return bridge.Identity{}, bridge.E(bridge.Unauthenticated, "key_secret", "the secret is not that of the key")
	}
	if err := a.alive(ctx, row, now); err != nil {
		return bridge.Identity{}, err
	}
	return row.identity(bridge.TypeAPIKey), nil
}

func (a *Authority) verifyAccess(ctx context.Context, token bridge.Secret, now time.Time) (bridge.Identity, error) {
	if bridge.TokenType(token) != bridge.TypeAccess {
		return bridge.Identity{}, bridge.E(bridge.Unauthenticated, "token_type", "the credential is neither a key nor an access token")
	}
	keyID, err := bridge.TokenKeyID(token)
	if err != nil {
		return bridge.Identity{}, err
	}
	row, err := a.load(ctx, keyID)
	if err != nil {
		return bridge.Identity{}, err
	}
	claims, err := bridge.VerifyAccess(token, row.public, a.cfg.Servers, now)
	if err != nil {
		return bridge.Identity{}, err
	}
	if err := a.alive(ctx, row, now); err != nil {
		return bridge.Identity{}, err
	}
	id := row.identity(bridge.TypeAccessToken)
	id.Subject, id.Connection, id.Role = claims.Subject, claims.Connection, claims.Role
	id.Scopes = id.Scopes.Cap(claims.Scopes())
	if claims.Role != "" {
		id.Scopes = id.Scopes.Cap(a.cfg.Catalogue.Ceiling(claims.Role))
	}
	id.ExpiresAt = at(claims.ExpiresAt)
	return id, nil
}

func (r row) identity(credential string) bridge.Identity {
	return bridge.Identity{Type: credential, KeyID: r.ID, Kind: r.Kind, Subject: r.Owner, Org: r.Org,
		Environment: r.Kind.Environment(), Scopes: r.Scopes, ExpiresAt: r.ExpiresAt}
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
