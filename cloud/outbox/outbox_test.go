package outbox_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
)

// A mail that could not be handed over comes again, later each time; two processes do not send one twice; a mail whose
// time is over is given up, and purged.
func TestOutbox(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.Person("ann@a.test", "acme", bridge.RoleMember)
		if err := f.Links.RequestReset(t.Context(), "ann@a.test", audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-f.Outbox.MailQueued():
		default:
			t.Error("nobody is told that there is mail")
		}
		taken := make(chan int, 4)
		for range cap(taken) {
			go func() {
				due, err := f.Outbox.DueMail(context.Background(), 10)
				if err != nil {
					t.Error(err)
				}
				taken <- len(due)
			}()
		}
		sum := 0
		for range cap(taken) {
			sum += <-taken
		}
		if sum != 1 {
			t.Errorf("one mail is sent %d times", sum)
		}
		text := ""
		for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			f.Advance(wait - time.Second)
			if due, err := f.Outbox.DueMail(t.Context(), 10); err != nil || len(due) != 0 {
				t.Errorf("too early: %v (%v)", due, err)
			}
			f.Advance(time.Second)
			due, err := f.Outbox.DueMail(t.Context(), 10)
			if err != nil || len(due) != 1 {
				t.Fatalf("it does not come again: %v (%v)", due, err)
			}
			if text == "" {
				text = due[0].Text.Reveal()
			}
			if due[0].Text.Reveal() != text || !strings.Contains(text, "/reset?token=") {
				t.Error("it comes again with another link")
			}
		}
		f.Advance(time.Hour)
		if due, err := f.Outbox.DueMail(t.Context(), 10); err != nil || len(due) != 0 {
			t.Errorf("after its time: %v (%v)", due, err)
		}
		f.Advance(25 * time.Hour)
		if err := f.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"outbox", "mail_tokens"} {
			var n int
			if err := f.SQL.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d rows of %s are left (%v)", n, table, err)
			}
		}
	})
}
