package upkeep

import (
	"context"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/connections"
)

// maxPresets bounds how many of a server's presets are kept.
const maxPresets = 200

// KeepPresets stores the names of a server's presets for forms, unless the connection has got another URL since.
func (st *Upkeep) KeepPresets(ctx context.Context, t Target, names []string) error {
	kept := make([]string, 0, min(len(names), maxPresets))
	for _, name := range names {
		if name, plain := bridge.PlainName(name, connections.MaxPresetName); plain && len(kept) < maxPresets {
			kept = append(kept, name)
		}
	}
	text := strings.Join(kept, "\n")
	if _, err := st.db.ExecContext(ctx, "UPDATE connections SET presets = $1 WHERE id = $2 AND server_url = $3 AND presets <> $1",
		text, t.ID, string(t.Server)); err != nil {
		return fmt.Errorf("keep a server's presets: %w", err)
	}
	return nil
}
