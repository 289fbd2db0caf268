package tunnel

import (
	"maps"
	"slices"
)

// Connections returns the IDs of the connections that have links.
func (ls *Links) Connections() []string {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Collect(maps.Keys(ls.all))
}
