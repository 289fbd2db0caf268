package registry_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// revoked delivers all revocations that are due, and returns the IDs of their keys in the order of their delivery.
func (f *fixture) revoked() (keys []string) {
	f.t.Helper()
	for {
		due, err := f.Upkeep.DueRevocations(f.t.Context(), 100)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(due) == 0 {
			return keys
		}
		for _, v := range due {
			if err := f.Upkeep.RevocationDelivered(f.t.Context(), v.ID, audit.Actor{ID: "system"}); err != nil {
				f.t.Fatal(err)
			}
			keys = append(keys, v.KeyID)
		}
	}
}

// disconnects removes connections that are made for it, a second after each other, and returns the IDs of their keys.
func (f *fixture) disconnects(p accounts.Principal, n int) (keys []string) {
	f.t.Helper()
	for i := range n {
		c := f.register(p, fmt.Sprintf("https://%d.%s.test", i, p.Org), aceKey().Text().Reveal())
		if _, err := f.Connections.Delete(f.t.Context(), p.As(audit.Actor{}), c.ID); err != nil {
			f.t.Fatal(err)
		}
		f.advance(time.Second)
		keys = append(keys, c.KeyID)
	}
	return keys
}

// However many revocations of an organization wait, those of others take their turn; and all come in the end, oldest first.
func TestRevocationsTakeTurns(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		flood := f.disconnects(f.person("eve@e.test", "flood", bridge.RoleMember), 10)
		few := f.disconnects(f.person("ann@a.test", "acme", bridge.RoleMember), 2)
		one := f.disconnects(f.person("bob@b.test", "bold", bridge.RoleMember), 1)
		if due, err := f.Upkeep.DueRevocations(t.Context(), 100); err != nil || len(due) != 0 {
			t.Errorf("%d are due while those who have disconnected deliver them (%v)", len(due), err)
		}
		f.advance(time.Minute)
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
		if got := f.revoked(); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// What cannot be decrypted is put off like what cannot be delivered, and stands in nobody's way.
func TestRevocationThatCannotBeDecrypted(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		f.disconnects(p, 5)
		f.open(newKeys(t))
		last := f.disconnects(p, 1)
		f.advance(time.Minute)
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

// A connection is registered, and taken back, only as it was: another connect's stays.
func TestConnectionsAreChangedOnlyAsTheyWere(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		p := f.person("ann@a.test", "acme", bridge.RoleAdmin)
		register := func(url string, key bridge.Key, ifKeyID string) (api.Connection, error) {
			disclosed := key.Text().Disclose()
			c, _, err := f.Connections.Register(ctx, p.As(audit.Actor{}), api.RegisterRequest{ServerURL: url, APIKey: &disclosed, IfKeyID: &ifKeyID})
			return c, err
		}
		first, second := aceKey(), aceKey()
		c, err := register("https://ace.a.test", first, "")
		if err != nil || c.Revision == "" {
			t.Fatalf("%+v (%v)", c, err)
		}
		if _, err := register("https://ace.a.test", second, ""); bridge.CodeOf(err) != bridge.CodeConnectionMoved {
			t.Errorf("a second connect that has seen no connection: %v", err)
		}
		for name, was := range map[string]connections.AsItWas{
			"another key":      {KeyID: second.ID.String()},
			"another revision": {KeyID: first.ID.String(), Revision: "0"},
		} {
			if _, err := f.Connections.DeleteIf(ctx, p.As(audit.Actor{}), c.ID, was); bridge.CodeOf(err) != bridge.CodeConnectionMoved {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := f.Connections.Keep(ctx, p, c.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.DeleteIf(ctx, p.As(audit.Actor{}), c.ID, connections.AsItWas{KeyID: c.KeyID,
			Revision: c.Revision}); bridge.CodeOf(err) != bridge.CodeConnectionMoved {
			t.Errorf("one that another connect keeps: %v", err)
		}
		if _, err := f.Tokens.Credential(ctx, p, c.ID); err != nil {
			t.Errorf("the key of a kept connection: %v", err)
		}
		if again, err := register("https://ace.a.test", second, first.ID.String()); err != nil || again.ID != c.ID || again.Revision != "" {
			t.Errorf("a connect later: %+v (%v)", again, err)
		}
		other, err := register("https://other.a.test", aceKey(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.DeleteIf(ctx, p.As(audit.Actor{}), other.ID, connections.AsItWas{KeyID: other.KeyID, Revision: other.Revision}); err != nil {
			t.Errorf("as it was: %v", err)
		}
	})
}

// A connect that replaces a connection's key names the one before, which is revoked once the new one works, or has lapsed.
func TestReplacedKeyIsRevokedOnceTheNewOneWorks(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		c, first := f.exchanged(p, "https://ace.a.test")
		claims, err := f.Connections.ConnectClaims(t.Context(), p, "https://ace.a.test")
		if err != nil || claims.Replaces != first.ID.String() {
			t.Fatalf("it replaces %q, %v", claims.Replaces, err)
		}
		_, second := f.exchanged(p, "https://ace.a.test")
		if got := f.revoked(); len(got) != 0 {
			t.Errorf("revoked before the new key works: %v", got)
		}
		target, err := f.Upkeep.Target(t.Context(), p, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Upkeep.SetStatus(t.Context(), target, connections.Status{Status: connections.StatusOnline}); err != nil {
			t.Fatal(err)
		}
		if got := f.revoked(); !slices.Equal(got, []string{first.ID.String()}) {
			t.Errorf("the new key works: %v", got)
		}
		f.exchanged(p, "https://ace.a.test")
		f.advance(bridge.UnconfirmedLife)
		if got := f.revoked(); !slices.Equal(got, []string{second.ID.String()}) {
			t.Errorf("the new key has lapsed: %v", got)
		}
	})
}
