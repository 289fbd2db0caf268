package bridge

import (
	"crypto/ed25519"
	"time"

	"github.com/google/uuid"
)

// MaxWithdrawals is how many members one [Withdrawal] names at most.
const MaxWithdrawals = 100

// Withdrawal says from which members the use of a key was taken away, or given anew with less: of each, the access tokens
// that were issued until then (unix seconds) are dead.
type Withdrawal struct {
	KeyID uuid.UUID
	Until map[string]int64 // by subject
}

// Everybody stands for all members, where they are too many to be named one by one.
const Everybody = "*"

// Withdrawn reports whether an access token that was issued to a member at a time is dead, by what was withdrawn from whom;
// see [Withdrawal].
func Withdrawn(until map[string]int64, subject string, issued time.Time) bool {
	at := issued.Unix()
	return len(until) > 0 && (at <= until[subject] || at <= until[Everybody])
}

// withdrawalClaims are those of a withdrawal: a statement, signed with an API key's own key pair. Like a revocation it can
// do nothing but take away, so that it asks for no audience and needs no end: after [MaxAccessTokenLife] there is nothing
// left that it concerns.
type withdrawalClaims struct {
	noClaims
	IssuedAt int64            `json:"iat"`
	Until    map[string]int64 `json:"until"`
}

// SignWithdrawal signs a statement about access tokens of this key.
func (k Key) SignWithdrawal(until map[string]int64, now time.Time) (Secret, error) {
	return sign(TypeWithdrawal, k.signingKey(), withdrawalClaims{IssuedAt: now.Unix(), Until: until})
}

// VerifyWithdrawal checks a withdrawal against the public key of the API key it names.
func VerifyWithdrawal(token Secret, public ed25519.PublicKey, now time.Time) (Withdrawal, error) {
	id, err := TokenKeyID(token)
	if err != nil {
		return Withdrawal{}, err
	}
	var c withdrawalClaims
	if err := VerifyToken(token, TypeWithdrawal, AlgEdDSA, func(string) (any, error) { return public, nil }, &c); err != nil {
		return Withdrawal{}, refuse("withdrawal_invalid", "the withdrawal is not signed by its key").Because(err)
	}
	if len(c.Until) == 0 || len(c.Until) > MaxWithdrawals {
		return Withdrawal{}, refuse("withdrawal_malformed", "a withdrawal names 1 to %d members", MaxWithdrawals)
	}
	latest := now.Add(ClockSkew).Unix() // beyond it, nobody could be let in again for as long
	for subject, until := range c.Until {
		if subject == "" || len(subject) > maxSubject || until > latest {
			return Withdrawal{}, refuse("withdrawal_malformed", "the withdrawal names nobody, or a time in the future")
		}
	}
	return Withdrawal{KeyID: id, Until: c.Until}, nil
}
