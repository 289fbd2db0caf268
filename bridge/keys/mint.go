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

// ViewOf is which keys an identity sees. Test keys see test keys only, live keys live ones, and neither sees anybody's
// personal access tokens. Where there are such tokens, a person sees their own keys, and an admin all of the organization.
func (a *Authority) ViewOf(who bridge.Identity) View {
	v := View{Org: who.Org}
	switch {
	case who.Kind == bridge.KindLive || who.Kind == bridge.KindTest:
		v.Environment, v.impersonal = who.Environment, true
	case a.cfg.Personal && !who.Role.AtLeast(bridge.RoleAdmin):
		v.owner = who.Subject
	}
	return v
}

func (by By) minter() catalogue.Minter {
	return catalogue.Minter{Org: by.Who.Org, Scopes: by.Who.Scopes,
		// A key is no admin, whatever its scopes: what only an admin may grant takes an admin in person.
		Admin: by.Who.Type != bridge.TypeAPIKey && by.Who.Role.AtLeast(bridge.RoleAdmin)}
}

// bounds are what a key passes on to the keys it mints: its allowlist and, where it was made for an app, its expiry.
type bounds struct {
	allowFrom []netip.Prefix
	expires   time.Time // zero: no bound
}

func (a *Authority) boundsOf(by By) (bounds, error) {
	if by.Who.KeyID == uuid.Nil {
		return bounds{}, nil
	}
	f, ok := a.table.find(by.Who.KeyID)
	if !ok {
		return bounds{}, errUnknown
	}
	if by.Who.Generation != f.generation() {
		return bounds{}, errReplaced
	}
	var b bounds
	if f.special != nil {
		if f.special.limits.counted() {
			return bounds{}, bridge.E(bridge.Forbidden, "minter_limited",
				"a key with a rate limit or a number of uses cannot give out secrets, which would have none")
		}
		b.allowFrom = f.special.limits.AllowFrom
	}
	if confined(by.Who) {
		b.expires = at(int64(f.expires))
	}
	return b, nil
}

var errReplaced = bridge.E(bridge.Forbidden, "minter_rotated", "a secret that has been replaced gives out no secrets").
	WithHint("use the new one")

// expiry holds a wish against the bound. A wish that nobody made is cut to it.
func (b bounds) expiry(expires time.Time, asked bool) (time.Time, error) {
	if b.expires.IsZero() || (!expires.IsZero() && !expires.After(b.expires)) {
		return expires, nil
	}
	if asked {
		return time.Time{}, bridge.E(bridge.Forbidden, "expiry_ceiling",
			"a key cannot give another a longer life than its own, which ends at %s", b.expires.Format(time.RFC3339))
	}
	return b.expires, nil
}

// grantExpiry holds an expiry against the bounds of who asks and what the catalogue lets them grant.
func (a *Authority) grantExpiry(by By, b bounds, expires time.Time, asked bool) (time.Time, error) {
	expires, err := b.expiry(expires, asked)
	if err != nil {
		return time.Time{}, err
	}
	return expires, a.cfg.Catalogue.GrantExpiry(by.minter(), expires, a.cfg.Now())
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
func (a *Authority) Mint(ctx context.Context, by By, w Wish) (bridge.Key, Record, error) {
	var none bridge.Key
	n := NewKey{Kind: w.Kind, Name: w.Name, Description: w.Description, Org: by.Who.Org, Owner: by.Who.Subject, minter: by.Who}
	b, err := a.boundsOf(by)
	if err != nil {
		return none, Record{}, err
	}
	if n.Kind, err = a.mintedKind(by, w.Kind); err != nil {
		return none, Record{}, err
	}
	if n.Lineage, err = a.lineageOf(by, n.Kind, w.Lineage); err != nil {
		return none, Record{}, err
	}
	if n.Lineage.Kind == LineageOrganization {
		b.expires = time.Time{} // it outlives its maker
	}
	if n.ExpiresAt, err = ParseExpiry(w.ExpiresIn, a.cfg.Now()); err != nil {
		return none, Record{}, err
	}
	if n.ExpiresAt, err = a.grantExpiry(by, b, n.ExpiresAt, w.ExpiresIn != ""); err != nil {
		return none, Record{}, err
	}
	n.ExpiresAt = a.minted(n.Lineage, n.ExpiresAt)
	if n.Limits, err = ParseLimits(w.AllowFrom, w.Rate, w.MaxUses); err != nil {
		return none, Record{}, err
	}
	if len(n.Limits.AllowFrom) == 0 {
		n.Limits.AllowFrom = b.allowFrom
	}
	if !within(n.Limits.AllowFrom, b.allowFrom) {
		return none, Record{}, errAllowlist
	}
	if n.Scopes, err = a.cfg.Catalogue.Grant(by.minter(), w.Preset, w.Scopes); err != nil {
		return none, Record{}, err
	}
	if n.Kind == bridge.KindPAT {
		n.bind = by.Bind
	}
	return a.Create(ctx, by.Actor, n)
}

// mintedKind holds the kind that is wished for against what the minter may create. Where there are personal access tokens,
// everybody creates their own; keys of the organization, which outlive their maker, take an admin.
func (a *Authority) mintedKind(by By, kind bridge.KeyKind) (bridge.KeyKind, error) {
	key, admin := confined(by.Who), !a.cfg.Personal || by.Who.Role.AtLeast(bridge.RoleAdmin)
	if kind == "" {
		switch {
		case key:
			kind = by.Who.Kind
		case admin:
			kind = bridge.KindLive
		default:
			kind = bridge.KindPAT
		}
	}
	personal := kind == bridge.KindPAT && a.cfg.Personal
	switch {
	case kind != bridge.KindLive && kind != bridge.KindTest && !personal:
		return "", bridge.E(bridge.Invalid, "key_kind", "a key of the kind %q cannot be created here", kind).WithHint("take live or test")
	case key && kind != by.Who.Kind:
		return "", bridge.E(bridge.Forbidden, "key_environment", "a %s key creates %s keys only", by.Who.Kind, by.Who.Kind)
	case !key && !personal && !admin:
		return "", bridge.E(bridge.Forbidden, "key_organization", "only an admin creates keys of the organization").
			WithHint("create a personal access token: ace api-key create --personal")
	}
	return kind, nil
}

var errAllowlist = bridge.E(bridge.Forbidden, "allow_from_ceiling",
	"a key cannot give out a secret that works from addresses from which it does not work itself")

// mayReissue checks that somebody may have a new secret of an existing key, or bring it back: it is theirs to see, and
// they could mint it as it is. Its owner's name goes with it, so that it is the owner's own, or an admin's in person.
func (a *Authority) mayReissue(by By, r Record) (bounds, error) {
	if !a.ViewOf(by.Who).sees(r) {
		return bounds{}, errUnknown
	}
	if r.Kind == bridge.KindSK {
		return bounds{}, bridge.E(bridge.Conflict, "key_of_connection", "this key belongs to a connection, and only the cloud has its secret").
			WithHint("connect again: ace connect --server URL")
	}
	if personal := r.Kind == bridge.KindPAT; r.Owner != by.Who.Subject && (personal || !by.minter().Admin) {
		e := bridge.E(bridge.Forbidden, "key_owner", "the key is %s's, and acts in that name", r.Owner)
		if personal {
			return bounds{}, e.WithHint("ask %s; anybody's token can be revoked by an admin", r.Owner)
		}
		return bounds{}, e.WithHint("ask %s or an admin", r.Owner)
	}
	b, err := a.boundsOf(by)
	if err != nil {
		return bounds{}, err
	}
	if !within(r.Limits.AllowFrom, b.allowFrom) {
		return bounds{}, errAllowlist
	}
	return b, a.cfg.Catalogue.Within(by.minter(), r.Scopes)
}
