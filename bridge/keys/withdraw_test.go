package keys_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
)

// access issues an access token to a member.
func (f fixture) access(t *testing.T, key bridge.Key, member string) bridge.Secret {
	t.Helper()
	token, err := key.SignAccess(bridge.AccessClaims{Times: bridge.NewTimes(f.clock.now(), bridge.MaxAccessTokenLife),
		Subject: member, Scope: "*"}.ForServer(self))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// connection turns a new key into a connection's.
func connection(n *keys.NewKey) { n.Kind, n.Role = bridge.KindSK, bridge.RoleAdmin }

func (f fixture) withdraw(t *testing.T, key bridge.Key, until map[string]int64) error {
	t.Helper()
	statement, err := key.SignWithdrawal(bridge.Withdrawal{Until: until}, f.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Withdraw(t.Context(), audit.Actor{}, statement)
	return err
}

// TestWithdraw checks that a member's tokens issued until a time are dead, while others' tokens, later ones and the key live on.
func TestWithdraw(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key, record := f.create(t, connection)
		bob, eve := f.access(t, key, "bob"), f.access(t, key, "eve")
		ofBob, err := f.verify(t, bob)
		if err != nil || !f.Alive(ofBob) {
			t.Fatal(err)
		}
		for range 2 {
			if err := f.withdraw(t, key, map[string]int64{"bob": f.clock.now().Unix()}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.verify(t, bob); cause(err) != "token_withdrawn" || f.Alive(ofBob) {
			t.Errorf("bob's token: %v", err)
		}
		if id, err := f.verify(t, eve); err != nil || !f.Alive(id) {
			t.Errorf("eve's token: %v", err)
		}
		if _, err := f.verify(t, key.Text()); err != nil {
			t.Errorf("the key: %v", err)
		}
		f.clock.advance(time.Second)
		if id, err := f.verify(t, f.access(t, key, "bob")); err != nil || !f.Alive(id) {
			t.Errorf("bob's next token: %v", err)
		}
		entries, _, err := audit.List(t.Context(), f.db, audit.Query{Org: "acme", Action: "key.withdraw_tokens"})
		if err != nil || len(entries) != 1 || entries[0].Actor != "key:"+record.ID.String() || entries[0].Details["members"] != "bob" {
			t.Errorf("the audit log has %+v (%v)", entries, err)
		}
		// A process that starts now knows it as well.
		if _, err := f.again(t).verify(t, bob); cause(err) != "token_withdrawn" {
			t.Errorf("another process: %v", err)
		}
		forged := bridge.NewKey(bridge.KindSK, key.ID)
		if err := f.withdraw(t, forged, map[string]int64{"eve": f.clock.now().Unix()}); bridge.CodeOf(err) != "withdrawal_invalid" {
			t.Errorf("signed by another key: %v", err)
		}
	})
}

// TestWithdrawIsBounded checks that what is kept stays bounded, however many members are named: then all fetch a new token.
func TestWithdrawIsBounded(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		key, _ := f.create(t, connection)
		eve := f.access(t, key, "eve")
		for n := range 6 {
			until := map[string]int64{}
			for i := range bridge.MaxWithdrawals {
				until[fmt.Sprintf("member-%d-%d", n, i)] = f.clock.now().Unix()
			}
			if err := f.withdraw(t, key, until); err != nil {
				t.Fatal(err)
			}
		}
		if kept := f.Withdrawn(key.ID); len(kept) != 1 || kept[bridge.Everybody] != f.clock.now().Unix() {
			t.Errorf("%d are kept", len(kept))
		}
		if _, err := f.verify(t, eve); cause(err) != "token_withdrawn" {
			t.Errorf("eve's token: %v", err)
		}
		f.clock.advance(10 * time.Minute)
		if err := f.withdraw(t, key, map[string]int64{"bob": f.clock.now().Unix()}); err != nil {
			t.Fatal(err)
		}
		if kept := f.Withdrawn(key.ID); len(kept) != 1 || kept["bob"] == 0 {
			t.Errorf("%v is kept", kept)
		}
	})
}
