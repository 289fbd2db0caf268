package connections

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// Target is a connection to probe, with what to call it with.
type Target struct {
	ID         string
	Server     bridge.ServerURL
	Ace        bool
	Credential api.Credential
	Err        error // why there is no credential

	org     string
	secret  string // as it is stored
	keyID   string
	asks    bool  // with the key itself, of which nothing is known yet
	expires int64 // of the key, as far as it is known
}

func (st *Upkeep) target(c Connection) Target {
	t := Target{ID: c.ID, Server: c.server, Ace: c.ace, org: c.orgID, secret: c.secret, keyID: c.KeyID, expires: c.expires}
	if t.asks = c.ace && !c.actAs && c.keySubject == ""; t.asks {
		c.ace = false // once, so that its server says whom it speaks for
	}
	t.Credential, t.Err = st.store.credential(c, speaker{cmp.Or(c.keySubject, prober), bridge.RoleViewer, true}, st.db.Now())
	return t
}

// prober is the subject of the access tokens with which the cloud itself asks how a server is.
const prober = "cloud:probe"

// ProbeTargets lists connections that have not been probed since, the longest first.
func (st *Upkeep) ProbeTargets(ctx context.Context, since time.Time, limit int) ([]Target, error) {
	rows, err := st.db.QueryContext(ctx, "SELECT "+connectionColumns+fromConnections+
		"WHERE c.probed_at < $1 ORDER BY c.probed_at, c.id LIMIT $2", since.Unix(), limit)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (Target, error) {
		c, err := scanConnection(row)
		if err != nil {
			return Target{}, err
		}
		return st.target(c), nil
	})
	return out, sqldb.Wrap("list connections to probe", err)
}

// Target is one connection to probe on a member's behalf.
func (st *Upkeep) Target(ctx context.Context, p accounts.Principal, id string) (Target, error) {
	c, err := st.store.Find(ctx, st.db, p, id)
	if err != nil {
		return Target{}, err
	}
	return st.target(c), nil
}

// Status is the outcome of a probe.
type Status struct {
	Status  string
	Cause   string
	Hint    string
	Latency time.Duration // until the answer began; zero: there was none
	Key     KeyLife       // of the connection's key, where the server says it
	Subject string        // of the key itself, where the server says it
	ActsAs  bool          // its access tokens may name other subjects
	Numbers ChangeNumbers
}

// SetStatus stores the outcome of a probe of a connection, and counts it, unless the connection has been given another URL
// since. What is as it was is no change for those who watch.
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
			last_seen_at = CASE WHEN $1 = 'online' THEN $4 ELSE last_seen_at END WHERE id = $5 AND server_url = $6`
		args := []any{s.Status, s.Cause, s.Hint, now.Unix(), t.ID, string(t.Server), milliseconds(s.Latency.Microseconds())}
		same, err := sqldb.Changed(tx.ExecContext(ctx, set+" AND status = $1 AND cause = $2 AND hint = $3", args...))
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
			if err := st.store.changed(ctx, tx, t.org, t.ID, change{}); err != nil {
				return err
			}
		}
		if err := st.keyWorks(ctx, tx, t, s); err != nil {
			return err
		}
		return noteProbe(ctx, tx, t.ID, now, s)
	})
	if err == nil && news {
		schema.Wake(st.store.connectionsChanged)
	}
	return err
}

const maxKeySubject = 256 // bytes

// learnSubject stores what a server has said of whom a connection's key speaks for.
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

// keyWorks makes the revocation of a replaced key due, once a server has accepted the key that replaces it: the personal keys
// made through the old one have moved to it by then.
func (st *Upkeep) keyWorks(ctx context.Context, tx *sql.Tx, t Target, s Status) error {
	if s.Status != StatusOnline || !t.Ace {
		return nil
	}
	due, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE revocations SET next_at = $1 WHERE state = 'pending' AND tries = 0 AND next_at > $1 AND after_key <> ''
		AND after_key = (SELECT c.key_id FROM connections c WHERE c.id = $2 AND c.secret = $3)`, st.db.Now().Unix(), t.ID, t.secret))
	if err != nil {
		return fmt.Errorf("make a revocation due: %w", err)
	}
	if due {
		schema.Wake(st.store.revocationsDue)
	}
	return nil
}
