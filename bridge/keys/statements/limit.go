package statements

import (
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// Limit is the most that a personal key may, by its subject's access.
type Limit struct {
	Scopes bridge.Scopes // empty: no limit
	Role   bridge.Role   // its ceiling; empty: no limit
	Number int64         // withdrawals up to this one are considered
	At     int64         // and those without a number up to this time, unix seconds
}

// Narrows reports whether the limit takes anything from a key.
func (l Limit) Narrows() bool { return len(l.Scopes) > 0 || l.Role != "" }

// API is the limit in its wire form; nil if there is none.
func (l Limit) API() *api.KeyLimit {
	if !l.Narrows() {
		return nil
	}
	return &api.KeyLimit{Scopes: l.Scopes.Strings(), Role: l.Role}
}

// Generation mixes a limit into the generation of a secret, so that what is open under another limit is ended.
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
	// severally: its parent is not known, so that several connections may limit it.
	Severally bool
}

// ConcernedBy reports whether a withdrawal takes something from the key: it is newer than what the key was made under.
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

// After is the limit of the key once a withdrawal is taken in; false: nothing is left to it.
func (p Personal) After(w bridge.Withdrawal) (Limit, bool) {
	left, some := w.Left(p.Subject)
	after := p.limitedTo(w, left)
	return after, some && len(after.Scopes) > 0
}

// limitedTo is the limit by a withdrawal that leaves something to the subject.
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
	// What is left is what all connections leave.
	if len(before.Scopes) > 0 {
		after.Scopes = after.Scopes.Cap(before.Scopes)
	}
	if before.Role != "" {
		after.Role = after.Role.AtMost(before.Role)
	}
	return after
}
