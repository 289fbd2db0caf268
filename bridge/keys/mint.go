package keys

import (
	"context"
	"database/sql"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys/record"
)

// By is the caller who asks for a change: the verified identity, and its name in the audit log.
type By struct {
	audit.Actor
	Who bridge.Identity
	// Bind runs in the transaction that creates a personal access token, to tie it to what it must end with; may be nil.
	Bind func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error
}

// confined reports whether the identity comes from a key that somebody created, for an app or for themselves. Such a key creates
// only keys of its own kind and never passes on more than it has. People and connections, which name their person, are not
// confined.
func confined(who bridge.Identity) bool {
	return who.Kind == bridge.KindLive || who.Kind == bridge.KindTest || who.Kind == bridge.KindPAT
}

// minter is the caller as the catalogue sees one who grants scopes.
func (by By) minter() catalogue.Minter {
	return catalogue.Minter{Org: by.Who.Org, Scopes: by.Who.Scopes,
		// A key is never an admin, whatever its scopes: what only admins may grant takes an admin in person.
		Admin: by.Who.Type != bridge.TypeAPIKey && by.Who.Role.AtLeast(bridge.RoleAdmin)}
}

// minting decides what a caller may give out of an authority's keys.
type minting struct {
	a  *Authority
	by By
}

// bounds are what a key passes on to keys it mints: its allowlist and, if it was created for an app, its expiry.
type bounds struct {
	allowFrom []netip.Prefix
	expires   time.Time // zero: no bound
}

// bounds returns the bounds of the key that asks.
func (m minting) bounds() (bounds, error) {
	if m.by.Who.KeyID == uuid.Nil {
		return bounds{}, nil
	}
	f, ok := m.a.table.Find(m.by.Who.KeyID)
	if !ok {
		return bounds{}, record.ErrUnknown
	}
	if m.by.Who.Generation != f.Generation() {
		return bounds{}, errReplaced
	}
	if f.Limits().Counted() {
		return bounds{}, bridge.E(bridge.Forbidden, bridge.CodeMinterLimited,
			"a key with a rate limit or a number of uses cannot give out secrets, which would have none")
	}
	b := bounds{allowFrom: f.Limits().AllowFrom}
	if confined(m.by.Who) {
		b.expires = f.Expires()
	}
	return b, nil
}

var errReplaced = bridge.E(bridge.Forbidden, bridge.CodeMinterRotated, "a secret that has been replaced cannot give out secrets").
	WithHint("use the new one")

// expiry checks a wish against the bound. If nobody made a wish, the default is cut to the bound.
func (b bounds) expiry(expires time.Time, asked bool) (time.Time, error) {
	if b.expires.IsZero() || (!expires.IsZero() && !expires.After(b.expires)) {
		return expires, nil
	}
	if asked {
		return time.Time{}, bridge.E(bridge.Forbidden, bridge.CodeExpiryCeiling,
			"a key cannot give another a longer life than its own, which ends at %s", b.expires.Format(time.RFC3339))
	}
	return b.expires, nil
}

// grantExpiry checks an expiry against the caller's bounds and against what the catalogue lets them grant.
func (m minting) grantExpiry(b bounds, expires time.Time, asked bool) (time.Time, error) {
	expires, err := b.expiry(expires, asked)
	if err != nil {
		return time.Time{}, err
	}
	return expires, m.a.cfg.Catalogue.GrantExpiry(m.by.minter(), expires, m.a.line.Now())
}

// Wish is what a caller wants a new key to be, as it comes over the wire.
type Wish struct {
	Kind        bridge.KeyKind // empty: the caller's own kind, or whatever they may create
	Name        string
	Description string
	Preset      string
	Scopes      []string
	ExpiresIn   string
	AllowFrom   []string
	Rate        string
	MaxUses     int64
	Lineage     string // personal or organization; empty: whichever the caller may create
}

// Mint creates a key for a caller who has key:create.
//
// It stays within the caller's scopes, ceiling, environment, expiry and allowlist.
func (a *Authority) Mint(ctx context.Context, by By, w Wish) (bridge.Key, record.Record, error) {
	var none bridge.Key
	m := minting{a, by}
	n := NewKey{Kind: w.Kind, Name: w.Name, Description: w.Description, Org: by.Who.Org, Owner: by.Who.Subject, minter: by.Who}
	b, err := m.bounds()
	if err != nil {
		return none, record.Record{}, err
	}
	if n.Kind, err = m.kind(w.Kind); err != nil {
		return none, record.Record{}, err
	}
	if n.Lineage, err = m.lineage(n.Kind, w.Lineage); err != nil {
		return none, record.Record{}, err
	}
	if n.Lineage.Kind == record.LineageOrganization {
		b.expires = time.Time{} // it outlives its creator
	}
	if n.ExpiresAt, err = record.ParseExpiry(w.ExpiresIn, a.line.Now()); err != nil {
		return none, record.Record{}, err
	}
	if n.ExpiresAt, err = m.grantExpiry(b, n.ExpiresAt, w.ExpiresIn != ""); err != nil {
		return none, record.Record{}, err
	}
	n.ExpiresAt = a.table.CutExpiry(n.Lineage, n.ExpiresAt)
	if n.Limits, err = record.ParseLimits(w.AllowFrom, w.Rate, w.MaxUses); err != nil {
		return none, record.Record{}, err
	}
	if len(n.Limits.AllowFrom) == 0 {
		n.Limits.AllowFrom = b.allowFrom
	}
	if !record.Within(n.Limits.AllowFrom, b.allowFrom) {
		return none, record.Record{}, errAllowlist
	}
	if n.Scopes, err = a.cfg.Catalogue.Grant(by.minter(), w.Preset, w.Scopes); err != nil {
		return none, record.Record{}, err
	}
	if n.Kind == bridge.KindPAT {
		n.bind = by.Bind
	}
	return a.Create(ctx, by.Actor, n)
}

// kind checks the wished kind against what the caller may create. With personal access tokens, everybody creates their own;
// keys of the organization, which outlive their creator, take an admin.
func (m minting) kind(kind bridge.KeyKind) (bridge.KeyKind, error) {
	key, admin := confined(m.by.Who), !m.a.cfg.Personal || m.by.Who.Role.AtLeast(bridge.RoleAdmin)
	if kind == "" {
		switch {
		case key:
			kind = m.by.Who.Kind
		case admin:
			kind = bridge.KindLive
		default:
			kind = bridge.KindPAT
		}
	}
	personal := kind == bridge.KindPAT && m.a.cfg.Personal
	switch {
	case kind != bridge.KindLive && kind != bridge.KindTest && !personal:
		return "", bridge.E(bridge.Invalid, bridge.CodeKeyKind, "a key of the kind %q cannot be created here",
			kind).WithHint("take live or test")
	case key && kind != m.by.Who.Kind:
		return "", bridge.E(bridge.Forbidden, bridge.CodeKeyEnvironment, "a %s key creates %s keys only", m.by.Who.Kind, m.by.Who.Kind)
	case !key && !personal && !admin:
		return "", bridge.E(bridge.Forbidden, bridge.CodeKeyOrganization, "only an admin creates keys of the organization").
			WithHint("create a personal access token: ace api-key create --personal")
	}
	return kind, nil
}

var errAllowlist = bridge.E(bridge.Forbidden, bridge.CodeAllowFromCeiling,
	"a key cannot give out a secret that works from addresses where it does not work itself")

// requireReissue checks that the caller may have a new secret for an existing key, or bring it back: they can see it and could
// mint it as it is. Since the key acts in its owner's name, the caller must be the owner, or an admin in person.
func (m minting) requireReissue(r record.Record) (bounds, error) {
	if !m.a.ViewOf(m.by.Who).sees(r) {
		return bounds{}, record.ErrUnknown
	}
	if r.Kind == bridge.KindSK {
		return bounds{}, bridge.E(bridge.Conflict, bridge.CodeKeyOfConnection,
			"this key belongs to a connection, and only the cloud has its secret").
			WithHint("connect again: ace connect --server URL")
	}
	if personal := r.Kind == bridge.KindPAT; r.Owner != m.by.Who.Subject && (personal || !m.by.minter().Admin) {
		e := bridge.E(bridge.Forbidden, bridge.CodeKeyOwner, "the key belongs to %s and acts in that name", r.Owner)
		if personal {
			return bounds{}, e.WithHint("ask %s; anybody's token can be revoked by an admin", r.Owner)
		}
		return bounds{}, e.WithHint("ask %s or an admin", r.Owner)
	}
	b, err := m.bounds()
	if err != nil {
		return bounds{}, err
	}
	if !record.Within(r.Limits.AllowFrom, b.allowFrom) {
		return bounds{}, errAllowlist
	}
	return b, m.a.cfg.Catalogue.Within(m.by.minter(), r.Scopes)
}

var errLineageLong = bridge.E(bridge.Forbidden, bridge.CodeLineageTooLong,
	"a chain of keys made with keys has at most %d keys", record.MaxLineage).
	WithHint("create it with the key that this one was made with, or let an admin create an organization key")

// lineage decides what a minted key is: personal, unless an admin in person or a key with the scope for it wants otherwise.
func (m minting) lineage(kind bridge.KeyKind, wish string) (record.Lineage, error) {
	mayOrganization := kind != bridge.KindPAT && (m.by.minter().Admin || m.by.Who.Covers(bridge.ScopeCreateOrganization))
	switch {
	case wish != "" && wish != record.LineagePersonal && wish != record.LineageOrganization:
		return record.Lineage{}, bridge.E(bridge.Invalid, bridge.CodeLineageUnknown,
			"a key is personal or belongs to the organization; %.40q is neither", wish)
	case wish == record.LineageOrganization && !mayOrganization:
		return record.Lineage{}, bridge.E(bridge.Forbidden, bridge.CodeLineageOrganization,
			"only an admin in person, or a key with the scope %s, makes an organization key", bridge.ScopeCreateOrganization).
			WithHint("ask an admin, or use: ace server token --role admin")
	case mayOrganization && wish != record.LineagePersonal:
		return record.Lineage{Kind: record.LineageOrganization}, nil
	}
	l := record.Lineage{Kind: record.LineagePersonal, Parent: m.by.Who.KeyID, Subject: m.by.Who.Subject}
	if !m.a.cfg.Personal { // a cloud looks up its people's current roles instead
		l.Limit.Role = m.by.Who.Role
	}
	if m.by.Who.Type == bridge.TypeAccessToken {
		l.Limit.Number, l.Limit.At = m.by.Who.Number, m.by.Who.IssuedAt.Unix()
	} else if m.by.Who.KeyID != uuid.Nil {
		f, _ := m.a.table.Find(m.by.Who.KeyID)
		l.Limit.Number = f.Taken().Highest
		l.Limit.At = m.a.line.Now().Unix()
	}
	if depth := m.a.table.Depth(l.Parent); depth >= record.MaxLineage {
		return record.Lineage{}, errLineageLong
	}
	return l, nil
}
