package statements

import (
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// Limit is the most that a personal key may do, because of its subject's access.
type Limit struct {
	Scopes bridge.Scopes // empty: no limit
	Role   bridge.Role   // limited to this role's ceiling; empty: no limit
	Number int64         // withdrawals up to this number are accounted for
	At     int64         // and so are those without a number up to this time, in unix seconds
}

// Narrows reports whether the limit takes anything from a key.
func (l Limit) Narrows() bool { return len(l.Scopes) > 0 || l.Role != "" }

// API returns the limit in wire form; nil if it limits nothing.
func (l Limit) API() *api.KeyLimit {
	if !l.Narrows() {
		return nil
	}
	return &api.KeyLimit{Scopes: l.Scopes.Strings(), Role: l.Role}
}

// Generation mixes the limit into a secret's generation, so that what is open under another limit gets cut.
func (l Limit) Generation(secret uint64) uint64 {
	if len(l.Scopes) == 0 {
		return secret
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatUint(secret, 16) + " " + l.Scopes.String() + " " + string(l.Role)))
	return h.Sum64()
}

// Personal is a personal key as a withdrawal sees it.
type Personal struct {
	Subject string
	Limit   Limit
	// Severally: its parent is not known, so withdrawals over several connections may limit it.
	Severally bool
}

// ConcernedBy reports whether a withdrawal takes something from the key.
//
// It does only if it is newer than what the key was created under.
func (p Personal) ConcernedBy(w bridge.Withdrawal) bool {
	if !w.Names(p.Subject) {
		return false
	}
	until, named := w.Until[p.Subject]
	if !named {
		until = w.Until[bridge.Everybody]
	}
	newer := until >= p.Limit.At
	if w.Number > 0 && p.Limit.Number > 0 && !p.Severally {
		newer = w.Number > p.Limit.Number
	}
	left, some := w.Left(p.Subject)
	if !newer || !some {
		return newer
	}
	after := p.limitedTo(w, left)
	return after.Number != p.Limit.Number || after.Role != p.Limit.Role || !slices.Equal(after.Scopes, p.Limit.Scopes)
}

// After returns the key's limit after a withdrawal; false: nothing is left to it.
func (p Personal) After(w bridge.Withdrawal) (Limit, bool) {
	left, some := w.Left(p.Subject)
	after := p.limitedTo(w, left)
	return after, some && len(after.Scopes) > 0
}

// limitedTo returns the limit after a withdrawal that leaves something to the subject.
func (p Personal) limitedTo(w bridge.Withdrawal, left bridge.KeyAccess) Limit {
	before := p.Limit
	after := Limit{Scopes: left.Scopes(), Role: before.Role, Number: before.Number, At: before.At}
	if left.Role != "" {
		after.Role = left.Role
	}
	if !p.Severally {
		after.Number = max(after.Number, w.Number)
		return after
	}
	// Only what all connections leave is left.
	if len(before.Scopes) > 0 {
		after.Scopes = after.Scopes.Cap(before.Scopes)
	}
	if before.Role != "" {
		after.Role = after.Role.AtMost(before.Role)
	}
	return after
}
