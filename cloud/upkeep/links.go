package upkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
)

const linkedBatch = 200

// LinkedTargets lists those of some connections that have not been probed since a time.
func (st *Upkeep) LinkedTargets(ctx context.Context, ids []string, since time.Time) ([]Target, error) {
	var out []Target
	for from := 0; from < len(ids); from += linkedBatch {
		some, err := connections.UnprobedOf(ctx, st.db, ids[from:min(from+linkedBatch, len(ids))], since)
		if err != nil {
			return nil, sqldb.Wrap("list connections with links to probe", err)
		}
		for _, c := range some {
			out = append(out, st.target(c))
		}
	}
	return out, nil
}

// heldNow holds for a connection with links at a replica of the cloud that is alive at $1.
const heldNow = `EXISTS (SELECT 1 FROM link_presence n JOIN replicas r ON r.id = n.replica_id WHERE n.connection_id = connections.id AND r.until > $1)`

// LinkUp notes that a connection has links. If back is true, all were lost for a moment, in which nobody was told.
func (st *Upkeep) LinkUp(ctx context.Context, id string, back bool) error {
	return st.linkChanged(ctx, id, "link.up", func(tx *sql.Tx, now int64) (bool, error) {
		news, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE connections SET link_up = TRUE, link_since = $1,
			link_reconnects = link_reconnects + CASE WHEN link_since > 0 THEN 1 ELSE 0 END WHERE id = $2 AND NOT link_up`, now, id))
		if err != nil || news || !back {
			return news, err
		}
		_, err = tx.ExecContext(ctx, "UPDATE connections SET link_reconnects = link_reconnects + 1 WHERE id = $1 AND link_up", id)
		return false, err
	})
}

// LinkDown notes that a connection has been without a link for a while, unless it has one by now.
func (st *Upkeep) LinkDown(ctx context.Context, id string) error {
	return st.linkChanged(ctx, id, "link.down", func(tx *sql.Tx, now int64) (bool, error) {
		return sqldb.Changed(tx.ExecContext(ctx, "UPDATE connections SET link_up = FALSE, link_since = $1, link_rtt_ms = 0 WHERE id = $2 AND link_up AND NOT "+heldNow, now, id))
	})
}

// LinksLost lists the connections that count as linked although no living replica holds a link: those of one that has died.
func (st *Upkeep) LinksLost(ctx context.Context) ([]string, error) {
	rows, err := st.db.QueryContext(ctx, "SELECT id FROM connections WHERE link_up AND NOT "+heldNow+" ORDER BY id", st.db.Now().Unix())
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (id string, err error) { return id, row.Scan(&id) })
	return out, sqldb.Wrap("list connections that have lost their links", err)
}

// linkChanged runs a change of how a connection's links are, and audits it and tells watchers where it is news.
func (st *Upkeep) linkChanged(ctx context.Context, id, action string, change func(tx *sql.Tx, now int64) (news bool, err error)) error {
	now, news, withheld := st.db.Now(), false, false
	err := st.db.Tx(ctx, func(tx *sql.Tx) (err error) {
		withheld = false
		if news, err = change(tx, now.Unix()); err != nil || !news {
			return err
		}
		var orgID, org, name, server string
		err = tx.QueryRowContext(ctx, "SELECT c.org_id, o.slug, c.name, c.server_url FROM connections c JOIN organizations o ON o.id = c.org_id WHERE c.id = $1", id).
			Scan(&orgID, &org, &name, &server)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := st.feed.StatusChanged(ctx, tx, orgID, id); err != nil {
			return err
		}
		entry := audit.Entry{Actor: audit.Actor{ID: "system", Org: org}, Action: action, Target: "connection:" + id,
			Details: map[string]string{"name": name, "server_url": server}}
		if last, err := lastAudited(ctx, tx, entry, now.Add(-linkAudited), action, action); err != nil || last != "" {
			withheld = err == nil
			return err
		}
		return audit.Write(ctx, tx, now, entry)
	})
	if err != nil {
		return fmt.Errorf("note how the links of a connection are: %w", err)
	}
	if withheld {
		st.withheld.Store(id, now)
	}
	if news {
		schema.Wake(st.signals.Changed)
	}
	return nil
}

// linkAudited is how often a connection's links are audited to be up, and how often to be down. What links that flap do in between is
// left out.
const linkAudited = time.Minute

// lastAudited returns the latest action of an entry's target after a time, of two; empty: there is none.
func lastAudited(ctx context.Context, tx *sql.Tx, e audit.Entry, after time.Time, one, other string) (action string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT action FROM audit WHERE org = $1 AND target = $2 AND at > $3 AND action IN ($4, $5)
		ORDER BY at DESC, id DESC LIMIT 1`, e.Actor.Org, e.Target, after.Unix(), one, other).Scan(&action)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return action, err
}

// SettleLinks audits how links are that have flapped, once a while has passed and if the last entry says otherwise.
func (st *Upkeep) SettleLinks(ctx context.Context) (err error) {
	now := st.db.Now()
	st.withheld.Range(func(key, value any) bool {
		if since, _ := value.(time.Time); now.Sub(since) < linkAudited {
			return true
		}
		id, _ := key.(string)
		if err = st.settleLink(ctx, id, now); err != nil {
			return false
		}
		st.withheld.CompareAndDelete(key, value)
		return true
	})
	return sqldb.Wrap("audit how the links of a connection are", err)
}

func (st *Upkeep) settleLink(ctx context.Context, id string, now time.Time) error {
	return st.db.Tx(ctx, func(tx *sql.Tx) error {
		var up bool
		var org, name, server string
		err := tx.QueryRowContext(ctx, `UPDATE connections SET link_up = link_up WHERE id = $1
			RETURNING link_up, name, server_url, (SELECT o.slug FROM organizations o WHERE o.id = connections.org_id)`, id).Scan(&up, &name, &server, &org)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		entry := audit.Entry{Actor: audit.Actor{ID: "system", Org: org}, Action: "link.down", Target: "connection:" + id,
			Details: map[string]string{"name": name, "server_url": server}}
		if up {
			entry.Action = "link.up"
		}
		if last, err := lastAudited(ctx, tx, entry, now.Add(-10*linkAudited), "link.up", "link.down"); err != nil || last == entry.Action {
			return err
		}
		return audit.Write(ctx, tx, now, entry)
	})
}
