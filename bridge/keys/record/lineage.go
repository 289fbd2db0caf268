package record

import (
	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/statements"
)

// The lineages of keys that people create.
const (
	// LineagePersonal is of a key that ends with its parent and with the access of its subject.
	LineagePersonal = "personal"
	// LineageOrganization is of a key that an admin made for the organization; it outlives people and connections.
	LineageOrganization = "organization"
)

// Lineage is what minted a key, on whose behalf, and how much of that is left to it.
type Lineage struct {
	Kind          string    // personal, organization, or empty: a connection's key
	Parent        uuid.UUID // the key through which it was made; zero: none
	ParentUnknown bool      // it was made before parents were recorded
	Subject       string
	Limit         statements.Limit
}

// Limited reports whether the key has to be looked at with its ancestors or its limit.
func (l Lineage) Limited() bool { return l.Parent != uuid.Nil || l.Limit.Narrows() }

// MaxLineage is how many keys a chain of parents holds at most.
const MaxLineage = 4

// ConcernedBy reports whether a withdrawal takes something from the key.
func (l Lineage) ConcernedBy(w bridge.Withdrawal) bool {
	return l.Kind == LineagePersonal && l.personal().ConcernedBy(w)
}

// After is the limit of the key once a withdrawal is taken in; false: nothing is left to it.
func (l Lineage) After(w bridge.Withdrawal) (statements.Limit, bool) { return l.personal().After(w) }

func (l Lineage) personal() statements.Personal {
	return statements.Personal{Subject: l.Subject, Limit: l.Limit, Severally: l.ParentUnknown}
}
