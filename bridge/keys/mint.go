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

// By is who asks for a change: the identity that was verified, and how the audit log names it.
type By struct {
	audit.Actor
	Who bridge.Identity
	// Bind runs in the transaction that makes a personal access token, to bind it to what it must end with; nil: nothing.
	Bind func(ctx context.Context, tx *sql.Tx, id uuid.UUID) error
}

// confined reports whether the identity comes from a key that somebody created: for an app, or for themselves. Such a key
// keeps to its own kind and never passes on more than it has; a person does not, nor does a connection, which names its
// person.
func confined(who bridge.Identity) bool {
	return who.Kind == bridge.KindLive || who.Kind == bridge.KindTest || who.Kind == bridge.KindPAT
}

func (by By) minter() catalogue.Minter {
	return catalogue.Minter{Org: by.Who.Org, Scopes: by.Who.Scopes,
		// A key is no admin, whatever its scopes: what only an admin may grant takes an admin in person.
		Admin: by.Who.Type != bridge.TypeAPIKey && by.Who.Role.AtLeast(bridge.RoleAdmin)}
}

// minting is what somebody may give out of an authority's keys.
type minting struct {
	a  *Authority
	by By
}

// bounds are what a key passes on to the keys it mints: its allowlist and, where it was made for an app, its expiry.
type bounds struct {
	allowFrom []netip.Prefix
	expires   time.Time // zero: no bound
}

// bounds are those of the key that asks.
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

var errReplaced = bridge.E(bridge.Forbidden, bridge.CodeMinterRotated, "a secret that has been replaced gives out no secrets").
	WithHint("use the new one")

// expiry holds a wish against the bound. A wish that nobody made is cut to it.
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

// grantExpiry holds an expiry against the bounds of who asks and what the catalogue lets them grant.
func (m minting) grantExpiry(b bounds, expires time.Time, asked bool) (time.Time, error) {
	expires, err := b.expiry(expires, asked)
	if err != nil {
		return time.Time{}, err
	}
	return expires, m.a.cfg.Catalogue.GrantExpiry(m.by.minter(), expires, m.a.line.Now())
}

// Wish is what somebody wants a new key to be, as it comes over the wire.
type Wish struct {
	Kind        bridge.KeyKind // empty: the minter's own kind, or what the minter may create
	Name        string
	Description string
	Preset      string
	Scopes      []string
	ExpiresIn   string
	AllowFrom   []string
	Rate        string
	MaxUses     int64
	Lineage     string // personal or organization; empty: what the minter may make
}

// Mint creates a key for somebody who holds key:create: within the minter's scopes and ceiling, environment, expiry and
// allowlist.
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
		b.expires = time.Time{} // it outlives its maker
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

// kind holds the kind that is wished for against what the minter may create. Where there are personal access tokens,
// everybody creates their own; keys of the organization, which outlive their maker, take an admin.
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
	"a key cannot give out a secret that works from addresses from which it does not work itself")

// requireReissue checks that somebody may have a new secret of an existing key, or bring it back: it is theirs to see, and
// they could mint it as it is. Its owner's name goes with it, so that it is the owner's own, or an admin's in person.
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
		e := bridge.E(bridge.Forbidden, bridge.CodeKeyOwner, "the key is %s's, and acts in that name", r.Owner)
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
	"a key made through a key made through a key … is at most %d keys long", record.MaxLineage).
	WithHint("make it with the key that this one was made with, or let an admin make an organization key")

// lineage says what a key that somebody mints is: personal, unless an admin in person or a key with the scope for it makes it.
func (m minting) lineage(kind bridge.KeyKind, wish string) (record.Lineage, error) {
	mayOrganization := kind != bridge.KindPAT && (m.by.minter().Admin || m.by.Who.Covers(bridge.ScopeCreateOrganization))
	switch {
	case wish != "" && wish != record.LineagePersonal && wish != record.LineageOrganization:
		return record.Lineage{}, bridge.E(bridge.Invalid, bridge.CodeLineageUnknown,
			"a key is personal or of the organization, and not %.40q", wish)
	case wish == record.LineageOrganization && !mayOrganization:
		return record.Lineage{}, bridge.E(bridge.Forbidden, bridge.CodeLineageOrganization,
			"only an admin in person, or a key with the scope %s, makes an organization key", bridge.ScopeCreateOrganization).
			WithHint("ask an admin, or use: ace server token --role admin")
	case mayOrganization && wish != record.LineagePersonal:
		return record.Lineage{Kind: record.LineageOrganization}, nil
	}
	l := record.Lineage{Kind: record.LineagePersonal, Parent: m.by.Who.KeyID, Subject: m.by.Who.Subject}
	if !m.a.cfg.Personal { // a cloud knows the roles of its people at any time
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
