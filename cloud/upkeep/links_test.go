package upkeep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
)

// Links that flap are audited once a minute at most, and how they are in the end is audited once that lasts. Each return counts.
func TestFlappingLinks(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		c := f.Register(f.Person("ann@acme.test", "acme", bridge.RoleAdmin), "https://nat.acme.test", "a-plain-key")
		up := func() {
			t.Helper()
			if err := f.Upkeep.LinkUp(t.Context(), c.ID, false); err != nil {
				t.Fatal(err)
			}
		}
		down := func() {
			t.Helper()
			if err := f.Upkeep.LinkDown(t.Context(), c.ID); err != nil {
				t.Fatal(err)
			}
		}
		audited := func() string {
			return strings.Join(f.Column("SELECT action FROM audit WHERE action LIKE 'link.%' ORDER BY at, id"), " ")
		}
		settle := func(after time.Duration) {
			t.Helper()
			f.Advance(after)
			if err := f.Upkeep.SettleLinks(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		up()
		up() // it is no news
		f.Advance(time.Second)
		down()
		down()
		if got := audited(); got != "link.up link.down" {
			t.Fatal(got)
		}
		f.Advance(time.Second)
		up()
		settle(time.Minute - time.Second)
		if got := audited(); got != "link.up link.down" {
			t.Errorf("too soon: %s", got)
		}
		settle(time.Second)
		settle(time.Hour)
		if got := audited(); got != "link.up link.down link.up" {
			t.Errorf("settled: %s", got)
		}
		const minutes = 10
		for range minutes * 30 {
			f.Advance(time.Second)
			down()
			f.Advance(time.Second)
			up()
			settle(0)
		}
		if got := strings.Count(audited(), "link.") - 3; got < minutes || got > 2*minutes+2 {
			t.Errorf("in %d minutes %d changes are audited", minutes, got)
		}
		settle(2 * time.Minute)
		if got := audited(); !strings.HasSuffix(got, "link.up") {
			t.Errorf("the last one is not how it is: %s", got)
		}
		if got := f.Column("SELECT link_reconnects FROM connections")[0]; got != "301" {
			t.Errorf("%s reconnects", got)
		}
		if err := f.Upkeep.LinkUp(t.Context(), c.ID, true); err != nil { // lost and back within the grace
			t.Fatal(err)
		}
		if got := f.Column("SELECT link_reconnects FROM connections")[0]; got != "302" {
			t.Errorf("%s reconnects after a moment without links", got)
		}
	})
}
