package keys

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/statements"
	"github.com/acebridge/ace/bridge/sqldb"
)

// stateError refuses a change that the key's state does not allow.
func stateError(id uuid.UUID, state string) error {
	e := bridge.E(bridge.Conflict, record.StateCode(state), "the key is %s", state)
	switch state {
	case record.StatusRevoked:
		e.Detail = "the key is revoked, which is for ever"
		return e.WithHint("create another: ace api-key create --name NAME")
	case record.StatusDisabled:
		return e.WithHint("ace api-key enable %s", id)
	case record.StatusExpired:
		return e.WithHint("give it a new secret and expiry: ace api-key revive %s", id)
	case record.StatusUsedUp:
		e.Detail = "all uses of the key are used up"
		return e.WithHint("create another: ace api-key create --name NAME")
	}
	return e
}

// Revive gives a key a new secret and a new expiry under the same ID. The old secret dies at once.
func (a *Authority) Revive(ctx context.Context, by By, id uuid.UUID, expiresIn string) (bridge.Key, record.Record, error) {
	now := a.line.Now()
	var key bridge.Key
	made, err := a.changeFamily(ctx, id, by.Actor, func(x *relatives, version int64) (*audit.Entry, error) {
		r, err := record.Load(ctx, x.tx, id)
		if err != nil {
			return nil, err
		}
		if err := requireStillValid(ctx, x.tx, by.Who, now); err != nil {
			return nil, err
		}
		b, err := (minting{a, by}).requireReissue(r.Record)
		if err != nil {
			return nil, err
		}
		if err := requireDecider(by, r.Record); err != nil {
			return nil, err
		}
		expires, err := record.ParseExpiry(expiresIn, now)
		if err != nil {
			return nil, err
		}
		if expires, err = (minting{a, by}).grantExpiry(b, expires, expiresIn != ""); err != nil {
			return nil, err
		}
		if state := r.Status(now); state != record.StatusActive && state != record.StatusExpired {
			return nil, stateError(id, state)
		} else if !r.DisabledAt.IsZero() { // disabled as well as expired
			return nil, stateError(id, record.StatusDisabled)
		}
		if r.Lineage.Parent != uuid.Nil {
			if err := requireLivingParent(ctx, x.tx, r.Lineage.Parent, now); err != nil {
				return nil, err
			}
			expires = a.table.CutExpiry(r.Lineage, expires)
		}
		key = bridge.NewKey(r.Kind, id)
		hash, public := record.ProofOf(key).Columns()
		changed, err := sqldb.Changed(x.tx.ExecContext(ctx, `UPDATE api_keys SET hash = $1, public_key = $2, prev_hash = '',
			prev_public = '', prev_until = 0, rotate_token = '', rotate_salt = '', issued_at = $3, expires_at = $4,
			warned_days = 0, version = $5, doubted_at = 0
			WHERE id = $6 AND ended_at = 0 AND disabled_at = 0 AND confirm_by = 0 AND (max_uses = 0 OR uses < max_uses)`,
			hash, public, now.Unix(), record.Unix(expires), version, id.String()))
		if err != nil || !changed {
			return nil, lost("revive", err)
		}
		if err := x.touchBelow(ctx, id); err != nil {
			return nil, err
		}
		return &audit.Entry{Actor: by.Actor, Action: "key.revive", Details: map[string]string{"name": r.Name}}, nil
	})
	if err != nil {
		return bridge.Key{}, record.Record{}, err
	}
	return key, made, nil
}

// lost is the error of a conditional change that affected no row although the same transaction had seen one.
func lost(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s the key: %w", what, err)
	}
	return bridge.E(bridge.Conflict, bridge.CodeKeyChanged,
		"the key has just been changed by somebody else").WithHint("look at it and try again")
}

// Disable makes a key refused until it is enabled. A disabled key stays as it is.
func (a *Authority) Disable(ctx context.Context, by By, id uuid.UUID) (record.Record, error) {
	now := a.line.Now()
	return a.changeFamily(ctx, id, by.Actor, func(x *relatives, version int64) (*audit.Entry, error) {
		r, err := loadSeen(ctx, x.tx, a.ViewOf(by.Who), id)
		if err != nil {
			return nil, err
		}
		switch state := r.Status(now); state {
		case record.StatusDisabled:
			return nil, nil
		case record.StatusActive, record.StatusUnconfirmed:
		default:
			return nil, stateError(id, state)
		}
		changed, err := sqldb.Changed(x.tx.ExecContext(ctx, `UPDATE api_keys SET disabled_at = $1, disabled_by = $2, version = $3
			WHERE id = $4 AND ended_at = 0 AND disabled_at = 0`, now.Unix(), by.ID, version, id.String()))
		if err != nil || !changed {
			return nil, lost("disable", err)
		}
		if err := x.touchBelow(ctx, id); err != nil {
			return nil, err
		}
		return &audit.Entry{Actor: by.Actor, Action: "key.disable", Details: map[string]string{"name": r.Name}}, nil
	})
}

var errDoubted = bridge.E(bridge.Forbidden, bridge.CodeKeyDoubted,
	"the key may have been revoked before the database was restored: an admin decides whether it stays valid").
	WithHint("ask an admin, or use: ace server token --role admin")

// requireDecider lets only admins resolve the doubt about a key, except for a person's own token.
func requireDecider(by By, r record.Record) error {
	if !r.DoubtedAt.IsZero() && r.Kind != bridge.KindPAT && !by.minter().Admin {
		return errDoubted
	}
	return nil
}

// Enable undoes Disable, and resolves the doubt that a restored database leaves about a key.
//
// The caller must have the rights to mint the key. If it is in doubt, only an admin may decide, or a person about their own
// token.
func (a *Authority) Enable(ctx context.Context, by By, id uuid.UUID) (record.Record, error) {
	return a.changeFamily(ctx, id, by.Actor, func(x *relatives, version int64) (*audit.Entry, error) {
		r, err := loadSeen(ctx, x.tx, a.ViewOf(by.Who), id)
		if err != nil {
			return nil, err
		}
		if err := requireStillValid(ctx, x.tx, by.Who, a.line.Now()); err != nil {
			return nil, err
		}
		if r.Kind != bridge.KindSK {
			b, err := (minting{a, by}).requireReissue(r.Record)
			if err != nil {
				return nil, err
			}
			if _, err := (minting{a, by}).grantExpiry(b, r.ExpiresAt, true); err != nil {
				return nil, err
			}
		} else if err := a.cfg.Catalogue.Within(by.minter(), r.Scopes); err != nil {
			return nil, err
		}
		if !r.EndedAt.IsZero() {
			return nil, stateError(id, record.StatusRevoked)
		}
		if r.DisabledAt.IsZero() && r.DoubtedAt.IsZero() {
			return nil, nil
		}
		if err := requireDecider(by, r.Record); err != nil {
			return nil, err
		}
		changed, err := sqldb.Changed(x.tx.ExecContext(ctx, `UPDATE api_keys SET disabled_at = 0, disabled_by = '', doubted_at = 0, version = $1
			WHERE id = $2 AND ended_at = 0 AND (disabled_at <> 0 OR doubted_at <> 0)`, version, id.String()))
		if err != nil || !changed {
			return nil, lost("enable", err)
		}
		if err := x.touchBelow(ctx, id); err != nil {
			return nil, err
		}
		return &audit.Entry{Actor: by.Actor, Action: "key.enable", Details: map[string]string{"name": r.Name}}, nil
	})
}

// Revoke ends a key for good. Revoking it again succeeds and does not change why it ended.
func (a *Authority) Revoke(ctx context.Context, by By, id uuid.UUID, reason string) (record.Record, error) {
	if !bridge.PlainText(reason, maxDescription) {
		return record.Record{}, bridge.E(bridge.Invalid, bridge.CodeKeyReason, "the reason is not at most %d bytes of plain text",
			maxDescription)
	}
	view := a.ViewOf(by.Who)
	return a.revoke(ctx, by.Actor, id, reason, &view)
}

// RevokeSigned revokes the key that a signed revocation names.
//
// The key itself has signed the statement, so no other credential is needed.
func (a *Authority) RevokeSigned(ctx context.Context, actor audit.Actor, token bridge.Secret) (record.Record, error) {
	f, err := a.signer(ctx, token)
	if err != nil {
		return record.Record{}, err
	}
	statement, err := statements.VerifyRevocation(token, f.PublicKeys(a.line.Seconds()))
	if err != nil {
		return record.Record{}, err
	}
	if done, r, err := a.nothingToState(ctx, &f); done {
		return r, err
	}
	actor.ID, actor.Org = "user:"+statement.Subject, f.Org()
	return a.revoke(ctx, actor, f.ID(), statement.Reason, nil)
}

// revoke ends a key and all keys below it. A nil view skips the check that the caller can see the key.
func (a *Authority) revoke(ctx context.Context, actor audit.Actor, id uuid.UUID, reason string, view *View) (record.Record, error) {
	now := a.line.Now()
	return a.changeFamily(ctx, id, actor, func(x *relatives, version int64) (*audit.Entry, error) {
		if view != nil {
			if _, err := loadSeen(ctx, x.tx, *view, id); err != nil {
				return nil, err
			}
		}
		ended, err := sqldb.Changed(x.tx.ExecContext(ctx, `UPDATE api_keys SET ended_at = $1, ended_by = $2, end_reason = $3,
			version = $4 WHERE id = $5 AND ended_at = 0`, now.Unix(), actor.ID, reason, version, id.String()))
		if err != nil {
			return nil, fmt.Errorf("revoke the key: %w", err)
		}
		if !ended {
			return nil, nil
		}
		if err := x.revokeBelow(ctx, id); err != nil {
			return nil, err
		}
		return &audit.Entry{Actor: actor, Action: "key.revoke", Details: map[string]string{"reason": reason}}, nil
	})
}

// Leaked revokes a key that somebody found where it should not be; having the secret is proof enough.
//
// A secret that a rotation has replaced loses the rest of its grace, and the key lives on. ok reports whether the key is this
// authority's; for any other, the database is not touched.
func (a *Authority) Leaked(ctx context.Context, actor audit.Actor, leaked bridge.Secret, where string) (record.Record, bool, error) {
	key, err := bridge.ParseKey(leaked)
	if err != nil {
		return record.Record{}, false, nil //nolint:nilerr // not a key, so not one of ours
	}
	f, ok := a.table.Find(key.ID)
	hash := key.Hash()
	if !ok || f.Kind() != key.Kind {
		return record.Record{}, false, nil
	}
	actor.Org = f.Org()
	reason := "leaked"
	if where != "" && bridge.PlainText(where, maxDescription-len("leaked: ")) {
		reason = "leaked: " + where
	}
	switch {
	case f.IsCurrent(hash) && f.Dead(a.line.Seconds()):
		return record.Record{}, true, nil // nothing left to do, however often it is reported
	case f.IsCurrent(hash):
		r, err := a.revoke(ctx, actor, key.ID, reason, nil)
		return r, true, err
	case f.InGrace(a.line.Seconds()) && f.IsPrevious(hash):
		r, err := a.endGrace(ctx, actor, key.ID, reason)
		return r, true, err
	}
	return record.Record{}, false, nil
}

// endGrace ends the validity of the secret from before a rotation.
func (a *Authority) endGrace(ctx context.Context, actor audit.Actor, id uuid.UUID, reason string) (record.Record, error) {
	now := a.line.Now()
	return a.change(ctx, id, func(tx *sql.Tx, version int64) (*audit.Entry, error) {
		changed, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE api_keys SET prev_hash = '', prev_public = '', prev_until = 0,
			version = $1 WHERE id = $2 AND prev_until > $3`, version, id.String(), now.Unix()))
		if err != nil || !changed {
			return nil, err
		}
		return &audit.Entry{Actor: actor, Action: "key.end_grace", Details: map[string]string{"reason": reason}}, nil
	})
}
