package guard

import (
	"context"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

// Authority is the part of a key authority that [Local] uses; *keys.Authority implements it.
type Authority interface {
	Verify(ctx context.Context, p bridge.Presented, use bridge.Use) (bridge.Identity, error)
	Spend(ctx context.Context, id bridge.Identity) error
	Alive(id bridge.Identity) bool
}

// Local is a [Verifier] that uses an authority in the same process.
type Local struct {
	Authority Authority
	Catalogue catalogue.Catalogue
}

// Admit implements [Verifier].
func (l Local) Admit(ctx context.Context, c Call) (bridge.Identity, error) {
	id, err := l.Authority.Verify(ctx, c.Presented, c.Use)
	if err != nil {
		return bridge.Identity{}, err
	}
	if err := l.Catalogue.Decide(id, c.Request); err != nil {
		return id, err
	}
	// Counted last: a use that is refused costs nothing.
	return id, l.Authority.Spend(ctx, id)
}

// Alive implements [Verifier].
func (l Local) Alive(id bridge.Identity) bool { return l.Authority.Alive(id) }
