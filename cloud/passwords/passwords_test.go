package passwords_test

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/passwords"
)

func newHasher(t *testing.T) *passwords.Hasher {
	t.Helper()
	h, err := passwords.New(passwords.Cost{MemoryKiB: 64, Iterations: 1})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const composed, decomposed = "zo\u00eb correct horse", "zoe\u0308 correct horse"

func TestCheck(t *testing.T) {
	h := newHasher(t)
	hash, err := h.Hash(t.Context(), bridge.NewSecret(composed))
	if err != nil {
		t.Fatal(err)
	}
	old, err := argon2id.CreateHash(decomposed, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, password, hash string
		want                 bool
	}{
		{"right", composed, hash, true},
		{"right, from another keyboard", decomposed, hash, true},
		{"as an older version has hashed it", decomposed, old, true},
		{"wrong", "zoe correct horse", hash, false},
		{"none", "", hash, false},
		{"of an unknown account", composed, "", false},
		{"longer than any", strings.Repeat("x", 257), hash, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := h.Check(t.Context(), bridge.NewSecret(c.password), c.hash); err != nil || got != c.want {
				t.Errorf("%t (%v)", got, err)
			}
		})
	}
	if ok, err := h.Check(t.Context(), bridge.NewSecret(composed), "no hash"); err == nil || ok {
		t.Errorf("a damaged hash: %t (%v)", ok, err)
	}
}

func TestLengths(t *testing.T) {
	h := newHasher(t)
	for n, code := range map[int]bridge.Code{9: bridge.CodePasswordLength, 10: "", 256: "", 257: bridge.CodePasswordLength} {
		hash, err := h.Hash(t.Context(), bridge.NewSecret(strings.Repeat("x", n)))
		if bridge.CodeOf(err) != code || (err == nil) != (hash != "") {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// Whether an account exists is not told by the work: a check for an unknown one compares as well, with a hash of the same cost.
func TestUnknownAccountsTakeAsLong(t *testing.T) {
	h := newHasher(t)
	hash, err := h.Hash(t.Context(), bridge.NewSecret(composed))
	if err != nil {
		t.Fatal(err)
	}
	var compared []string
	h.Compare = func(_, hash string) (bool, error) { compared = append(compared, hash); return true, nil }
	for _, stored := range []string{hash, ""} {
		if ok, err := h.Check(t.Context(), bridge.NewSecret(composed), stored); err != nil || ok != (stored != "") {
			t.Errorf("%q: %t (%v)", stored, ok, err)
		}
	}
	if len(compared) != 2 {
		t.Fatalf("%d comparisons", len(compared))
	}
	params := func(hash string) string { return hash[:strings.LastIndex(hash[:strings.LastIndex(hash, "$")], "$")] }
	if params(compared[0]) != params(compared[1]) {
		t.Errorf("the costs are %s and %s", params(compared[0]), params(compared[1]))
	}
}

// As many hashes as there are processors run at once; whoever does not want to wait any longer is told so.
func TestOnlyAFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t)
		places := max(2, runtime.NumCPU())
		var running, most atomic.Int64
		release := make(chan struct{})
		h.Compare = func(string, string) (bool, error) {
			most.Store(max(most.Load(), running.Add(1)))
			<-release
			running.Add(-1)
			return false, nil
		}
		ended := make(chan error, places+3)
		for range places + 3 {
			go func() {
				_, err := h.Check(context.Background(), bridge.NewSecret("a password"), "")
				ended <- err
			}()
		}
		synctest.Wait()
		if n := running.Load(); n != int64(places) {
			t.Errorf("%d run at once, want %d", n, places)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Check(gone, bridge.NewSecret("a password"), ""); bridge.CodeOf(err) != bridge.CodeBusy {
			t.Errorf("a check that cannot wait: %v", err)
		}
		close(release)
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if most.Load() > int64(places) {
			t.Errorf("%d ran at once", most.Load())
		}
	})
}
