package connections

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// The access rule in Go and the one in SQL decide the same for every kind of caller and connection, on both databases.
func TestAccessRuleInGoAndSQL(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		r, ctx := accessStore(t, dsn), t.Context()
		callers := accessCallers()
		connections := accessConnections(t, r)
		fromSQL := accessInSQL(t, r, callers)
		seen, used := 0, 0
		for name, p := range callers {
			var listed []string
			for id, cursor := "", ""; ; {
				page, next, err := r.Connections(ctx, p, cursor, schema.MaxLimit)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range page {
					listed = append(listed, c.ID)
				}
				if id, cursor = next, next; id == "" {
					break
				}
			}
			for i, c := range accessRead(t, r, p) {
				id := c.ID
				sees := c.seenBy(p)
				is := decided{sees: sees, uses: sees && c.requireUsable() == nil && (c.ActAs || c.OwnerID == p.UserID), terms: Terms(p, c.Bounds(p))}
				if got := fromSQL[name+" "+id]; got != is {
					t.Errorf("%s, %s: SQL decides %+v, Go %+v", name, id, got, is)
				}
				if slices.Contains(listed, id) != sees {
					t.Errorf("%s, %s: in the list: %t, seen: %t", name, id, !sees, sees)
				}
				if i%40 == 0 { // asking for each one alone takes too long
					if _, err := r.Find(ctx, r.db, p, id); (err == nil) != sees {
						t.Errorf("%s, %s: found: %v, seen: %t", name, id, err, sees)
					}
				}
				if _, err := c.Use(p); err == nil && sees && !is.uses {
					t.Errorf("%s, %s: may use it in Go, not in SQL", name, id)
				}
				if sees {
					seen++
				}
				if is.uses {
					used++
				}
			}
		}
		all := len(callers) * connections
		if used == 0 || used >= seen || seen >= all {
			t.Errorf("of %d questions, %d are seen and %d used: the cases say nothing", all, seen, used)
		}
	})
}

// decided is the rule's decision on one caller and one connection.
type decided struct {
	sees, uses bool
	terms      string
}

func accessStore(t *testing.T, dsn string) *Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	log := slog.New(slog.DiscardHandler)
	rows, err := schema.New(t.Context(), db, schema.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	st, _, _ := New(Config{DB: rows}, log)
	return st
}

// accessCallers are people of every role, tokens, and API keys of either environment, with and without rights and parents.
func accessCallers() map[string]accounts.Principal {
	person := func(id string, role bridge.Role, org string) accounts.Principal {
		return accounts.Principal{UserID: id, OrgID: org, Role: role, Member: org + id}
	}
	key := func(id, environment string, scopes bridge.Scopes, parents ...string) accounts.Principal {
		p := accounts.Principal{UserID: id, OrgID: "org", Role: bridge.RoleMember, Kind: bridge.KindLive, Environment: environment, Granted: scopes, MakerID: "member"}
		copy(p.Parents[:], parents)
		return p
	}
	token := person("member", bridge.RoleMember, "org")
	token.Kind, token.Granted = bridge.KindPAT, bridge.Scopes{"*"}
	reading := person("admin", bridge.RoleAdmin, "org")
	reading.Kind, reading.Granted = bridge.KindPAT, bridge.Scopes{"connection:read"}
	return map[string]accounts.Principal{
		"owner": person("owner", bridge.RoleOwner, "org"), "admin": person("admin", bridge.RoleAdmin, "org"),
		"member": person("member", bridge.RoleMember, "org"), "viewer": person("viewer", bridge.RoleViewer, "org"),
		"member elsewhere": person("member", bridge.RoleMember, "other"), "owner elsewhere": person("owner", bridge.RoleOwner, "other"),
		"the organization":     {UserID: "org", OrgID: "org", Role: bridge.RoleAdmin},
		"another organization": {UserID: "other", OrgID: "other", Role: bridge.RoleAdmin},
		"member's token":       token, "admin's token to read": reading,
		"live key": key("key", bridge.EnvironmentLive, nil), "live key that manages": key("key", bridge.EnvironmentLive, bridge.Scopes{"connection:manage"}),
		"test key": key("key", bridge.EnvironmentTest, nil), "test key that manages": key("key", bridge.EnvironmentTest, bridge.Scopes{"*"}),
		"child key":                key("child", bridge.EnvironmentLive, nil, "key"),
		"great-grandchild":         key("child", bridge.EnvironmentLive, nil, "p1", "p2", "key"),
		"grandchild that manages":  key("child", bridge.EnvironmentLive, bridge.Scopes{"*"}, "p1", "key"),
		"key of both environments": key("key", "", nil),
	}
}

// accessConnections stores a connection of every kind, each with every limit for somebody, and returns how many.
func accessConnections(t *testing.T, r *Store) (n int) {
	t.Helper()
	owners := []string{"owner", "member", "gone", "key", "org"}
	limits := []limit{{}, {AccessNone, ""}, {AccessLimited, "app:read"}}
	err := r.db.Tx(t.Context(), func(tx *sql.Tx) error {
		do := func(query string, args ...any) {
			if _, err := tx.ExecContext(t.Context(), query, args...); err != nil {
				t.Fatal(err)
			}
		}
		do("INSERT INTO organizations (id, slug, name, created_at) VALUES ('org', 'org', '', 0), ('other', 'other', '', 0)")
		do("INSERT INTO users (id, email, name, password, created_at) VALUES ('key', 'key:key', '', '', 0), ('org', 'org:org', '', '', 0)")
		for id, role := range map[string]string{"owner": "owner", "admin": "admin", "member": "member", "viewer": "viewer", "gone": ""} {
			do("INSERT INTO users (id, email, name, password, created_at) VALUES ($1, $2, '', '', 0)", id, id+"@a.test")
			for _, org := range []string{"org", "other"} {
				if role != "" {
					do("INSERT INTO members (org_id, user_id, id, role, joined_at) VALUES ($1, $2, $3, $4, 0)", org, id, org+id, role)
				}
			}
		}
		for kind := range len(owners) * 2 * 2 * 2 * 2 {
			owner, bits := owners[kind%len(owners)], kind/len(owners)
			visibility, environment, actAs, ceiling := Private, bridge.EnvironmentLive, bits&4 != 0, ""
			if bits&1 != 0 {
				visibility = Organization
			}
			if bits&2 != 0 {
				environment = bridge.EnvironmentTest
			}
			if bits&8 != 0 {
				ceiling = "app:*"
			}
			for _, limited := range []string{"member", "key", "child", "admin", "p2", "owner"} {
				for i, l := range limits {
					id := fmt.Sprintf("%s's %s %s %t %q, %s gets %s", owner, visibility, environment, actAs, ceiling, limited, l.access)
					if i == 0 && limited != "member" {
						continue
					}
					n++
					do(`INSERT INTO connections (id, org_id, owner_id, name, server_url, method, visibility, ceiling, ace, key_id, secret, status, cause, hint,
						probed_at, last_seen_at, last_used_at, expires_at, created_at, environment, act_as)
						VALUES ($1, 'org', $2, $1, 'https://a.test', 'exchange', $3, $4, TRUE, '', 'x', '', '', '', 0, 0, 0, 0, 0, $5, $6)`,
						id, owner, visibility, ceiling, environment, actAs)
					if l.access != "" {
						do("INSERT INTO connection_limits (connection_id, user_id, access, preset, ceiling) VALUES ($1, $2, $3, '', $4)", id, limited, l.access, l.ceiling)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// accessRead reads all connections with the limits of a caller, without asking the rule.
func accessRead(t *testing.T, r *Store, p accounts.Principal) (all []Connection) {
	t.Helper()
	var args []any
	rows, err := r.db.QueryContext(t.Context(), callerRows(&args, callerRow{Principal: p})+selectSeen+"TRUE", args...)
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		c, err := scanSeen(s)
		all = append(all, c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// accessInSQL asks the rule in SQL for all callers and connections at once.
func accessInSQL(t *testing.T, r *Store, callers map[string]accounts.Principal) map[string]decided {
	t.Helper()
	var names []string
	var who []accounts.Principal
	for name, p := range callers {
		names, who = append(names, name), append(who, p)
	}
	var args []any
	out := map[string]decided{}
	rows, err := r.db.QueryContext(context.Background(), callerRows(&args, asked(who)...)+
		"SELECT caller.n, c.id, ("+visible+"), ("+usable+"), "+termsNow+` FROM
		(SELECT caller.*, CASE WHEN role = '' THEN 'member' ELSE role END AS its_role FROM caller) caller
		CROSS JOIN connections c JOIN users u ON u.id = c.owner_id`+withLimits, args...)
	err = sqldb.Each(rows, err, func(s sqldb.Row) error {
		var n int
		var id string
		var d decided
		err := s.Scan(&n, &id, &d.sees, &d.uses, &d.terms)
		out[names[n]+" "+id] = d
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
