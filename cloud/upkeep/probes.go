package upkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
)

// Target is a connection to probe, with the credential for the call.
type Target struct {
	ID         string
	Server     bridge.ServerURL
	Ace        bool
	Credential api.Credential
	Err        error // why there is no credential

	org     string
	secret  string // as it is stored
	keyID   string
	asks    bool  // calls with the key itself, to learn its subject
	expires int64 // of the key; 0: unknown
}

func (st *Upkeep) target(c connections.Connection) Target {
	t := Target{ID: c.ID, Server: c.Server, Ace: c.Ace, org: c.OrgID, secret: c.Secret, keyID: c.KeyID, expires: c.Expires}
	if t.asks = c.Ace && !c.ActAs && c.KeySubject == ""; t.asks {
		c.Ace = false // the plain key, once: the server then says whom it speaks for
	}
	t.Credential, t.Err = st.tokens.ForProbe(c)
	return t
}

// ProbeTargets lists the connections to probe that were last probed before a time, the oldest first.
func (st *Upkeep) ProbeTargets(ctx context.Context, since time.Time, limit int) ([]Target, error) {
	all, err := st.store.Unprobed(ctx, since, limit)
	out := make([]Target, len(all))
	for i, c := range all {
		out[i] = st.target(c)
	}
	return out, sqldb.Wrap("list connections to probe", err)
}

// Target returns a connection to probe on a member's behalf.
func (st *Upkeep) Target(ctx context.Context, p accounts.Principal, id string) (Target, error) {
	c, err := st.store.Find(ctx, st.db, p, id)
	if err != nil {
		return Target{}, err
	}
	return st.target(c), nil
}

// TargetOf returns a connection to probe on nobody's behalf; ok is false if it is gone.
func (st *Upkeep) TargetOf(ctx context.Context, id string) (t Target, ok bool, err error) {
	c, err := connections.FindAny(ctx, st.db, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Target{}, false, nil
	}
	if err != nil {
		return Target{}, false, fmt.Errorf("look up a connection to probe: %w", err)
	}
	return st.target(c), true, nil
}

// Status is the outcome of a probe.
type Status struct {
	Status  string
	Cause   string
	Code    bridge.Code // of the cause, where programs tell it apart: of links, keys and apps
	Hint    string
	Latency time.Duration       // until the answer began; zero: there was none
	Ping    time.Duration       // of a link here; zero: there is none
	Key     connections.KeyLife // of the connection's key, where the server says it
	Subject string              // of the key itself, where the server says it
	ActsAs  bool                // its access tokens may name other subjects
	Numbers ChangeNumbers
}

// SetStatus stores and counts what a probe found, unless the connection has got another URL since. Those who watch are told only of
// a difference.
func (st *Upkeep) SetStatus(ctx context.Context, t Target, s Status) error {
	if err := st.learn(ctx, t, s.Key); err != nil {
		return err
	}
	if err := st.learnNumbers(ctx, t, s.Numbers); err != nil {
		return err
	}
	if err := st.learnSubject(ctx, t, s); err != nil {
		return err
	}
	s = t.expired(s, st.db.Now())
	now, news := st.db.Now(), false
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		const set = `UPDATE connections SET status = $1, cause = $2, hint = $3, probed_at = $4, latency_ms = $7,
			cause_code = $8, link_rtt_ms = CASE WHEN CAST($9 AS BIGINT) > 0 THEN CAST($9 AS BIGINT) ELSE link_rtt_ms END, last_seen_at = CASE WHEN $1 = 'online' THEN $4 ELSE last_seen_at END WHERE id = $5 AND server_url = $6`
		args := []any{s.Status, s.Cause, s.Hint, now.Unix(), t.ID, string(t.Server), connections.Milliseconds(s.Latency.Microseconds()),
			string(s.Code), connections.Milliseconds(s.Ping.Microseconds())}
		same, err := sqldb.Changed(tx.ExecContext(ctx, set+" AND status = $1 AND cause = $2 AND hint = $3 AND cause_code = $8", args...))
		if err != nil {
			return fmt.Errorf("store a status: %w", err)
		}
		if news = !same; news {
			if news, err = sqldb.Changed(tx.ExecContext(ctx, set, args...)); err != nil {
				return fmt.Errorf("store a status: %w", err)
			}
			if !news {
				return nil
			}
			if err := st.feed.StatusChanged(ctx, tx, t.org, t.ID); err != nil {
				return err
			}
		}
		if err := st.keyWorks(ctx, tx, t, s); err != nil {
			return err
		}
		return connections.NoteProbe(ctx, tx, t.ID, now, s.Status, s.Latency)
	})
	if err == nil && news {
		schema.Wake(st.signals.Changed)
	}
	return err
}

const maxKeySubject = 256 // bytes

// learnSubject stores whom a connection's key speaks for, as its server says.
func (st *Upkeep) learnSubject(ctx context.Context, t Target, s Status) error {
	if !t.asks || s.Subject == "" || !bridge.PlainText(s.Subject, maxKeySubject) {
		return nil
	}
	_, err := st.db.ExecContext(ctx, `UPDATE connections SET key_subject = $1, act_as = $2 WHERE id = $3 AND server_url = $4 AND secret = $5 AND NOT act_as`,
		s.Subject, s.ActsAs, t.ID, string(t.Server), t.secret)
	if err != nil {
		return fmt.Errorf("store whom a key speaks for: %w", err)
	}
	return nil
}

// keyWorks makes the revocation of a replaced key due once the server has accepted its successor. The server has moved the personal
// keys made through the old key by then.
func (st *Upkeep) keyWorks(ctx context.Context, tx *sql.Tx, t Target, s Status) error {
	if s.Status != connections.StatusOnline || !t.Ace {
		return nil
	}
	due, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE revocations SET next_at = $1 WHERE state = 'pending' AND tries = 0 AND next_at > $1 AND after_key <> ''
		AND after_key = (SELECT c.key_id FROM connections c WHERE c.id = $2 AND c.secret = $3)`, st.db.Now().Unix(), t.ID, t.secret))
	if err != nil {
		return fmt.Errorf("make a revocation due: %w", err)
	}
	if due {
		schema.Wake(st.signals.Revocations)
	}
	return nil
}
