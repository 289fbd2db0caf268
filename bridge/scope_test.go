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

// randomScope makes scopes from few words, so that they meet.
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
