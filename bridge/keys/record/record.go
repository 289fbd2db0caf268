package record

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// States of a key.
const (
	StatusActive      = "active"
	StatusUnconfirmed = "unconfirmed" // exchanged, waiting for its first use
	StatusDisabled    = "disabled"    // until somebody enables it
	StatusExpired     = "expired"
	StatusUsedUp      = "used_up" // no uses are left
	StatusRevoked     = "revoked"
	StatusLapsed      = "lapsed" // exchanged, but not used in time
)

// Record is a key as stored, without what verifies it. A time that does not apply is zero.
type Record struct {
	ID          uuid.UUID
	Kind        bridge.KeyKind
	Prefix      string
	Name        string
	Description string
	Org         string
	Owner       string
	CreatedBy   string
	Role        bridge.Role // of the person an exchange was for; caps the role of the key's access tokens
	Scopes      bridge.Scopes
	Limits      Limits
	Uses        int64 // counted only if there is a limit
	CreatedAt   time.Time
	IssuedAt    time.Time // of the secret
	ExpiresAt   time.Time
	ConfirmBy   time.Time
	GraceUntil  time.Time // until then the secret from before the rotation is valid
	UsedAt      time.Time
	UsedFrom    string
	UsedAgent   string
	DisabledAt  time.Time
	DisabledBy  string
	DoubtedAt   time.Time // when a restored database was accepted, from which the key's revocation may be missing
	EndedAt     time.Time
	EndedBy     string
	EndReason   string
	Lineage     Lineage
	Replaces    uuid.UUID // of a connection's key: the key that it replaces
}

// Status returns the key's state at a time.
func (r Record) Status(now time.Time) string {
	return StatusOf(Facts{Ended: !r.EndedAt.IsZero(), Disabled: !r.DisabledAt.IsZero(), Expires: Unix(r.ExpiresAt),
		ConfirmBy: Unix(r.ConfirmBy), UsedUp: r.Limits.MaxUses > 0 && r.Uses >= r.Limits.MaxUses}, now.Unix())
}

// Facts are what a key's state follows from.
type Facts struct {
	Ended, Disabled, UsedUp bool
	Expires, ConfirmBy      int64 // unix seconds; 0: never, or not needed
}

// StatusOf returns a key's state at a time (unix seconds).
func StatusOf(f Facts, now int64) string {
	switch {
	case f.Ended:
		return StatusRevoked
	case f.Expires != 0 && now >= f.Expires:
		return StatusExpired
	case f.ConfirmBy != 0 && now >= f.ConfirmBy:
		return StatusLapsed
	case f.UsedUp:
		return StatusUsedUp
	case f.Disabled:
		return StatusDisabled
	case f.ConfirmBy != 0:
		return StatusUnconfirmed
	}
	return StatusActive
}

// Ended says when, by whom and why the key died; nil if it is alive.
func (r Record) Ended(now time.Time) *api.KeyEnd {
	switch r.Status(now) {
	case StatusRevoked:
		return &api.KeyEnd{At: r.EndedAt, By: r.EndedBy, Reason: r.EndReason}
	case StatusExpired:
		return &api.KeyEnd{At: r.ExpiresAt, By: "system", Reason: "it expired"}
	case StatusLapsed:
		return &api.KeyEnd{At: r.ConfirmBy, By: "system", Reason: "it was never used after the exchange"}
	case StatusUsedUp:
		at := r.UsedAt
		if at.IsZero() {
			at = r.IssuedAt // last uses are stored some seconds late
		}
		return &api.KeyEnd{At: at, By: "system", Reason: fmt.Sprintf("all %d uses are taken", r.Limits.MaxUses)}
	}
	return nil
}

// API returns the key in wire form, without regard to its ancestors.
func (r Record) API(now time.Time) api.APIKey {
	k := api.APIKey{
		KeyID: r.ID.String(), Prefix: r.Prefix, Kind: string(r.Kind), Name: r.Name, Description: r.Description,
		Owner: r.Owner, Org: r.Org, Scopes: r.Scopes.Strings(), Status: r.Status(now), CreatedBy: r.CreatedBy,
		CreatedAt: r.CreatedAt, Ended: r.Ended(now), AllowFrom: prefixStrings(r.Limits.AllowFrom),
		Rate: r.Limits.Rate.String(), MaxUses: r.Limits.MaxUses, Uses: r.Uses,
	}
	k.Lineage, k.Subject, k.ParentUnknown = r.Lineage.Kind, r.Lineage.Subject, r.Lineage.ParentUnknown
	k.Parent = IDText(r.Lineage.Parent)
	k.Limit = r.Lineage.Limit.API()
	if !r.ExpiresAt.IsZero() {
		k.ExpiresAt = &r.ExpiresAt
	}
	if !r.DoubtedAt.IsZero() && r.EndedAt.IsZero() {
		k.DoubtedAt = &r.DoubtedAt
	}
	if !r.DisabledAt.IsZero() {
		k.Disabled = &api.KeyDisabled{At: r.DisabledAt, By: r.DisabledBy}
	}
	if now.Before(r.GraceUntil) {
		k.GraceUntil = &r.GraceUntil
	}
	if !r.UsedAt.IsZero() {
		k.LastUsed = &api.LastUse{At: r.UsedAt, Address: r.UsedFrom, UserAgent: r.UsedAgent}
	}
	return k
}
