package target

import (
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// A name is found in another Unicode form too, and a URL in another spelling.
func TestNamesFoundInOneForm(t *testing.T) {
	const composed, decomposed = "zo\u00eb", "zoe\u0308"
	for stored, asked := range map[string]string{composed: decomposed, decomposed: composed} {
		connections := []api.Connection{{ID: "1", Name: "other"}, {ID: "2", Name: stored, ServerURL: "https://xn--bcher-kva.example"}}
		for _, word := range []string{asked, stored, "https://B\u00dcCHER.example/", "https://bu\u0308cher\u3002example", "2"} {
			if c, err := Connection(connections, word); err != nil || c.ID != "2" {
				t.Errorf("%+q: %+v %v", word, c, err)
			}
		}
		if _, err := Connection(append(connections, api.Connection{ID: "3", Name: asked}),
			asked); bridge.CodeOf(err) != bridge.CodeUsage {
			t.Errorf("two of one name: %v", err)
		}
		if _, err := Connection(connections, "zoe"); bridge.CodeOf(err) != "connection_not_found" {
			t.Errorf("another name: %v", err)
		}
	}
}
