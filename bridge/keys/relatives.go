package keys

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/timeline"
)

// relatives changes keys other than the one that a rule is about. Each gets its own version and reaches the table with it.
type relatives struct {
	a     *Authority
	tx    *sql.Tx
	ids   []uuid.UUID
	last  int64 // version
	actor audit.Actor
}

// next takes the next version, for one more key.
func (x *relatives) next(ctx context.Context, id uuid.UUID) (version int64, err error) {
	if version, err = timeline.OneMore(ctx, x.tx); err != nil {
		return 0, err
	}
	x.ids, x.last = append(x.ids, id), version
	return version, nil
}

// audit writes the entry of a key that was changed along with another one.
func (x *relatives) audit(ctx context.Context, r *record.Row, action string, details map[string]string) error {
	actor := x.actor
	if actor.Org == "" {
		actor.Org = r.Org
	}
	details["name"] = r.Name
	return audit.Write(ctx, x.tx, x.a.line.Now(), audit.Entry{Actor: actor, Action: action, Target: "key:" + r.ID.String(), Details: details})
}

// revoke ends a key and all keys below it.
func (x *relatives) revoke(ctx context.Context, r *record.Row, reason string) error {
	if err := x.end(ctx, r, reason); err != nil {
		return err
	}
	return x.revokeBelow(ctx, r.ID)
}

// revokeBelow ends all keys created with a key, and with those.
func (x *relatives) revokeBelow(ctx context.Context, id uuid.UUID) error {
	below, err := descendants(ctx, x.tx, id)
	if err != nil {
		return err
	}
	for i := range below {
		if err := x.end(ctx, &below[i], "the key "+id.String()+" that it was made with was revoked"); err != nil {
			return err
		}
	}
	return nil
}

// end ends one key.
func (x *relatives) end(ctx context.Context, r *record.Row, reason string) error {
	version, err := x.next(ctx, r.ID)
	if err != nil {
		return err
	}
	if _, err := x.tx.ExecContext(ctx, `UPDATE api_keys SET ended_at = $1, ended_by = $2, end_reason = $3, version = $4
		WHERE id = $5 AND ended_at = 0`, x.a.line.Now().Unix(), x.actor.ID, reason, version, r.ID.String()); err != nil {
		return fmt.Errorf("revoke a descendant: %w", err)
	}
	return x.audit(ctx, r, "key.revoke", map[string]string{"reason": reason})
}

// touchBelow gives all keys below a key a new version, so that everyone who caches answers about them asks again.
func (x *relatives) touchBelow(ctx context.Context, id uuid.UUID) error {
	below, err := descendants(ctx, x.tx, id)
	if err != nil {
		return err
	}
	for i := range below {
		version, err := x.next(ctx, below[i].ID)
		if err != nil {
			return err
		}
		if _, err := x.tx.ExecContext(ctx, "UPDATE api_keys SET version = $1 WHERE id = $2", version, below[i].ID.String()); err != nil {
			return fmt.Errorf("touch a descendant: %w", err)
		}
	}
	return nil
}

// moveChildren moves the keys created with one connection key to the one that replaces it. Withdrawals are numbered from the
// start again.
func (x *relatives) moveChildren(ctx context.Context, from, to uuid.UUID) error {
	children, err := record.Rows(ctx, x.tx, `SELECT `+record.Columns+` FROM api_keys c WHERE parent_id = $1 AND ended_at = 0 AND org =
		(SELECT org FROM api_keys WHERE id = $2 AND kind = 'sk') AND EXISTS (SELECT 1 FROM api_keys o WHERE o.id = $1
		AND o.kind = 'sk' AND o.org = c.org AND o.ended_at = 0) ORDER BY id`, from.String(), to.String())
	if err != nil {
		return err
	}
	for i := range children {
		r := &children[i]
		version, err := x.next(ctx, r.ID)
		if err != nil {
			return err
		}
		if _, err := x.tx.ExecContext(ctx, `UPDATE api_keys SET parent_id = $1, limit_number = 0, version = $2
			WHERE id = $3 AND parent_id = $4`, to.String(), version, r.ID.String(), from.String()); err != nil {
			return fmt.Errorf("move a key to its new parent: %w", err)
		}
		if err := x.audit(ctx, r, "key.move", map[string]string{"from": from.String(), "to": to.String()}); err != nil {
			return err
		}
	}
	if len(children) == 0 {
		return nil
	}
	return x.touchBelow(ctx, to)
}
