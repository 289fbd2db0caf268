package table

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/statements"
)

// Found is a copy of a key as the table had it at one moment.
type Found struct {
	entry
	rest
	special *special // may be nil; read-only
	owner   string
	org     string
	scopes  bridge.Scopes
}

// ID returns the key's ID.
func (f *Found) ID() uuid.UUID { return f.id }

// Org returns the organization that the key belongs to.
func (f *Found) Org() string { return f.org }

// Kind returns the key's kind.
func (f *Found) Kind() bridge.KeyKind { return f.kind() }

// Limits returns from where, how fast and how often the key may be used.
func (f *Found) Limits() record.Limits {
	if f.special == nil {
		return record.Limits{}
	}
	return f.special.limits
}

// Lineage returns what the key was created with.
func (f *Found) Lineage() record.Lineage {
	if f.special == nil {
		return record.Lineage{}
	}
	return f.special.lineage
}

// Taken returns what withdrawals have taken from the key's access tokens.
func (f *Found) Taken() statements.Taken {
	if f.special == nil {
		return statements.Taken{}
	}
	return f.special.taken
}

// Expires returns when the key expires; zero: never.
func (f *Found) Expires() time.Time { return record.At(int64(f.expires)) }

// Status returns the key's state at a time (unix seconds), without regard to its ancestors.
func (f *Found) Status(now int64) string {
	return record.StatusOf(record.Facts{Ended: f.flags&flagEnded != 0, Disabled: f.flags&flagDisabled != 0, Expires: int64(f.expires),
		ConfirmBy: f.confirmBy, UsedUp: f.UsedUp()}, now)
}

// UsedUp reports whether the key is known to have no uses left.
func (f *Found) UsedUp() bool { return f.special != nil && f.special.usedUp }

// Dead reports whether the key is dead for good.
//
// An expired key is not dead if it can be revived, together with the keys that were created with it.
func (f *Found) Dead(now int64) bool {
	switch f.Status(now) {
	case record.StatusRevoked, record.StatusLapsed, record.StatusUsedUp:
		return true
	case record.StatusExpired:
		return f.kind() == bridge.KindSK
	}
	return false
}

// Generation identifies the key's current secret together with its limit.
func (f *Found) Generation() uint64 {
	if f.special == nil {
		return f.Proof.Generation()
	}
	return f.special.lineage.Limit.Generation(f.Proof.Generation())
}

// IsCurrent reports whether a hash is that of the key's secret.
func (f *Found) IsCurrent(hash [sha256.Size]byte) bool {
	return subtle.ConstantTimeCompare(hash[:], f.Proof.Hash[:]) == 1
}

// IsPrevious reports whether a hash is that of the secret before a rotation, even if its grace is over.
func (f *Found) IsPrevious(hash [sha256.Size]byte) bool {
	return f.special != nil && f.special.grace != 0 && subtle.ConstantTimeCompare(hash[:], f.special.previous.Hash[:]) == 1
}

// InGrace reports whether the secret from before a rotation is still valid.
func (f *Found) InGrace(now int64) bool { return f.special != nil && now < f.special.grace }

// PublicKeys returns the keys that may verify the key's statements.
//
// These are the current secret's, and that of the secret before a rotation as long as it is valid.
func (f *Found) PublicKeys(now int64) []ed25519.PublicKey {
	public := []ed25519.PublicKey{f.PublicKey()}
	if f.InGrace(now) {
		public = append(public, f.special.previous.PublicKey())
	}
	return public
}

// Pace takes one use from the key's rate limit, or fails with an error of kind TooMany.
func (f *Found) Pace(now time.Time) error {
	if f.special == nil || f.special.limiter == nil {
		return nil
	}
	r := f.special.limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	r.CancelAt(now)
	return &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeKeyRate, RetryAfter: wait,
		Detail: fmt.Sprintf("the key may be used %s", f.special.limits.Rate), Hint: fmt.Sprintf("wait %d seconds", bridge.WholeSeconds(wait)/time.Second)}
}

func (f *Found) withdrawn(subject string, issued time.Time, number int64) bool {
	return f.special != nil && bridge.Withdrawn(f.special.taken.Of, subject, issued, number)
}

// identity returns the key's identity as it is now.
func (f *Found) identity() bridge.Identity {
	var id bridge.Identity
	f.identify(&id)
	id.Subject, id.Org, id.Scopes = f.owner, f.org, f.scopes
	if f.special != nil {
		id.Metered, id.Counted = f.special.limits.Metered(), f.special.limits.Counted()
		id.Generation = f.Generation()
	}
	return id
}

// previousIdentity is the identity by the secret from before a rotation, which lives until the grace ends.
func (f *Found) previousIdentity() bridge.Identity {
	id := f.identity()
	id.Generation = f.special.lineage.Limit.Generation(f.special.previous.Generation())
	if grace := record.At(f.special.grace); id.ExpiresAt.IsZero() || grace.Before(id.ExpiresAt) {
		id.ExpiresAt = grace
	}
	id.WarnFrom = record.At(1) // its holder is warned at once
	return id
}
