package bridge

import (
	"crypto/ed25519"
	"time"

	"github.com/google/uuid"
)

// MaxWithdrawals is the maximum number of members that one [Withdrawal] names.
const MaxWithdrawals = 100

// MaxStatementNumber bounds the numbers of statements to what a JSON number represents exactly.
const MaxStatementNumber = 1<<53 - 1

// Withdrawal takes the use of a key from members, or changes how much of it is left to them.
//
// Access tokens issued to them before it are dead, and so are the personal keys they created with the key, unless Keys
// leaves them some.
type Withdrawal struct {
	KeyID uuid.UUID
	// Number is the statement's position among those about this key, from 1; 0: the cloud does not number them.
	Number int64
	// Until maps a subject to a time (unix seconds): access tokens issued until then are dead. It decides about tokens
	// without a number, and about all tokens if the statement has none.
	Until map[string]int64
	// Keys maps a subject to the most that its personal keys may do from now on. A subject of Until without an entry loses
	// these keys for good. A subject's own entry takes precedence over that of [Everybody].
	Keys map[string]KeyAccess
}

// KeyAccess is the most that a subject's personal keys may do.
type KeyAccess struct {
	Scope string `json:"scope"` // separated by spaces; empty: nothing
	Role  Role   `json:"role,omitempty"`
}

// Scopes returns the scopes of the access; [VerifyWithdrawal] has checked their form.
func (a KeyAccess) Scopes() Scopes {
	scopes, err := ParseScopes(a.Scope)
	if err != nil {
		return nil
	}
	return scopes
}

// Names reports whether the withdrawal affects a subject, by name or as one of [Everybody].
func (w Withdrawal) Names(subject string) bool {
	_, named := w.Until[subject]
	_, all := w.Until[Everybody]
	return named || all
}

// Left returns what a withdrawal leaves to the personal keys of a subject that it names; false: nothing.
func (w Withdrawal) Left(subject string) (KeyAccess, bool) {
	if _, named := w.Until[subject]; !named {
		subject = Everybody
	}
	left := w.Keys[subject]
	return left, len(left.Scopes()) > 0
}

// Everybody stands for all members, if they are too many to be listed.
const Everybody = "*"

// Taken is what withdrawals have taken from one subject of a key.
type Taken struct {
	Until  int64 // tokens without a number that were issued until then (unix seconds) are dead
	Number int64 // tokens with a lower number are dead
	Clock  int64 // tokens with a number that were issued until then are dead, because of statements without a number
}

// Withdrawn reports whether an access token is dead because of withdrawals.
//
// taken returns what was taken from a subject; it is called for the token's subject and for [Everybody]. A token with a number
// comes from a cloud that numbers its statements: clocks decide about it only through statements without a number.
func Withdrawn(taken func(subject string) Taken, subject string, issued time.Time, number int64) bool {
	at := issued.Unix()
	for _, name := range [...]string{subject, Everybody} {
		t := taken(name)
		if number > 0 && (number < t.Number || at <= t.Clock) || number <= 0 && at <= t.Until {
			return true
		}
	}
	return false
}

// withdrawalClaims are the claims of a withdrawal: a statement signed with an API key's own key pair. Like a revocation it can
// only take away, so it needs neither an audience nor an expiry.
type withdrawalClaims struct {
	noClaims
	IssuedAt int64                 `json:"iat"`
	Until    map[string]int64      `json:"until"`
	Number   int64                 `json:"number,omitempty"`
	Keys     map[string]*KeyAccess `json:"keys,omitempty"`
}

// SignWithdrawal signs a withdrawal with the key that it is about.
//
// It fails with [CodeWithdrawalTooLong] if the result is longer than a token may be; the caller has to split it.
func (k Key) SignWithdrawal(w Withdrawal, now time.Time) (Secret, error) {
	claims := withdrawalClaims{IssuedAt: now.Unix(), Until: w.Until, Number: w.Number}
	if len(w.Keys) > 0 {
		claims.Keys = make(map[string]*KeyAccess, len(w.Keys))
		for subject, access := range w.Keys {
			claims.Keys[subject] = &access
		}
	}
	token, err := sign(TypeWithdrawal, k.signingKey(), claims)
	if err == nil && token.Len() > maxToken {
		return Secret{}, E(TooLarge, CodeWithdrawalTooLong, "the withdrawal is longer than %d bytes", maxToken).
			WithHint("name fewer members in one")
	}
	return token, err
}

// VerifyWithdrawal verifies a withdrawal with the public key of the API key it names.
func VerifyWithdrawal(token Secret, public ed25519.PublicKey, now time.Time) (Withdrawal, error) {
	id, err := TokenKeyID(token)
	if err != nil {
		return Withdrawal{}, err
	}
	var c withdrawalClaims
	if err := VerifyToken(token, TypeWithdrawal, AlgEdDSA, func(string) (any, error) { return public, nil }, &c); err != nil {
		return Withdrawal{}, refuse(CodeWithdrawalInvalid, "the withdrawal is not signed by its key").Because(err)
	}
	if len(c.Until) == 0 || len(c.Until) > MaxWithdrawals {
		return Withdrawal{}, refuse(CodeWithdrawalMalformed, "a withdrawal names 1 to %d members", MaxWithdrawals)
	}
	if c.Number < 0 || c.Number > MaxStatementNumber {
		return Withdrawal{}, refuse(CodeWithdrawalMalformed, "the number of the withdrawal is not between 1 and %d", int64(MaxStatementNumber))
	}
	latest := now.Add(ClockSkew).Unix() // a later time would lock members out until then
	for subject, until := range c.Until {
		// A number needs no clock: a numbered statement counts even if the cloud's clock is ahead.
		if !namesSubject(subject) || until > latest && c.Number == 0 {
			return Withdrawal{}, refuse(CodeWithdrawalMalformed, "the withdrawal names nobody, or a time in the future")
		}
		c.Until[subject] = min(until, latest)
	}
	w := Withdrawal{KeyID: id, Number: c.Number, Until: c.Until}
	for subject, access := range c.Keys {
		if _, named := c.Until[subject]; !named {
			return Withdrawal{}, refuse(CodeWithdrawalMalformed, "the withdrawal leaves keys to a member whom it does not name")
		}
		if access == nil {
			continue
		}
		if _, err := ParseScopes(access.Scope); err != nil || access.Role != "" && !access.Role.Valid() {
			return Withdrawal{}, refuse(CodeWithdrawalMalformed, "the withdrawal leaves scopes or a role that do not exist")
		}
		if w.Keys == nil {
			w.Keys = map[string]KeyAccess{}
		}
		w.Keys[subject] = *access
	}
	return w, nil
}

// namesSubject checks a statement's subject, which may be older than the rules of [PlainSubject].
func namesSubject(subject string) bool { return subject != "" && len(subject) <= maxSubject }
