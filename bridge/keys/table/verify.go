package table

import (
	"context"
	"net/netip"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Invalid is the public error of any credential that does not pass.
//
// The exact reason is in the wrapped cause, for the operator: a caller without the secret learns nothing about the key.
func Invalid(cause error) error {
	return bridge.E(bridge.Unauthenticated, bridge.CodeKeyInvalid, "API key is invalid or expired").Because(cause).
		WithHint("connect again with `ace connect`, or create a key with `ace api-key create`")
}

// Refuse makes an exact cause, for [Invalid] to wrap.
func Refuse(code bridge.Code, format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Unauthenticated, code, format, args...)
}

var errStale = &bridge.Error{Kind: bridge.Unavailable, Code: bridge.CodeKeysStale, RetryAfter: pollEvery,
	Detail: "this server has lost its database for so long that it does not know which keys are revoked"}

// ErrWithdrawn refuses an access token issued before its member's access was withdrawn.
var ErrWithdrawn = Refuse(bridge.CodeTokenWithdrawn, "the member's access was withdrawn, or changed, after the token was issued")

// errUnread is for a credential that does not match the table while recent changes could not be read.
var errUnread = &bridge.Error{Kind: bridge.Unavailable, Code: bridge.CodeKeysBehind, RetryAfter: pollEvery,
	Detail: "this server cannot reach its database, and does not know whether this credential was made a moment ago"}

// Verify verifies an API key or a derived access token, and fills in its identity.
//
// It reads nothing from the database and writes nothing, except that the first use of an exchanged key confirms it. A refusal
// has the code key_invalid and wraps the exact cause. note reports whether the caller should note the use. Uses of a Counted
// identity are not counted here, but once the caller knows that they are allowed.
func (t *Table) Verify(ctx context.Context, p *bridge.Presented, use bridge.Use, id *bridge.Identity) (note bool, err error) {
	now := t.line.Seconds()
	if t.stale.Load() || t.line.Refuses() {
		return false, t.Trouble()
	}
	if note, ok := t.memory.hot(p, now, id); ok {
		return note, nil
	}
	verified, err := t.verify(ctx, *p, use, now)
	if err != nil {
		if e := bridge.AsError(err); e.Kind != bridge.Unauthenticated && e.Kind != bridge.NotFound {
			return false, err
		}
		return false, Invalid(err)
	}
	*id = verified
	return true, nil
}

// verify is the careful path. A mismatch may be due to a change that another process has just made: then the table catches up
// and verifies once more.
func (t *Table) verify(ctx context.Context, p bridge.Presented, use bridge.Use, now int64) (bridge.Identity, error) {
	var key bridge.Key
	var keyID uuid.UUID
	var err error
	switch {
	case p.IsKey():
		key, err = p.Key()
		keyID = key.ID
	case bridge.TokenType(p.Value) == bridge.TypeAccess:
		keyID, err = bridge.TokenKeyID(p.Value)
	default:
		err = Refuse(bridge.CodeTokenType, "the credential is neither a key nor an access token")
	}
	if err != nil {
		return bridge.Identity{}, err
	}
	for again := true; ; again = false {
		f, ok := t.memory.find(keyID)
		var id bridge.Identity
		switch {
		case !ok:
			err = record.ErrUnknown
		case p.IsKey():
			id, err = verifyKey(key, f, now)
		default:
			id, err = t.verifyAccess(ctx, p.Value, f, now)
		}
		if err != nil && again && t.cfg.DB.Dialect == sqldb.Postgres && !t.line.Behind() {
			created := !ok && JustMade(keyID, t.line.Now())
			if (ok || created) && t.catchUp(ctx, created) {
				continue
			}
			if (ok || created) && t.unread.Load() {
				return bridge.Identity{}, errUnread
			}
		}
		if err != nil {
			if t.line.Stored() < now && f.special != nil && f.special.grace != 0 && now >= f.special.grace {
				t.noteEnd(ctx, f.special.grace)
			}
			return bridge.Identity{}, err
		}
		if err := t.requireUsable(ctx, f, use, now); err != nil {
			return bridge.Identity{}, err
		}
		if err := t.chain(&f, &id, &use, now); err != nil {
			return bridge.Identity{}, err
		}
		if p.IsKey() && !id.Metered { // a metered key takes the careful path each time
			t.memory.learn(key, now)
		}
		return id, nil
	}
}

// verifyKey compares a key's text with what is stored of it.
func verifyKey(key bridge.Key, f Found, now int64) (bridge.Identity, error) {
	hash := key.Hash()
	switch {
	case f.kind() != key.Kind:
		return bridge.Identity{}, Refuse(bridge.CodeKeyKind, "the key is of kind %s, and not %s", f.kind(), key.Kind)
	case f.IsCurrent(hash):
		return f.identity(), nil
	case !f.IsPrevious(hash):
		return bridge.Identity{}, Refuse(bridge.CodeKeySecret, "the secret is not that of the key")
	case now >= f.special.grace:
		return bridge.Identity{}, Refuse(bridge.CodeKeyRotated, "the secret was replaced by a rotation, and its grace is over")
	}
	return f.previousIdentity(), nil
}

// requireUsable checks that the key may be used now and from that address, and confirms it if this is its first use.
func (t *Table) requireUsable(ctx context.Context, f Found, use bridge.Use, now int64) error {
	switch state := f.Status(now); state {
	case record.StatusActive:
	case record.StatusUnconfirmed:
		if err := t.cfg.Confirm(ctx, f, now); err != nil {
			return err
		}
	default:
		switch state {
		case record.StatusExpired:
			t.noteEnd(ctx, int64(f.expires))
		case record.StatusLapsed:
			t.noteEnd(ctx, f.confirmBy)
		}
		return Refuse(record.StateCode(state), "the key is %s", state)
	}
	if f.special == nil {
		return nil
	}
	if !f.special.limits.Allows(use.Address) {
		if _, err := netip.ParseAddr(use.Address); err != nil {
			return Refuse(bridge.CodeKeyAddress, "the key is limited to addresses, and the client's address is not known")
		}
		return Refuse(bridge.CodeKeyAddress, "the key may not be used from %s", use.Address)
	}
	return nil
}
