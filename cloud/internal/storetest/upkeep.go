package storetest

import (
	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/upkeep"
)

// Exchanged registers a connection as a connect does.
func (f *Fixture) Exchanged(p accounts.Principal, server bridge.ServerURL) (api.Connection, bridge.Key) {
	f.T.Helper()
	claims, err := f.Connections.ConnectClaims(f.T.Context(), p, server)
	if err != nil {
		f.T.Fatal(err)
	}
	key := bridge.NewKey(bridge.KindSK, uuid.New())
	sealed, err := bridge.Seal(claims.Sealing, claims.Binding(), key)
	if err != nil {
		f.T.Fatal(err)
	}
	c, _, err := f.Connections.Register(f.T.Context(), p.As(p.Actor("", "")), api.RegisterRequest{ServerURL: string(server), SealedKey: sealed})
	if err != nil {
		f.T.Fatal(err)
	}
	return c, key
}

// DueRotations lists the connections whose keys are to be rotated.
func (f *Fixture) DueRotations() []upkeep.DueRotation {
	f.T.Helper()
	due, err := f.Upkeep.DueRotations(f.T.Context(), 100)
	if err != nil {
		f.T.Fatal(err)
	}
	return due
}

// BeginRotation takes up the one rotation that is due.
func (f *Fixture) BeginRotation() upkeep.Rotation {
	f.T.Helper()
	due := f.DueRotations()
	if len(due) != 1 {
		f.T.Fatalf("%d rotations are due", len(due))
	}
	t, taken, err := f.Upkeep.BeginRotation(f.T.Context(), due[0])
	if err != nil || !taken || t.Idempotency.Len() < 40 {
		f.T.Fatalf("begin: taken %v, %d characters (%v)", taken, t.Idempotency.Len(), err)
	}
	return t
}

// Audited lists the audit entries of one action.
func (f *Fixture) Audited(p accounts.Principal, action string) []api.AuditEntry {
	f.T.Helper()
	list, _, err := f.Accounts.Audit(f.T.Context(), p, audit.Query{Action: action})
	if err != nil {
		f.T.Fatal(err)
	}
	return list
}
