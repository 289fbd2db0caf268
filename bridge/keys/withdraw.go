package keys

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// withdrawals are until when (unix seconds) the access tokens of a key without a number that were issued to a member are
// dead, by subject.
type withdrawals map[string]int64

// takenNumbers are which access tokens of a key with a number are dead, by subject.
type takenNumbers map[string]takenNumber

type takenNumber struct {
	Number int64 `json:"n,omitempty"` // those with a lower one
	Clock  int64 `json:"c,omitempty"` // those issued until then, by statements without a number
	Kept   int64 `json:"k"`           // when the last statement came
}

// taken is all that withdrawals took from the access tokens of a key.
type taken struct {
	until   withdrawals
	numbers takenNumbers
	highest int64 // number of a statement
}

func (t taken) of(subject string) bridge.Taken {
	m := t.numbers[subject]
	return bridge.Taken{Until: t.until[subject], Number: m.Number, Clock: m.Clock}
}

const (
	maxWithdrawn = 500
	// withdrawnKept is how long after its time a withdrawal concerns tokens that may still be valid.
	withdrawnKept = bridge.MaxAccessTokenLife + bridge.ClockSkew
	// A key's statements that are not known yet: so many at once, and one more in each time.
	statementBurst = 60
	statementEvery = time.Second
	statementKeys  = 4096 // keys whose statements are counted
)

func parseWithdrawals(text string) (withdrawals, error) {
	if text == "" {
		return nil, nil
	}
	var w withdrawals
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return nil, errors.New("its withdrawals are damaged")
	}
	return w, nil
}

func parseNumbers(text string) (takenNumbers, error) {
	if text == "" {
		return nil, nil
	}
	var m takenNumbers
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, errors.New("the numbers of its withdrawals are damaged")
	}
	return m, nil
}

// jsonText is a map as it is stored; an empty one is the empty text.
func jsonText[T any](m map[string]T) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	text, err := json.Marshal(m)
	return string(text), err
}

// with is what is taken after one more withdrawal, less what concerns no token any more.
func (t taken) with(w bridge.Withdrawal, now time.Time) taken {
	oldest := now.Add(-withdrawnKept).Unix()
	out := taken{until: withdrawals{}, numbers: takenNumbers{}, highest: max(t.highest, w.Number)}
	for _, source := range []map[string]int64{t.until, w.Until} {
		for subject, at := range source {
			if at > oldest && at > out.until[subject] && at > out.until[bridge.Everybody] {
				out.until[subject] = at
			}
		}
	}
	for subject, m := range t.numbers {
		if m.Kept > oldest {
			out.numbers[subject] = m
		}
	}
	for subject, at := range w.Until {
		switch m := out.numbers[subject]; {
		case w.Number > m.Number:
			out.numbers[subject] = takenNumber{Number: w.Number, Clock: m.Clock, Kept: max(m.Kept, now.Unix())}
		case w.Number == 0 && at > oldest && at > m.Clock:
			out.numbers[subject] = takenNumber{Number: m.Number, Clock: at, Kept: max(m.Kept, at)}
		}
	}
	if len(out.until) > maxWithdrawn {
		out.until = withdrawals{bridge.Everybody: slices.Max(slices.Collect(maps.Values(out.until)))}
	}
	if len(out.numbers) > maxWithdrawn {
		var all takenNumber
		for _, m := range out.numbers {
			all = takenNumber{max(all.Number, m.Number), max(all.Clock, m.Clock), max(all.Kept, m.Kept)}
		}
		out.numbers = takenNumbers{bridge.Everybody: all}
	}
	return out
}

// knows reports whether a withdrawal with a number changes nothing.
func (t taken) knows(w bridge.Withdrawal) bool {
	for subject := range w.Until {
		if t.numbers[subject].Number < w.Number {
			return false
		}
	}
	return w.Number > 0
}

func (t taken) equal(o taken) bool {
	return t.highest == o.highest && maps.Equal(t.until, o.until) && maps.Equal(t.numbers, o.numbers)
}

func (f *found) withdrawn(subject string, issued time.Time, number int64) bool {
	return f.special != nil && bridge.Withdrawn(f.special.taken.of, subject, issued, number)
}

// dead reports whether the key is dead for good. An expired key is not where [Authority.Revive] can bring it back, and with it
// the keys that were made with it.
func (f *found) dead(now int64) bool {
	switch f.status(now) {
	case StatusRevoked, StatusLapsed, StatusUsedUp:
		return true
	case StatusExpired:
		return f.kind() == bridge.KindSK
	}
	return false
}

// nothingToState bounds the statements about a key, and is done where the key is dead: nothing is left to take away.
func (a *Authority) nothingToState(ctx context.Context, f *found) (done bool, r Record, err error) {
	if err := a.pace(f.id); err != nil {
		return true, Record{}, err
	}
	if !f.dead(a.seconds()) {
		return false, Record{}, nil
	}
	after, err := load(ctx, a.db, f.id)
	return true, after.Record, err
}

// pace bounds how many statements about a key reach the database.
func (a *Authority) pace(id uuid.UUID) error {
	limiter, ok := a.statements.Get(id)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(statementEvery), statementBurst)
		a.statements.Add(id, limiter)
	}
	if limiter.AllowN(a.cfg.Now(), 1) {
		return nil
	}
	return &bridge.Error{Kind: bridge.TooMany, Code: "statements_rate", RetryAfter: statementEvery,
		Detail: "there are too many statements about this key", Hint: "send them more slowly, with more members in each"}
}

// Withdraw ends access tokens of the key that a withdrawal names, and ends or limits the personal keys of their members that
// were made through it. The statement is signed with the key itself, so that no other credential is asked for; sent again, it
// changes nothing.
func (a *Authority) Withdraw(ctx context.Context, actor audit.Actor, token bridge.Secret) (Record, error) {
	now := a.cfg.Now()
	var statement bridge.Withdrawal
	f, err := a.signed(ctx, token, func(public ed25519.PublicKey) (err error) {
		statement, err = bridge.VerifyWithdrawal(token, public, now)
		return err
	})
	if err != nil {
		return Record{}, err
	}
	if done, r, err := a.nothingToState(ctx, &f); done {
		return r, err
	}
	if done, r, err := a.stated(ctx, &f, statement, now); done || err != nil {
		return r, err
	}
	actor.ID, actor.Org = "key:"+f.id.String(), f.org
	return a.changeFamily(ctx, f.id, actor, func(x *relatives, version int64) (*audit.Entry, error) {
		return x.withdraw(ctx, f.id, statement, version)
	})
}

// stated reports whether a withdrawal would change nothing, without writing.
func (a *Authority) stated(ctx context.Context, f *found, w bridge.Withdrawal, now time.Time) (bool, Record, error) {
	r, err := load(ctx, a.db, f.id)
	if err != nil {
		return false, Record{}, err
	}
	before := taken{r.withdrawn, r.numbers, r.highest}
	if before.knows(w) {
		return true, r.Record, nil
	}
	concerned, err := concerned(ctx, a.db, &r, w)
	return len(concerned) == 0 && before.with(w, now).equal(before), r.Record, err
}

func (x *relatives) withdraw(ctx context.Context, id uuid.UUID, w bridge.Withdrawal, version int64) (*audit.Entry, error) {
	r, err := load(ctx, x.tx, id)
	if err != nil || !r.EndedAt.IsZero() {
		return nil, err
	}
	before := taken{r.withdrawn, r.numbers, r.highest}
	after := before.with(w, x.a.cfg.Now())
	keys, err := concerned(ctx, x.tx, &r, w)
	if err != nil || len(keys) == 0 && after.equal(before) {
		return nil, err
	}
	until, err := jsonText(after.until)
	if err != nil {
		return nil, err
	}
	numbers, err := jsonText(after.numbers)
	if err != nil {
		return nil, err
	}
	changed, err := sqldb.Changed(x.tx.ExecContext(ctx, `UPDATE api_keys SET withdrawn = $1, withdrawn_numbers = $2, withdrawn_highest = $3,
		version = $4 WHERE id = $5 AND ended_at = 0`, until, numbers, after.highest, version, id.String()))
	if err != nil || !changed {
		return nil, lost("withdraw access tokens", err)
	}
	details := map[string]string{"members": strings.Join(slices.Sorted(maps.Keys(w.Until)), " ")}
	if w.Number > 0 {
		details["number"] = fmt.Sprint(w.Number)
	}
	for i := range keys {
		if err := x.limit(ctx, &keys[i], w); err != nil {
			return nil, err
		}
	}
	return &audit.Entry{Actor: x.actor, Action: "key.withdraw_tokens", Details: details}, nil
}

// concerned are the personal keys that a withdrawal takes something from: those below its key, and those whose parent is not
// known.
func concerned(ctx context.Context, q queryer, key *row, w bridge.Withdrawal) ([]row, error) {
	below, err := descendants(ctx, q, key.ID)
	if err != nil {
		return nil, err
	}
	if key.Kind == bridge.KindSK {
		orphans, err := rowsOf(ctx, q, "SELECT "+columns+" FROM api_keys WHERE org = $1 AND parent_unknown AND ended_at = 0 ORDER BY id", key.Org)
		if err != nil {
			return nil, err
		}
		below = append(below, orphans...)
	}
	return slices.DeleteFunc(below, func(r row) bool { return !concerns(w, &r) }), nil
}

// concerns reports whether a withdrawal takes something from a personal key: it is newer than what the key was made under.
func concerns(w bridge.Withdrawal, r *row) bool {
	l := r.Lineage
	if l.Kind != LineagePersonal || !w.Names(l.Subject) {
		return false
	}
	until, named := w.Until[l.Subject]
	if !named {
		until = w.Until[bridge.Everybody]
	}
	newer := until >= l.Limit.At
	if w.Number > 0 && l.Limit.Number > 0 && !l.ParentUnknown {
		newer = w.Number > l.Limit.Number
	}
	left, some := w.Left(l.Subject)
	if !newer || !some {
		return newer
	}
	after := l.limitedBy(w, left)
	return after.Number != l.Limit.Number || after.Role != l.Limit.Role || !slices.Equal(after.Scopes, l.Limit.Scopes)
}

// limitedBy is the limit of a key after a withdrawal that leaves something to its subject.
func (l Lineage) limitedBy(w bridge.Withdrawal, left bridge.KeyAccess) Limit {
	after := Limit{Scopes: left.Scopes(), Role: l.Limit.Role, Number: l.Limit.Number, At: l.Limit.At}
	if left.Role != "" {
		after.Role = left.Role
	}
	if !l.ParentUnknown {
		after.Number = max(after.Number, w.Number)
		return after
	}
	// Several connections may limit it: what is left is what all of them leave.
	if len(l.Limit.Scopes) > 0 {
		after.Scopes = after.Scopes.Cap(l.Limit.Scopes)
	}
	if l.Limit.Role != "" {
		after.Role = lower(after.Role, l.Limit.Role)
	}
	return after
}

// limit ends a personal key, or lets it have what a withdrawal leaves.
func (x *relatives) limit(ctx context.Context, r *row, w bridge.Withdrawal) error {
	if slices.Contains(x.ids, r.ID) {
		return nil // it has ended with one above it
	}
	left, some := w.Left(r.Lineage.Subject)
	after := r.Lineage.limitedBy(w, left)
	if !some || len(after.Scopes) == 0 {
		return x.revoke(ctx, r, "the access of "+r.Lineage.Subject+" was withdrawn")
	}
	version, err := x.next(ctx, r.ID)
	if err != nil {
		return err
	}
	if _, err := x.tx.ExecContext(ctx, `UPDATE api_keys SET limit_scopes = $1, limit_role = $2, limit_number = $3, version = $4
		WHERE id = $5 AND ended_at = 0`, after.Scopes.String(), string(after.Role), after.Number, version, r.ID.String()); err != nil {
		return fmt.Errorf("limit a personal key: %w", err)
	}
	return x.audit(ctx, r, "key.limit", map[string]string{"scopes": after.Scopes.String(), "role": string(after.Role)})
}

// Withdrawn is until when the access tokens of a key without a number that were issued to each member are dead.
func (a *Authority) Withdrawn(id uuid.UUID) map[string]int64 {
	if f, ok := a.table.find(id); ok && f.special != nil {
		return f.special.taken.until
	}
	return nil
}

// WithdrawnNumbers is which access tokens of a key with a number are dead: those with a lower number, and those issued until a
// time by statements without one.
func (a *Authority) WithdrawnNumbers(id uuid.UUID) (numbers, clocks map[string]int64) {
	f, ok := a.table.find(id)
	if !ok || f.special == nil || len(f.special.taken.numbers) == 0 {
		return nil, nil
	}
	numbers, clocks = map[string]int64{}, map[string]int64{}
	for subject, m := range f.special.taken.numbers {
		if m.Number > 0 {
			numbers[subject] = m.Number
		}
		if m.Clock > 0 {
			clocks[subject] = m.Clock
		}
	}
	return numbers, clocks
}
