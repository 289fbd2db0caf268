package keys

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// withdrawals are until when (unix seconds) the access tokens of a key that were issued to a member are dead, by subject.
type withdrawals map[string]int64

const (
	maxWithdrawn = 500
	// withdrawnKept is how long after its time a withdrawal concerns tokens that may still be valid.
	withdrawnKept = bridge.MaxAccessTokenLife + bridge.ClockSkew
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

func (w withdrawals) text() (string, error) {
	if len(w) == 0 {
		return "", nil
	}
	text, err := json.Marshal(w)
	return string(text), err
}

// with adds what is withdrawn to a copy, less what concerns no token any more.
func (w withdrawals) with(until map[string]int64, now time.Time) withdrawals {
	out := withdrawals{}
	oldest := now.Add(-withdrawnKept).Unix()
	for _, source := range []map[string]int64{w, until} {
		for subject, at := range source {
			if at > oldest && at > out[subject] && at > out[bridge.Everybody] {
				out[subject] = at
			}
		}
	}
	if len(out) > maxWithdrawn {
		out = withdrawals{bridge.Everybody: slices.Max(slices.Collect(maps.Values(out)))}
	}
	return out
}

func (f *found) withdrawn(subject string, issued time.Time) bool {
	return f.special != nil && bridge.Withdrawn(func(name string) bridge.Taken {
		return bridge.Taken{Until: f.special.tokens[name]}
	}, subject, issued, 0)
}

// Withdraw ends access tokens of the key that a withdrawal names. The statement is signed with the key itself, so that no
// other credential is asked for; sent again, it changes nothing.
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
	actor.ID, actor.Org = "key:"+f.id.String(), f.org
	return a.change(ctx, f.id, func(tx *sql.Tx, version int64) (*audit.Entry, error) {
		r, err := load(ctx, tx, f.id)
		if err != nil {
			return nil, err
		}
		after := r.withdrawn.with(statement.Until, now)
		before, err := r.withdrawn.text()
		if err != nil || maps.Equal(after, r.withdrawn) {
			return nil, err
		}
		text, err := after.text()
		if err != nil {
			return nil, err
		}
		changed, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE api_keys SET withdrawn = $1, version = $2 WHERE id = $3 AND withdrawn = $4",
			text, version, f.id.String(), before))
		if err != nil || !changed {
			return nil, lost("withdraw access tokens", err)
		}
		members := slices.Sorted(maps.Keys(statement.Until))
		return &audit.Entry{Actor: actor, Action: "key.withdraw_tokens", Details: map[string]string{"members": strings.Join(members, " ")}}, nil
	})
}

// Withdrawn is until when the access tokens of a key that were issued to each member are dead; see [Authority.Withdraw].
func (a *Authority) Withdrawn(id uuid.UUID) map[string]int64 {
	if f, ok := a.table.find(id); ok && f.special != nil {
		return f.special.tokens
	}
	return nil
}
