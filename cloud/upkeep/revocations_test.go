package upkeep_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/upkeep"
)

// disconnects removes connections that are made for it, a second after each other, and returns the IDs of their keys.
func (f *fixture) disconnects(p accounts.Principal, n int) (keys []string) {
	f.T.Helper()
	for i := range n {
		c := f.Register(p, fmt.Sprintf("https://%d.%s.test", i, p.Org), storetest.AceKey().Text().Reveal())
		if _, err := f.Connections.Delete(f.T.Context(), p.As(audit.Actor{}), c.ID); err != nil {
			f.T.Fatal(err)
		}
		f.Advance(time.Second)
		keys = append(keys, c.KeyID)
	}
	return keys
}

// However many revocations of an organization wait, those of others take their turn; and all come in the end, oldest first.
func TestRevocationsTakeTurns(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		flood := f.disconnects(f.Person("eve@e.test", "flood", bridge.RoleMember), 10)
		few := f.disconnects(f.Person("ann@a.test", "acme", bridge.RoleMember), 2)
		one := f.disconnects(f.Person("bob@b.test", "bold", bridge.RoleMember), 1)
		if due, err := f.Upkeep.DueRevocations(t.Context(), 100); err != nil || len(due) != 0 {
			t.Errorf("%d are due while those who have disconnected deliver them (%v)", len(due), err)
		}
		f.Advance(time.Minute)
		if due, err := f.Upkeep.DueRevocations(t.Context(), 100); err != nil || len(due) != 4+2+1 {
			t.Errorf("%d are listed, want no more than 4 of each organization (%v)", len(due), err)
		}
		due, err := f.Upkeep.DueRevocations(t.Context(), 5)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range due {
			got = append(got, v.KeyID)
		}
		if want := []string{flood[0], few[0], one[0], flood[1], few[1]}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		want := slices.Concat([]string{flood[0], few[0], one[0], flood[1], few[1]}, flood[2:])
		if got := f.Revoked(); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// What cannot be decrypted is put off like what cannot be delivered, and stands in nobody's way.
func TestRevocationThatCannotBeDecrypted(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		f.disconnects(p, 5)
		f.Open(storetest.NewKeys(t))
		last := f.disconnects(p, 1)
		f.Advance(time.Minute)
		for range 2 {
			due, err := f.Upkeep.DueRevocations(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range due {
				if v.Err == nil {
					if v.KeyID != last[0] {
						t.Errorf("%+v is decrypted", v)
					}
					return
				}
				if err := f.Upkeep.RevocationFailed(t.Context(), v, v.Err.Error()); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Error("what can be delivered is not due")
	})
}

// A connect that replaces a connection's key names the one before, which is revoked once the new one works, or has lapsed.
func TestReplacedKeyIsRevokedOnceTheNewOneWorks(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		c, first := f.Exchanged(p, "https://ace.a.test")
		claims, err := f.Connections.ConnectClaims(t.Context(), p, "https://ace.a.test")
		if err != nil || claims.Replaces != first.ID.String() {
			t.Fatalf("it replaces %q, %v", claims.Replaces, err)
		}
		_, second := f.Exchanged(p, "https://ace.a.test")
		if got := f.Revoked(); len(got) != 0 {
			t.Errorf("revoked before the new key works: %v", got)
		}
		target, err := f.Upkeep.Target(t.Context(), p, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: connections.StatusOnline}); err != nil {
			t.Fatal(err)
		}
		if got := f.Revoked(); !slices.Equal(got, []string{first.ID.String()}) {
			t.Errorf("the new key works: %v", got)
		}
		f.Exchanged(p, "https://ace.a.test")
		f.Advance(bridge.UnconfirmedLife)
		if got := f.Revoked(); !slices.Equal(got, []string{second.ID.String()}) {
			t.Errorf("the new key has lapsed: %v", got)
		}
	})
}
