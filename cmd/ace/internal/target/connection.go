package target

import (
	"context"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Connection finds the connection that a word names, and its cloud.
func (f *Finder) Connection(ctx context.Context, word string) (*apiclient.Cloud, api.Connection, error) {
	_, cloud, err := f.Profiles.LoggedIn(ctx)
	if err != nil {
		return nil, api.Connection{}, err
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return nil, api.Connection{}, err
	}
	c, err := Connection(connections, word)
	return cloud, c, err
}

// Connection finds a connection by ID, name or URL. The caller's own comes before those that others share.
func Connection(connections []api.Connection, word string) (api.Connection, error) {
	url, urlErr := bridge.CanonicalURL(word)
	var found []api.Connection
	var names []string
	for _, c := range connections {
		names = append(names, c.Name)
		if c.ID == word {
			return c, nil
		}
		if bridge.SameName(c.Name, word) || urlErr == nil && c.ServerURL.Same(url) {
			found = append(found, c)
		}
	}
	if len(found) > 1 {
		var mine []api.Connection
		for _, c := range found {
			if c.Mine {
				mine = append(mine, c)
			}
		}
		if len(mine) == 1 {
			found = mine
		}
	}
	switch len(found) {
	case 0:
		return api.Connection{}, bridge.E(bridge.NotFound, bridge.CodeConnectionNotFound, "there is no connection %q%s",
			word, term.DidYouMean(word, names)).WithHint("ace connections list")
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, c := range found {
		ids = append(ids, c.ID+" ("+c.Owner+")")
	}
	return api.Connection{}, term.Usage("%q matches more than one connection; use an ID: %s", word, strings.Join(ids, ", "))
}
