package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/vault"
)

// alone is an outbox over the fixture's database, apart from the fixture's own.
func (f *fixture) alone(mail bool) *outbox.Outbox {
	f.T.Helper()
	v, err := vault.NewVault(storetest.NewKeys(f.T))
	if err != nil {
		f.T.Fatal(err)
	}
	return outbox.New(outbox.Config{DB: f.DB, Vault: v, Issuer: storetest.Issuer, Mail: mail}, slog.New(slog.DiscardHandler))
}

var notice = outbox.Message{Kind: outbox.KindText, To: "ann@a.test", Subject: "s", Text: bridge.NewSecret("the text with a link"), Life: time.Hour}

func queue(ctx context.Context, o *outbox.Outbox, m outbox.Message) error {
	return o.Change(ctx, func(tx *sql.Tx) error { return o.Queue(ctx, tx, m) })
}

func (f *fixture) due(o *outbox.Outbox) []outbox.Mail {
	f.T.Helper()
	due, err := o.DueMail(f.T.Context(), 10)
	if err != nil {
		f.T.Fatal(err)
	}
	return due
}

func (f *fixture) waiting() (n int) {
	f.T.Helper()
	if err := f.SQL.QueryRowContext(f.T.Context(), "SELECT COUNT(*) FROM outbox").Scan(&n); err != nil {
		f.T.Fatal(err)
	}
	return n
}

// A mail is queued with its cause or not at all, and nobody reads it in the database.
func TestQueue(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		o := f.alone(true)
		cause := errors.New("the change fails")
		err := o.Change(t.Context(), func(tx *sql.Tx) error {
			if err := o.Queue(t.Context(), tx, notice); err != nil {
				return err
			}
			return cause
		})
		if !errors.Is(err, cause) || f.waiting() != 0 {
			t.Errorf("a change that fails leaves %d mails (%v)", f.waiting(), err)
		}
		if err := queue(t.Context(), o, notice); err != nil {
			t.Fatal(err)
		}
		if n := storetest.Dump(t, f.SQL, "outbox", []string{notice.Text.Reveal()}); n != 1 {
			t.Errorf("%d mails wait", n)
		}
		due := f.due(o)
		if len(due) != 1 || due[0].To != notice.To || due[0].Subject != "s" || due[0].Text.Reveal() != notice.Text.Reveal() {
			t.Fatalf("due are %+v", due)
		}
		if err := o.MailDone(t.Context(), due[0].ID); err != nil || f.waiting() != 0 {
			t.Errorf("%d mails are left (%v)", f.waiting(), err)
		}
	})
}

func TestQueueRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		mail    bool
		waiting int
		code    bridge.Code
	}{
		{"no mail server", false, 0, bridge.CodeMailUnavailable},
		{"one place left", true, 9_999, ""},
		{"a full queue", true, 10_000, bridge.CodeMailQueueFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, f *fixture) {
				o := f.alone(c.mail)
				if c.waiting > 0 {
					f.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
						INSERT INTO outbox (id, kind, recipient, subject, body, address, request_id, tries, next_at, expires_at, created_at)
						SELECT CAST(i AS TEXT), 'text', 'a@a.test', 's', '', '', '', 0, 0, 0, 0 FROM n`, c.waiting)
				}
				if err := queue(t.Context(), o, notice); bridge.CodeOf(err) != c.code {
					t.Errorf("%v, want %q", err, c.code)
				}
				// A notice is not worth the change that it is about.
				p := f.Person("ann@a.test", "acme", bridge.RoleMember)
				before := f.waiting()
				err := o.Change(t.Context(), func(tx *sql.Tx) error {
					return o.Notify(t.Context(), tx, p.UserID, "Your password was changed", audit.Actor{})
				})
				if err != nil || f.waiting() != before {
					t.Errorf("a notice: %d mails after %d (%v)", f.waiting(), before, err)
				}
			})
		})
	}
}

// A mail that no key opens is no reason to keep the others back.
func TestUnreadableMail(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		o := f.alone(true)
		if err := queue(t.Context(), f.alone(true), notice); err != nil { // sealed with another key
			t.Fatal(err)
		}
		other := notice
		other.To = "bob@a.test"
		if err := queue(t.Context(), o, other); err != nil {
			t.Fatal(err)
		}
		if due := f.due(o); len(due) != 1 || due[0].To != "bob@a.test" {
			t.Errorf("due are %+v", due)
		}
	})
}

// A mail of another kind is written when it is due: once, or not at all.
func TestWriter(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		o, written := f.alone(true), 0
		o.WriteWith(func(_ context.Context, _ *sql.Tx, row outbox.Row, m *outbox.Mail) (bool, error) {
			written++
			m.Subject, m.Text = "written for "+row.Kind, bridge.NewSecret(o.Link("/reset", bridge.NewSecret("token-"+row.To)))
			return row.To == "ann@a.test", nil
		})
		for _, to := range []string{"ann@a.test", "nobody@a.test"} {
			if err := queue(t.Context(), o, outbox.Message{Kind: "reset", To: to, Life: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		for _, wait := range []time.Duration{0, time.Minute, 2 * time.Minute} {
			f.Advance(wait)
			due := f.due(o)
			if len(due) != 1 || due[0].Subject != "written for reset" ||
				due[0].Text.Reveal() != "https://cloud.example.com/reset?token=token-ann@a.test" {
				t.Errorf("after %s: %+v", wait, due)
			}
		}
		if written != 2 || f.waiting() != 1 {
			t.Errorf("%d mails were written, and %d wait", written, f.waiting())
		}
	})
}

// The waits grow to an hour, and no further.
func TestWaits(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		o, message := f.alone(true), notice
		message.Life = 24 * time.Hour
		if err := queue(t.Context(), o, message); err != nil {
			t.Fatal(err)
		}
		var waits []string
		for try := range 9 {
			if due := f.due(o); len(due) != 1 {
				t.Fatalf("try %d: %d mails are due", try, len(due))
			}
			var next int64
			if err := f.SQL.QueryRowContext(t.Context(), "SELECT next_at FROM outbox").Scan(&next); err != nil {
				t.Fatal(err)
			}
			wait := time.Unix(next, 0).Sub(f.Clock())
			waits = append(waits, wait.String())
			f.Advance(wait)
		}
		if got := strings.Join(waits, " "); got != "1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h0m0s 1h0m0s 1h0m0s" {
			t.Errorf("the waits are %s", got)
		}
	})
}
