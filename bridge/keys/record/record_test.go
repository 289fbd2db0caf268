package record_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/keys/statements"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, keys.Migrate) }

var now = time.Date(2027, 3, 14, 12, 0, 0, 0, time.UTC)

func TestParseExpiry(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       time.Time
		code       bridge.Code
	}{
		{"nothing is 90 days", "", now.AddDate(0, 0, 90), ""},
		{"never", "never", time.Time{}, ""},
		{"days", "30d", now.AddDate(0, 0, 30), ""},
		{"a duration", "12h", now.Add(12 * time.Hour), ""},
		{"a date ends with its day", "2027-03-14", time.Date(2027, 3, 14, 23, 59, 59, 0, time.UTC), ""},
		{"a time of another zone", "2027-03-14T18:00:00+01:00", time.Date(2027, 3, 14, 17, 0, 0, 0, time.UTC), ""},
		{"just ten years", "3660d", now.Add(3660 * 24 * time.Hour), ""},
		{"a day more", "3661d", time.Time{}, bridge.CodeExpiryMalformed},
		{"more days than fit", "65536d", time.Time{}, bridge.CodeExpiryMalformed},
		{"no days", "0d", time.Time{}, bridge.CodeExpiryMalformed},
		{"days below zero", "-1d", time.Time{}, bridge.CodeExpiryMalformed},
		{"yesterday", "2027-03-13", time.Time{}, bridge.CodeExpiryMalformed},
		{"this moment", now.Format(time.RFC3339), time.Time{}, bridge.CodeExpiryMalformed},
		{"a word", "soon", time.Time{}, bridge.CodeExpiryMalformed},
		{"too long", strings.Repeat("0", 40) + "1d", time.Time{}, bridge.CodeExpiryMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := record.ParseExpiry(c.text, now)
			if bridge.CodeOf(err) != c.code || !got.Equal(c.want) {
				t.Errorf("%q is %s (%v), want %s %q", c.text, got, err, c.want, c.code)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	for _, c := range []struct {
		name      string
		allowFrom []string
		rate      string
		maxUses   int64
		code      bridge.Code
	}{
		{"none", nil, "", 0, ""},
		{"all three", []string{"203.0.113.7", " 2001:db8::/32 "}, "100/m", 3, ""},
		{"the most", nil, "1000000/d", 1 << 40, ""},
		{"a name", []string{"example.com"}, "", 0, bridge.CodeAllowFromMalformed},
		{"IPv4 within IPv6", []string{"::ffff:203.0.113.7"}, "", 0, bridge.CodeAllowFromMalformed},
		{"an address with a zone", []string{"fe80::1%eth0"}, "", 0, bridge.CodeAllowFromMalformed},
		{"too many entries", strings.Fields(strings.Repeat("203.0.113.7 ", 65)), "", 0, bridge.CodeAllowFromMalformed},
		{"no unit", nil, "100", 0, bridge.CodeRateMalformed},
		{"another unit", nil, "100/w", 0, bridge.CodeRateMalformed},
		{"a rate of nothing", nil, "0/s", 0, bridge.CodeRateMalformed},
		{"a rate beyond all", nil, "1000001/d", 0, bridge.CodeRateMalformed},
		{"uses below zero", nil, "", -1, bridge.CodeMaxUsesMalformed},
		{"more uses than are counted", nil, "", 1<<40 + 1, bridge.CodeMaxUsesMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := record.ParseLimits(c.allowFrom, c.rate, c.maxUses)
			if bridge.CodeOf(err) != c.code {
				t.Fatalf("%v, want %q", err, c.code)
			}
			if err == nil && (l.Rate.String() != c.rate || l.MaxUses != c.maxUses || len(l.AllowFrom) != len(c.allowFrom)) {
				t.Errorf("%+v", l)
			}
		})
	}
}

func TestAllowedAddresses(t *testing.T) {
	l, err := record.ParseLimits([]string{"203.0.113.9/24", "2001:db8::1"}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"203.0.113.255": true, "::ffff:203.0.113.1": true, "203.0.114.1": false,
		"2001:db8::1": true, "2001:db8::1%eth0": true, "2001:db8::2": false, "": false, "203.0.113.1:80": false,
	} {
		if got := l.Allows(address); got != want {
			t.Errorf("%q: %t, want %t", address, got, want)
		}
	}
	if !(record.Limits{}).Allows("no address at all") {
		t.Error("a key without an allowlist may not be used from everywhere")
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		name, inner, outer string
		want               bool
	}{
		{"everywhere in everywhere", "", "", true},
		{"some in everywhere", "10.0.0.0/8", "", true},
		{"everywhere in some", "", "10.0.0.0/8", false},
		{"narrower", "10.1.0.0/16 10.2.3.4", "10.0.0.0/8", true},
		{"the same", "10.0.0.0/8", "10.0.0.0/8", true},
		{"wider", "10.0.0.0/7", "10.0.0.0/8", false},
		{"one beside it", "10.1.0.0/16 11.0.0.1", "10.0.0.0/8", false},
		{"in two halves", "10.0.0.0/8", "10.0.0.0/9 10.128.0.0/9", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner, err := record.ParseLimits(strings.Fields(c.inner), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			outer, err := record.ParseLimits(strings.Fields(c.outer), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := record.Within(inner.AllowFrom, outer.AllowFrom); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}

// The first of the causes that apply is the state: each row of the table has those of the rows below it as well.
func TestStates(t *testing.T) {
	at := now.Unix()
	f := record.Facts{}
	for _, c := range []struct {
		add  func()
		want string
	}{
		{func() {}, record.StatusActive},
		{func() { f.Expires = at + 1 }, record.StatusActive},
		{func() { f.ConfirmBy = at + 1 }, record.StatusUnconfirmed},
		{func() { f.Disabled = true }, record.StatusDisabled},
		{func() { f.UsedUp = true }, record.StatusUsedUp},
		{func() { f.ConfirmBy = at }, record.StatusLapsed},
		{func() { f.Expires = at }, record.StatusExpired},
		{func() { f.Ended = true }, record.StatusRevoked},
	} {
		c.add()
		if got := record.StatusOf(f, at); got != c.want {
			t.Errorf("%+v is %s, want %s", f, got, c.want)
		}
		if c.want != record.StatusActive && (record.StateCode(c.want) == "" || record.ParentCode(c.want) == "" ||
			record.StateCode(c.want) == record.ParentCode(c.want)) {
			t.Errorf("%s has no code of its own for a key and for its parent", c.want)
		}
	}
}

func TestEnded(t *testing.T) {
	limits := record.Limits{MaxUses: 2}
	for _, c := range []struct {
		name string
		r    record.Record
		by   string
		at   time.Time
	}{
		{"alive", record.Record{ExpiresAt: now.Add(time.Second)}, "", time.Time{}},
		{"revoked", record.Record{EndedAt: now, EndedBy: "user:ann", ExpiresAt: now}, "user:ann", now},
		{"expired", record.Record{ExpiresAt: now}, "system", now},
		{"not used after the exchange", record.Record{ConfirmBy: now.Add(-time.Hour)}, "system", now.Add(-time.Hour)},
		{"one use left", record.Record{Limits: limits, Uses: 1}, "", time.Time{}},
		{"used up", record.Record{Limits: limits, Uses: 2, UsedAt: now}, "system", now},
		{"used up, and the last use is not stored yet", record.Record{Limits: limits, Uses: 2, IssuedAt: now.Add(-time.Minute)}, "system", now.Add(-time.Minute)},
	} {
		t.Run(c.name, func(t *testing.T) {
			end := c.r.Ended(now)
			if end == nil {
				if c.by != "" {
					t.Error("it is alive")
				}
				return
			}
			if end.By != c.by || !end.At.Equal(c.at) {
				t.Errorf("%+v", end)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for days, want := range map[int]int{0: 0, 1: 0, 2: 1, 7: 1, 8: 2, 30: 2, 31: 3, 365: 3} {
		if got := record.Warnings(now, now.AddDate(0, 0, days)); got != want {
			t.Errorf("a key of %d days is warned of %d times, want %d", days, got, want)
		}
	}
}

// full is a row with something in every column that is stored with a new key.
func full(t *testing.T) record.Row {
	t.Helper()
	limits, err := record.ParseLimits([]string{"203.0.113.0/24", "2001:db8::/32"}, "100/m", 7)
	if err != nil {
		t.Fatal(err)
	}
	scopes, err := bridge.ParseScopes("app:read app:write")
	if err != nil {
		t.Fatal(err)
	}
	key := bridge.NewKey(bridge.KindLive, uuid.New())
	return record.Row{Version: 3, Current: record.ProofOf(key), Record: record.Record{
		ID: key.ID, Kind: bridge.KindLive, Prefix: "ace_live_x", Name: "n\u00e4me", Description: "d", Org: "acme", Owner: "ann@acme.test", CreatedBy: "user:ann",
		Role: bridge.RoleMember, Scopes: scopes, Limits: limits, CreatedAt: now, IssuedAt: now.Add(time.Second), ExpiresAt: now.AddDate(0, 0, 90),
		ConfirmBy: now.Add(time.Minute), Replaces: uuid.New(), Lineage: record.Lineage{Kind: record.LineagePersonal, Parent: uuid.New(), Subject: "ann@acme.test",
			Limit: statements.Limit{Role: bridge.RoleViewer, Number: 4, At: 5}}}}
}

func eachDatabase(t *testing.T, test func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		test(t, db)
	})
}

func store(t *testing.T, db *sqldb.DB, r record.Row) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := record.Insert(t.Context(), tx, r); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// What is stored of a key comes back as it was.
func TestRowsComeBack(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sqldb.DB) {
		rows := map[string]record.Row{"full": full(t), "bare": {Version: 1, Current: record.ProofOf(bridge.NewKey(bridge.KindSK, uuid.New())),
			Record: record.Record{ID: uuid.New(), Kind: bridge.KindSK, CreatedAt: now, IssuedAt: now}}}
		for name, r := range rows {
			store(t, db, r)
			got, err := record.Load(t.Context(), db, r.ID)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(r.Record, got.Record, cmp.Comparer(func(a, b record.Limits) bool {
				return a.Rate == b.Rate && a.MaxUses == b.MaxUses && cmp.Equal(texts(a), texts(b))
			}), cmp.Comparer(func(a, b bridge.Scopes) bool { return a.String() == b.String() })); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			if got.Version != r.Version || got.Current != r.Current || !got.Taken.Empty() || got.Generation() != r.Generation() {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if all, err := record.Rows(t.Context(), db, "SELECT "+record.Columns+" FROM api_keys"); err != nil || len(all) != len(rows) {
			t.Errorf("%d rows (%v)", len(all), err)
		}
		if _, err := record.Load(t.Context(), db, uuid.New()); bridge.CodeOf(err) != bridge.CodeKeyUnknown {
			t.Errorf("a key that is not there: %v", err)
		}
	})
}

func texts(l record.Limits) (out []string) {
	for _, p := range l.AllowFrom {
		out = append(out, p.String())
	}
	return out
}

// A damaged row is refused as a whole, and the error names the key: no part of it decides anything.
func TestDamagedRows(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sqldb.DB) {
		r := full(t)
		store(t, db, r)
		for column, damaged := range map[string]string{
			"hash": "'ab'", "public_key": "'+'", "scopes": "'a b\t*:::'", "allow_from": "'everywhere'", "withdrawn": "'{'",
			"withdrawn_numbers": "'['", "parent_id": "'x'", "replaces": "'x'", "limit_scopes": "'::'",
		} {
			var before string
			if err := db.QueryRowContext(t.Context(), "SELECT "+column+" FROM api_keys").Scan(&before); err != nil {
				t.Fatal(err)
			}
			if _, err := db.ExecContext(t.Context(), "UPDATE api_keys SET "+column+" = "+damaged); err != nil {
				t.Fatal(err)
			}
			got, err := record.Load(t.Context(), db, r.ID)
			if err == nil || !strings.Contains(err.Error(), r.ID.String()) || got.ID != uuid.Nil {
				t.Errorf("%s: %+v (%v)", column, got.Record, err)
			}
			if _, err := db.ExecContext(t.Context(), "UPDATE api_keys SET "+column+" = $1", before); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := record.Load(t.Context(), db, r.ID); err != nil {
			t.Errorf("as it was: %v", err)
		}
	})
}
