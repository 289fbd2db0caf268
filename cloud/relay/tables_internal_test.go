package relay

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/links"
)

func newTables() *calls {
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		panic(err)
	}
	ways, err := links.New(links.Config{Root: root, Now: time.Now}, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	return newCalls(Config{PublicURL: "https://cloud.test", Links: ways}, slog.New(slog.DiscardHandler))
}

// Access terms that were read before a change are not kept after it, and a full table drops the longest unused only.
func TestKnownTerms(t *testing.T) {
	k := &newTables().terms
	key := func(i int) termsKey { return termsKey{connection: strconv.Itoa(i)} }
	fresh := func() *accessTerms {
		one := &accessTerms{until: time.Now().Add(time.Hour)}
		one.held.Store(time.Now().UnixNano())
		one.used.Store(time.Now().UnixNano())
		return one
	}
	known := func(i int) bool { return k.get(key(i), time.Now()) != nil }

	late, asked := fresh(), k.turn()
	k.put(key(1), fresh(), asked)
	if !known(1) {
		t.Error("terms that were just read are not known")
	}
	k.forget()
	if known(1) {
		t.Error("terms are known after a change")
	}
	k.put(key(1), late, asked)
	if known(1) {
		t.Error("terms that were asked for before a change are known after it")
	}

	for i := range maxTerms {
		k.put(key(i), fresh(), k.turn())
	}
	all := k.list()
	if len(all) != maxTerms {
		t.Fatalf("%d terms are known", len(all))
	}
	all[0].held.Store(time.Now().UnixNano()) // whatever filling the table took
	if !known(0) {
		t.Error("the first terms are gone from a table that was not full")
	}
	k.put(key(maxTerms), fresh(), k.turn())
	if _, first := k.all.Peek(key(0)); !first || k.all.Len() != maxTerms {
		t.Errorf("of %d terms, those used just now are gone", k.all.Len())
	}
	if _, second := k.all.Peek(key(1)); second {
		t.Error("the longest unused terms are still in a full table")
	}

	dead, idle, old := fresh(), fresh(), fresh()
	dead.dead.Store(true)
	idle.used.Store(time.Now().Add(-2 * termsIdle).UnixNano())
	old.old.Store(true)
	k.forget()
	for i, one := range []*accessTerms{dead, idle, old, fresh()} {
		k.put(key(i), one, k.turn())
	}
	if known(0) || known(2) {
		t.Error("terms that have ended, or are old, are used")
	}
	if left := k.list(); len(left) != 2 {
		t.Errorf("%d terms are left, not the old ones and the fresh ones", len(left))
	}
}

// A connection with another URL gets another target; a full table drops the longest unused target only.
func TestTargets(t *testing.T) {
	targets, now := &newTables().targets, time.Now()
	get := func(i int, server bridge.ServerURL) *relayTarget { return targets.get(strconv.Itoa(i), server, now) }
	const one, other bridge.ServerURL = "https://one.test", "https://other.test"

	first := get(0, one)
	if get(0, one) != first {
		t.Error("a second call has another target")
	}
	if moved := get(0, other); moved == first || moved.server != other {
		t.Errorf("after the change of its URL a connection calls %s", moved.server)
	}
	targets.forget("0")
	if targets.all.Len() != 0 {
		t.Error("the target of a removed connection is kept")
	}

	for i := range maxTargets {
		get(i, one)
	}
	kept := get(0, one)
	get(maxTargets, one)
	if targets.all.Len() != maxTargets || get(0, one) != kept || targets.all.Contains("1") {
		t.Errorf("of %d targets, not the longest unused one is gone", targets.all.Len())
	}

	now = now.Add(time.Hour)
	kept = get(2, one)
	if targets.forgetUnused(now); targets.all.Len() != 1 || get(2, one) != kept {
		t.Errorf("%d targets are left, not the one that was used", targets.all.Len())
	}
}
