package registry

import (
	"slices"

	"github.com/acebridge/ace/bridge"
)

// What a connection lets somebody do who uses it because it is shared.
const (
	AccessFull    = "full"    // all that its key has
	AccessLimited = "limited" // no more than certain scopes
	AccessNone    = "none"
)

// limit is the exception that a connection makes for somebody: less than for all others, or nothing. Empty: none is made.
type limit struct{ access, ceiling string }

// bounds are what limits somebody's use of a connection, as it is stored: two that are equal allow the same. The zero value
// limits nothing; it is the owner's.
type bounds struct {
	ceiling string
	own     limit             // for whoever calls
	maker   limit             // for the person who made the API key that calls: nobody gets more by a key than they have themselves
	parents [maxParents]limit // for the API keys that it was made with
}

func (c connection) bounds(p Principal) bounds {
	if c.ownerID == p.UserID {
		return bounds{}
	}
	return bounds{ceiling: c.ceiling, own: c.own, maker: c.maker, parents: c.parents}
}

// access is what the bounds leave, with limited access the scopes. An exception takes away from the ceiling and never adds
// to it; what cannot be read allows nothing.
func (b bounds) access() (string, bridge.Scopes) {
	limits := append([]limit{b.own, b.maker}, b.parents[:]...)
	if slices.ContainsFunc(limits, func(l limit) bool { return l.access == AccessNone }) {
		return AccessNone, nil
	}
	if b.ceiling != "" {
		limits = append(limits, limit{AccessLimited, b.ceiling})
	}
	access, most := AccessFull, bridge.Scopes{"*"}
	for _, l := range limits {
		if l.access == "" {
			continue
		}
		scopes, err := bridge.ParseScopes(l.ceiling)
		if err != nil {
			scopes = nil
		}
		access, most = AccessLimited, most.Cap(scopes)
	}
	if access == AccessFull {
		return access, nil
	}
	return access, most
}

// use returns the connection as a principal may use it: its ceiling is theirs. It refuses who may not.
func (c connection) use(p Principal) (connection, error) {
	if err := c.inUse(); err != nil {
		return c, err
	}
	if !c.actAs && c.ownerID != p.UserID {
		return c, c.errCannotActAs()
	}
	access, most := c.bounds(p).access()
	c.ceiling = most.String()
	switch {
	case access == AccessNone:
		return c, bridge.E(bridge.Forbidden, "connection_excepted", "an admin has excepted you from using this connection").
			WithHint("ask an admin of %s: ace connections unlimit %s %s", p.Org, c.id, p.Email)
	case access == AccessLimited && len(most) == 0:
		return c, bridge.E(bridge.Forbidden, "scope_empty", "nothing is left of what you may do over this connection: its ceiling and your limit have no scope in common").
			WithHint("ask an admin of %s: ace connections sharing %s shows both", p.Org, c.id)
	case access == AccessLimited && !c.ace && c.secret != "":
		return c, bridge.E(bridge.Forbidden, "ceiling_plain", "you may use this connection within limits only, and its key is a plain one, whose server would not keep to them").
			WithHint("ask an admin of %s: ace connections sharing %s shows the limits", p.Org, c.id)
	}
	return c, nil
}

// Exceptions by the parameters of [Principal.sees]: $2 is who calls, $5 who made the API key that calls, and $6 to $8 are the keys
// that it was made with.
const (
	excepted = "EXISTS (SELECT 1 FROM connection_limits e WHERE e.connection_id = c.id AND e.user_id IN ($2, $5, $6, $7, $8) AND e.access = '" + AccessNone + "')"

	withLimits = ` LEFT JOIN connection_limits l ON l.connection_id = c.id AND l.user_id = $2
		LEFT JOIN connection_limits k ON k.connection_id = c.id AND k.user_id = $5
		LEFT JOIN connection_limits k1 ON k1.connection_id = c.id AND k1.user_id = $6
		LEFT JOIN connection_limits k2 ON k2.connection_id = c.id AND k2.user_id = $7
		LEFT JOIN connection_limits k3 ON k3.connection_id = c.id AND k3.user_id = $8 `

	limitColumns = `COALESCE(l.access, ''), COALESCE(l.ceiling, ''), COALESCE(k.access, ''), COALESCE(k.ceiling, ''),
		COALESCE(k1.access, ''), COALESCE(k1.ceiling, ''), COALESCE(k2.access, ''), COALESCE(k2.ceiling, ''),
		COALESCE(k3.access, ''), COALESCE(k3.ceiling, '')`
)

func (c *connection) limitFields() []any {
	fields := []any{&c.own.access, &c.own.ceiling, &c.maker.access, &c.maker.ceiling}
	for i := range c.parents {
		fields = append(fields, &c.parents[i].access, &c.parents[i].ceiling)
	}
	return fields
}

// scanSeen reads a connection together with the exceptions for whoever asks.
func scanSeen(s scanner) (connection, error) {
	var seen connection
	c, err := scanConnection(further{s, seen.limitFields()})
	c.own, c.maker, c.parents = seen.own, seen.maker, seen.parents
	return c, err
}

// further is a row with columns that come after those that are asked for.
type further struct {
	scanner
	fields []any
}

func (f further) Scan(fields ...any) error { return f.scanner.Scan(append(fields, f.fields...)...) }
