package upkeep_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/tokens"
	"github.com/acebridge/ace/cloud/upkeep"
)

const day = 24 * time.Hour

func (f *fixture) finish(t upkeep.Rotation) bridge.Key {
	f.T.Helper()
	key := bridge.NewKey(bridge.KindSK, t.Key.ID)
	now := f.Clock()
	if err := f.Upkeep.FinishRotation(f.T.Context(), t, key, connections.KeyLife{Issued: now, Expires: now.Add(90 * day)}); err != nil {
		f.T.Fatal(err)
	}
	return key
}

// signer says which of the keys has signed the token that a member is given.
func (f *fixture) signer(p accounts.Principal, c api.Connection, keys ...bridge.Key) int {
	f.T.Helper()
	cred, err := f.Tokens.Credential(f.T.Context(), p, c.ID)
	if err != nil {
		f.T.Fatal(err)
	}
	return slices.IndexFunc(keys, func(k bridge.Key) bool {
		_, err := bridge.VerifyAccess(cred.Value.Secret, k.PublicKey(), []bridge.ServerURL{c.ServerURL}, f.Clock())
		return err == nil
	})
}

func TestRotationIsDueBeforeTheEnd(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		c, old := f.Exchanged(p, "https://ace.a.test")
		f.Advance(76*day - time.Second)
		if n := len(f.DueRotations()); n != 0 {
			t.Fatalf("%d are due too early", n)
		}
		f.Advance(time.Second)
		rotation := f.BeginRotation()
		if !rotation.Key.Text().Equal(old.Text()) || rotation.Server != c.ServerURL || rotation.Err != nil {
			t.Errorf("the rotation is of another key: %+v", rotation)
		}
		fresh := f.finish(rotation)
		if f.signer(p, c, old, fresh) != 1 {
			t.Error("members are given tokens of the old secret")
		}
		got, err := f.Connections.Connection(t.Context(), p, c.ID)
		if err != nil || got.ExpiresAt == nil || !got.ExpiresAt.Equal(f.Clock().Add(90*day)) || got.Rotation != nil {
			t.Errorf("%+v (%v)", got, err)
		}
		entries := f.Audited(p, "connection.rotate")
		if len(entries) != 1 || entries[0].Actor != "system" || entries[0].Details["key_id"] != old.ID.String() || entries[0].Details["expires_at"] == "" {
			t.Errorf("the audit log has %+v", entries)
		}
		f.Advance(76*day - time.Second)
		if n := len(f.DueRotations()); n != 0 {
			t.Errorf("the second one is due too early")
		}
		f.Advance(time.Second)
		f.finish(f.BeginRotation())
	})
}

// The end of a key is what its server says it is, within reason, and a short-lived one is rotated late in its life.
func TestKeyLifeIsLearned(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		c := f.Register(p, "https://ace.a.test", storetest.AceKey().Text().Reveal())
		start := f.Clock()
		told := func(life connections.KeyLife) *time.Time {
			t.Helper()
			target, err := f.Upkeep.Target(t.Context(), p, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: connections.StatusOnline, Key: life}); err != nil {
				t.Fatal(err)
			}
			got, err := f.Connections.Connection(t.Context(), p, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return got.ExpiresAt
		}
		for name, life := range map[string]connections.KeyLife{"nothing": {}, "far": {Expires: start.AddDate(400, 0, 0)},
			"past": {Expires: time.Unix(0, 0).AddDate(-3000, 0, 0)}, "no end": {Issued: start}} {
			if got := told(life); got != nil {
				t.Errorf("%s: it ends at %s", name, got)
			}
		}
		week := connections.KeyLife{Issued: start.Add(-3 * day), Expires: start.Add(5 * day)}
		if got := told(week); got == nil || !got.Equal(week.Expires) {
			t.Errorf("it ends at %v, want %s", got, week.Expires)
		}
		f.Advance(3*day - time.Second)
		if len(f.DueRotations()) != 0 {
			t.Error("a key of eight days is due more than two before its end")
		}
		f.Advance(time.Second)
		f.BeginRotation()
		if got := told(connections.KeyLife{Expires: start.Add(50 * day)}); !got.Equal(week.Expires) {
			t.Errorf("during a rotation it is learned that the key ends at %s", got)
		}
	})
}

// A key that somebody has created keeps the end that they gave it: they are told in time.
func TestKeyOfAPersonIsNotRotated(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		key := bridge.NewKey(bridge.KindLive, uuid.New())
		c := f.Register(p, "https://ace.a.test", key.Text().Reveal())
		target, err := f.Upkeep.Target(t.Context(), p, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		life := connections.KeyLife{Issued: f.Clock(), Expires: f.Clock().Add(30 * day)}
		if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: connections.StatusOnline, Key: life}); err != nil {
			t.Fatal(err)
		}
		f.Advance(25 * day)
		rotation := f.BeginRotation()
		if bridge.CodeOf(rotation.Err) != "key_not_of_connection" {
			t.Fatalf("it is rotated: %v", rotation.Err)
		}
		if err := f.Upkeep.RotationFailed(t.Context(), rotation, rotation.Err); err != nil {
			t.Fatal(err)
		}
		got, err := f.Connections.Connection(t.Context(), p, c.ID)
		if err != nil || got.Rotation == nil || !strings.Contains(got.Rotation.Hint, "ace api-key rotate "+key.ID.String()) {
			t.Errorf("%+v (%v)", got.Rotation, err)
		}
	})
}

var errDown = bridge.E(bridge.Unreachable, "server_unreachable", "nothing answers at the URL")

func TestRotationFails(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p, member := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		c, old := f.Exchanged(p, "https://ace.a.test")
		if _, err := f.Connections.Patch(t.Context(), p.As(audit.Actor{}), c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
			t.Fatal(err)
		}
		f.Advance(76 * day)
		first := f.BeginRotation()
		fail := func(rotation upkeep.Rotation, cause error) {
			t.Helper()
			if err := f.Upkeep.RotationFailed(t.Context(), rotation, cause); err != nil {
				t.Fatal(err)
			}
		}
		fail(first, errDown)
		if len(f.DueRotations()) != 0 {
			t.Fatal("a rotation that has failed is due at once")
		}
		f.Advance(time.Minute)
		second := f.BeginRotation()
		if !second.Idempotency.Equal(first.Idempotency) {
			t.Error("another try is not the same rotation")
		}
		fail(second, errDown)
		f.Advance(2*time.Minute - time.Second)
		if len(f.DueRotations()) != 0 {
			t.Error("the second pause is no longer than the first")
		}
		f.Advance(time.Second)
		fail(f.BeginRotation(), bridge.E(bridge.Unauthenticated, "key_refused", "the server does not accept the key any more"))
		entries := f.Audited(p, "connection.rotate_failed")
		if len(entries) != 2 || entries[1].Details["cause"] != errDown.Detail || entries[0].Details["hint"] != "ace connect --server https://ace.a.test" ||
			entries[0].Outcome != "key_refused" {
			t.Errorf("the audit log has %+v", entries)
		}
		for who, want := range map[string]string{p.Email: "ace connect --server https://ace.a.test", member.Email: "ask ann@a.test"} {
			as := map[string]accounts.Principal{p.Email: p, member.Email: member}[who]
			got, err := f.Connections.Connection(t.Context(), as, c.ID)
			if err != nil || got.Rotation == nil || !got.Rotation.At.Equal(f.Clock()) || !strings.HasPrefix(got.Rotation.Hint, want) {
				t.Errorf("%s is told %+v (%v)", who, got.Rotation, err)
			}
		}
		if f.signer(p, c, old) != 0 {
			t.Error("the old secret is not in use any more")
		}
		for range 80 { // until its end and beyond
			f.Advance(6 * time.Hour)
			if len(f.DueRotations()) == 1 {
				fail(f.BeginRotation(), errDown)
			}
		}
		f.Advance(100 * day)
		if len(f.DueRotations()) != 0 {
			t.Error("a key that ended long ago is still rotated")
		}
		target, err := f.Upkeep.Target(t.Context(), p, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		for status, want := range map[string]string{connections.StatusUnknown: connections.StatusUnauthorized,
			connections.StatusOffline: connections.StatusUnauthorized, connections.StatusOnline: connections.StatusOnline} {
			if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: status}); err != nil {
				t.Fatal(err)
			}
			got, err := f.Connections.Connection(t.Context(), p, c.ID)
			if err != nil || got.Status != want || (want == connections.StatusUnauthorized) != (got.Hint == "ace connect --server https://ace.a.test") {
				t.Errorf("after its end it is %s, which was found %s: %s %s (%v)", got.Status, status, got.Cause, got.Hint, err)
			}
		}
		again, _ := f.Exchanged(p, "https://ace.a.test")
		if again.ID != c.ID || again.Rotation != nil || len(f.DueRotations()) != 0 {
			t.Errorf("a new connect leaves %+v", again.Rotation)
		}
	})
}

// Of two processes that want to rotate a key, one does; when it dies, the other one takes the same rotation up.
func TestOneProcessRotates(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		c, old := f.Exchanged(p, "https://ace.a.test")
		f.Advance(76 * day)
		due := f.DueRotations()
		var taken atomic.Int64
		var mu sync.Mutex
		var first upkeep.Rotation
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				rotation, ok, err := f.Upkeep.BeginRotation(t.Context(), due[0])
				if err != nil {
					t.Error(err)
				}
				if ok {
					taken.Add(1)
					mu.Lock()
					first = rotation
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if taken.Load() != 1 || len(f.DueRotations()) != 0 {
			t.Fatalf("%d processes rotate, and %d more will", taken.Load(), len(f.DueRotations()))
		}
		f.Advance(2 * time.Minute)
		second := f.BeginRotation()
		if !second.Idempotency.Equal(first.Idempotency) {
			t.Error("the second process makes another rotation")
		}
		if err := f.Upkeep.RotationFailed(t.Context(), first, errDown); err != nil { // the first one was only slow
			t.Fatal(err)
		}
		if got, err := f.Connections.Connection(t.Context(), p, c.ID); err != nil || got.Rotation != nil {
			t.Errorf("who has lost the rotation says that it failed: %+v (%v)", got.Rotation, err)
		}
		fresh := f.finish(second)
		life := connections.KeyLife{Issued: f.Clock(), Expires: f.Clock().Add(90 * day)}
		if err := f.Upkeep.FinishRotation(t.Context(), first, fresh, life); err != nil { // the server has answered the same
			t.Fatal(err)
		}
		if n := len(f.Audited(p, "connection.rotate")); n != 1 || f.signer(p, c, old, fresh) != 1 {
			t.Errorf("%d rotations are audited", n)
		}
		f.Advance(time.Hour)
		if revocations, err := f.Upkeep.DueRevocations(t.Context(), 10); err != nil || len(revocations) != 0 {
			t.Errorf("%d revocations are due (%v)", len(revocations), err)
		}
	})
}

// What happens to the connection while its key is rotated: no secret is left alive that nobody has.
func TestRotationIsOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(f *fixture, p accounts.Principal, c api.Connection)
		dies bool // the new secret
	}{
		"disconnected": {func(f *fixture, p accounts.Principal, c api.Connection) {
			if _, err := f.Connections.Delete(f.T.Context(), p.As(audit.Actor{}), c.ID); err != nil {
				f.T.Fatal(err)
			}
		}, true},
		"another key": {func(f *fixture, p accounts.Principal, c api.Connection) { f.Exchanged(p, c.ServerURL) }, true},
		"moved": {func(f *fixture, p accounts.Principal, c api.Connection) {
			if _, err := f.Connections.Patch(f.T.Context(), p.As(audit.Actor{}), c.ID, api.ConnectionPatch{ServerURL: new("https://other.a.test")}); err != nil {
				f.T.Fatal(err)
			}
		}, true},
		"encrypted anew": {func(f *fixture, _ accounts.Principal, _ api.Connection) {
			if n, err := f.Vault.RotateEncryptionKey(f.T.Context(), func(int, int) {}); err != nil || n != 2 {
				f.T.Fatalf("%d rows are encrypted anew (%v)", n, err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f *fixture) {
				older := storetest.NewKeys(t)
				f.Open(older)
				p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
				connection, old := f.Exchanged(p, "https://ace.a.test")
				f.Advance(76 * day)
				rotation := f.BeginRotation()
				newer := storetest.NewKeys(t)
				f.Open(bridge.NewSecret(newer.Reveal() + "," + older.Reveal()))
				c.do(f, p, connection)
				f.Open(newer)
				fresh := f.finish(rotation)
				due := func() (revocations []upkeep.Revocation, signed map[int]bool) {
					revocations, err := f.Upkeep.DueRevocations(t.Context(), 10)
					if err != nil {
						t.Fatal(err)
					}
					signed = map[int]bool{}
					for _, v := range revocations {
						for i, key := range []bridge.Key{old, fresh} {
							if _, err := bridge.VerifyRevocation(v.Token, key.PublicKey()); err == nil && v.KeyID == old.ID.String() && v.Server == "https://ace.a.test" {
								signed[i] = true
							}
						}
					}
					return revocations, signed
				}
				waits := name == "another key" // for that one to work, as the personal keys of this one move to it then
				if _, signed := due(); signed[1] != (c.dies && !waits) {
					t.Errorf("due at once are revocations signed by %v: nobody else delivers that of the new secret", signed)
				}
				if f.Advance(2 * time.Minute); waits {
					f.Advance(bridge.UnconfirmedLife)
				}
				revocations, signed := due()
				if len(revocations) != len(signed) || signed[0] != c.dies || signed[1] != c.dies {
					t.Errorf("%d revocations, signed by %v", len(revocations), signed)
				}
				if c.dies {
					return
				}
				again := f.BeginRotation()
				if !again.Idempotency.Equal(rotation.Idempotency) {
					t.Error("it is not the same rotation that is taken up again")
				}
				if fresh = f.finish(again); f.signer(p, connection, old, fresh) != 1 {
					t.Error("it is not finished")
				}
			})
		})
	}
}

// A connection that nobody can use any more lets its key end; one that is shared lives on without its owner.
func TestWhatSomebodyLeftIsRotatedIfItIsShared(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, member := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("max@a.test", "acme", bridge.RoleMember)
		f.Exchanged(member, "https://private.a.test")
		shared, _ := f.Exchanged(member, "https://shared.a.test")
		if _, err := f.SQL.ExecContext(t.Context(), "UPDATE connections SET visibility = 'organization' WHERE id = $1", shared.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Accounts.RemoveMember(t.Context(), admin.As(admin.Actor("", "")), "acme", member.UserID); err != nil {
			t.Fatal(err)
		}
		f.Advance(76 * day)
		rotation := f.BeginRotation()
		if rotation.Connection != shared.ID {
			t.Fatal("the private one is rotated")
		}
		if err := f.Upkeep.RotationFailed(t.Context(), rotation, errDown); err != nil {
			t.Fatal(err)
		}
		got, err := f.Connections.Connection(t.Context(), admin, shared.ID)
		if err != nil || got.Rotation == nil || !strings.Contains(got.Rotation.Hint, "has left") {
			t.Errorf("%+v (%v)", got.Rotation, err)
		}
	})
}

// Members' open streams outlive a rotation; what they begin afterwards takes the new secret.
func TestRelayAccessTermsOutliveARotation(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		c, _ := f.Exchanged(owner, "https://ace.a.test")
		if _, err := f.Connections.Patch(t.Context(), owner.As(audit.Actor{}), c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
			t.Fatal(err)
		}
		f.Advance(76 * day)
		p := f.Person("max@a.test", "acme", bridge.RoleMember) // signed in now
		mine := f.Relay(p, f.Register(p, "https://mine.a.test", "a-plain-key").ID)
		g := f.Relay(p, c.ID)
		rotation := f.BeginRotation()
		if f.Hold(g, mine) != tokens.Holds {
			t.Error("a rotation that has begun changes what holds")
		}
		f.finish(rotation)
		if f.Hold(g, mine) != tokens.HoldsOld {
			t.Error("after the rotation the grant holds as before, or not at all")
		}
		if f.Hold(f.Relay(p, c.ID), mine) != tokens.Holds {
			t.Error("a new grant does not hold")
		}
		f.Exchanged(owner, "https://ace.a.test")
		if f.Hold(g, mine) != tokens.HoldsNot {
			t.Error("a grant outlives another connect")
		}
	})
}
