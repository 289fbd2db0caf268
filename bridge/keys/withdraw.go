package keys

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/statements"
	"github.com/acebridge/ace/bridge/keys/table"
	"github.com/acebridge/ace/bridge/sqldb"
)

// signer returns the key that a statement names, and that must have signed it.
func (a *Authority) signer(ctx context.Context, token bridge.Secret) (table.Found, error) {
	id, err := bridge.TokenKeyID(token)
	if err != nil {
		return table.Found{}, err
	}
	f, ok := a.table.Find(id)
	if !ok && a.db.Dialect == sqldb.Postgres && table.JustMade(id, a.line.Now()) { // another process may have created it just now
		r, err := record.Load(ctx, a.db, id)
		if err != nil {
			return table.Found{}, err
		}
		a.table.Take(&r)
		f, ok = a.table.Find(id)
	}
	if !ok {
		return table.Found{}, record.ErrUnknown
	}
	return f, nil
}

// nothingToState enforces the rate of statements about a key. done is true if the key is dead, so nothing is left to take away.
func (a *Authority) nothingToState(ctx context.Context, f *table.Found) (done bool, r record.Record, err error) {
	if err := a.pace.Take(f.ID()); err != nil {
		return true, record.Record{}, err
	}
	if !f.Dead(a.line.Seconds()) {
		return false, record.Record{}, nil
	}
	after, err := record.Load(ctx, a.db, f.ID())
	return true, after.Record, err
}

// Withdraw acts on a signed withdrawal: it ends access tokens, and ends or limits personal keys.
//
// These are the tokens of the key that the withdrawal names, and the personal keys that its members created with it. The key
// itself has signed the statement, so no other credential is needed. Repeating it changes nothing.
func (a *Authority) Withdraw(ctx context.Context, actor audit.Actor, token bridge.Secret) (record.Record, error) {
	now := a.line.Now()
	f, err := a.signer(ctx, token)
	if err != nil {
		return record.Record{}, err
	}
	statement, err := statements.VerifyWithdrawal(token, f.PublicKeys(a.line.Seconds()), now)
	if err != nil {
		return record.Record{}, err
	}
	if done, r, err := a.nothingToState(ctx, &f); done {
		return r, err
	}
	if done, r, err := a.stated(ctx, &f, statement, now); done || err != nil {
		return r, err
	}
	actor.ID, actor.Org = "key:"+f.ID().String(), f.Org()
	return a.changeFamily(ctx, f.ID(), actor, func(x *relatives, version int64) (*audit.Entry, error) {
		return x.withdraw(ctx, f.ID(), statement, version)
	})
}

// stated reports, without writing, whether a withdrawal would change nothing.
func (a *Authority) stated(ctx context.Context, f *table.Found, w bridge.Withdrawal, now time.Time) (bool, record.Record, error) {
	r, err := record.Load(ctx, a.db, f.ID())
	if err != nil {
		return false, record.Record{}, err
	}
	before := r.Taken
	if before.Knows(w) {
		return true, r.Record, nil
	}
	concerned, err := concerned(ctx, a.db, &r, w)
	return len(concerned) == 0 && before.With(w, now).Equal(before), r.Record, err
}

// withdraw takes a withdrawal in: for the key's access tokens, and for each personal key that it affects.
func (x *relatives) withdraw(ctx context.Context, id uuid.UUID, w bridge.Withdrawal, version int64) (*audit.Entry, error) {
	r, err := record.Load(ctx, x.tx, id)
	if err != nil || !r.EndedAt.IsZero() {
		return nil, err
	}
	before := r.Taken
	after := before.With(w, x.a.line.Now())
	keys, err := concerned(ctx, x.tx, &r, w)
	if err != nil || len(keys) == 0 && after.Equal(before) {
		return nil, err
	}
	until, numbers, err := after.Columns()
	if err != nil {
		return nil, err
	}
	changed, err := sqldb.Changed(x.tx.ExecContext(ctx, `UPDATE api_keys SET withdrawn = $1, withdrawn_numbers = $2, withdrawn_highest = $3,
		version = $4 WHERE id = $5 AND ended_at = 0`, until, numbers, after.Highest, version, id.String()))
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

// concerned returns the personal keys that a withdrawal affects: those below its key, and those whose parent is not known.
func concerned(ctx context.Context, q record.Queryer, key *record.Row, w bridge.Withdrawal) ([]record.Row, error) {
	below, err := descendants(ctx, q, key.ID)
	if err != nil {
		return nil, err
	}
	if key.Kind == bridge.KindSK {
		orphans, err := record.Rows(ctx, q, "SELECT "+record.Columns+" FROM api_keys WHERE org = $1 AND parent_unknown AND ended_at = 0 ORDER BY id", key.Org)
		if err != nil {
			return nil, err
		}
		below = append(below, orphans...)
	}
	return slices.DeleteFunc(below, func(r record.Row) bool { return !r.Lineage.ConcernedBy(w) }), nil
}

// limit ends a personal key, or reduces it to what a withdrawal leaves.
func (x *relatives) limit(ctx context.Context, r *record.Row, w bridge.Withdrawal) error {
	if slices.Contains(x.ids, r.ID) {
		return nil // it has ended together with a key above it
	}
	after, some := r.Lineage.After(w)
	if !some {
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
