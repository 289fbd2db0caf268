package keys

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
)

// The lineages of keys that people create.
const (
	// LineagePersonal is of a key that ends with its parent and with the access of its subject.
	LineagePersonal = "personal"
	// LineageOrganization is of a key that an admin made for the organization; it outlives people and connections.
	LineageOrganization = "organization"
)

// maxLineage is how many keys a chain of parents holds at most.
const maxLineage = 4

// Lineage is what minted a key, on whose behalf, and how much of that is left to it.
type Lineage struct {
	Kind          string    // personal, organization, or empty: a connection's key
	Parent        uuid.UUID // the key through which it was made; zero: none
	ParentUnknown bool      // it was made before parents were recorded
	Subject       string
	Limit         Limit
}

// Limit is the most that a personal key may, by its subject's access.
type Limit struct {
	Scopes bridge.Scopes // empty: no limit
	Role   bridge.Role   // its ceiling; empty: no limit
	Number int64         // withdrawals up to this one are considered
	At     int64         // and those without a number up to this time, unix seconds
}

// personal reports whether the key has to be looked at with its ancestors or its limit.
func (l Lineage) limited() bool {
	return l.Parent != uuid.Nil || len(l.Limit.Scopes) > 0 || l.Limit.Role != ""
}

// generation mixes a limit into the generation of a secret, so that what is open under another limit is ended.
func (l Limit) generation(secret uint64) uint64 {
	if len(l.Scopes) == 0 {
		return secret
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatUint(secret, 16) + " " + l.Scopes.String() + " " + string(l.Role)))
	return h.Sum64()
}

// generation is that of the key's current secret, under its limit.
func (f *found) generation() uint64 {
	if f.special == nil {
		return f.secret.generation()
	}
	return f.special.lineage.Limit.generation(f.secret.generation())
}

func (r *row) generation() uint64 { return r.Lineage.Limit.generation(r.current.generation()) }

var errLineageLong = bridge.E(bridge.Forbidden, "lineage_too_long", "a key made through a key made through a key … is at most %d keys long", maxLineage).
	WithHint("make it with the key that this one was made with, or let an admin make an organization key")

// lineageOf says what a key that somebody mints is: personal, unless an admin in person or a key with the scope for it makes it.
func (a *Authority) lineageOf(by By, kind bridge.KeyKind, wish string) (Lineage, error) {
	mayOrganization := kind != bridge.KindPAT && (by.minter().Admin || by.Who.Covers(bridge.ScopeCreateOrganization))
	switch {
	case wish != "" && wish != LineagePersonal && wish != LineageOrganization:
		return Lineage{}, bridge.E(bridge.Invalid, "lineage_unknown", "a key is personal or of the organization, and not %.40q", wish)
	case wish == LineageOrganization && !mayOrganization:
		return Lineage{}, bridge.E(bridge.Forbidden, "lineage_organization",
			"only an admin in person, or a key with the scope %s, makes an organization key", bridge.ScopeCreateOrganization).
			WithHint("ask an admin, or use: ace server token --role admin")
	case mayOrganization && wish != LineagePersonal:
		return Lineage{Kind: LineageOrganization}, nil
	}
	l := Lineage{Kind: LineagePersonal, Parent: by.Who.KeyID, Subject: by.Who.Subject}
	if !a.cfg.Personal { // a cloud knows the roles of its people at any time
		l.Limit.Role = by.Who.Role
	}
	if by.Who.Type == bridge.TypeAccessToken {
		l.Limit.Number, l.Limit.At = by.Who.Number, by.Who.IssuedAt.Unix()
	} else if by.Who.KeyID != uuid.Nil {
		if f, ok := a.table.find(by.Who.KeyID); ok && f.special != nil {
			l.Limit.Number = f.special.taken.highest
		}
		l.Limit.At = a.cfg.Now().Unix()
	}
	if depth := a.depth(l.Parent); depth >= maxLineage {
		return Lineage{}, errLineageLong
	}
	return l, nil
}

// depth is how many keys the chain from a key upwards has.
func (a *Authority) depth(id uuid.UUID) int {
	n := 0
	for ; id != uuid.Nil && n < maxLineage; n++ {
		f, ok := a.table.find(id)
		if !ok || f.special == nil {
			return n + 1
		}
		id = f.special.lineage.Parent
	}
	return n
}

// chain narrows an identity to what the key's limit, its ancestors and theirs may now. It refuses where one of them is not
// alive, or is not to be used from the address; address is nil where only the state counts.
func (a *Authority) chain(f *found, id *bridge.Identity, use *bridge.Use, now int64) error {
	child := f
	for range maxLineage {
		if child.special == nil || !child.special.lineage.limited() {
			return nil
		}
		l := child.special.lineage
		if len(l.Limit.Scopes) > 0 {
			id.Scopes = id.Scopes.Cap(l.Limit.Scopes)
		}
		if l.Limit.Role != "" {
			id.Scopes = id.Scopes.Cap(a.cfg.Catalogue.Ceiling(l.Limit.Role))
		}
		id.Scopes = a.cfg.Catalogue.WithOrg(id.Scopes, id.Org)
		if l.Parent == uuid.Nil {
			return nil
		}
		parent, state := a.parent(l, now)
		if state != StatusActive {
			return refuse("parent_"+state, "the key %s that it was made with %s", l.Parent, isState(state)).WithHint("%s", repair(l.Parent, state))
		}
		if use != nil && parent.special != nil && !allows(parent.special.limits.AllowFrom, use.Address) {
			return refuse("parent_address", "the key that it was made with is not to be used from %s", use.Address)
		}
		id.Scopes = a.cfg.Catalogue.WithOrg(id.Scopes.Cap(parent.scopes), id.Org)
		if expires := at(int64(parent.expires)); !expires.IsZero() && (id.ExpiresAt.IsZero() || expires.Before(id.ExpiresAt)) {
			id.ExpiresAt = expires
		}
		// An address limit of an ancestor is looked at each time, as the key's own is.
		id.Metered = id.Metered || parent.special != nil && parent.special.limits.metered()
		child = &parent
	}
	return refuse("lineage_too_long", "the key is made through more than %d keys", maxLineage)
}

// stateUnknown is the state of a parent that does not exist.
const stateUnknown = "unknown"

func isState(state string) string {
	if state == stateUnknown {
		return "does not exist"
	}
	return "is " + strings.ReplaceAll(state, "_", " ")
}

// repair says how to make the keys below an inactive key work again.
func repair(id uuid.UUID, state string) string {
	switch state {
	case StatusDisabled:
		return "ace api-key enable " + id.String()
	case StatusExpired:
		return "ace api-key revive " + id.String()
	}
	return "create another: ace api-key create --name NAME"
}

// parent is the key that one was made with, and its state.
func (a *Authority) parent(l Lineage, now int64) (f found, state string) {
	f, ok := a.table.find(l.Parent)
	if !ok {
		return f, stateUnknown
	}
	return f, f.status(now)
}

// blocked is the nearest inactive ancestor, which keeps an active key from being used; nil if there is none.
func (a *Authority) blocked(l Lineage, now int64) *api.KeyCause {
	for range maxLineage {
		if l.Parent == uuid.Nil {
			return nil
		}
		f, state := a.parent(l, now)
		if state != StatusActive {
			return &api.KeyCause{KeyID: l.Parent.String(), Status: state, Hint: repair(l.Parent, state),
				Detail: fmt.Sprintf("the key %s that it was made with %s", l.Parent, isState(state))}
		}
		if f.special == nil {
			return nil
		}
		l = f.special.lineage
	}
	return nil
}

// LimitedBy says what takes one of its own scopes from a key: a limit or an ancestor. Empty: nothing does.
func (a *Authority) LimitedBy(id uuid.UUID, need bridge.Scope) string {
	f, ok := a.table.find(id)
	which := "the key"
	for range maxLineage {
		if !ok || f.special == nil || !f.scopes.Covers(need) {
			return ""
		}
		l := f.special.lineage
		switch {
		case len(l.Limit.Scopes) > 0 && !l.Limit.Scopes.Covers(need):
			return fmt.Sprintf("%s is limited to %s, which is what the access of %s leaves it", which, l.Limit.Scopes, l.Subject)
		case l.Limit.Role != "" && !a.cfg.Catalogue.Ceiling(l.Limit.Role).Covers(need):
			return fmt.Sprintf("%s is limited to the role %s of %s", which, l.Limit.Role, l.Subject)
		case l.Parent == uuid.Nil:
			return ""
		}
		if f, ok = a.table.find(l.Parent); ok && !f.scopes.Covers(need) {
			return fmt.Sprintf("%s was made with the key %s, which does not have that scope", which, l.Parent)
		}
		which = "the key " + l.Parent.String() + " that it was made with"
	}
	return ""
}

// API is a key in its wire form with its current status: with an inactive parent it is not active either.
func (a *Authority) API(r Record) api.APIKey {
	now := a.cfg.Now()
	k := r.api(now)
	if k.Status == StatusActive || k.Status == StatusUnconfirmed {
		if k.StatusCause = a.blocked(r.Lineage, now.Unix()); k.StatusCause != nil {
			k.Status = "parent_" + k.StatusCause.Status
		}
	}
	return k
}

// family are living keys below one, in the order in which they were made.
const livingBelow = `WITH RECURSIVE below (id) AS (SELECT id FROM api_keys WHERE parent_id = $1
	UNION SELECT k.id FROM api_keys k JOIN below b ON k.parent_id = b.id)
	SELECT ` + columns + ` FROM api_keys WHERE id IN (SELECT id FROM below) AND ended_at = 0 ORDER BY id`

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rowsOf reads keys.
func rowsOf(ctx context.Context, q queryer, query string, args ...any) (out []row, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	return out, nil
}

// descendants are the living keys made through a key, and through those.
func descendants(ctx context.Context, q queryer, id uuid.UUID) ([]row, error) {
	return rowsOf(ctx, q, livingBelow, id.String())
}

// Descendants are the living keys that end when a key does.
func (a *Authority) Descendants(ctx context.Context, v View, id uuid.UUID) ([]Record, error) {
	if _, err := loadSeen(ctx, a.db, v, id); err != nil {
		return nil, err
	}
	rows, err := descendants(ctx, a.db, id)
	out := make([]Record, 0, len(rows))
	for _, r := range rows {
		if now := a.cfg.Now(); r.end(now) == nil {
			out = append(out, r.Record)
		}
	}
	return out, err
}

// Ends lists the keys that end when a key is revoked, itself first; none if it has ended already.
func (a *Authority) Ends(ctx context.Context, v View, id uuid.UUID) ([]Record, error) {
	r, err := loadSeen(ctx, a.db, v, id)
	if err != nil || r.end(a.cfg.Now()) != nil && r.Status(a.cfg.Now()) != StatusExpired {
		return nil, err
	}
	below, err := a.Descendants(ctx, v, id)
	return append([]Record{r.Record}, below...), err
}

// relatives changes keys beside the one that a rule is about: each takes a version of its own, and is taken over with it.
type relatives struct {
	a     *Authority
	tx    *sql.Tx
	ids   []uuid.UUID
	last  int64 // version
	actor audit.Actor
}

// next takes the next version for one more key.
func (x *relatives) next(ctx context.Context, id uuid.UUID) (version int64, err error) {
	if err := x.tx.QueryRowContext(ctx, "UPDATE key_changes SET version = version + 1 WHERE id = 1 RETURNING version").Scan(&version); err != nil {
		return 0, fmt.Errorf("take the next version: %w", err)
	}
	x.ids, x.last = append(x.ids, id), version
	return version, nil
}

func (x *relatives) audit(ctx context.Context, r *row, action string, details map[string]string) error {
	actor := x.actor
	if actor.Org == "" {
		actor.Org = r.Org
	}
	details["name"] = r.Name
	return audit.Write(ctx, x.tx, x.a.cfg.Now(), audit.Entry{Actor: actor, Action: action, Target: "key:" + r.ID.String(), Details: details})
}

// revoke ends a key and all below it.
func (x *relatives) revoke(ctx context.Context, r *row, reason string) error {
	if err := x.end(ctx, r, reason); err != nil {
		return err
	}
	return x.revokeBelow(ctx, r.ID)
}

// revokeBelow ends all keys made through a key, and through those.
func (x *relatives) revokeBelow(ctx context.Context, id uuid.UUID) error {
	below, err := descendants(ctx, x.tx, id)
	if err != nil {
		return err
	}
	for i := range below {
		if err := x.end(ctx, &below[i], "the key "+id.String()+" that it was made with was revoked"); err != nil {
			return err
		}
	}
	return nil
}

func (x *relatives) end(ctx context.Context, r *row, reason string) error {
	version, err := x.next(ctx, r.ID)
	if err != nil {
		return err
	}
	if _, err := x.tx.ExecContext(ctx, `UPDATE api_keys SET ended_at = $1, ended_by = $2, end_reason = $3, version = $4
		WHERE id = $5 AND ended_at = 0`, x.a.cfg.Now().Unix(), x.actor.ID, reason, version, r.ID.String()); err != nil {
		return fmt.Errorf("revoke a descendant: %w", err)
	}
	return x.audit(ctx, r, "key.revoke", map[string]string{"reason": reason})
}

// touchBelow lets everybody who keeps answers about the keys below a key look again, since what they may depends on it.
func (x *relatives) touchBelow(ctx context.Context, id uuid.UUID) error {
	below, err := descendants(ctx, x.tx, id)
	if err != nil {
		return err
	}
	for i := range below {
		version, err := x.next(ctx, below[i].ID)
		if err != nil {
			return err
		}
		if _, err := x.tx.ExecContext(ctx, "UPDATE api_keys SET version = $1 WHERE id = $2", version, below[i].ID.String()); err != nil {
			return fmt.Errorf("touch a descendant: %w", err)
		}
	}
	return nil
}

// moveChildren lets the keys made through one connection key be children of the one that replaces it. The numbers of its
// withdrawals begin anew.
func (x *relatives) moveChildren(ctx context.Context, from, to uuid.UUID) error {
	children, err := rowsOf(ctx, x.tx, `SELECT `+columns+` FROM api_keys c WHERE parent_id = $1 AND ended_at = 0 AND org =
		(SELECT org FROM api_keys WHERE id = $2 AND kind = 'sk') AND EXISTS (SELECT 1 FROM api_keys o WHERE o.id = $1
		AND o.kind = 'sk' AND o.org = c.org AND o.ended_at = 0) ORDER BY id`, from.String(), to.String())
	if err != nil {
		return err
	}
	for i := range children {
		r := &children[i]
		version, err := x.next(ctx, r.ID)
		if err != nil {
			return err
		}
		if _, err := x.tx.ExecContext(ctx, `UPDATE api_keys SET parent_id = $1, limit_number = 0, version = $2
			WHERE id = $3 AND parent_id = $4`, to.String(), version, r.ID.String(), from.String()); err != nil {
			return fmt.Errorf("move a key to its new parent: %w", err)
		}
		if err := x.audit(ctx, r, "key.move", map[string]string{"from": from.String(), "to": to.String()}); err != nil {
			return err
		}
	}
	if len(children) == 0 {
		return nil
	}
	return x.touchBelow(ctx, to)
}

// minted cuts an expiry to what the parent's is: a personal key never outlives its parent.
func (a *Authority) minted(l Lineage, expires time.Time) time.Time {
	for range maxLineage {
		f, ok := a.table.find(l.Parent)
		if l.Parent == uuid.Nil || !ok {
			break
		}
		if end := at(int64(f.expires)); !end.IsZero() && (expires.IsZero() || end.Before(expires)) {
			expires = end
		}
		if f.special == nil {
			break
		}
		l = f.special.lineage
	}
	return expires
}
