package terminal

import (
	"testing"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/e2e/world"
)

// On a terminal it is said how many people lose access, and asked once.
func TestUnshareAsksOnATerminal(t *testing.T) {
	t.Parallel()
	w, env := world.ThreeConnections(t)
	all, err := w.Admin.Connections(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := all[0]
	if _, err := w.Admin.Patch(t.Context(), c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		answer, visibility string
		code               int
	}{{"n", connections.Organization, 1}, {"", connections.Organization, 1}, {"y", connections.Private, 0}} {
		x := world.OnTerminal(t, 120, env, "connections", "unshare", c.Name)
		x.Expect("Make " + c.Name + " private again? 2 people lose access, and their open calls are cut. [y/N]")
		x.Press(step.answer + world.Enter)
		x.Exits(step.code)
		if c, err := w.Admin.Connection(t.Context(), c.ID); err != nil || c.Visibility != step.visibility {
			t.Errorf("after %q it is %s (%v)", step.answer, c.Visibility, err)
		}
	}
}
