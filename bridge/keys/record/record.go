package record

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// The states of a key.
const (
	StatusActive      = "active"
	StatusUnconfirmed = "unconfirmed" // exchanged, and waiting for its first use
	StatusDisabled    = "disabled"    // until it is enabled
	StatusExpired     = "expired"
	StatusUsedUp      = "used_up" // all its uses are taken
	StatusRevoked     = "revoked"
	StatusLapsed      = "lapsed" // exchanged, and never used in time
)

// Record is a key as it is stored, less what verifies it. Times are zero where there is none.
type Record struct {
	ID          uuid.UUID
	Kind        bridge.KeyKind
	Prefix      string
	Name        string
	Description string
	Org         string
	Owner       string
	CreatedBy   string
	Role        bridge.Role // of the person whom an exchange was for; an access token of the key has no higher one
	Scopes      bridge.Scopes
	Limits      Limits
	Uses        int64 // counted where there is a limit
	CreatedAt   time.Time
	IssuedAt    time.Time // of the secret
	ExpiresAt   time.Time
	ConfirmBy   time.Time
	GraceUntil  time.Time // the secret before a rotation is valid until then
	UsedAt      time.Time
	UsedFrom    string
	UsedAgent   string
	DisabledAt  time.Time
	DisabledBy  string
	DoubtedAt   time.Time // a restored database was accepted then, and the key may have been revoked before
	EndedAt     time.Time
	EndedBy     string
	EndReason   string
	Lineage     Lineage
	Replaces    uuid.UUID // of a connection's key: the one that it replaces
}

// Status is the state of the key at a time.
func (r Record) Status(now time.Time) string {
	return StatusOf(Facts{Ended: !r.EndedAt.IsZero(), Disabled: !r.DisabledAt.IsZero(), Expires: Unix(r.ExpiresAt),
		ConfirmBy: Unix(r.ConfirmBy), UsedUp: r.Limits.MaxUses > 0 && r.Uses >= r.Limits.MaxUses}, now.Unix())
}

// Facts are what the state of a key follows from.
type Facts struct {
	Ended, Disabled, UsedUp bool
	Expires, ConfirmBy      int64 // 0: never, not needed
}

// StatusOf is the state of a key at a time, in unix seconds.
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

// Ended says when, by whom and why the key died; nil while it lives.
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
			at = r.IssuedAt // the last use is stored some seconds late
		}
		return &api.KeyEnd{At: at, By: "system", Reason: fmt.Sprintf("all %d uses are taken", r.Limits.MaxUses)}
	}
	return nil
}

// API is the key in its wire form, without the effect of its ancestors.
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
