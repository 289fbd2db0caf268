package statements_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys/statements"
)

const ann, bob = "ann@acme.test", "bob@acme.test"

var now = time.Unix(1_800_000_000, 0)

// until names subjects as of some seconds ago.
func until(ago int64, subjects ...string) map[string]int64 {
	out := map[string]int64{}
	for _, s := range subjects {
		out[s] = now.Unix() - ago
	}
	return out
}

func scopes(t *testing.T, text string) bridge.Scopes {
	t.Helper()
	s, err := bridge.ParseScopes(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Of several statements the strictest counts, whatever their order.
func TestTaken(t *testing.T) {
	for _, c := range []struct {
		name string
		said []bridge.Withdrawal
		want bridge.Taken // from ann
	}{
		{"nothing", nil, bridge.Taken{}},
		{"of somebody else", []bridge.Withdrawal{{Until: until(1, bob)}}, bridge.Taken{}},
		{"without a number", []bridge.Withdrawal{{Until: until(1, ann)}}, bridge.Taken{Until: now.Unix() - 1, Clock: now.Unix() - 1}},
		{"a number", []bridge.Withdrawal{{Number: 3, Until: until(1, ann)}}, bridge.Taken{Until: now.Unix() - 1, Number: 3}},
		{"a lower number later", []bridge.Withdrawal{{Number: 3, Until: until(1, ann)}, {Number: 2, Until: until(0, ann)}}, bridge.Taken{Until: now.Unix(), Number: 3}},
		{"both ways", []bridge.Withdrawal{{Number: 3, Until: until(5, ann)}, {Until: until(2, ann)}}, bridge.Taken{Until: now.Unix() - 2, Number: 3, Clock: now.Unix() - 2}},
		{"an earlier time later", []bridge.Withdrawal{{Until: until(1, ann)}, {Until: until(5, ann)}}, bridge.Taken{Until: now.Unix() - 1, Clock: now.Unix() - 1}},
		{"older than any token", []bridge.Withdrawal{{Until: until(3600, ann)}}, bridge.Taken{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var taken statements.Taken
			for _, w := range c.said {
				taken = taken.With(w, now)
			}
			if got := taken.Of(ann); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			texts, numbers, err := taken.Columns()
			if err != nil {
				t.Fatal(err)
			}
			back, err := statements.ParseTaken(texts, numbers, taken.Highest)
			if err != nil || !back.Equal(taken) {
				t.Errorf("stored and read: %+v, was %+v (%v)", back, taken, err)
			}
		})
	}
}

// A statement that is repeated changes nothing; one with something new does.
func TestKnows(t *testing.T) {
	taken := statements.Taken{}.With(bridge.Withdrawal{Number: 3, Until: until(1, ann, bob)}, now)
	for _, c := range []struct {
		name string
		w    bridge.Withdrawal
		want bool
	}{
		{"the same", bridge.Withdrawal{Number: 3, Until: until(1, ann, bob)}, true},
		{"an older one", bridge.Withdrawal{Number: 2, Until: until(1, ann)}, true},
		{"a newer one", bridge.Withdrawal{Number: 4, Until: until(1, ann)}, false},
		{"one about somebody else, too", bridge.Withdrawal{Number: 3, Until: until(1, ann, "cara@acme.test")}, false},
		{"one without a number", bridge.Withdrawal{Until: until(1, ann)}, false},
	} {
		if got := taken.Knows(c.w); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// What is kept is bounded: beyond 500 members it is about everybody, and as strict as the strictest.
func TestTakenIsBounded(t *testing.T) {
	w := bridge.Withdrawal{Number: 7, Until: map[string]int64{}}
	for i := range 500 {
		w.Until[fmt.Sprint("member-", i)] = now.Unix() - 10
	}
	taken := statements.Taken{}.With(w, now)
	if got := taken.Of(bridge.Everybody); got != (bridge.Taken{}) || len(taken.UntilOf()) != 500 {
		t.Fatalf("500 members: %d, and everybody %+v", len(taken.UntilOf()), got)
	}
	taken = taken.With(bridge.Withdrawal{Number: 9, Until: until(3, ann)}, now)
	if got := taken.Of(bridge.Everybody); got.Number != 9 || got.Until != now.Unix()-3 || len(taken.UntilOf()) != 1 {
		t.Errorf("501 members: %d, and everybody %+v", len(taken.UntilOf()), got)
	}
	numbers, _ := taken.NumbersOf()
	if len(numbers) != 1 || taken.Highest != 9 {
		t.Errorf("%d numbers, the highest %d", len(numbers), taken.Highest)
	}
	if later := taken.With(bridge.Withdrawal{}, now.Add(bridge.MaxAccessTokenLife+bridge.ClockSkew)); len(later.UntilOf()) != 0 || later.Highest != 9 {
		t.Errorf("once no token lives that it is about: %+v, the highest number %d", later.UntilOf(), later.Highest)
	}
}

func TestDamagedTaken(t *testing.T) {
	for _, c := range [][2]string{{"{", ""}, {"", "{"}, {`{"a":"b"}`, ""}, {"", `{"a":1}`}} {
		if _, err := statements.ParseTaken(c[0], c[1], 0); err == nil {
			t.Errorf("%q, %q is read", c[0], c[1])
		}
	}
	if taken, err := statements.ParseTaken("", "", 0); err != nil || !taken.Empty() {
		t.Errorf("nothing: %+v (%v)", taken, err)
	}
}

func TestPersonalKeys(t *testing.T) {
	left := map[string]bridge.KeyAccess{ann: {Scope: "app:read", Role: bridge.RoleViewer}}
	for _, c := range []struct {
		name      string
		key       statements.Personal
		w         bridge.Withdrawal
		concerned bool
		some      bool
		after     string // scopes and role
	}{
		{"somebody else's", statements.Personal{Subject: bob}, bridge.Withdrawal{Number: 1, Until: until(0, ann)}, false, false, " "},
		{"nothing is left", statements.Personal{Subject: ann}, bridge.Withdrawal{Number: 1, Until: until(0, ann)}, true, false, " "},
		{"something is left", statements.Personal{Subject: ann}, bridge.Withdrawal{Number: 1, Until: until(0, ann), Keys: left}, true, true, "app:read viewer"},
		{"everybody, and nothing is left", statements.Personal{Subject: ann}, bridge.Withdrawal{Number: 1, Until: until(0, bridge.Everybody)}, true, false, " "},
		{"made after it, by number", statements.Personal{Subject: ann, Limit: statements.Limit{Number: 5}}, bridge.Withdrawal{Number: 5, Until: until(0, ann)}, false, false, " "},
		{"made before it, by number", statements.Personal{Subject: ann, Limit: statements.Limit{Number: 4}}, bridge.Withdrawal{Number: 5, Until: until(0, ann)}, true, false, " "},
		{"made after it, by time", statements.Personal{Subject: ann, Limit: statements.Limit{At: now.Unix() + 1}}, bridge.Withdrawal{Until: until(0, ann)}, false, false, " "},
		{"the same again", statements.Personal{Subject: ann, Limit: statements.Limit{Scopes: scopes(t, "app:read"), Role: bridge.RoleViewer, Number: 5}},
			bridge.Withdrawal{Number: 5, Until: until(0, ann), Keys: left}, false, true, "app:read viewer"},
		{"a wider one replaces its own", statements.Personal{Subject: ann, Limit: statements.Limit{Scopes: scopes(t, "app:write"), Number: 4}},
			bridge.Withdrawal{Number: 5, Until: until(0, ann), Keys: left}, true, true, "app:read viewer"},
		{"of several connections only what all leave is left", statements.Personal{Subject: ann, Severally: true, Limit: statements.Limit{Scopes: scopes(t, "app:write")}},
			bridge.Withdrawal{Number: 5, Until: until(0, ann), Keys: left}, true, false, " viewer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.key.ConcernedBy(c.w); got != c.concerned {
				t.Errorf("it is concerned: %t", got)
			}
			after, some := c.key.After(c.w)
			if got := after.Scopes.String() + " " + string(after.Role); some != c.some || got != c.after {
				t.Errorf("left is %q (%t), want %q", got, some, c.after)
			}
		})
	}
}

// What is open under one limit is cut under another: the generation tells them apart.
func TestGeneration(t *testing.T) {
	limits := map[string]statements.Limit{"none": {}, "read": {Scopes: scopes(t, "app:read")}, "write": {Scopes: scopes(t, "app:write")},
		"read, as a viewer": {Scopes: scopes(t, "app:read"), Role: bridge.RoleViewer}}
	seen := map[uint64]string{}
	for name, l := range limits {
		for _, secret := range []uint64{1, 2} {
			g, what := l.Generation(secret), fmt.Sprint(name, " ", secret)
			if other, twice := seen[g]; twice {
				t.Errorf("%s is the generation of %s", what, other)
			}
			seen[g] = what
			if again := l.Generation(secret); again != g {
				t.Errorf("%s has two generations", what)
			}
		}
	}
	if got := (statements.Limit{}).Generation(42); got != 42 {
		t.Errorf("without a limit it is %d", got)
	}
}

// A statement may be signed with the secret from before a rotation, too, and with nothing else.
func TestSignatures(t *testing.T) {
	id := uuid.New()
	current, previous, other := bridge.NewKey(bridge.KindSK, id), bridge.NewKey(bridge.KindSK, id), bridge.NewKey(bridge.KindSK, id)
	by := []ed25519.PublicKey{current.PublicKey(), previous.PublicKey()}
	for name, c := range map[string]struct {
		key  bridge.Key
		good bool
	}{"the secret": {current, true}, "the one before": {previous, true}, "another": {other, false}} {
		t.Run(name, func(t *testing.T) {
			revocation, err := c.key.SignRevocation("user:ann", "left", now)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := statements.VerifyRevocation(revocation, by); (err == nil) != c.good || (err == nil && got.KeyID != id) {
				t.Errorf("a revocation: %+v (%v)", got, err)
			}
			withdrawal, err := c.key.SignWithdrawal(bridge.Withdrawal{Number: 2, Until: until(0, ann)}, now)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := statements.VerifyWithdrawal(withdrawal, by, now); (err == nil) != c.good || (err == nil && got.Number != 2) {
				t.Errorf("a withdrawal: %+v (%v)", got, err)
			}
			if _, err := statements.VerifyRevocation(withdrawal, by); err == nil {
				t.Error("a withdrawal passes as a revocation")
			}
		})
	}
}

func TestPace(t *testing.T) {
	at := now
	pace, err := statements.NewPace(func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	one, other := uuid.New(), uuid.New()
	for i := range 60 {
		if err := pace.Take(one); err != nil {
			t.Fatalf("statement %d: %v", i+1, err)
		}
	}
	err = pace.Take(one)
	if e := bridge.AsError(err); e == nil || e.Code != bridge.CodeStatementsRate || e.RetryAfter != time.Second {
		t.Errorf("one too many: %v", err)
	}
	if err := pace.Take(other); err != nil {
		t.Errorf("about another key: %v", err)
	}
	at = at.Add(time.Second)
	if err := pace.Take(one); err != nil {
		t.Errorf("a second later: %v", err)
	}
	if err := pace.Take(one); err == nil {
		t.Error("a second later two pass")
	}
}
