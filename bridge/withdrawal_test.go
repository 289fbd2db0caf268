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
	for name, c := range map[string]struct {
		until map[string]int64
		code  string
	}{
		"one":           {map[string]int64{"bob@acme.test": now.Unix()}, ""},
		"the clock":     {map[string]int64{"bob@acme.test": now.Add(ClockSkew).Unix()}, ""},
		"the future":    {map[string]int64{"bob@acme.test": now.Add(ClockSkew + time.Second).Unix()}, "withdrawal_malformed"},
		"nobody":        {map[string]int64{}, "withdrawal_malformed"},
		"no name":       {map[string]int64{"": 1}, "withdrawal_malformed"},
		"a long name":   {map[string]int64{strings.Repeat("x", maxSubject+1): 1}, "withdrawal_malformed"},
		"more than may": {many, "withdrawal_malformed"},
	} {
		token, err := key.SignWithdrawal(c.until, now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := VerifyWithdrawal(token, key.PublicKey(), now)
		if CodeOf(err) != c.code || err == nil && (got.KeyID != key.ID || !maps.Equal(got.Until, c.until)) {
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
}

func TestWithdrawn(t *testing.T) {
	at := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		until map[string]int64
		want  bool
	}{
		"nothing": {nil, false}, "somebody else": {map[string]int64{"eve": 2000}, false}, "before it": {map[string]int64{"bob": 999}, false},
		"then": {map[string]int64{"bob": 1000}, true}, "all": {map[string]int64{Everybody: 1001}, true},
	} {
		if got := Withdrawn(c.until, "bob", at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzVerifyWithdrawal(f *testing.F) {
	key, now := NewKey(KindSK, uuid.New()), time.Unix(1_790_000_000, 0)
	token, err := key.SignWithdrawal(map[string]int64{"bob@acme.test": now.Unix()}, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.Reveal())
	f.Fuzz(func(t *testing.T, text string) {
		w, err := VerifyWithdrawal(NewSecret(text), key.PublicKey(), now)
		if err == nil && (w.KeyID != key.ID || len(w.Until) != 1) {
			t.Errorf("%q says %+v", text, w)
		}
	})
}
