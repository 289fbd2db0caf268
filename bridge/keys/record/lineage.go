package record

import (
	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/statements"
)

// Lineages of keys that people create.
const (
	// LineagePersonal is a key that dies with its parent, and when its subject loses access.
	LineagePersonal = "personal"
	// LineageOrganization is a key that an admin created for the organization; it outlives people and connections.
	LineageOrganization = "organization"
)

// Lineage says what a key was created with, on whose behalf, and what is left to it.
type Lineage struct {
	Kind          string    // personal, organization, or empty: a connection's key
	Parent        uuid.UUID // the key it was created with; zero: none
	ParentUnknown bool      // it was created before parents were recorded
	Subject       string
	Limit         statements.Limit
}

// Limited reports whether using the key depends on its ancestors or its limit.
func (l Lineage) Limited() bool { return l.Parent != uuid.Nil || l.Limit.Narrows() }

// MaxLineage is the maximum length of a chain of parents, in keys.
const MaxLineage = 4

// ConcernedBy reports whether a withdrawal takes something from the key.
func (l Lineage) ConcernedBy(w bridge.Withdrawal) bool {
	return l.Kind == LineagePersonal && l.personal().ConcernedBy(w)
}

// After returns the key's limit after a withdrawal; false: nothing is left to it.
func (l Lineage) After(w bridge.Withdrawal) (statements.Limit, bool) { return l.personal().After(w) }

func (l Lineage) personal() statements.Personal {
	return statements.Personal{Subject: l.Subject, Limit: l.Limit, Severally: l.ParentUnknown}
}
