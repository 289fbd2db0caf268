package bridge

import (
	"crypto/ed25519"
	"time"

	"github.com/google/uuid"
)

// MaxWithdrawals is how many members one [Withdrawal] names at most.
const MaxWithdrawals = 100

// MaxStatementNumber bounds the numbers of statements: what a JSON number holds exactly.
const MaxStatementNumber = 1<<53 - 1

// Withdrawal takes the use of a key away from members, or says anew how much of it is left to them.
//
// The access tokens that were issued to them before it are dead, and so are the personal keys that they made through the
// key, unless Keys leaves them some.
type Withdrawal struct {
	KeyID uuid.UUID
	// Number is the statement's place among those about this key: 1 or more; 0: from a cloud that does not number.
	Number int64
	// Until is, by subject, the time (unix seconds) until which access tokens were issued that are dead now. It decides about
	// tokens without a number, and by itself where the statement has none.
	Until map[string]int64
	// Keys is, by subject, the most that the personal keys of that subject may from now on. A subject of Until without an
	// entry loses these keys for good; an entry of its own comes before that of [Everybody].
	Keys map[string]KeyAccess
}

// KeyAccess is the most that the personal keys of a subject may.
type KeyAccess struct {
	Scope string `json:"scope"` // separated by spaces; empty: nothing at all
	Role  Role   `json:"role,omitempty"`
}

// Scopes are the scopes of the access; [VerifyWithdrawal] has checked their form.
func (a KeyAccess) Scopes() Scopes {
	scopes, err := ParseScopes(a.Scope)
	if err != nil {
		return nil
	}
	return scopes
}

// Names reports whether the withdrawal concerns a subject, by name or as one of all.
func (w Withdrawal) Names(subject string) bool {
	_, named := w.Until[subject]
	_, all := w.Until[Everybody]
	return named || all
}

// Left is what the withdrawal leaves to the personal keys of a subject that it names; false: nothing.
func (w Withdrawal) Left(subject string) (KeyAccess, bool) {
	if _, named := w.Until[subject]; !named {
		subject = Everybody
	}
	left := w.Keys[subject]
	return left, len(left.Scopes()) > 0
}

// Everybody stands for all members, where they are too many to be named one by one.
const Everybody = "*"

// Taken is what withdrawals took from one subject of a key.
type Taken struct {
	Until  int64 // tokens without a number are dead that were issued until then, unix seconds
	Number int64 // tokens with a lower number are dead
	Clock  int64 // tokens with a number are dead that were issued until then, by statements without one
}

// Withdrawn reports whether an access token is dead, by what was taken from its subject and from everybody.
//
// A token with a number is of a cloud that numbers its statements: no clock decides about it, but for statements without a
// number.
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

// withdrawalClaims are those of a withdrawal: a statement, signed with an API key's own key pair. Like a revocation it can
// only take away, so that it needs neither an audience nor an end.
type withdrawalClaims struct {
	noClaims
	IssuedAt int64                 `json:"iat"`
	Until    map[string]int64      `json:"until"`
	Number   int64                 `json:"number,omitempty"`
	Keys     map[string]*KeyAccess `json:"keys,omitempty"`
}

// SignWithdrawal signs a withdrawal with the key that it is about. One that is longer than a token may be is refused: it is to
// be split.
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

// VerifyWithdrawal checks a withdrawal against the public key of the API key it names.
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
	latest := now.Add(ClockSkew).Unix() // beyond it, nobody could be let in again for as long
	for subject, until := range c.Until {
		// A number needs no clock: where there is one, a cloud whose clock is ahead is heard as well.
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

// namesSubject is checked of the subjects of statements, which may be older than the rules of [PlainSubject].
func namesSubject(subject string) bool { return subject != "" && len(subject) <= maxSubject }
