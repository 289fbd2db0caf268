package statements

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/acebridge/ace/bridge"
)

// VerifyRevocation verifies a revocation with any of a key's public keys.
func VerifyRevocation(token bridge.Secret, by []ed25519.PublicKey) (bridge.Revocation, error) {
	return verifyWith(by, func(public ed25519.PublicKey) (bridge.Revocation, error) {
		return bridge.VerifyRevocation(token, public)
	})
}

// VerifyWithdrawal verifies a withdrawal with any of a key's public keys.
func VerifyWithdrawal(token bridge.Secret, by []ed25519.PublicKey, now time.Time) (bridge.Withdrawal, error) {
	return verifyWith(by, func(public ed25519.PublicKey) (bridge.Withdrawal, error) {
		return bridge.VerifyWithdrawal(token, public, now)
	})
}

// verifyWith tries the public keys in turn; the error is that of the last one.
func verifyWith[S any](by []ed25519.PublicKey, verify func(ed25519.PublicKey) (S, error)) (statement S, err error) {
	for _, public := range by {
		if statement, err = verify(public); err == nil {
			break
		}
	}
	return statement, err
}

const (
	// New statements about one key: statementBurst at once, then one per statementEvery.
	statementBurst = 60
	statementEvery = time.Second
	statementKeys  = 4096 // number of keys whose statements are counted
)

// Pace limits how many statements about each key reach the database.
type Pace struct {
	limiters *lru.Cache[uuid.UUID, *rate.Limiter] // by key
	now      func() time.Time
}

// NewPace returns a pace that goes by the given clock.
func NewPace(now func() time.Time) (*Pace, error) {
	limiters, err := lru.New[uuid.UUID, *rate.Limiter](statementKeys)
	if err != nil {
		return nil, fmt.Errorf("count statements: %w", err)
	}
	return &Pace{limiters, now}, nil
}

// Take counts one statement about a key, or refuses it.
func (p *Pace) Take(id uuid.UUID) error {
	limiter, ok := p.limiters.Get(id)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(statementEvery), statementBurst)
		p.limiters.Add(id, limiter)
	}
	if limiter.AllowN(p.now(), 1) {
		return nil
	}
	return &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeStatementsRate, RetryAfter: statementEvery,
		Detail: "there are too many statements about this key", Hint: "send them more slowly, with more members in each"}
}
