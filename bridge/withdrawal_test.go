package bridge

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestVerifyWithdrawal(t *testing.T) {
	key, now := NewKey(KindSK, uuid.New()), time.Unix(1_790_000_000, 0)
	many := map[string]int64{}
	for i := range MaxWithdrawals + 1 {
		many[fmt.Sprint(i)] = now.Unix()
	}
	bob := map[string]int64{"bob@acme.test": now.Unix()}
	future := now.Add(ClockSkew + time.Second).Unix()
	for name, c := range map[string]struct {
		w    Withdrawal
		code Code
	}{
		"one":            {Withdrawal{Until: bob}, ""},
		"the clock":      {Withdrawal{Until: map[string]int64{"bob@acme.test": now.Add(ClockSkew).Unix()}}, ""},
		"the future":     {Withdrawal{Until: map[string]int64{"bob@acme.test": future}}, "withdrawal_malformed"},
		"nobody":         {Withdrawal{Until: map[string]int64{}}, "withdrawal_malformed"},
		"no name":        {Withdrawal{Until: map[string]int64{"": 1}}, "withdrawal_malformed"},
		"a long name":    {Withdrawal{Until: map[string]int64{strings.Repeat("x", maxSubject+1): 1}}, "withdrawal_malformed"},
		"more than may":  {Withdrawal{Until: many}, "withdrawal_malformed"},
		"a number":       {Withdrawal{Number: 7, Until: bob}, ""},
		"a bad number":   {Withdrawal{Number: -1, Until: bob}, "withdrawal_malformed"},
		"a huge number":  {Withdrawal{Number: MaxStatementNumber + 1, Until: bob}, "withdrawal_malformed"},
		"what is left":   {Withdrawal{Number: 7, Until: bob, Keys: map[string]KeyAccess{"bob@acme.test": {Scope: "app:read", Role: RoleMember}}}, ""},
		"left to others": {Withdrawal{Until: bob, Keys: map[string]KeyAccess{"eve@acme.test": {Scope: "app:read"}}}, "withdrawal_malformed"},
		"a bad scope":    {Withdrawal{Until: bob, Keys: map[string]KeyAccess{"bob@acme.test": {Scope: "App:Read"}}}, "withdrawal_malformed"},
		"a bad role":     {Withdrawal{Until: bob, Keys: map[string]KeyAccess{"bob@acme.test": {Scope: "*", Role: "king"}}}, "withdrawal_malformed"},
	} {
		token, err := key.SignWithdrawal(c.w, now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := VerifyWithdrawal(token, key.PublicKey(), now)
		if CodeOf(err) != c.code || err == nil && (got.KeyID != key.ID || got.Number != c.w.Number || !maps.Equal(got.Until, c.w.Until) ||
			!maps.Equal(got.Keys, c.w.Keys)) {
			t.Errorf("%s: %+v %v, want %q", name, got, err, c.code)
		}
		if _, err := VerifyWithdrawal(token, NewKey(KindSK, key.ID).PublicKey(), now); CodeOf(err) != "withdrawal_invalid" {
			t.Errorf("%s, of another secret: %v", name, err)
		}
	}
	revocation, err := key.SignRevocation("bob", "", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyWithdrawal(revocation, key.PublicKey(), now); CodeOf(err) != "withdrawal_invalid" {
		t.Errorf("a revocation passes for a withdrawal: %v", err)
	}
	// A numbered statement counts even if the cloud's clock is ahead, but cannot move the server's own time.
	ahead, err := key.SignWithdrawal(Withdrawal{Number: 1, Until: map[string]int64{"bob@acme.test": now.Add(time.Hour).Unix()}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := VerifyWithdrawal(ahead, key.PublicKey(), now); err != nil || w.Until["bob@acme.test"] != now.Add(ClockSkew).Unix() {
		t.Errorf("a clock that is ahead: %+v, %v", w, err)
	}
}

func TestWithdrawalSigning(t *testing.T) {
	key, now := NewKey(KindSK, uuid.New()), time.Unix(1_790_000_000, 0)
	long := Withdrawal{Until: map[string]int64{}, Keys: map[string]KeyAccess{}}
	for i := range MaxWithdrawals {
		subject := fmt.Sprintf("%d@acme.test", i)
		long.Until[subject], long.Keys[subject] = now.Unix(), KeyAccess{Scope: strings.Repeat("app:read ", 20)}
	}
	if _, err := key.SignWithdrawal(long, now); CodeOf(err) != "withdrawal_too_long" {
		t.Errorf("a statement that no server reads: %v", err)
	}
}

func TestWithdrawalLeft(t *testing.T) {
	w := Withdrawal{Until: map[string]int64{Everybody: 1, "bob": 1, "eve": 1, "dan": 1},
		Keys: map[string]KeyAccess{"bob": {Scope: "app:read"}, Everybody: {Scope: "app:write"}, "dan": {}}}
	for subject, want := range map[string]string{"bob": "app:read", "eve": "", "dan": "", "somebody": "app:write"} {
		if left, ok := w.Left(subject); !w.Names(subject) || ok != (want != "") || ok && left.Scope != want {
			t.Errorf("%s: %+v %v, want %q", subject, left, ok, want)
		}
	}
	if (Withdrawal{Until: map[string]int64{"bob": 1}}).Names("eve") {
		t.Error("a withdrawal names somebody else")
	}
}

func TestWithdrawn(t *testing.T) {
	at := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		taken  map[string]Taken
		number int64
		want   bool
	}{
		"nothing":                     {nil, 0, false},
		"somebody else":               {map[string]Taken{"eve": {Until: 2000, Number: 9}}, 1, false},
		"before it":                   {map[string]Taken{"bob": {Until: 999}}, 0, false},
		"then":                        {map[string]Taken{"bob": {Until: 1000}}, 0, true},
		"all":                         {map[string]Taken{Everybody: {Until: 1001}}, 0, true},
		"a lower number":              {map[string]Taken{"bob": {Number: 5}}, 4, true},
		"the same number":             {map[string]Taken{"bob": {Number: 5, Until: 2000}}, 5, false},
		"a higher number":             {map[string]Taken{"bob": {Number: 5, Until: 2000}}, 6, false},
		"a lower number than all's":   {map[string]Taken{Everybody: {Number: 5}}, 4, true},
		"a number, and no statement":  {map[string]Taken{"bob": {Until: 2000, Clock: 1000}}, 6, true},
		"a number, after a clock":     {map[string]Taken{"bob": {Until: 2000, Clock: 999}}, 6, false},
		"no number, and one is known": {map[string]Taken{"bob": {Until: 999, Number: 5}}, 0, false},
	} {
		if got := Withdrawn(func(subject string) Taken { return c.taken[subject] }, "bob", at, c.number); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzVerifyWithdrawal(f *testing.F) {
	key, now := NewKey(KindSK, uuid.New()), time.Unix(1_790_000_000, 0)
	token, err := key.SignWithdrawal(Withdrawal{Number: 3, Until: map[string]int64{"bob@acme.test": now.Unix()},
		Keys: map[string]KeyAccess{"bob@acme.test": {Scope: "app:read", Role: RoleMember}}}, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.Reveal())
	f.Fuzz(func(t *testing.T, text string) {
		w, err := VerifyWithdrawal(NewSecret(text), key.PublicKey(), now)
		if err == nil && (w.KeyID != key.ID || len(w.Until) != 1 || w.Number != 3 || len(w.Keys) != 1) {
			t.Errorf("%q says %+v", text, w)
		}
	})
}

// FuzzWithdrawalClaims signs arbitrary claims: whatever is accepted is within the bounds.
func FuzzWithdrawalClaims(f *testing.F) {
	key, now := NewKey(KindSK, uuid.New()), time.Unix(1_790_000_000, 0)
	f.Add("bob", int64(1), int64(1_790_000_000), "app:read", "member")
	f.Add("*", int64(0), int64(1_790_000_031), "", "")
	f.Add("eve", int64(-1), int64(0), "*", "king")
	f.Fuzz(func(t *testing.T, subject string, number, until int64, scope, role string) {
		token, err := key.SignWithdrawal(Withdrawal{Number: number, Until: map[string]int64{subject: until},
			Keys: map[string]KeyAccess{subject: {Scope: scope, Role: Role(role)}}}, now)
		if err != nil {
			return
		}
		w, err := VerifyWithdrawal(token, key.PublicKey(), now)
		if err != nil {
			return
		}
		for name, at := range w.Until {
			left, ok := w.Left(name)
			if w.Number < 0 || w.Number > MaxStatementNumber || at > now.Add(ClockSkew).Unix() || !w.Names(name) ||
				ok && (len(left.Scopes()) == 0 || left.Role != "" && !left.Role.Valid()) {
				t.Errorf("%q %d %d %q %q passes as %+v", subject, number, until, scope, role, w)
			}
		}
	})
}
