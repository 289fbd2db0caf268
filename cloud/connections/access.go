package connections

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

// This file decides who may see and use a connection: once in Go for a connection that has been read (seenBy, Use), and once in
// SQL for many of them (visible, usable). A test compares the two for all kinds of callers and connections.

// The access that a shared connection gives a caller.
const (
	AccessFull    = "full"    // everything its key allows
	AccessLimited = "limited" // certain scopes only
	AccessNone    = "none"
)

// limit gives one caller less than a connection gives all others, or nothing. Empty: there is no limit.
type limit struct{ access, ceiling string }

// Bounds are the ceiling and limits of one caller, as stored. Equal bounds allow the same. The zero value limits nothing; it is
// the owner's.
type Bounds struct {
	ceiling string
	own     limit                      // of the caller
	maker   limit                      // of the person who made the calling API key: a key never allows more than its maker has
	parents [accounts.MaxParents]limit // of the API keys that it was made with
}

// Bounds returns the caller's bounds. The connection must have been read with the caller's limits.
func (c Connection) Bounds(p accounts.Principal) Bounds {
	if c.OwnerID == p.UserID {
		return Bounds{}
	}
	return Bounds{ceiling: c.ceiling, own: c.own, maker: c.maker, parents: c.parents}
}

// access returns the access that the bounds leave, and the scopes if it is limited. A limit narrows the ceiling and never widens
// it; one that cannot be read allows nothing.
func (b Bounds) access() (string, bridge.Scopes) {
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

// seenBy reports whether a caller sees the connection, which was read with the caller's limits. Its owner does, and once it is
// shared the whole organization, except members and keys with a limit of none, unless they manage connections. Admins see a
// removed member's connection (see [Connection.requireUsable]), and those that belong to the organization, which they use, too.
// Live and test keys see the connections of their environment.
func (c Connection) seenBy(p accounts.Principal) bool {
	manages := p.Can("connection:manage")
	switch {
	case c.OrgID != p.OrgID, p.Environment != "" && c.environment != p.Environment:
		return false
	case c.OwnerID == p.UserID:
		return true
	case c.visibility == Organization && (manages || !c.shutOut()):
		return true
	}
	return manages && (c.orphaned || c.ofOrganization())
}

// ofOrganization reports whether the connection belongs to the organization itself, not to a member: its server has joined.
func (c Connection) ofOrganization() bool { return c.OwnerID == c.OrgID }

// shutOut reports whether the caller, its maker or a parent key has a limit of none.
func (c Connection) shutOut() bool {
	return slices.ContainsFunc(c.limits(), func(l limit) bool { return l.access == AccessNone })
}

func (c Connection) limits() []limit { return append([]limit{c.own, c.maker}, c.parents[:]...) }

// requireOwner refuses changes by anyone but the owner and the organization's admins.
func (c Connection) requireOwner(p accounts.Principal) error {
	if c.OwnerID == p.UserID || p.Can("connection:manage") {
		return nil
	}
	return bridge.E(bridge.Forbidden, bridge.CodeNotOwner, "only %s or an admin may do that", c.Owner)
}

// requireUsable refuses the use of a private connection whose owner is no longer a member. Its key was given to that person
// only, so admins can neither use nor share it, only disconnect it; members who need the server connect it again.
func (c Connection) requireUsable() error {
	if !c.orphaned || c.visibility == Organization {
		return nil
	}
	return bridge.E(bridge.Forbidden, bridge.CodeOwnerGone,
		"%s, whose private connection this is, is no member any more: it can only be disconnected", c.Owner).
		WithHint("connect yourself: ace connect --server %s", c.Server)
}

// Use returns the connection with the principal's own ceiling, or an error if the principal may not use it.
func (c Connection) Use(p accounts.Principal) (Connection, error) {
	if err := c.requireUsable(); err != nil {
		return c, err
	}
	if !c.ActAs && c.OwnerID != p.UserID {
		return c, c.errCannotActAs()
	}
	access, most := c.Bounds(p).access()
	c.ceiling = most.String()
	switch {
	case access == AccessNone:
		return c, bridge.E(bridge.Forbidden, bridge.CodeConnectionExcepted, "an admin has taken away your access to this connection").
			WithHint("ask an admin of %s: ace connections unlimit %s %s", p.Org, c.ID, p.Email)
	case access == AccessLimited && len(most) == 0:
		return c, bridge.E(bridge.Forbidden, bridge.CodeScopeEmpty,
			"nothing is left of what you may do over this connection: its ceiling and your limit have no scope in common").
			WithHint("ask an admin of %s: ace connections sharing %s shows both", p.Org, c.ID)
	case access == AccessLimited && !c.Ace && c.Secret != "":
		return c, bridge.E(bridge.Forbidden, bridge.CodeCeilingPlain,
			"you may use this connection within limits only, and its key is a plain one, whose server would not keep to them").
			WithHint("ask an admin of %s: ace connections sharing %s shows the limits", p.Org, c.ID)
	}
	return c, nil
}

// The access rule in SQL, over a row "caller", a connection c and its owner u; see [callerRows].
const (
	// ofOrganization is [Connection.ofOrganization].
	ofOrganization = `c.owner_id = c.org_id`

	// orphaned holds for a connection whose owner is a person and no longer a member. Organizations and API keys own connections
	// too, and are never members.
	orphaned = `(u.email NOT LIKE 'key:%' AND NOT ` + ofOrganization + ` AND NOT EXISTS (SELECT 1 FROM members m WHERE m.org_id = c.org_id AND m.user_id = c.owner_id))`

	// LeftBehind holds for a private connection of a person who is no longer a member.
	LeftBehind = `(c.visibility = 'private' AND ` + orphaned + `)`

	shutOut = `EXISTS (SELECT 1 FROM connection_limits e WHERE e.connection_id = c.id AND e.access = '` + AccessNone + `'
		AND e.user_id IN (caller.user_id, caller.maker_id, caller.parent_1, caller.parent_2, caller.parent_3))`

	// visible is [Connection.seenBy].
	visible = ` c.org_id = caller.org_id AND (caller.environment = '' OR c.environment = caller.environment)
		AND (c.owner_id = caller.user_id OR (c.visibility = 'organization' AND (caller.manage <> '' OR NOT ` + shutOut + `))
			OR (caller.manage <> '' AND (` + ofOrganization + ` OR ` + orphaned + `))) `

	// usable is what [Connection.Use] demands, apart from the limits, which callers compare with those that they know.
	usable = visible + `AND (c.visibility = 'organization' OR NOT ` + orphaned + `) AND (c.act_as OR c.owner_id = caller.user_id) `

	// stands holds while the caller's session or membership is in force with the same role; $1 is the time.
	stands = ` (caller.session = '' OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = caller.session AND s.user_id = caller.user_id
			AND s.org_id = caller.org_id AND s.ended_at = 0 AND s.expires_at > $1))
		AND (caller.role = '' OR EXISTS (SELECT 1 FROM members m WHERE m.org_id = caller.org_id AND m.user_id = caller.user_id AND m.role = caller.role)) `

	withLimits = ` LEFT JOIN connection_limits l ON l.connection_id = c.id AND l.user_id = caller.user_id
		LEFT JOIN connection_limits k ON k.connection_id = c.id AND k.user_id = caller.maker_id
		LEFT JOIN connection_limits k1 ON k1.connection_id = c.id AND k1.user_id = caller.parent_1
		LEFT JOIN connection_limits k2 ON k2.connection_id = c.id AND k2.user_id = caller.parent_2
		LEFT JOIN connection_limits k3 ON k3.connection_id = c.id AND k3.user_id = caller.parent_3 `

	limitColumns = `COALESCE(l.access, ''), COALESCE(l.ceiling, ''), COALESCE(k.access, ''), COALESCE(k.ceiling, ''),
		COALESCE(k1.access, ''), COALESCE(k1.ceiling, ''), COALESCE(k2.access, ''), COALESCE(k2.ceiling, ''),
		COALESCE(k3.access, ''), COALESCE(k3.ceiling, '')`

	// selectSeen selects connections with the limits of one caller. SQLite reads the connections first, in the order of an index.
	selectSeen = "SELECT " + connectionColumns + ", " + limitColumns + ", " + presenceColumns + fromConnections + "CROSS JOIN caller" + withLimits + "WHERE "

	// presenceColumns count the open links of a connection, at replicas of the cloud whose lease runs, and the servers at their ends.
	presenceColumns = `COALESCE((SELECT SUM(n.links) FROM link_presence n JOIN replicas r ON r.id = n.replica_id
			WHERE n.connection_id = c.id AND r.until > caller.at), 0),
		COALESCE((SELECT SUM(n.servers) FROM link_presence n JOIN replicas r ON r.id = n.replica_id
			WHERE n.connection_id = c.id AND r.until > caller.at), 0)`
)

// callerColumn is one column of a row "caller".
type callerColumn struct {
	name string
	of   func(callerRow) string
}

// callerRow is a caller, and what a question is about, as far as it is needed: a connection, and the present time.
type callerRow struct {
	accounts.Principal
	connection string
	at         time.Time
}

// sight lists the columns that [visible] and [withLimits] read; the table handed_tokens has them under the same names.
var sight = []callerColumn{
	{"org_id", func(c callerRow) string { return c.OrgID }},
	{"user_id", func(c callerRow) string { return c.UserID }},
	{"environment", func(c callerRow) string { return c.Environment }},
	{"manage", func(c callerRow) string { return c.Manages() }},
	{"maker_id", func(c callerRow) string { return c.MakerID }},
	{"parent_1", func(c callerRow) string { return c.Parents[0] }},
	{"parent_2", func(c callerRow) string { return c.Parents[1] }},
	{"parent_3", func(c callerRow) string { return c.Parents[2] }},
}

// callerColumns lists all columns of a row except its number n.
var callerColumns = append([]callerColumn{
	{"connection", func(c callerRow) string { return c.connection }},
	{"session", func(c callerRow) string { return c.SessionID }},
	{"role", func(c callerRow) string {
		if c.Kind == "" || c.Kind == bridge.KindPAT {
			return string(c.Role)
		}
		return "" // a key's own role never changes
	}},
}, sight...)

// callerRows begins a statement with a row "caller" for each caller, numbered from 0. The parameters go to the end of args.
func callerRows(args *[]any, callers ...callerRow) string {
	var head, values strings.Builder
	head.WriteString("WITH caller (n, at")
	for _, column := range callerColumns {
		head.WriteString(", " + column.name)
	}
	for i, caller := range callers {
		if i > 0 {
			values.WriteString(", ")
		}
		*args = append(*args, caller.at.Unix())
		values.WriteString("(" + strconv.Itoa(i) + ", CAST($" + strconv.Itoa(len(*args)) + " AS BIGINT)")
		for _, column := range callerColumns {
			*args = append(*args, column.of(caller))
			values.WriteString(", $" + strconv.Itoa(len(*args)))
		}
		values.WriteString(")")
	}
	return head.String() + ") AS (VALUES " + values.String() + ") "
}

// asked returns rows for callers, without a connection.
func asked(who []accounts.Principal) []callerRow {
	rows := make([]callerRow, len(who))
	for i, p := range who {
		rows[i].Principal = p
	}
	return rows
}

func (c *Connection) limitFields() []any {
	fields := []any{&c.own.access, &c.own.ceiling, &c.maker.access, &c.maker.ceiling}
	for i := range c.parents {
		fields = append(fields, &c.parents[i].access, &c.parents[i].ceiling)
	}
	return fields
}

// scanSeen reads a connection with the caller's limits.
func scanSeen(s sqldb.Row) (Connection, error) {
	var seen Connection
	c, err := scanConnection(further{s, append(seen.limitFields(), &seen.links, &seen.servers)})
	c.own, c.maker, c.parents, c.links, c.servers = seen.own, seen.maker, seen.parents, seen.links, seen.servers
	return c, err
}

// further is a row that also scans some extra columns at its end.
type further struct {
	sqldb.Row
	fields []any
}

func (f further) Scan(fields ...any) error { return f.Row.Scan(append(fields, f.fields...)...) }
