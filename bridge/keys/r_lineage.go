package keys

import (
	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
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
	Limit         Limit
}

// limited reports whether the key has to be looked at with its ancestors or its limit.
func (l Lineage) limited() bool { return l.Parent != uuid.Nil || l.Limit.narrows() }

// maxLineage is how many keys a chain of parents holds at most.
const maxLineage = 4

// concernedBy reports whether a withdrawal takes something from the key.
func (l Lineage) concernedBy(w bridge.Withdrawal) bool {
	return l.Kind == LineagePersonal && l.personal().concernedBy(w)
}

// after is the limit of the key once a withdrawal is taken in; false: nothing is left to it.
func (l Lineage) after(w bridge.Withdrawal) (Limit, bool) { return l.personal().after(w) }

func (l Lineage) personal() personal {
	return personal{subject: l.Subject, limit: l.Limit, severally: l.ParentUnknown}
}
