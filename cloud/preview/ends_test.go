package preview_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/tokens"
)

// read is what a query gives.
func (f *fixture) read(query string) (out [][]any) {
	f.T.Helper()
	rows, err := f.SQL.QueryContext(f.T.Context(), query)
	if err != nil {
		f.T.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		f.T.Fatal(err)
	}
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			f.T.Fatal(err)
		}
		out = append(out, values)
	}
	if err := rows.Err(); err != nil {
		f.T.Fatal(err)
	}
	return out
}

// works is what can be acted with, a line each, by the rows alone.
func (f *fixture) works() (out []string) {
	f.T.Helper()
	for _, query := range []string{
		"SELECT 'session ' || id FROM sessions WHERE ended_at = 0",
		"SELECT 'approval cli' FROM devices WHERE state = 'approved'",
		"SELECT 'approval cli' FROM codes WHERE used_at = 0 AND expires_at > created_at",
		"SELECT 'invitation ' || id FROM invitations WHERE state = 'open'",
		"SELECT 'key ' || id FROM api_keys WHERE ended_at = 0",
		"SELECT 'join_token ' || id FROM join_tokens WHERE ended_at = 0",
		"SELECT 'connection ' || c.id FROM connections c",
		"SELECT 'connection_key ' || c.key_id FROM connections c",
	} {
		for _, row := range f.read(query) {
			out = append(out, fmt.Sprint(row...))
		}
	}
	slices.Sort(out)
	return out
}

// content is all that is stored, but for the times that are noted by themselves.
func (f *fixture) content() (out []string) {
	f.T.Helper()
	for _, table := range f.Tables() {
		for _, row := range f.read("SELECT * FROM " + table) {
			out = append(out, table+" "+fmt.Sprint(row...))
		}
	}
	slices.Sort(out)
	return out
}

// missing are the lines of one list that are not in another, each as often as it is.
func missing(from, of []string) (out []string) {
	rest := slices.Clone(from)
	for _, line := range of {
		if i := slices.Index(rest, line); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			out = append(out, line)
		}
	}
	return out
}

// What a preview says is what the change does, and asking changes nothing.
func TestEndsArePreviewed(t *testing.T) {
	type world struct {
		*fixture
		a               *keys.Authority
		org             string
		boss, ann, max  accounts.Principal
		g               storetest.Given
		key             bridge.Key
		shared, private api.Connection
		ci              accounts.Principal
		dead            []uuid.UUID
	}
	alive := func(w *world) preview.Alive {
		return func(id uuid.UUID) bool { return !slices.Contains(w.dead, id) && len(w.a.Generations(id)) > 0 }
	}
	setup := func(t *testing.T, f *fixture, a *keys.Authority, org string) *world {
		w := &world{fixture: f, a: a, key: storetest.AceKey(), org: org}
		w.boss, w.ann = f.Person("boss@"+org, org, bridge.RoleOwner), f.Person("ann@"+org, org, bridge.RoleAdmin)
		w.max = f.Person("max@"+org, org, bridge.RoleMember)
		w.g = f.Give(w.a, w.ann)
		w.shared, w.private = f.Shared(w.boss, "https://ace.a.test", w.key.Text()), w.g.Connection
		live, err := w.a.Get(t.Context(), keys.View{Org: org}, w.g.Live)
		if err != nil {
			t.Fatal(err)
		}
		w.ci, err = f.Accounts.KeyPrincipal(t.Context(), bridge.Identity{Type: bridge.TypeAPIKey, KeyID: live.ID, Kind: bridge.KindLive, Subject: live.Owner,
			Org: org, Scopes: bridge.Scopes{"connection:use", "connection:read"}}, accounts.KeyFacts{Name: "ci"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []accounts.Principal{w.ann, w.max, w.ci} {
			if _, err := f.Tokens.Credential(t.Context(), p, w.shared.ID); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	all := func(w *world) []string {
		return []string{w.ann.Email + " ends", "key:" + w.g.Live.String() + " ends", w.max.Email + " ends"}
	}
	limitedTo := func(subjects ...string) (out []string) {
		for _, s := range subjects {
			out = append(out, s+" app:*")
		}
		return out
	}
	cases := []struct {
		name    string
		preview func(w *world) (preview.Ends, error)
		deed    func(w *world) error
		holders func(w *world) []string // of personal keys on the shared connection's server
		gone    int                     // how many lines are not in works any more
	}{
		{"disconnect", func(w *world) (preview.Ends, error) {
			return w.Preview.EndsOfDelete(t.Context(), w.boss, w.shared.ID, alive(w))
		}, func(w *world) error {
			return storetest.Second(w.Connections.Delete(w.T.Context(), w.boss.As(audit.Actor{}), w.shared.ID))
		}, all, 2},
		{"unshare", func(w *world) (preview.Ends, error) {
			return w.Preview.EndsOfPatch(t.Context(), w.boss, w.shared.ID, api.ConnectionPatch{Visibility: new(connections.Private)}, alive(w))
		}, func(w *world) error {
			w.Patch(w.boss, w.shared.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
			return nil
		}, all, 0},
		{"a ceiling", func(w *world) (preview.Ends, error) {
			return w.Preview.EndsOfPatch(t.Context(), w.boss, w.shared.ID, storetest.Ceiling("app:*"), alive(w))
		}, func(w *world) error { w.Patch(w.boss, w.shared.ID, storetest.Ceiling("app:*")); return nil }, func(w *world) []string {
			return limitedTo(w.ann.Email, "key:"+w.g.Live.String(), w.max.Email)
		}, 0},
		{"nothing for a member", func(w *world) (preview.Ends, error) {
			return w.Preview.EndsOfLimit(t.Context(), w.boss, w.shared.ID, connections.LimitSubject{ID: w.max.UserID}, storetest.Nothing(), alive(w))
		}, func(w *world) error { return w.Limit(w.boss, w.shared.ID, w.max.UserID, storetest.Nothing()) }, func(w *world) []string {
			return []string{w.max.Email + " ends"}
		}, 0},
		{"less for whoever has made a key", func(w *world) (preview.Ends, error) {
			return w.Preview.EndsOfLimit(t.Context(), w.boss, w.shared.ID, connections.LimitSubject{ID: w.ann.UserID}, storetest.Limited("app:*"), alive(w))
		}, func(w *world) error { return w.Limit(w.boss, w.shared.ID, w.ann.UserID, storetest.Limited("app:*")) }, func(w *world) []string {
			return limitedTo(w.ann.Email, "key:"+w.g.Live.String())
		}, 0},
		{"another role", func(w *world) (preview.Ends, error) {
			return w.Preview.EndsOfMember(t.Context(), w.boss, w.org, w.max.UserID, "viewer", alive(w))
		}, func(w *world) error {
			return storetest.Second(w.Accounts.ChangeRole(w.T.Context(), w.boss.As(audit.Actor{}), w.org, w.max.UserID, "viewer"))
		}, func(w *world) []string { return []string{w.max.Email + " *"} }, 0},
		{"a removal", func(w *world) (preview.Ends, error) {
			return w.Preview.EndsOfMember(t.Context(), w.boss, w.org, w.ann.UserID, "", alive(w))
		}, func(w *world) error {
			return storetest.Second(w.Accounts.RemoveMember(w.T.Context(), w.boss.As(audit.Actor{}), w.org, w.ann.UserID))
		}, func(w *world) []string { return []string{w.ann.Email + " ends"} }, 9},
		{"a key of the organization", func(w *world) (preview.Ends, error) {
			return w.Preview.EndsOfKeys(t.Context(), w.boss, []uuid.UUID{w.g.Live}, alive(w))
		}, func(w *world) error { w.dead = []uuid.UUID{w.g.Live}; return nil }, func(w *world) []string {
			return []string{"key:" + w.g.Live.String() + " ends"}
		}, 0},
	}
	each(t, func(t *testing.T, f *fixture) {
		a := f.NewAuthority()
		for i, c := range cases {
			w := setup(t, f, a, "org"+strconv.Itoa(i))
			before, stored := w.works(), w.content()
			said, err := c.preview(w)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if changed := missing(stored, w.content()); len(changed) > 0 {
				t.Fatalf("%s: asking has changed something: %v", c.name, changed)
			}
			f.Advance(time.Second)
			if err := c.deed(w); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			gone := missing(w.works(), before)
			var want, tokens []string
			for _, e := range said.Here {
				switch {
				case e.Kind == api.EndsAccessToken:
					tokens = append(tokens, e.Owner)
				case e.Kind == api.EndsPersonalAccessToken || e.Kind == api.EndsAPIKey:
					want = append(want, "key "+e.ID)
				case e.Kind == api.EndsApproval:
					want = append(want, "approval cli")
				case e.Fate == api.FateEnds:
					want = append(want, e.Kind+" "+e.ID)
				case e.Fate == api.FateLeft && e.ID != w.private.ID:
					t.Errorf("%s: %+v is left", c.name, e)
				}
			}
			if slices.Sort(want); !slices.Equal(gone, want) || len(gone) != c.gone {
				t.Errorf("%s: gone are\n%s\nsaid was\n%s", c.name, strings.Join(gone, "\n"), strings.Join(want, "\n"))
			}
			w.wantHolders(c.name, w.key, said, tokens, c.holders(w), alive(w))
		}
	})
}

// wantHolders compares what was said of tokens and personal keys with the statement that the server is sent.
func (f *fixture) wantHolders(name string, key bridge.Key, said preview.Ends, named, want []string, alive preview.Alive) {
	f.T.Helper()
	var holders, subjects, stated []string
	for _, h := range said.Holders {
		subjects = append(subjects, h.Subject)
		holders = append(holders, h.Subject+" "+map[bool]string{true: "ends", false: h.Left.Scope}[h.Ends])
	}
	slices.Sort(holders)
	slices.Sort(subjects)
	slices.Sort(named)
	if !slices.Equal(holders, want) || !slices.Equal(named, subjects) {
		f.T.Errorf("%s: said was %v of keys and %v of tokens, want %v", name, holders, named, want)
	}
	lost, err := f.Tokens.LostTokens(f.T.Context(), tokens.Look{Alive: alive})
	if err != nil {
		f.T.Fatal(err)
	}
	for _, l := range lost {
		w, ok, err := f.Tokens.WithdrawTokens(f.T.Context(), l)
		if err != nil {
			f.T.Fatal(err)
		}
		if !ok {
			stated = holders // its key, with all that was made with it, is being revoked
			continue
		}
		statement, err := bridge.VerifyWithdrawal(w.Statement, key.PublicKey(), f.Clock())
		if err != nil {
			f.T.Fatal(err)
		}
		for subject := range statement.Until {
			left, some := statement.Left(subject)
			stated = append(stated, subject+" "+map[bool]string{true: left.Scope, false: "ends"}[some])
		}
		if err := f.Tokens.Withdrawn(f.T.Context(), w); err != nil {
			f.T.Fatal(err)
		}
	}
	if slices.Sort(stated); !slices.Equal(stated, want) {
		f.T.Errorf("%s: the server is told %v, want %v", name, stated, want)
	}
}
