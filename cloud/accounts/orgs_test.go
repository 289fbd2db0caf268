package accounts_test

import (
	"context"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
)

// again is the principal of a session as it is at this moment.
func (f *fixture) again(p accounts.Principal) (accounts.Principal, bridge.Code) {
	f.T.Helper()
	p, err := f.Sessions.SessionByID(f.T.Context(), p.SessionID)
	return p, bridge.CodeOf(err)
}

func TestCreateOrganization(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		viewer := f.Person("vera@a.test", "acme", bridge.RoleViewer)
		create := func(slug string) error {
			_, err := f.Accounts.CreateOrganization(t.Context(), viewer.As(viewer.Actor("", "")), api.NewOrganization{Slug: slug})
			return err
		}
		if err := create("lab"); err != nil {
			t.Fatal(err)
		}
		if err := create("acme"); bridge.CodeOf(err) != "organization_taken" || bridge.AsError(err).Hint != "the name acme-2 is free" {
			t.Errorf("a slug that is taken: %v, %q", err, bridge.AsError(err).Hint)
		}
		if err := create("No Slug"); bridge.CodeOf(err) != "organization_malformed" {
			t.Errorf("a malformed slug: %v", err)
		}
		moved, err := f.Sessions.SwitchSession(t.Context(), viewer.As(viewer.Actor("", "")), "lab")
		if err != nil || moved.Role != bridge.RoleOwner || moved.Org != "lab" {
			t.Fatalf("the founder is no owner: %+v %v", moved, err)
		}
		if _, err := f.Accounts.RenameOrganization(t.Context(), moved.As(moved.Actor("", "")), "lab", api.OrganizationPatch{Name: "The Lab"}); err != nil {
			t.Error(err)
		}
		if _, err := f.Accounts.RenameOrganization(t.Context(), moved.As(moved.Actor("", "")), "acme",
			api.OrganizationPatch{Name: "x"}); bridge.CodeOf(err) != "organization_unknown" {
			t.Errorf("another organization than the session's: %v", err)
		}
		// Many at once do not pass the bound together.
		codes := make(chan string)
		for i := range 14 {
			go func() {
				_, err := f.Accounts.CreateOrganization(context.Background(), moved.As(audit.Actor{}), api.NewOrganization{Slug: "lab-" + string(rune('a'+i))})
				codes <- string(bridge.CodeOf(err))
			}()
		}
		made := 1
		for range 14 {
			switch code := <-codes; code {
			case "":
				made++
			case "too_many_organizations":
			default:
				t.Errorf("create: %q", code)
			}
		}
		if made != 10 {
			t.Errorf("one person made %d organizations", made)
		}
	})
}

// Who may give whom which role; each case begins with the same five people.
func TestRoles(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		people := map[string]accounts.Principal{}
		for name, role := range map[string]bridge.Role{"owner": "owner", "second": "owner", "admin": "admin", "member": "member", "viewer": "viewer"} {
			people[name] = f.Person(name+"@a.test", "acme", role)
		}
		rival := f.Person("rival@b.test", "rival", bridge.RoleOwner)
		for _, c := range []struct {
			by, whom, to string
			code         bridge.Code
		}{
			{"viewer", "viewer", "member", "role_admin"},
			{"member", "member", "admin", "role_admin"},
			{"admin", "admin", "owner", "role_above"},
			{"admin", "owner", "admin", "role_above"},
			{"admin", "viewer", "owner", "role_above"},
			{"admin", "viewer", "boss", "role_unknown"},
			{"admin", "viewer", "member", ""},
			{"admin", "viewer", "viewer", ""},
			{"owner", "member", "owner", ""},
			{"owner", "member", "member", ""},
		} {
			if got := f.ChangeRole(people[c.by], people[c.whom], c.to); got != c.code {
				t.Errorf("%s makes %s %s: %q, want %q", c.by, c.whom, c.to, got, c.code)
			}
		}
		if got := f.ChangeRole(rival, people["viewer"], "member"); got != "member_unknown" {
			t.Errorf("a stranger's change: %q", got)
		}
		if _, code := f.RemoveMember(people["admin"], people["owner"]); code != "role_above" {
			t.Errorf("an admin removes an owner: %q", code)
		}
		if _, code := f.RemoveMember(people["member"], people["viewer"]); code != "role_admin" {
			t.Errorf("a member removes another: %q", code)
		}
		// A change counts from the next request on, and for what the old principal still tries.
		if got := f.ChangeRole(people["owner"], people["admin"], "viewer"); got != "" {
			t.Fatal(got)
		}
		if now, _ := f.again(people["admin"]); now.Role != bridge.RoleViewer {
			t.Errorf("the demoted admin's next request is one of %s %s", now.Role, now.Email)
		}
		if got := f.ChangeRole(people["admin"], people["member"], "viewer"); got != "role_admin" {
			t.Errorf("a request that began as an admin's ends as one: %q", got)
		}
	})
}

func TestLastOwner(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		second := f.Person("otto@a.test", "acme", bridge.RoleAdmin)
		if got := f.ChangeRole(owner, owner, "admin"); got != "last_owner" {
			t.Errorf("the last owner steps down: %q", got)
		}
		if _, code := f.RemoveMember(owner, owner); code != "last_owner" {
			t.Errorf("the last owner leaves: %q", code)
		}
		if got := f.ChangeRole(owner, second, "owner"); got != "" {
			t.Fatal(got)
		}
		second, _ = f.again(second)
		race := func(first, other func() bridge.Code) (codes []bridge.Code) {
			done := make(chan bridge.Code)
			for _, do := range []func() bridge.Code{first, other} {
				go func() { done <- do() }()
			}
			return []bridge.Code{<-done, <-done}
		}
		demoted := race(func() bridge.Code { return f.ChangeRole(owner, second, "admin") }, func() bridge.Code {
			return f.ChangeRole(second, owner,
				"admin")
		})
		if (demoted[0] == "") == (demoted[1] == "") {
			t.Errorf("two owners demote each other: %q", demoted)
		}
		owners := func() (owners []accounts.Principal) {
			for _, p := range []accounts.Principal{owner, second} {
				if p, code := f.again(p); code == "" && p.Role == bridge.RoleOwner {
					owners = append(owners, p)
				}
			}
			return owners
		}
		left := owners()
		if len(left) != 1 {
			t.Fatalf("%d owners are left", len(left))
		}
		for _, p := range []accounts.Principal{owner, second} {
			if code := f.ChangeRole(left[0], p, "owner"); code != "" {
				t.Fatal(code)
			}
		}
		owner, _ = f.again(owner)
		second, _ = f.again(second)
		codes := race(func() bridge.Code { _, code := f.RemoveMember(owner, owner); return code }, func() bridge.Code {
			_,
				code := f.RemoveMember(second, second)
			return code
		})
		if len(owners()) != 1 || codes[0]+codes[1] != "last_owner" {
			t.Errorf("both owners leave at once: %q, and %d are left", codes, len(owners()))
		}
	})
}

// Sessions that open while their member is removed do not outlive the removal, however the two interleave.
func TestRemovalAgainstSignIn(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		ann := f.Person("ann@a.test", "acme", bridge.RoleMember)
		opened := make(chan string, 8)
		for range cap(opened) {
			go func() {
				s, err := f.Sessions.OpenSession(context.Background(), ann.UserID, "acme", accounts.MethodDevice, audit.Actor{})
				if err != nil && bridge.CodeOf(err) != "not_a_member" {
					t.Error(err)
				}
				opened <- s.Principal.SessionID
			}()
		}
		if _, code := f.RemoveMember(owner, ann); code != "" {
			t.Fatal(code)
		}
		for range cap(opened) {
			<-opened
		}
		var alive int
		if err := f.SQL.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sessions WHERE user_id = $1 AND ended_at = 0", ann.UserID).Scan(&alive); err != nil || alive != 0 {
			t.Errorf("%d sessions of a removed member have not ended (%v)", alive, err)
		}
	})
}
