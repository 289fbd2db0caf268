package connections_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/upkeep"
)

// probed stores what a probe found.
func (f *fixture) probed(p accounts.Principal, id, status string, latency time.Duration) {
	f.T.Helper()
	target, err := f.Upkeep.Target(f.T.Context(), p, id)
	if err != nil {
		f.T.Fatal(err)
	}
	if err := f.Upkeep.SetStatus(f.T.Context(), target, upkeep.Status{Status: status, Latency: latency}); err != nil {
		f.T.Fatal(err)
	}
}

func (f *fixture) history(p accounts.Principal, id string) api.ConnectionHistory {
	f.T.Helper()
	h, err := f.History.Of(f.T.Context(), p, id)
	if err != nil || len(h.HalfHours) != 48 || len(h.Days) != 30 {
		f.T.Fatalf("%d half hours and %d days (%v)", len(h.HalfHours), len(h.Days), err)
	}
	return h
}

var midnight = time.Date(2027, 3, 14, 0, 0, 0, 0, time.UTC)

func TestHistory(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.SetClock(midnight.Add(10*time.Hour + 10*time.Minute))
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		c := f.Register(p, "https://ace.a.test", storetest.AceKey().Text().Reveal())
		other := f.Register(p, "https://other.a.test", storetest.AceKey().Text().Reveal())
		for _, probe := range []struct {
			status  string
			latency time.Duration
		}{{"online", 1500 * time.Microsecond}, {"online", 3500 * time.Microsecond}, {"offline", 0}, {"online", 100 * time.Microsecond}} {
			f.probed(p, c.ID, probe.status, probe.latency)
		}
		f.probed(p, other.ID, "offline", 0)
		f.SetClock(midnight.Add(11 * time.Hour))
		f.probed(p, c.ID, "unauthorized", 8*time.Millisecond)
		f.probed(p, c.ID, "unknown", 0)
		f.probed(p, c.ID, "hostile'; DROP TABLE connections", 0)
		f.SetClock(midnight.Add(11*time.Hour + 59*time.Minute))
		use := connections.RelayUse{Connection: c.ID, UserID: p.UserID, Calls: 7, Failures: 3, Answers: 5, Latency: 20 * time.Millisecond,
			LatencyMax: 9 * time.Millisecond, Last: f.Clock()}
		for range 2 {
			if err := f.History.AddRelayUses(t.Context(), []connections.RelayUse{use, {Connection: "gone", UserID: p.UserID, Calls: 1, Last: f.Clock()}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Tokens.Credential(t.Context(), p, c.ID); err != nil {
			t.Fatal(err)
		}
		h := f.history(p, c.ID)
		last := h.HalfHours[47]
		want := api.HistoryMoment{From: midnight.Add(11*time.Hour + 30*time.Minute), Until: midnight.Add(12 * time.Hour), Calls: 14, Failures: 6,
			CallMS: new(int64(4)), CallMaxMS: new(int64(9)), Credentials: 1}
		if diff := cmp.Diff(want, last); diff != "" {
			t.Error(diff)
		}
		want = api.HistoryMoment{From: midnight.Add(11 * time.Hour), Until: want.From, Status: "unknown", Uptime: new(0.0), LatencyMS: new(int64(8)), LatencyMaxMS: new(int64(8))}
		if diff := cmp.Diff(want, h.HalfHours[46]); diff != "" {
			t.Error(diff)
		}
		want = api.HistoryMoment{From: midnight.Add(10 * time.Hour), Until: midnight.Add(10*time.Hour + 30*time.Minute), Status: "online", Uptime: new(0.75),
			LatencyMS: new(int64(2)), LatencyMaxMS: new(int64(4))}
		if diff := cmp.Diff(want, h.HalfHours[44]); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(api.HistoryMoment{From: midnight.Add(-12 * time.Hour), Until: midnight.Add(-11*time.Hour - 30*time.Minute)}, h.HalfHours[0]); diff != "" {
			t.Error(diff)
		}
		want = api.HistoryMoment{From: midnight, Until: midnight.Add(24 * time.Hour), Status: "online", Uptime: new(0.6), LatencyMS: new(int64(4)), LatencyMaxMS: new(int64(8)),
			Calls: 14, Failures: 6, CallMS: new(int64(4)), CallMaxMS: new(int64(9)), Credentials: 1}
		if diff := cmp.Diff(want, h.Days[29]); diff != "" {
			t.Error(diff)
		}
		f.SetClock(midnight.Add(24 * time.Hour)) // the next day has begun
		h = f.history(p, c.ID)
		if h.Days[28].Calls != 14 || h.Days[29].Calls != 0 || h.HalfHours[47].Calls != 0 || h.HalfHours[22].Calls != 14 {
			t.Errorf("a day later: %+v %+v %+v", h.Days[28:], h.HalfHours[22], h.HalfHours[47])
		}
	})
}

// A connection's latency is that of its last probe; there is none without an answer, or after a move to another server.
func TestLatency(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		c := f.Register(p, "https://ace.a.test", storetest.AceKey().Text().Reveal())
		latency := func() int64 {
			t.Helper()
			got, err := f.Connections.Connection(t.Context(), p, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got.LatencyMS == nil {
				return 0
			}
			return *got.LatencyMS
		}
		for _, step := range []struct {
			status string
			took   time.Duration
			want   int64
		}{{"online", 20 * time.Microsecond, 1}, {"online", 12 * time.Millisecond, 12}, {"offline", 0, 0}, {"unauthorized", 7001 * time.Microsecond, 8}} {
			if f.probed(p, c.ID, step.status, step.took); latency() != step.want {
				t.Errorf("after %s: %d ms", step.took, latency())
			}
		}
		if _, err := f.Connections.Patch(t.Context(), p.As(audit.Actor{}), c.ID, api.ConnectionPatch{ServerURL: new("https://elsewhere.a.test")}); err != nil || latency() != 0 {
			t.Errorf("of another server: %d ms (%v)", latency(), err)
		}
	})
}

// A probe of a connection's old server is not counted for its new one.
func TestLateProbeIsNotNoted(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		c := f.Register(p, "https://ace.a.test", storetest.AceKey().Text().Reveal())
		target, err := f.Upkeep.Target(t.Context(), p, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.Patch(t.Context(), p.As(audit.Actor{}), c.ID, api.ConnectionPatch{ServerURL: new("https://elsewhere.a.test")}); err != nil {
			t.Fatal(err)
		}
		last, _, err := f.Feed.Position(t.Context(), p, f.Clock())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Upkeep.SetStatus(t.Context(), target, upkeep.Status{Status: "online", Latency: time.Second}); err != nil {
			t.Fatal(err)
		}
		if now, _, err := f.Feed.Position(t.Context(), p, f.Clock()); err != nil || now != last {
			t.Errorf("it is told: %d, before %d (%v)", now, last, err)
		}
		if day := f.history(p, c.ID).Days[29]; day.Status != "" {
			t.Errorf("it is in the history: %+v", day)
		}
	})
}

// Admins and the owner see everybody's use, a member only their own, and a stranger nothing.
func TestMemberUses(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.SetClock(midnight.Add(12 * time.Hour))
		owner, admin := f.Person("owner@a.test", "acme", bridge.RoleMember), f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		max, eve := f.Person("max@a.test", "acme", bridge.RoleMember), f.Person("eve@a.test", "acme", bridge.RoleViewer)
		c := f.Register(owner, "https://ace.a.test", storetest.AceKey().Text().Reveal())
		uses := func(p accounts.Principal) []api.MemberUse {
			t.Helper()
			got, err := f.History.MemberUses(t.Context(), p, c.ID, 100)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if none := uses(owner); none == nil || len(none) != 0 {
			t.Errorf("nobody has used it: %v", none)
		}
		if _, err := f.History.MemberUses(t.Context(), max, c.ID, 0); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("not shared: %v", err)
		}
		if _, err := f.History.Of(t.Context(), max, c.ID); bridge.CodeOf(err) != "connection_unknown" {
			t.Errorf("not shared: %v", err)
		}
		f.ChangeRole(admin, owner, "admin")
		f.Patch(owner, c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)})
		f.ChangeRole(admin, owner, "member")
		const service = "0190c7d2-0000-7000-8000-000000000001"
		add := func(user string, calls, failures int64) {
			t.Helper()
			if err := f.History.AddRelayUses(t.Context(), []connections.RelayUse{{Connection: c.ID, UserID: user, Calls: calls, Failures: failures, Answers: calls - failures,
				Latency: time.Duration(calls-failures) * 5 * time.Millisecond, Last: f.Clock()}}); err != nil {
				t.Fatal(err)
			}
		}
		f.SetClock(midnight.Add(-28 * 24 * time.Hour))
		add(max.UserID, 3, 3)
		f.SetClock(midnight.Add(-time.Second))
		add(max.UserID, 10, 2)
		f.SetClock(midnight.Add(time.Hour))
		add(service, 1, 0)
		f.SetClock(midnight.Add(2 * time.Hour))
		add(max.UserID, 5, 0)
		for range 2 {
			if _, err := f.Tokens.Credential(t.Context(), max, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		f.SetClock(midnight.Add(3 * time.Hour))
		if _, err := f.Tokens.Credential(t.Context(), owner, c.ID); err != nil {
			t.Fatal(err)
		}
		days := func(at map[int]int64) []int64 {
			out := make([]int64, 30)
			for i, n := range at {
				out[i] = n
			}
			return out
		}
		maxUse := api.MemberUse{UserID: max.UserID, Email: "max@a.test", Name: max.Name, Role: "member", Calls: 18, Failures: 5, CallMS: new(int64(5)), Credentials: 2,
			LastUsedAt: midnight.Add(2 * time.Hour), Days: days(map[int]int64{1: 3, 28: 10, 29: 7})}
		want := []api.MemberUse{
			{UserID: owner.UserID, Email: "owner@a.test", Name: owner.Name, Role: "member", Credentials: 1, LastUsedAt: midnight.Add(3 * time.Hour), Days: days(map[int]int64{29: 1})},
			maxUse,
			{UserID: service, Email: "key:" + service, Calls: 1, CallMS: new(int64(5)), LastUsedAt: midnight.Add(time.Hour), Days: days(map[int]int64{29: 1})},
		}
		for _, p := range []accounts.Principal{owner, admin} {
			if diff := cmp.Diff(want, uses(p)); diff != "" {
				t.Errorf("%s sees %s", p.Email, diff)
			}
		}
		if diff := cmp.Diff([]api.MemberUse{maxUse}, uses(max)); diff != "" {
			t.Error(diff)
		}
		if got := uses(eve); len(got) != 0 {
			t.Errorf("who has not used it sees %v", got)
		}
		if _, err := f.Accounts.RemoveMember(t.Context(), admin.As(audit.Actor{}), "acme", max.UserID); err != nil {
			t.Fatal(err)
		}
		if got := uses(admin); len(got) != 3 || got[1].Role != "" || got[1].Email != "max@a.test" {
			t.Errorf("who has left is shown as %+v", got)
		}
		if _, err := f.Connections.Delete(t.Context(), owner.As(audit.Actor{}), c.ID); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"member_uses", "connection_history"} {
			if n := f.rows(table); n != 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
	})
}

func (f *fixture) rows(table string) (n int) {
	f.T.Helper()
	if err := f.SQL.QueryRowContext(f.T.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		f.T.Fatal(err)
	}
	return n
}

// Only the members who used a connection last are shown, in order.
func TestMemberUsesAreBounded(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		c := f.Register(p, "https://ace.a.test", storetest.AceKey().Text().Reveal())
		var uses []connections.RelayUse
		for i := range 150 {
			uses = append(uses, connections.RelayUse{Connection: c.ID, UserID: fmt.Sprintf("user-%03d", i), Calls: 1, Last: f.Clock().Add(time.Duration(i) * time.Second)})
		}
		if err := f.History.AddRelayUses(t.Context(), uses); err != nil {
			t.Fatal(err)
		}
		got, err := f.History.MemberUses(t.Context(), p, c.ID, 100)
		if err != nil || len(got) != 100 || got[0].UserID != "user-149" || got[99].UserID != "user-050" {
			t.Errorf("%d members (%v)", len(got), err)
		}
	})
}

func TestHistoryIsPurged(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.SetClock(midnight.Add(time.Hour))
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		c := f.Register(p, "https://ace.a.test", storetest.AceKey().Text().Reveal())
		const old, days = 2500, 54 // half hours, more than a batch, and the days that they are of
		err := f.History.AddRelayUses(t.Context(), func() (uses []connections.RelayUse) {
			for i := range old {
				uses = append(uses, connections.RelayUse{Connection: c.ID, UserID: fmt.Sprint(i), Calls: 1, Last: f.Clock().Add(-time.Duration(i) * 30 * time.Minute)})
			}
			return uses
		}())
		if err != nil {
			t.Fatal(err)
		}
		gone := f.Register(p, "https://gone.a.test", storetest.AceKey().Text().Reveal())
		if _, err := f.Connections.Delete(t.Context(), p.As(audit.Actor{}), gone.ID); err != nil {
			t.Fatal(err)
		}
		if h, u, n := f.rows("connection_history"), f.rows("member_uses"), f.rows("connection_changes"); h != old+days || u != old || n != 2 {
			t.Fatalf("%d rows of history, %d of use, %d of changes", h, u, n)
		}
		if err := f.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		const shown, used = 48 + 30, 29*48 + 3 // half hours and days; half hours of use in 30 days
		if h, u, n := f.rows("connection_history"), f.rows("member_uses"), f.rows("connection_changes"); h != shown || u != used || n != 2 {
			t.Errorf("%d and %d rows are kept, %d of changes", h, u, n)
		}
		f.Advance(40 * 24 * time.Hour)
		if err := f.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if h, u, n := f.rows("connection_history"), f.rows("member_uses"), f.rows("connection_changes"); h != 0 || u != 0 || n != 1 {
			t.Errorf("40 days later there are %d, %d and %d rows", h, u, n)
		}
	})
}
