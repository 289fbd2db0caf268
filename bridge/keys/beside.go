package keys

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge/keys/timeline"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Beside changes keys on behalf of an operator's command, next to a running server or cloud.
//
// Another process owns the database and learns of the changes from it. Beside has no table in memory and verifies nothing.
type Beside struct {
	*Authority
	place mark.Place
}

// NewBeside migrates the database and returns a [Beside] over it.
//
// place is where the change number is kept outside the database; a nil now is time.Now.
func NewBeside(ctx context.Context, db *sqldb.DB, place mark.Place, now func() time.Time, log *slog.Logger) (Beside, error) {
	if err := Migrate(ctx, db); err != nil {
		return Beside{}, err
	}
	line := timeline.New(timeline.Config{DB: db, Now: now}, log)
	a := newAuthority(db, line, Config{}, log)
	if _, err := a.line.Look(ctx); err != nil {
		return Beside{}, fmt.Errorf("keys: %w", err)
	}
	return Beside{a, place}, nil
}

// TakeIn does nothing, since there is no table in memory.
func (Beside) TakeIn(context.Context, ...uuid.UUID) {}

// Numbered calls [timeline.Numbered] with b's place.
func (b Beside) Numbered(ctx context.Context, rule timeline.Rule) error {
	return timeline.Numbered(ctx, b.db, b.place, b.log, rule)
}
