package keys

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Exchange ties a new key to the connect token that it is exchanged for.
type Exchange struct {
	Issuer  bridge.ServerURL
	JTI     string
	Issued  time.Time // of the token
	Expires time.Time // of the token: its jti is remembered until then
}

// NewKey describes a key to create.
type NewKey struct {
	Kind        bridge.KeyKind
	Name        string
	Description string
	Org         string
	Owner       string
	Role        bridge.Role // of the person an exchange is for
	Scopes      bridge.Scopes
	Limits      record.Limits
	ExpiresAt   time.Time // zero: never
	// Exchange, if set, uses up the connect token in the transaction that creates the key, and lets the key die unless it
	// is used within bridge.UnconfirmedLife.
	Exchange *Exchange
	Lineage  record.Lineage
	Replaces uuid.UUID // the connection key whose children move to this one once it is confirmed

	bind   func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error // see [By]
	minter bridge.Identity                                           // whose credential must still be valid at commit; zero: nobody's
}

const (
	maxName        = 100
	maxDescription = 500
)

// check refuses a key whose form is wrong. It does not check what the caller may create.
func (n NewKey) check(now time.Time) error {
	switch {
	case !n.Kind.Valid():
		return bridge.E(bridge.Invalid, bridge.CodeKeyKind, "%q is not a kind of API key", n.Kind)
	case n.Name == "" || !bridge.PlainText(n.Name, maxName):
		return bridge.E(bridge.Invalid, bridge.CodeKeyName, "a key needs a name of at most %d bytes of plain text", maxName)
	case !bridge.PlainText(n.Description, maxDescription):
		return bridge.E(bridge.Invalid, bridge.CodeKeyDescription, "the description is not at most %d bytes of plain text",
			maxDescription)
	case len(n.Scopes) == 0:
		return bridge.E(bridge.Forbidden, bridge.CodeKeyScopes, "the key would have no scopes at all")
	case !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now):
		return bridge.E(bridge.Invalid, bridge.CodeKeyExpiry, "the key would be expired already")
	}
	return nil
}

// Create issues a key exactly as described; deciding what it may be is up to the caller (see [Authority.Mint]).
//
// The secret in the returned key is not stored and cannot be had again.
func (a *Authority) Create(ctx context.Context, actor audit.Actor, n NewKey) (bridge.Key, record.Record, error) {
	now := a.line.Now()
	n.Name, _ = bridge.PlainName(n.Name, maxName)
	n.Description, _ = bridge.PlainName(n.Description, maxDescription)
	if err := n.check(now); err != nil {
		return bridge.Key{}, record.Record{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return bridge.Key{}, record.Record{}, fmt.Errorf("create a key: %w", err)
	}
	key := bridge.NewKey(n.Kind, id)
	r := record.Row{Current: record.ProofOf(key), Record: record.Record{
		ID: id, Kind: n.Kind, Prefix: key.Prefix(), Name: n.Name, Description: n.Description, Org: n.Org,
		Owner: n.Owner, CreatedBy: actor.ID, Role: n.Role, Scopes: n.Scopes, Limits: n.Limits, CreatedAt: now, IssuedAt: now,
		ExpiresAt: n.ExpiresAt, Lineage: n.Lineage, Replaces: n.Replaces,
	}}
	if r.Lineage.Kind == "" && n.Kind != bridge.KindSK {
		r.Lineage.Kind = record.LineageOrganization
	}
	action := "key.create"
	if n.Exchange != nil {
		r.ConfirmBy = now.Add(bridge.UnconfirmedLife)
		action = "key.exchange"
	}
	made, err := a.change(ctx, id, func(tx *sql.Tx, version int64) (*audit.Entry, error) {
		if n.Exchange != nil {
			if err := useUp(ctx, tx, *n.Exchange); err != nil {
				return nil, err
			}
		}
		if err := requireStillValid(ctx, tx, n.minter, now); err != nil {
			return nil, err
		}
		r.Version = version
		if err := record.Insert(ctx, tx, r); err != nil {
			return nil, err
		}
		if n.bind != nil {
			if err := n.bind(ctx, tx, id); err != nil {
				return nil, err
			}
		}
		details := map[string]string{"name": n.Name, "scopes": n.Scopes.String(), "owner": n.Owner, "lineage": r.Lineage.Kind}
		if n.Lineage.Parent != uuid.Nil {
			if err := requireLivingParent(ctx, tx, n.Lineage.Parent, now); err != nil {
				return nil, err
			}
			details["parent"] = n.Lineage.Parent.String()
		}
		return &audit.Entry{Actor: actor, Action: action, Details: details}, nil
	})
	if err != nil {
		return bridge.Key{}, record.Record{}, err
	}
	return key, made, nil
}

// useUp records a connect token's jti; the primary key lets only one of several attempts win.
//
// A token counts as used if its use could have been forgotten, or if it is from before an operator accepted a clock. The
// caller holds the lock on key_changes.
func useUp(ctx context.Context, tx *sql.Tx, x Exchange) error {
	var forgotten, accepted int64
	if err := tx.QueryRowContext(ctx, "SELECT forgotten, accepted FROM key_changes WHERE id = 1").Scan(&forgotten, &accepted); err != nil {
		return fmt.Errorf("use up the connect token: %w", err)
	}
	if x.Expires.Unix() <= forgotten {
		return errTokenUsed
	}
	if accepted != 0 && x.Issued.Unix() < accepted {
		return bridge.E(bridge.Unauthenticated, bridge.CodeConnectTokenOld,
			"this connect token is older than the operator's acceptance of the server's clock or database").
			WithHint("run the connect again: it takes a new token")
	}
	fresh, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO used_tokens (issuer, jti, expires_at)
		VALUES ($1, $2, $3) ON CONFLICT (issuer, jti) DO NOTHING`, string(x.Issuer), x.JTI, x.Expires.Unix()))
	if err != nil {
		return fmt.Errorf("use up the connect token: %w", err)
	}
	if !fresh {
		return errTokenUsed
	}
	return nil
}

var errTokenUsed = bridge.E(bridge.Unauthenticated, bridge.CodeConnectTokenUsed, "this connect token has been used already").
	WithHint("run the connect again: it takes a new token")
