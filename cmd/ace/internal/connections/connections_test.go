package connections

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// The wide table says how each server is reached; the round trip is the link's where there is one.
func TestWideTable(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	g := &Group{Term: term.New(os.Stdin, out, os.Stderr)}
	g.Term.Wide = true
	since := time.Now()
	all := []api.Connection{
		{Name: "direct", ServerURL: "https://ace.company.com", Status: "online", Visibility: "private", Way: api.WayDirect, LatencyMS: new(int64(7))},
		{Name: "joined", ServerURL: bridge.LinkURL("id"), Status: "offline", CauseCode: bridge.CodeAppDown, Way: api.WayTunnel, LatencyMS: new(int64(9)), Tags: []string{"a", "b"},
			Visibility: "organization", Link: &api.ConnectionLink{Links: 2, Servers: 1, Since: &since, Reconnects: 3, RoundTrip: new(int64(12))}},
		{Name: "old", ServerURL: "https://old.company.com", Status: "unknown", Visibility: "private"},
	}
	if err := g.Term.Print(all, g.tableOf(all)); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`direct +https://ace.company.com +online +- +direct +- +7 ms +- +- +- +private`,
		`joined +https://id.link.invalid +offline +app_down +tunnel +\d{4}-\d\d-\d\d \d\d:\d\d +12 ms +3 +2 +1 +organization +- +a, b`,
		`old +https://old.company.com +unknown +- +- +- +- +- +- +- +private`,
	} {
		if !regexp.MustCompile(want).Match(said) {
			t.Errorf("%s is not in\n%s", want, said)
		}
	}
}

// A check that fails names the code of its cause.
func TestNotOnlineNamesTheCause(t *testing.T) {
	for _, c := range []struct {
		connection api.Connection
		says       string
	}{
		{api.Connection{Name: "x", Status: "online"}, ""},
		{api.Connection{Name: "x", Status: "unknown", Cause: "private network"}, ""},
		{api.Connection{Name: "x", Status: "offline", Cause: "nothing answers"}, "x is offline: nothing answers"},
		{api.Connection{Name: "x", Status: "offline", Cause: "it has no link", CauseCode: bridge.CodeNoLink}, "x is offline: it has no link (no_link)"},
		{api.Connection{Name: "x", Status: "unauthorized", Cause: "it refuses", CauseCode: "key_dead"}, "the server of x refuses the connection's key: it refuses (key_dead)"},
	} {
		said := ""
		if err := notOnline(c.connection); err != nil {
			said = bridge.AsError(err).Detail
		}
		if said != c.says {
			t.Errorf("%+v: %q", c.connection, said)
		}
	}
}
