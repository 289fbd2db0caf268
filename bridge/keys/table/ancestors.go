package table

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys/record"
)

// Depth returns the length of the chain from a key up to its last ancestor, counting the key.
func (t *Table) Depth(id uuid.UUID) int {
	n := 0
	for ; id != uuid.Nil && n < record.MaxLineage; n++ {
		f, ok := t.memory.find(id)
		if !ok || f.special == nil {
			return n + 1
		}
		id = f.special.lineage.Parent
	}
	return n
}

// chain narrows an identity to what the key's limit, its ancestors and their limits allow now. It fails if one of them is not
// alive or may not be used from the address; a nil use checks only their state.
func (t *Table) chain(f *Found, id *bridge.Identity, use *bridge.Use, now int64) error {
	child := f
	for range record.MaxLineage {
		if child.special == nil || !child.special.lineage.Limited() {
			return nil
		}
		l := child.special.lineage
		if len(l.Limit.Scopes) > 0 {
			id.Scopes = id.Scopes.Cap(l.Limit.Scopes)
		}
		if l.Limit.Role != "" {
			id.Scopes = id.Scopes.Cap(t.cfg.Catalogue.Ceiling(l.Limit.Role))
		}
		id.Scopes = t.cfg.Catalogue.WithOrg(id.Scopes, id.Org)
		if l.Parent == uuid.Nil {
			return nil
		}
		parent, state := t.parent(l, now)
		if state != record.StatusActive {
			return Refuse(record.ParentCode(state), "the key %s that it was made with %s", l.Parent, isState(state)).WithHint("%s", Repair(l.Parent, state))
		}
		if use != nil && parent.special != nil && !parent.special.limits.Allows(use.Address) {
			return Refuse(bridge.CodeParentAddress, "the key that it was made with may not be used from %s", use.Address)
		}
		id.Scopes = t.cfg.Catalogue.WithOrg(id.Scopes.Cap(parent.scopes), id.Org)
		if expires := record.At(int64(parent.expires)); !expires.IsZero() && (id.ExpiresAt.IsZero() || expires.Before(id.ExpiresAt)) {
			id.ExpiresAt = expires
		}
		// An ancestor's address limit is checked at every use, like the key's own.
		id.Metered = id.Metered || parent.special != nil && parent.special.limits.Metered()
		child = &parent
	}
	return Refuse(bridge.CodeLineageTooLong, "the chain of keys that the key was made with has more than %d keys", record.MaxLineage)
}

// isState continues a sentence about a key in a state.
func isState(state string) string {
	if state == record.StateUnknown {
		return "does not exist"
	}
	return "is " + strings.ReplaceAll(state, "_", " ")
}

// Repair says how to make the keys below an inactive key usable again.
func Repair(id uuid.UUID, state string) string {
	switch state {
	case record.StatusDisabled:
		return "ace api-key enable " + id.String()
	case record.StatusExpired:
		return "ace api-key revive " + id.String()
	}
	return "create another: ace api-key create --name NAME"
}

// parent returns the key that one was created with, and its state.
func (t *Table) parent(l record.Lineage, now int64) (f Found, state string) {
	f, ok := t.memory.find(l.Parent)
	if !ok {
		return f, record.StateUnknown
	}
	return f, f.Status(now)
}

// Blocked returns the nearest inactive ancestor, which makes an active key unusable; nil if there is none.
func (t *Table) Blocked(l record.Lineage, now int64) *api.KeyCause {
	for range record.MaxLineage {
		if l.Parent == uuid.Nil {
			return nil
		}
		f, state := t.parent(l, now)
		if state != record.StatusActive {
			return &api.KeyCause{KeyID: l.Parent.String(), Status: state, Hint: Repair(l.Parent, state),
				Detail: fmt.Sprintf("the key %s that it was made with %s", l.Parent, isState(state))}
		}
		if f.special == nil {
			return nil
		}
		l = f.special.lineage
	}
	return nil
}

// CutExpiry cuts an expiry to the parent's: a personal key never outlives its parent.
func (t *Table) CutExpiry(l record.Lineage, expires time.Time) time.Time {
	for range record.MaxLineage {
		f, ok := t.memory.find(l.Parent)
		if l.Parent == uuid.Nil || !ok {
			break
		}
		if end := record.At(int64(f.expires)); !end.IsZero() && (expires.IsZero() || end.Before(expires)) {
			expires = end
		}
		if f.special == nil {
			break
		}
		l = f.special.lineage
	}
	return expires
}
