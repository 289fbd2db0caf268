package keys_test

import (
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
)

// TestWithdrawalsReachPersonalKeys checks that a withdrawal ends the member's personal keys or leaves them what it says, and
// others' alone.
func TestWithdrawalsReachPersonalKeys(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		sk := f.shared(t)
		claims := bob
		claims.Number = 1
		by := f.through(t, sk, claims)
		ofBob := f.mint(t, by, keys.Wish{Preset: "full"})
		below := f.mint(t, f.as(t, ofBob), keys.Wish{Preset: "full"})
		ofEve := f.mint(t, f.through(t, sk, bridge.AccessClaims{Subject: "eve", Number: 1}), keys.Wish{Preset: "full"})
		before := f.lives(t, below)
		for range 2 {
			if err := f.state(t, sk, bridge.Withdrawal{Number: 3, Keys: map[string]bridge.KeyAccess{"bob": {Scope: "app:read"}}}); err != nil {
				t.Fatal(err)
			}
		}
		if f.Alive(by.Who) || f.Alive(before) {
			t.Error("a stream goes on with what was withdrawn")
		}
		for _, g := range []fixture{f, f.again(t)} {
			for _, k := range []bridge.Key{ofBob, below} {
				if id := g.lives(t, k); id.Scopes.String() != "app:read" {
					t.Errorf("what is left is %s", id.Scopes)
				}
			}
		}
		if r, err := f.Get(t.Context(), acme, ofBob.ID); err != nil || f.API(r).Limit == nil || f.API(r).Limit.Scopes[0] != "app:read" {
			t.Errorf("its limit is not told: %+v, %v", f.API(r).Limit, err)
		}
		if n := len(f.entries(t, "key.limit")); n != 2 {
			t.Errorf("%d limits are audited, want 2", n)
		}
		// An older statement that arrives late, and one that is repeated, change nothing.
		if err := f.state(t, sk, bridge.Withdrawal{Number: 2}); err != nil {
			t.Fatal(err)
		}
		f.lives(t, ofBob)
		// Keys that the member creates afterwards are not affected.
		claims.Number = 3
		after := f.mint(t, f.through(t, sk, claims), keys.Wish{Preset: "full"})
		if err := f.state(t, sk, bridge.Withdrawal{Number: 3}); err != nil {
			t.Fatal(err)
		}
		f.lives(t, after)
		f.clock.advance(24 * time.Hour) // by now nothing is remembered about the tokens
		if err := f.state(t, sk, bridge.Withdrawal{Number: 4}); err != nil {
			t.Fatal(err)
		}
		for _, k := range []bridge.Key{ofBob, below, after} {
			f.dies(t, k, "key_revoked")
		}
		f.lives(t, ofEve)
		if err := f.state(t, sk, bridge.Withdrawal{Number: 5, Until: map[string]int64{bridge.Everybody: f.clock.now().Unix()}}); err != nil {
			t.Fatal(err)
		}
		f.dies(t, ofEve, "key_revoked")
	})
}

// TestNumberedWithdrawals checks that numbers decide about numbered tokens, whatever the clocks say.
func TestNumberedWithdrawals(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		sk := f.shared(t)
		of := func(number int64) bridge.Identity {
			return f.through(t, sk, bridge.AccessClaims{Subject: "bob", Number: number}).Who
		}
		old, next, plain := of(1), of(2), of(0)
		if err := f.state(t, sk, bridge.Withdrawal{Number: 2}); err != nil {
			t.Fatal(err)
		}
		for _, g := range []fixture{f, f.again(t)} {
			if g.Alive(old) || !g.Alive(next) || g.Alive(plain) {
				t.Errorf("alive: %v %v %v, want only the second", g.Alive(old), g.Alive(next), g.Alive(plain))
			}
		}
		if err := f.withdraw(t, sk, map[string]int64{"bob": f.clock.now().Unix()}); err != nil || f.Alive(next) {
			t.Errorf("a statement without a number leaves %v, %v", f.Alive(next), err)
		}
	})
}

// TestStatementsOfADeadKey checks that statements and reports about a dead key change nothing and are not audited.
func TestStatementsOfADeadKey(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		for name, die := range map[string]func(bridge.Key){
			"revoked": func(k bridge.Key) {
				if _, err := f.Revoke(t.Context(), admin, k.ID, "x"); err != nil {
					t.Fatal(err)
				}
			},
			"expired": func(bridge.Key) { f.clock.advance(bridge.DefaultKeyLife) },
		} {
			key, _ := f.create(t, connection)
			die(key)
			count := func() int { return len(f.entries(t, "key.revoke")) + len(f.entries(t, "key.withdraw_tokens")) }
			n := count()
			statement, err := key.SignRevocation("ann", "", f.clock.now())
			if err != nil {
				t.Fatal(err)
			}
			for number := range int64(3) {
				_, err1 := f.RevokeSigned(t.Context(), audit.Actor{}, statement)
				err2 := f.state(t, key, bridge.Withdrawal{Number: number + 1})
				_, ours, err3 := f.Leaked(t.Context(), audit.Actor{}, key.Text(), "")
				if err1 != nil || err2 != nil || err3 != nil || !ours {
					t.Errorf("%s: %v, %v, %v %v", name, err1, err2, ours, err3)
				}
			}
			if got := count(); got != n {
				t.Errorf("%s: %d entries more", name, got-n)
			}
		}
	})
}

// TestStatementsOfAnExpiredKey checks that reviving an expired key does not bring back what was taken away meanwhile.
func TestStatementsOfAnExpiredKey(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		acting := f.mint(t, admin, keys.Wish{Preset: "full", Scopes: []string{"key:act-as"}, ExpiresIn: "1h"})
		ofBob := f.mint(t, f.through(t, acting, bob), keys.Wish{Preset: "full"})
		f.clock.advance(2 * time.Hour)
		if err := f.state(t, acting, bridge.Withdrawal{Number: 2}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Revive(t.Context(), admin, acting.ID, ""); err != nil {
			t.Fatal(err)
		}
		f.dies(t, ofBob, "key_revoked")
	})
}

func TestStatementsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, f fixture) {
		sk, other := f.shared(t), f.shared(t)
		var err error
		n := int64(0)
		for ; err == nil && n < 1000; n++ {
			err = f.state(t, sk, bridge.Withdrawal{Number: n + 1})
		}
		if e := bridge.AsError(err); e.Kind != bridge.TooMany || e.RetryAfter == 0 || n < 50 {
			t.Errorf("after %d: %v", n, err)
		}
		if err := f.state(t, other, bridge.Withdrawal{Number: 1}); err != nil {
			t.Errorf("another key's: %v", err)
		}
		f.clock.advance(2 * time.Second)
		if err := f.state(t, sk, bridge.Withdrawal{Number: 2000}); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}
