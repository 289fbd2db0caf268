package table

import (
	"context"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/record"
)

// verifyAccess verifies an access token derived from a key.
func (t *Table) verifyAccess(ctx context.Context, token bridge.Secret, f Found, now int64) (bridge.Identity, error) {
	at1 := time.Unix(now, 0)
	id := f.identity()
	claims, err := bridge.VerifyAccess(token, f.PublicKey(), t.cfg.Servers, at1)
	if err != nil && f.special != nil && now < f.special.grace {
		if old, oldErr := bridge.VerifyAccess(token, f.special.previous.PublicKey(), t.cfg.Servers, at1); oldErr == nil {
			claims, err, id = old, nil, f.previousIdentity()
		}
	}
	if err != nil {
		return bridge.Identity{}, err
	}
	if f.kind() == bridge.KindSK && claims.Generation > t.line.Highest() {
		if err := t.line.Told(ctx, claims.Generation); err != nil {
			return bridge.Identity{}, err
		}
	}
	if t.line.Ended(claims.IssuedAt, claims.ExpiresAt) {
		return bridge.Identity{}, Refuse(bridge.CodeTokenExpired, "the access token had expired before the clock was set back")
	}
	issued := time.Unix(claims.IssuedAt, 0).UTC()
	if f.withdrawn(claims.Subject, issued, claims.Number) {
		return bridge.Identity{}, ErrWithdrawn
	}
	id.Type, id.Subject, id.Connection, id.IssuedAt = bridge.TypeAccessToken, claims.Subject, claims.Connection, issued
	id.Number, id.Probe = claims.Number, claims.Probe
	if claims.Subject != f.owner && !t.actsAs(&f, now) {
		return bridge.Identity{}, errCannotActAs
	}
	id.Scopes = id.Scopes.Cap(claims.Scopes())
	if claims.Role != "" {
		id.Scopes = id.Scopes.Cap(t.cfg.Catalogue.Ceiling(claims.Role))
		// Anyone who holds a key can sign any role. So a token's role counts only if its key was exchanged for a person, and
		// only up to that person's role.
		id.Role = claims.Role.AtMost(roles[f.role])
	}
	// The organization is always the key's, whatever the token and the ceilings say.
	id.Scopes = t.cfg.Catalogue.WithOrg(id.Scopes, id.Org)
	if expires := record.At(claims.ExpiresAt); id.ExpiresAt.IsZero() || expires.Before(id.ExpiresAt) {
		id.ExpiresAt, id.WarnFrom = expires, time.Time{}
	}
	return id, nil
}

var errCannotActAs = bridge.E(bridge.Unauthenticated, bridge.CodeKeyCannotActAs,
	"the access token names a subject other than the key's owner, and the key does not speak for others").
	WithHint("make one that does, on the server: ace api-key create --for-connection")

// actsAs reports whether a key's access tokens may name subjects other than its owner.
func (t *Table) actsAs(f *Found, now int64) bool {
	if f.kind() == bridge.KindSK {
		return true
	}
	id := f.identity()
	return id.Scopes.Covers(bridge.ScopeActAs) && t.chain(f, &id, nil, now) == nil && id.Scopes.Covers(bridge.ScopeActAs)
}
