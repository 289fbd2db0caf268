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

// Reader answers what a table knows, and changes nothing.
type Reader struct{ t *Table }

// Now is the authority's time: the system's, and never below the newest time that was seen.
func (r Reader) Now() time.Time { return r.t.line.Now() }

// Trouble is why nothing can be verified or changed now; nil where it can.
func (r Reader) Trouble() error { return r.t.Trouble() }

// Numbers are the change numbers as far as this process knows.
func (r Reader) Numbers() timeline.ChangeNumbers { return r.t.line.Numbers() }

// Changes returns which keys have changed since a place in the feed, the place after them, and a channel that is closed
// at the next change. complete is false where more have changed than are remembered: then any key may have.
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
	// overlap is how many versions are told again: changes that are made at the same time may be published out of order.
	overlap    = 100
	maxChanges = 10_000
)

// ChangedSince returns which keys have changed since a version, and the version now. complete is false where they are too
// many, or where the version is not of this database: then any key may have.
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

// Version is the number of the last change.
func (r Reader) Version(ctx context.Context) (version int64, err error) {
	if err := r.t.cfg.DB.QueryRowContext(ctx, "SELECT version FROM key_changes WHERE id = 1").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the version of the keys: %w", err)
	}
	return version, nil
}

// Position is the version that a listener who was told of everything so far has reached; see [Authority.ChangedSince].
func (r Reader) Position() int64 { return r.t.version.Load() }

// Fresh reports whether the table is known to be up to date.
func (r Reader) Fresh() bool { return !r.t.stale.Load() }

// Generation is one of a key's secrets that is valid, and until when; zero: without an end.
type Generation struct {
	ID    uint64
	Until time.Time
}

// Generations are those of a key's secrets that are valid; none where it is not alive.
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

// Knows reports whether there is a key of that ID, as far as this process knows.
func (r Reader) Knows(id uuid.UUID) bool {
	_, ok := r.t.memory.find(id)
	return ok
}

// CanActAs reports whether the access tokens of a key may name other subjects than its owner.
func (r Reader) CanActAs(id uuid.UUID) bool {
	f, ok := r.t.memory.find(id)
	return ok && r.t.actsAs(&f, r.t.line.Seconds())
}

// Alive reports whether what an identity was verified by is still valid: the key, the very secret of it, and the access
// token that was derived from that. It is for
// what takes long, such as a stream.
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

// LimitedBy says what takes one of its own scopes from a key: a limit or an ancestor. Empty: nothing does.
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

// Withdrawn is until when the access tokens of a key without a number that were issued to each member are dead.
func (r Reader) Withdrawn(id uuid.UUID) map[string]int64 {
	f, _ := r.t.memory.find(id)
	return f.Taken().UntilOf()
}

// WithdrawnNumbers is which access tokens of a key with a number are dead: those with a lower number, and those issued until a
// time by statements without one.
func (r Reader) WithdrawnNumbers(id uuid.UUID) (numbers, clocks map[string]int64) {
	f, _ := r.t.memory.find(id)
	return f.Taken().NumbersOf()
}
