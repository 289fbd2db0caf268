package live

import (
	"fmt"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/who"
)

// FuzzEventID checks that an ID is only accepted as it was written, and only for its organization.
func FuzzEventID(f *testing.F) {
	const org = "0190c7d2-0000-7000-8000-000000000001"
	for _, id := range []string{"", org, org + ".", org + ".7", org + ".-7", org + ".07", org + ".+7", org + ".9223372036854775808", "7", strings.Repeat(org, 10)} {
		f.Add(id, org)
	}
	f.Fuzz(func(t *testing.T, id, org string) {
		seq, ok := parseEventID(id, org)
		if ok && (seq < 0 || eventID(org, seq) != id || len(id) > maxEventID) {
			t.Errorf("%q is read as %d", id, seq)
		}
		if again, ok := parseEventID(eventID(org, 42), org); len(org) < 90 && (!ok || again != 42) {
			t.Errorf("of %q 42 is read as %d", org, again)
		}
	})
}

// TestAnOrganizationTakesNoMoreThanItsShare checks that an organization gets a quarter of the calls and streams, while others can
// still use the rest.
func TestAnOrganizationTakesNoMoreThanItsShare(t *testing.T) {
	calls := who.NewQuotas(who.RelayLimits{Total: 8})
	ws := watchers{all: map[*watcher]struct{}{}, of: map[string]int{}, most: 8}
	for name, take := range map[bridge.Code]func(accounts.Principal) (func(), error){
		"relay_busy": func(p accounts.Principal) (func(), error) {
			return calls.Take(p, "connection of "+p.UserID)
		},
		"streams_busy": func(p accounts.Principal) (func(), error) {
			w := &watcher{who: p, ended: make(chan struct{})}
			return func() { ws.remove(w) }, ws.add(w)
		},
	} {
		var taken []func()
		open := func(org, user, refusal string) {
			t.Helper()
			free, err := take(accounts.Principal{OrgID: org, UserID: user})
			switch {
			case refusal != "" && (bridge.CodeOf(err) != name || !strings.HasPrefix(err.Error(), refusal)), refusal == "" && err != nil:
				t.Fatalf("%s of %s: %v, want %q", user, org, err, refusal)
			case err == nil:
				taken = append(taken, free)
			}
		}
		open("o", "a", "")
		open("o", "b", "")
		open("o", "c", "your organization has 2 ")
		open("p", "a", "")
		taken[0]()
		open("o", "c", "")
		open("o", "a", "your organization has 2 ")
		for i := range 5 {
			open(fmt.Sprint(i), "a", "")
		}
		open("p", "b", "there are 8 ")
		for _, free := range taken[1:] {
			free()
		}
	}
	if len(ws.of) != 0 || len(ws.all) != 0 {
		t.Errorf("left of what was given back: %v", ws.of)
	}
}

func TestWatchersAreBoundedInAll(t *testing.T) {
	ws := watchers{all: map[*watcher]struct{}{}, of: map[string]int{}, most: 3}
	open := func(user string) (*watcher, error) {
		w := &watcher{who: accounts.Principal{OrgID: "of " + user, UserID: user}, ended: make(chan struct{})}
		return w, ws.add(w)
	}
	first, err := open("a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := open(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open("b"); bridge.CodeOf(err) != "streams_busy" || !strings.HasPrefix(err.Error(), "there are 3 ") {
		t.Errorf("a fourth: %v", err)
	}
	ws.remove(first)
	ws.remove(first) // it was ended and then left
	if _, err := open("b"); err != nil {
		t.Errorf("in place of the first: %v", err)
	}
	ws.close()
	if _, err := open("c"); bridge.CodeOf(err) != "stopping" || len(ws.all) != 0 || len(ws.of) != 0 {
		t.Errorf("after the end: %v, %d streams, %d members", err, len(ws.all), len(ws.of))
	}
}
