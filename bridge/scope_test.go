package bridge_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

func TestScopeCovers(t *testing.T) {
	cases := []struct {
		have, need bridge.Scope
		want       bool
	}{
		{"agent:read", "agent:read", true}, {"agent:read", "agent:list", false}, {"agent:*", "agent:read", true},
		{"agent:*", "agent:a:b", true}, {"agent:*", "agent", false}, {"*", "a:b:c", true}, {"*:read", "agent:read", true},
		{"*:read", "agent:x:read", false}, {"svc:wiki:admin", "svc:wiki:read", true}, {"svc:wiki:read", "svc:wiki:write", false},
		{"svc:wiki:read", "svc:tasks:write", false}, {"svc:*:write", "svc:kb:read", true}, {"agent:x:admin", "agent:x:read", false},
		{"*:read", "*", false}, {"agent:read", "agent:*", false}, {"svc:wiki:admin", "svc:wiki:*", false}, {"a:*:c", "a:*", false},
		{"*:wiki:admin", "svc:wiki:read", true}, {"*:wiki:admin", "kb:wiki:read", false},
	}
	for _, c := range cases {
		if got := c.have.Covers(c.need); got != c.want {
			t.Errorf("%s covers %s: %v", c.have, c.need, got)
		}
	}
}

// randomScope makes scopes from few words, so that they often overlap.
func randomScope(r *rand.Rand) bridge.Scope {
	words := []string{"svc", "svc", "wiki", "read", "write", "admin", "*", "*"}
	n := []int{1, 2, 3, 3, 3, 4}[r.IntN(6)]
	parts := make([]string, n)
	for i := range parts {
		parts[i] = words[r.IntN(len(words))]
	}
	return bridge.Scope(strings.Join(parts, ":"))
}

func TestCoveringIsReflexiveAndTransitive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	chains := 0
	for range 300_000 {
		a, b, c := randomScope(r), randomScope(r), randomScope(r)
		if !a.Covers(a) {
			t.Fatalf("%s does not cover itself", a)
		}
		if a.Covers(b) && b.Covers(c) {
			chains++
			if !a.Covers(c) {
				t.Fatalf("%s covers %s, that covers %s, and the first does not cover the last", a, b, c)
			}
		}
	}
	if chains == 0 {
		t.Error("no chain was tried")
	}
}

func TestCapNeverWidens(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		key, ceiling := bridge.Scopes{randomScope(r), randomScope(r)}, bridge.Scopes{randomScope(r)}
		capped := key.Cap(ceiling)
		for range 4 {
			if s := randomScope(r); capped.Covers(s) && (!key.Covers(s) || !ceiling.Covers(s)) {
				t.Fatalf("%v capped by %v is %v, which covers %s", key, ceiling, capped, s)
			}
		}
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"a:b", "*", "svc:wiki:read", "", ":", "a::b", "A", "a b", strings.Repeat("a:", 20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		scope, err := bridge.ParseScope(s)
		if err == nil && (string(scope) != s || !scope.Covers(scope) || len(s) > bridge.MaxScopeLen || strings.ContainsAny(s, " \n\"")) {
			t.Errorf("%q was taken as a scope", s)
		}
	})
}

// TestReservedScopes checks that a reserved scope is covered only by itself and covers nothing else, also after capping.
func TestReservedScopes(t *testing.T) {
	for _, reserved := range []bridge.Scope{bridge.ScopeActAs, bridge.ScopeCreateOrganization} {
		for _, s := range []bridge.Scope{"*", "key:*", "*:*", "*:act-as", "*:create-organization", "key:create", "key:act-as:*"} {
			if s.Covers(reserved) || reserved.Covers(s) {
				t.Errorf("%s and %s cover one another", s, reserved)
			}
			if got := (bridge.Scopes{reserved}).Cap(bridge.Scopes{s}); len(got) != 0 {
				t.Errorf("%s capped by %s is %v", reserved, s, got)
			}
			if got := (bridge.Scopes{s}).Cap(bridge.Scopes{reserved}); len(got) != 0 {
				t.Errorf("%s capped by %s is %v", s, reserved, got)
			}
		}
		if !reserved.Covers(reserved) || !(bridge.Scopes{"app:*", reserved}).Covers(reserved) {
			t.Errorf("%s does not cover itself", reserved)
		}
	}
}

func TestPlainSubject(t *testing.T) {
	for s, want := range map[string]bool{
		"bob@acme.test": true, "Jörg": true, "山田@例え.jp": true, "a b": true, "x": true,
		"": false, "*": false, " bob": false, "bob ": false, "\u00a0bob": false, "bob\n": false, "bo\x00b": false, "bo\x7fb": false,
		"bob\u202etset.emca": false, "bob\u2066": false, "\u200fbob": false, "bo\u200bb": false, "\ufeffbob": false, "bob\u2028x": false,
		"bob\u0085x": false, "b\xffb": false,
	} {
		if bridge.PlainSubject(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
	long := make([]byte, 257)
	for i := range long {
		long[i] = 'x'
	}
	if bridge.PlainSubject(string(long)) || !bridge.PlainSubject(string(long[1:])) {
		t.Error("the bound is not where it should be")
	}
}
