package relay

import (
	"fmt"
	"testing"
	"time"

	"github.com/acebridge/ace/cloud/connections"
)

// Uses are counted for so many members and connections; what could not be stored is kept, and nothing is counted twice.
func TestRelayUsesAreBounded(t *testing.T) {
	var u relayUses
	u.add(useKey{"c", "a"}, true, 0)
	u.add(useKey{"c", "a"}, false, 2*time.Second)
	first, _ := u.take(time.Unix(7, 0))
	want := connections.RelayUse{Connection: "c", UserID: "a", Calls: 2, Failures: 1, Answers: 1, Latency: 2 * time.Second, LatencyMax: 2 * time.Second, Last: time.Unix(7, 0)}
	if len(first) != 1 || first[0] != want {
		t.Errorf("%+v", first)
	}
	u.add(useKey{"c", "a"}, false, time.Second)
	u.putBack(first)
	both, lost := u.take(time.Unix(7, 0))
	want.Calls, want.Answers, want.Latency = 3, 2, 3*time.Second
	if len(both) != 1 || both[0] != want || lost != 0 {
		t.Errorf("%+v", both)
	}
	for i := range maxUses + 5 {
		u.add(useKey{"c", fmt.Sprint(i)}, false, time.Second)
	}
	u.putBack(both)
	if all, lost := u.take(time.Unix(7, 0)); len(all) != maxUses || lost != 5+3 {
		t.Errorf("%d are counted, and %d are not", len(all), lost)
	}
	if rest, lost := u.take(time.Unix(7, 0)); len(rest) != 0 || lost != 0 {
		t.Errorf("%d and %d are left", len(rest), lost)
	}
}
