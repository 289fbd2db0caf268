package keys

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

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

func refuse(code, format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Unauthenticated, code, format, args...)
}

var errStale = &bridge.Error{Kind: bridge.Unavailable, Code: "keys_stale", RetryAfter: pollEvery,
	Detail: "this server has lost its database for so long that it does not know which keys are revoked"}

var errWithdrawn = refuse("token_withdrawn", "the member's access was withdrawn, or changed, after the token was issued")

// errUnread is for a credential that does not fit what is known, while it is not known what has changed.
var errUnread = &bridge.Error{Kind: bridge.Unavailable, Code: "keys_behind", RetryAfter: pollEvery,
	Detail: "this server cannot reach its database, and does not know whether this credential was made a moment ago"}

// Verify checks an API key or a derived access token. Nothing is written here, except that the first use of an exchanged
// key confirms it, and nothing is read from the database. A refusal of the credential has the code key_invalid and wraps
// the exact cause.
//
// The use of an identity that is Counted is counted by [Authority.Spend], once it is known that it is allowed.
func (a *Authority) Verify(ctx context.Context, p bridge.Presented, use bridge.Use) (id bridge.Identity, err error) {
	now := a.seconds()
	if a.stale.Load() || a.time.late.Load() || a.behind.Load() != nil {
		return id, a.Trouble()
	}
	if note, ok := a.table.hot(&p, now, &id); ok {
		if note {
			a.use.note(id.KeyID, now, use)
		}
		return id, nil
	}
	if id, err = a.verify(ctx, p, use, now); err != nil {
		if e := bridge.AsError(err); e.Kind != bridge.Unauthenticated && e.Kind != bridge.NotFound {
			return bridge.Identity{}, err
		}
		return bridge.Identity{}, invalid(err)
	}
	a.use.note(id.KeyID, now, use)
	return id, nil
}

// verify is the careful way. What does not fit the table may fit a change that another process has just made: then the
// table catches up, and it is tried once more.
func (a *Authority) verify(ctx context.Context, p bridge.Presented, use bridge.Use, now int64) (bridge.Identity, error) {
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
		err = refuse("token_type", "the credential is neither a key nor an access token")
	}
	if err != nil {
		return bridge.Identity{}, err
	}
	for again := true; ; again = false {
		f, ok := a.table.find(keyID)
		var id bridge.Identity
		switch {
		case !ok:
			err = errUnknown
		case p.IsKey():
			id, err = a.verifyKey(key, f, now)
		default:
			id, err = a.verifyAccess(ctx, p.Value, f, now)
		}
		if err != nil && again && a.db.Dialect == sqldb.Postgres && a.behind.Load() == nil {
			created := !ok && fresh(keyID, a.cfg.Now())
			if (ok || created) && a.catchUp(ctx, created) {
				continue
			}
			if (ok || created) && a.unread.Load() {
				return bridge.Identity{}, errUnread
			}
		}
		if err != nil {
			if a.time.stored.Load() < now && f.special != nil && f.special.grace != 0 && now >= f.special.grace {
				a.noteEnd(ctx, f.special.grace)
			}
			return bridge.Identity{}, err
		}
		if err := a.usable(ctx, f, use, now); err != nil {
			return bridge.Identity{}, err
		}
		if err := a.chain(&f, &id, &use, now); err != nil {
			return bridge.Identity{}, err
		}
		if p.IsKey() && !id.Metered { // a metered key goes the careful way each time
			a.table.learn(key, now)
		}
		return id, nil
	}
}

func (a *Authority) verifyKey(key bridge.Key, f found, now int64) (bridge.Identity, error) {
	hash := key.Hash()
	if f.kind() != key.Kind {
		return bridge.Identity{}, refuse("key_kind", "the key is of kind %s, and not %s", f.kind(), key.Kind)
	}
	if subtle.ConstantTimeCompare(hash[:], f.secret.hash[:]) == 1 {
		return f.identity(), nil
	}
	if f.special != nil && f.special.grace != 0 && subtle.ConstantTimeCompare(hash[:], f.special.previous.hash[:]) == 1 {
		if now >= f.special.grace {
			return bridge.Identity{}, refuse("key_rotated", "the secret was replaced by a rotation, and its grace is over")
		}
		return f.previousIdentity(), nil
	}
	return bridge.Identity{}, refuse("key_secret", "the secret is not that of the key")
}

// identity is the key's as it is now.
func (f *found) identity() bridge.Identity {
	var id bridge.Identity
	f.identify(&id)
	id.Subject, id.Org, id.Scopes = f.owner, f.org, f.scopes
	if f.special != nil {
		id.Metered, id.Counted = f.special.limits.metered(), f.special.limits.counted()
		id.Generation = f.generation()
	}
	return id
}

// previousIdentity is the key's by the secret before a rotation: it lives until the grace ends.
func (f *found) previousIdentity() bridge.Identity {
	id := f.identity()
	id.Generation = f.special.lineage.Limit.generation(f.special.previous.generation())
	if grace := at(f.special.grace); id.ExpiresAt.IsZero() || grace.Before(id.ExpiresAt) {
		id.ExpiresAt = grace
	}
	id.WarnFrom = at(1) // its holder is told at once
	return id
}

func (a *Authority) verifyAccess(ctx context.Context, token bridge.Secret, f found, now int64) (bridge.Identity, error) {
	at1 := time.Unix(now, 0)
	id := f.identity()
	claims, err := bridge.VerifyAccess(token, f.publicKey(), a.cfg.Servers, at1)
	if err != nil && f.special != nil && now < f.special.grace {
		if old, oldErr := bridge.VerifyAccess(token, f.special.previous.publicKey(), a.cfg.Servers, at1); oldErr == nil {
			claims, err, id = old, nil, f.previousIdentity()
		}
	}
	if err != nil {
		return bridge.Identity{}, err
	}
	if f.kind() == bridge.KindSK && claims.Generation > a.highest.Load() {
		if err := a.told(ctx, claims.Generation); err != nil {
			return bridge.Identity{}, err
		}
	}
	if a.time.ended(claims.IssuedAt, claims.ExpiresAt) {
		return bridge.Identity{}, refuse("token_expired", "the access token had expired before the clock was set back")
	}
	issued := time.Unix(claims.IssuedAt, 0).UTC()
	if f.withdrawn(claims.Subject, issued, claims.Number) {
		return bridge.Identity{}, errWithdrawn
	}
	id.Type, id.Subject, id.Connection, id.IssuedAt = bridge.TypeAccessToken, claims.Subject, claims.Connection, issued
	id.Number, id.Probe = claims.Number, claims.Probe
	if claims.Subject != f.owner && !a.actsAs(&f, now) {
		return bridge.Identity{}, errCannotActAs
	}
	id.Scopes = id.Scopes.Cap(claims.Scopes())
	if claims.Role != "" {
		id.Scopes = id.Scopes.Cap(a.cfg.Catalogue.Ceiling(claims.Role))
		id.Role = lower(claims.Role, roles[f.role])
	}
	// The organization is the key's, whatever the token and the ceilings name.
	id.Scopes = a.cfg.Catalogue.WithOrg(id.Scopes, id.Org)
	if expires := at(claims.ExpiresAt); id.ExpiresAt.IsZero() || expires.Before(id.ExpiresAt) {
		id.ExpiresAt, id.WarnFrom = expires, time.Time{}
	}
	return id, nil
}

var errCannotActAs = bridge.E(bridge.Unauthenticated, "key_cannot_act_as", "the access token names another subject than the key's owner, and the key does not speak for others").
	WithHint("make one that does, on the server: ace api-key create --for-connection")

// actsAs reports whether the access tokens of a key may name other subjects than its owner.
func (a *Authority) actsAs(f *found, now int64) bool {
	if f.kind() == bridge.KindSK {
		return true
	}
	id := f.identity()
	return id.Scopes.Covers(bridge.ScopeActAs) && a.chain(f, &id, nil, now) == nil && id.Scopes.Covers(bridge.ScopeActAs)
}

// CanActAs reports whether the access tokens of a key may name other subjects than its owner.
func (a *Authority) CanActAs(id uuid.UUID) bool {
	f, ok := a.table.find(id)
	return ok && a.actsAs(&f, a.seconds())
}

// lower is the lower of two roles. Who holds a key can sign any role: only a key that was exchanged for a person makes a
// token's role count, up to that person's.
func lower(claimed, most bridge.Role) bridge.Role {
	if most.AtLeast(claimed) {
		return claimed
	}
	return most
}

func (f *found) status(now int64) string {
	return status(statusFacts{ended: f.flags&flagEnded != 0, disabled: f.flags&flagDisabled != 0, expires: int64(f.expires),
		confirmBy: f.confirmBy, usedUp: f.special != nil && f.special.usedUp}, now)
}

// usable checks that the key may be used now and from there, and confirms it where this is its first use.
func (a *Authority) usable(ctx context.Context, f found, use bridge.Use, now int64) error {
	switch state := f.status(now); state {
	case StatusActive:
	case StatusUnconfirmed:
		if err := a.confirm(ctx, f, now); err != nil {
			return err
		}
	default:
		switch state {
		case StatusExpired:
			a.noteEnd(ctx, int64(f.expires))
		case StatusLapsed:
			a.noteEnd(ctx, f.confirmBy)
		}
		return refuse("key_"+state, "the key is %s", state)
	}
	if f.special == nil {
		return nil
	}
	if !allows(f.special.limits.AllowFrom, use.Address) {
		if _, err := netip.ParseAddr(use.Address); err != nil {
			return refuse("key_address", "the key is limited to addresses, and the client's address is not known")
		}
		return refuse("key_address", "the key is not to be used from %s", use.Address)
	}
	return nil
}

// Spend counts a use of an identity that is Counted. Too many in a time are of kind TooMany; when all uses are taken it
// is refused like any other invalid key.
func (a *Authority) Spend(ctx context.Context, id bridge.Identity) error {
	if !id.Counted {
		return nil
	}
	f, ok := a.table.find(id.KeyID)
	if !ok || f.special == nil {
		return nil
	}
	if err := f.special.pace(a.cfg.Now()); err != nil || f.special.limits.MaxUses == 0 {
		return err
	}
	now := a.seconds()
	if !f.special.usedUp {
		spent, err := sqldb.Changed(a.db.ExecContext(ctx, `UPDATE api_keys SET uses = uses + 1 WHERE id = $1
			AND uses < max_uses AND ended_at = 0 AND disabled_at = 0`, id.KeyID.String()))
		if err != nil {
			return fmt.Errorf("count the use: %w", err)
		}
		if spent {
			return nil
		}
		r, err := load(ctx, a.db, id.KeyID)
		if err != nil {
			return err
		}
		a.take(&r)
		if r.Uses >= r.Limits.MaxUses {
			a.table.useUp(id.KeyID)
		}
		if f, ok = a.table.find(id.KeyID); !ok {
			return invalid(errUnknown)
		}
	}
	if state := f.status(now); state != StatusActive {
		return invalid(refuse("key_"+state, "the key is %s", state))
	}
	return invalid(refuse("key_changed", "the key has just been changed"))
}

// pace takes one use of the rate.
func (x *special) pace(now time.Time) error {
	if x.limiter == nil {
		return nil
	}
	r := x.limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	r.CancelAt(now)
	return &bridge.Error{Kind: bridge.TooMany, Code: "key_rate", RetryAfter: wait,
		Detail: fmt.Sprintf("the key may be used %s", x.limits.Rate), Hint: fmt.Sprintf("wait %d seconds", int(math.Ceil(wait.Seconds())))}
}

// Alive reports whether what an identity was verified by is still valid: the key, the very secret of it, and the access
// token that was derived from that. It is for
// what takes long, such as a stream.
func (a *Authority) Alive(id bridge.Identity) bool {
	now := a.seconds()
	if a.stale.Load() || a.time.late.Load() || a.behind.Load() != nil || (!id.ExpiresAt.IsZero() && now >= id.ExpiresAt.Unix()) {
		return false
	}
	if id.KeyID == uuid.Nil {
		return true
	}
	if f, ok := a.table.find(id.KeyID); !ok || id.Type == bridge.TypeAccessToken && f.withdrawn(id.Subject, id.IssuedAt, id.Number) {
		return false
	}
	return slices.ContainsFunc(a.Generations(id.KeyID), func(g Generation) bool { return g.ID == id.Generation })
}

var errLost = errors.New("another request was faster")

// confirm makes an exchanged key one that stays.
func (a *Authority) confirm(ctx context.Context, f found, now int64) error {
	actor := audit.Actor{ID: "key:" + f.id.String(), Org: f.org}
	_, err := a.changeFamily(ctx, f.id, actor, func(x *relatives, version int64) (*audit.Entry, error) {
		confirmed, err := sqldb.Changed(x.tx.ExecContext(ctx, `UPDATE api_keys SET confirm_by = 0, version = $1
			WHERE id = $2 AND confirm_by > $3 AND ended_at = 0`, version, f.id.String(), now))
		if err != nil {
			return nil, fmt.Errorf("confirm the key: %w", err)
		}
		if !confirmed {
			return nil, errLost
		}
		r, err := load(ctx, x.tx, f.id)
		if err != nil {
			return nil, err
		}
		if r.Replaces != uuid.Nil {
			if err := x.moveChildren(ctx, r.Replaces, f.id); err != nil {
				return nil, err
			}
		}
		return &audit.Entry{Actor: actor, Action: "key.confirm"}, nil
	})
	if !errors.Is(err, errLost) {
		return err
	}
	again, ok := a.table.find(f.id) // change has looked at the key again
	if !ok {
		return errUnknown
	}
	if state := again.status(now); state != StatusActive {
		return refuse("key_"+state, "the key is %s", state)
	}
	return nil
}
