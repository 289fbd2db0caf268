// Package passwords hashes passwords with argon2id (RFC 9106), only so many at a time.
package passwords

import (
	"context"
	"fmt"
	"runtime"

	"github.com/alexedwards/argon2id"

	"github.com/acebridge/ace/bridge"
)

// Cost is the cost of hashing a password with argon2id.
type Cost struct {
	MemoryKiB  uint32
	Iterations uint32
}

const (
	minPassword = 10
	maxPassword = 256
)

// Hasher hashes passwords, only so many at a time: each takes 19 MiB, and a crowd of them must not take the machine.
type Hasher struct {
	params  *argon2id.Params
	slots   chan struct{}
	nobody  string                                    // the hash of an unknown user's password
	Compare func(password, hash string) (bool, error) // the work of a check; a test counts it
}

// New returns a hasher; a zero cost is the default.
func New(cost Cost) (*Hasher, error) {
	if cost == (Cost{}) {
		cost = Cost{MemoryKiB: 19 << 10, Iterations: 2} // OWASP's minimum for argon2id
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

func (h *Hasher) slot(ctx context.Context) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, bridge.E(bridge.Unavailable, bridge.CodeBusy, "too many people are signing in at this moment")
	}
}

// Hash hashes a password of 10 to 256 bytes.
func (h *Hasher) Hash(ctx context.Context, password bridge.Secret) (string, error) {
	if n := password.Len(); n < minPassword || n > maxPassword {
		return "", bridge.E(bridge.Invalid, bridge.CodePasswordLength, "a password has %d to %d bytes", minPassword, maxPassword)
	}
	release, err := h.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	hash, err := argon2id.CreateHash(bridge.OneForm(password.Reveal()), h.params) // keyboards differ: RFC 8265 section 4.2.2
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// Check compares a password with a stored hash; an empty hash stands for an unknown user, who costs the same work.
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
	if raw := password.Reveal(); err == nil && !match && bridge.OneForm(raw) != raw { // an older version has hashed it as it came
		match, err = h.Compare(raw, hash)
	}
	if err != nil {
		return false, fmt.Errorf("check a password: %w", err)
	}
	return match && known, nil
}
