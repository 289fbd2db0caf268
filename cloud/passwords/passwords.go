// Package passwords hashes and checks passwords with argon2id (RFC 9106), a few at a time.
//
// A hash takes 19 MiB by default, so only as many run at once as there are processors (at least two); the others wait. A check for
// an unknown account does the same work as for a known one, so that its time does not tell whether an account exists.
package passwords

import (
	"context"
	"fmt"
	"runtime"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
)

// Cost is the cost of an argon2id hash.
type Cost struct {
	MemoryKiB  uint32
	Iterations uint32
}

const (
	minPassword = 10  // bytes
	maxPassword = 256 // bytes
)

// Hasher hashes and checks passwords. It is safe for concurrent use.
type Hasher struct {
	params  *argon2id.Params
	slots   chan struct{}
	nobody  string                                    // the hash of an unknown user's password
	Compare func(password, hash string) (bool, error) // compares one password; tests replace it
}

// New returns a hasher. A zero cost is the default: OWASP's minimum for argon2id.
func New(cost Cost) (*Hasher, error) {
	if cost == (Cost{}) {
		cost = Cost{MemoryKiB: 19 << 10, Iterations: 2}
	}
	h := &Hasher{
		params: &argon2id.Params{Memory: cost.MemoryKiB, Iterations: cost.Iterations, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		slots:  make(chan struct{}, max(2, runtime.NumCPU())), Compare: argon2id.ComparePasswordAndHash,
	}
	var err error
	h.nobody, err = argon2id.CreateHash(bridge.RandomToken(32), h.params)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return h, nil
}

// slot waits until a hash may run. It fails with [bridge.CodeBusy] if the context ends first.
func (h *Hasher) slot(ctx context.Context) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, bridge.E(bridge.Unavailable, bridge.CodeBusy, "too many people are signing in at this moment")
	}
}

// Hash hashes a password of 10 to 256 bytes, in NFC (RFC 8265 section 4.2.2): keyboards spell the same text differently.
func (h *Hasher) Hash(ctx context.Context, password bridge.Secret) (string, error) {
	if n := password.Len(); n < minPassword || n > maxPassword {
		return "", bridge.E(bridge.Invalid, bridge.CodePasswordLength, "a password has %d to %d bytes", minPassword, maxPassword)
	}
	release, err := h.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	hash, err := argon2id.CreateHash(bridge.OneForm(password.Reveal()), h.params)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// Check reports whether a password matches a stored hash. An empty hash stands for an unknown user: the work is the same, and the
// answer is false.
func (h *Hasher) Check(ctx context.Context, password bridge.Secret, hash string) (bool, error) {
	if password.Len() > maxPassword {
		return false, nil
	}
	release, err := h.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	known := hash != ""
	if !known {
		hash = h.nobody
	}
	match, err := h.Compare(bridge.OneForm(password.Reveal()), hash)
	if raw := password.Reveal(); err == nil && !match && bridge.OneForm(raw) != raw { // older versions hashed it as it was typed
		match, err = h.Compare(raw, hash)
	}
	if err != nil {
		return false, fmt.Errorf("check a password: %w", err)
	}
	return match && known, nil
}
