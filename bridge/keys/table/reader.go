package table

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/timeline"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Reader answers questions from the table. It changes nothing.
type Reader struct{ t *Table }

// Now returns the authority's time: the system's, but never earlier than the newest time seen.
func (r Reader) Now() time.Time { return r.t.line.Now() }

// Trouble says why nothing can be verified or changed now, or returns nil.
func (r Reader) Trouble() error { return r.t.Trouble() }

// Numbers returns the change numbers as far as this process knows them.
func (r Reader) Numbers() timeline.ChangeNumbers { return r.t.line.Numbers() }

// Changes returns the keys that changed since a position in the feed.
//
// It also returns the position after them, and a channel that is closed at the next change. If complete is false, too many have
// changed to be remembered: any key may have.
func (r Reader) Changes(since uint64) (ids []uuid.UUID, next uint64, complete bool, changed <-chan struct{}) {
	f := r.t.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if since > f.next || f.next-since > feedLength {
		return nil, f.next, false, f.changed
	}
	for n := since; n < f.next; n++ {
		ids = append(ids, f.recent[n%feedLength])
	}
	return ids, f.next, true, f.changed
}

const (
	// overlap is how many versions are repeated, because simultaneous changes may be published out of order.
	overlap    = 100
	maxChanges = 10_000
)

// ChangedSince returns the keys that changed since a version, and the current version.
//
// If complete is false, there are too many, or the version is not from this database: any key may have changed.
func (r Reader) ChangedSince(ctx context.Context, version int64) (ids []uuid.UUID, now int64, complete bool, err error) {
	if now, err = r.Version(ctx); err != nil || version > now {
		return nil, now, false, err
	}
	ids, err = sqldb.Column[uuid.UUID](r.t.cfg.DB.QueryContext(ctx, "SELECT id FROM api_keys WHERE version > $1 LIMIT $2", version-overlap, maxChanges+1))
	if err != nil {
		return nil, 0, false, fmt.Errorf("read which keys have changed: %w", err)
	}
	return ids, now, len(ids) <= maxChanges, nil
}

// Version returns the number of the last change, from the database.
func (r Reader) Version(ctx context.Context) (version int64, err error) {
	if err := r.t.cfg.DB.QueryRowContext(ctx, "SELECT version FROM key_changes WHERE id = 1").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the version of the keys: %w", err)
	}
	return version, nil
}

// Position returns the version up to which all changes have been published; see [Reader.ChangedSince].
func (r Reader) Position() int64 { return r.t.version.Load() }

// Fresh reports whether the table is known to be up to date.
func (r Reader) Fresh() bool { return !r.t.stale.Load() }

// Generation is a valid secret of a key, and until when it is valid; zero: no end.
type Generation struct {
	ID    uint64
	Until time.Time
}

// Generations returns a key's valid secrets; none if it is not alive.
func (r Reader) Generations(id uuid.UUID) []Generation {
	f, ok := r.t.memory.find(id)
	now := r.t.line.Seconds()
	if !ok {
		return nil
	}
	if state := f.Status(now); state != record.StatusActive && state != record.StatusUsedUp {
		return nil
	}
	narrowed := f.identity()
	if r.t.chain(&f, &narrowed, nil, now) != nil {
		return nil
	}
	alive := []Generation{{f.Generation(), narrowed.ExpiresAt}}
	if f.special != nil && now < f.special.grace {
		previous := f.previousIdentity()
		alive = append(alive, Generation{previous.Generation, previous.ExpiresAt})
	}
	return alive
}

// Knows reports whether this process knows a key with that ID.
func (r Reader) Knows(id uuid.UUID) bool {
	_, ok := r.t.memory.find(id)
	return ok
}

// CanActAs reports whether a key's access tokens may name subjects other than its owner.
func (r Reader) CanActAs(id uuid.UUID) bool {
	f, ok := r.t.memory.find(id)
	return ok && r.t.actsAs(&f, r.t.line.Seconds())
}

// Alive reports whether what an identity was verified by is still valid.
//
// That is the key, the very secret, and the access token if there was one. It is for requests that take long, such as streams.
func (r Reader) Alive(id bridge.Identity) bool {
	now := r.t.line.Seconds()
	if r.t.stale.Load() || r.t.line.Refuses() || (!id.ExpiresAt.IsZero() && now >= id.ExpiresAt.Unix()) {
		return false
	}
	if id.KeyID == uuid.Nil {
		return true
	}
	if f, ok := r.t.memory.find(id.KeyID); !ok || id.Type == bridge.TypeAccessToken && f.withdrawn(id.Subject, id.IssuedAt, id.Number) {
		return false
	}
	return slices.ContainsFunc(r.Generations(id.KeyID), func(g Generation) bool { return g.ID == id.Generation })
}

// LimitedBy says which limit or ancestor takes one of its own scopes from a key; empty: none does.
func (r Reader) LimitedBy(id uuid.UUID, need bridge.Scope) string {
	f, ok := r.t.memory.find(id)
	which := "the key"
	for range record.MaxLineage {
		if !ok || f.special == nil || !f.scopes.Covers(need) {
			return ""
		}
		l := f.special.lineage
		switch {
		case len(l.Limit.Scopes) > 0 && !l.Limit.Scopes.Covers(need):
			return fmt.Sprintf("%s is limited to %s, which is what the access of %s leaves it", which, l.Limit.Scopes, l.Subject)
		case l.Limit.Role != "" && !r.t.cfg.Catalogue.Ceiling(l.Limit.Role).Covers(need):
			return fmt.Sprintf("%s is limited to the role %s of %s", which, l.Limit.Role, l.Subject)
		case l.Parent == uuid.Nil:
			return ""
		}
		if f, ok = r.t.memory.find(l.Parent); ok && !f.scopes.Covers(need) {
			return fmt.Sprintf("%s was made with the key %s, which does not have that scope", which, l.Parent)
		}
		which = "the key " + l.Parent.String() + " that it was made with"
	}
	return ""
}

// Withdrawn maps each member to a time: the key's unnumbered access tokens issued until then are dead.
func (r Reader) Withdrawn(id uuid.UUID) map[string]int64 {
	f, _ := r.t.memory.find(id)
	return f.Taken().UntilOf()
}

// WithdrawnNumbers says which of the key's numbered access tokens are dead; see [statements.Taken.NumbersOf].
func (r Reader) WithdrawnNumbers(id uuid.UUID) (numbers, clocks map[string]int64) {
	f, _ := r.t.memory.find(id)
	return f.Taken().NumbersOf()
}
