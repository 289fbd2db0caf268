package table

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/record"
)

// sampleRow returns the row of a typical key.
func sampleRow(i int) record.Row {
	id := uuid.Must(uuid.NewV7())
	now := time.Now()
	return record.Row{Version: 1, Current: record.Proof{Hash: sha256.Sum256(id[:])}, Record: record.Record{ID: id, Kind: bridge.KindLive, Org: "acme",
		Owner: fmt.Sprintf("user-%d@example.com", i), Scopes: bridge.Scopes{"app:*"}, IssuedAt: now, ExpiresAt: now.Add(bridge.DefaultKeyLife)}}
}

// TestIndex checks that the index finds every key and no other, however it grows.
func TestIndex(t *testing.T) {
	m := newMemory()
	const n = 50_000
	var all [n]record.Row
	for i := range all {
		all[i] = sampleRow(i)
		if !m.put(&all[i]) || m.put(&all[i]) {
			t.Fatal("a key is taken once, and not twice at the same version")
		}
	}
	for i := range all {
		f, ok := m.find(all[i].ID)
		if !ok || f.Proof != all[i].Current || f.owner != all[i].Owner || f.org != "acme" || f.scopes.String() != "app:*" {
			t.Fatalf("key %d: %v %+v", i, ok, f)
		}
	}
	for i := range 1000 {
		r := sampleRow(i)
		if _, ok := m.find(r.ID); ok {
			t.Fatal("a key that was never put in is found")
		}
	}
}

// TestManyScopeSets checks that many sets of scopes, only some of which stay parsed, come back unchanged.
func TestManyScopeSets(t *testing.T) {
	m := newMemory()
	var all []record.Row
	for i := range 60_000 {
		r := sampleRow(i)
		r.Scopes = bridge.Scopes{bridge.Scope("agent:" + r.ID.String()), "app:read"}
		m.put(&r)
		all = append(all, r)
	}
	for i := range all {
		if f, ok := m.find(all[i].ID); !ok || f.scopes.String() != all[i].Scopes.String() {
			t.Fatalf("key %d has %v, want %v", i, f.scopes, all[i].Scopes)
		}
	}
}
