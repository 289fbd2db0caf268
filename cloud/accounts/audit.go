package accounts

import (
	"context"

	"github.com/acebridge/ace/bridge/audit"
)

// Note writes an audit entry about something that changed no row, such as a signed token.
func (st *Store) Note(ctx context.Context, actor audit.Actor, action, target string, details map[string]string) error {
	return audit.Record(ctx, st.db.DB, st.db.Now(), audit.Entry{Actor: actor, Action: action, Target: target, Details: details})
}
