package storetest

import (
	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/tokens"
)

// Statements are the withdrawals to deliver now.
func (f *Fixture) Statements() (out []tokens.Withdrawal) {
	f.T.Helper()
	lost, err := f.Tokens.LostTokens(f.T.Context(), tokens.Look{Alive: func(id uuid.UUID) bool { return !f.Dead[id] }})
	if err != nil {
		f.T.Fatal(err)
	}
	for _, l := range lost {
		w, ok, err := f.Tokens.WithdrawTokens(f.T.Context(), l)
		if err != nil {
			f.T.Fatal(err)
		}
		if ok {
			out = append(out, w)
		}
	}
	return out
}

// Relay is the access of somebody to a connection, as the relay gets it.
func (f *Fixture) Relay(p accounts.Principal, id string) tokens.AccessTerms {
	f.T.Helper()
	g, err := f.Tokens.Relay(f.T.Context(), p.As(p.Actor("", "")), id)
	if err != nil {
		f.T.Fatal(err)
	}
	return g
}

// Hold asks for one grant among many that hold.
func (f *Fixture) Hold(g, other tokens.AccessTerms) tokens.Hold {
	f.T.Helper()
	all := make([]tokens.AccessTerms, 0, 251)
	for range 250 {
		all = append(all, other)
	}
	all = append(all, g)
	still, err := f.Tokens.RelayStill(f.T.Context(), all)
	if err != nil {
		f.T.Fatal(err)
	}
	for i, hold := range still[:250] {
		if hold != tokens.Holds {
			f.T.Fatalf("another grant, the %dth, has ended", i)
		}
	}
	return still[250]
}

// Revoked delivers all revocations that are due, and returns the IDs of their keys in the order of their delivery.
func (f *Fixture) Revoked() (keys []string) {
	f.T.Helper()
	for {
		due, err := f.Upkeep.DueRevocations(f.T.Context(), 100)
		if err != nil {
			f.T.Fatal(err)
		}
		if len(due) == 0 {
			return keys
		}
		for _, v := range due {
			if err := f.Upkeep.RevocationDelivered(f.T.Context(), v.ID, audit.Actor{ID: "system"}); err != nil {
				f.T.Fatal(err)
			}
			keys = append(keys, v.KeyID)
		}
	}
}

// Shared registers a connection with a key and shares it.
func (f *Fixture) Shared(p accounts.Principal, server string, key bridge.Secret) api.Connection {
	f.T.Helper()
	c := f.Register(p, server, key.Reveal())
	f.Patch(p, c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)})
	return c
}

// Patch changes a connection.
func (f *Fixture) Patch(p accounts.Principal, id string, patch api.ConnectionPatch) {
	f.T.Helper()
	if _, err := f.Connections.Patch(f.T.Context(), p.As(p.Actor("", "")), id, patch); err != nil {
		f.T.Fatal(err)
	}
}

// Ceiling is a patch that sets scopes, or lifts the ceiling where there are none.
func Ceiling(scopes ...string) api.ConnectionPatch {
	if len(scopes) == 0 {
		return api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true}}
	}
	return api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Scopes: scopes}}}
}

// Limited is a limit to some scopes.
func Limited(scopes ...string) api.MemberLimit {
	return api.MemberLimit{Access: connections.AccessLimited, Ceiling: api.Ceiling{Scopes: scopes}}
}

// Nothing is the limit that leaves nothing.
func Nothing() api.MemberLimit { return api.MemberLimit{Access: connections.AccessNone} }

// Limit limits a member or a key.
func (f *Fixture) Limit(by accounts.Principal, id, user string, l api.MemberLimit) error {
	f.T.Helper()
	_, err := f.Connections.LimitMember(f.T.Context(), by.As(by.Actor("", "")), id, connections.LimitSubject{ID: user, Key: true}, l)
	return err
}

// Service is an API key of the cloud as a principal.
func (f *Fixture) Service(owner accounts.Principal, scopes ...bridge.Scope) accounts.Principal {
	f.T.Helper()
	p, err := f.Accounts.KeyPrincipal(f.T.Context(), bridge.Identity{Type: bridge.TypeAPIKey, KeyID: uuid.New(), Kind: bridge.KindLive,
		Subject: owner.Email, Org: owner.Org, Scopes: scopes}, accounts.KeyFacts{Name: "ci"})
	if err != nil {
		f.T.Fatal(err)
	}
	return p
}

// ScopesOf are the scopes of the access token that somebody gets, or the code of the refusal.
func (f *Fixture) ScopesOf(p accounts.Principal, id string, key bridge.Key, server bridge.ServerURL) bridge.Code {
	f.T.Helper()
	credential, err := f.Tokens.Credential(f.T.Context(), p, id)
	g, relayErr := f.Tokens.Relay(f.T.Context(), p.As(p.Actor("", "")), id)
	if bridge.CodeOf(err) != bridge.CodeOf(relayErr) {
		f.T.Errorf("the relay says %v, the credential %v", relayErr, err)
	}
	if err != nil {
		return bridge.CodeOf(err)
	}
	var out []string
	for _, c := range []api.Credential{credential, g.Credential} {
		claims, err := bridge.VerifyAccess(c.Value.Secret, key.PublicKey(), []bridge.ServerURL{server}, f.Clock())
		if err != nil || claims.Subject != p.Email || claims.Connection != id {
			f.T.Fatalf("%+v %v", claims, err)
		}
		out = append(out, claims.Scope)
	}
	if out[0] != out[1] {
		f.T.Errorf("the relay's token has %q, the other %q", out[1], out[0])
	}
	return bridge.Code(out[0])
}

// LimitOff ends the limit of a member.
func (f *Fixture) LimitOff(by accounts.Principal, id, user string) {
	f.T.Helper()
	if _, err := f.Connections.UnlimitMember(f.T.Context(), by.As(by.Actor("", "")), id, connections.LimitSubject{ID: user}); err != nil {
		f.T.Fatal(err)
	}
}
