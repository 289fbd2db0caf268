package registry_test

import (
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

// A member who is removed is out at once, by every way in, and does not come in again by one of them when they come back.
func TestRemovedMemberIsOut(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner, ann := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		private := f.Register(ann, "https://private.a.test", storetest.AceKey().Text().Reveal())
		shared := f.Register(ann, "https://shared.a.test", storetest.AceKey().Text().Reveal())
		organization := connections.Organization
		if _, err := f.Connections.Patch(ctx, ann.As(ann.Actor("", "")), shared.ID, api.ConnectionPatch{Visibility: &organization}); err != nil {
			t.Fatal(err)
		}
		cookie, _ := f.Sessions.OpenSession(ctx, ann.UserID, "acme", accounts.MethodBrowser, audit.Actor{})
		device, err := f.Sessions.OpenSession(ctx, ann.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		pending, err := f.Sessions.StartDevice(ctx, accounts.DeviceStart{ClientID: "cli"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sessions.DecideDevice(ctx, ann.As(ann.Actor("", "")), pending.UserCode, true); err != nil {
			t.Fatal(err)
		}
		_, invitation, _ := f.Invite(ann, api.NewInvitation{})

		removed, code := f.RemoveMember(owner, ann)
		if code != "" || len(removed.Connections) != 1 || removed.Connections[0].ID != private.ID || removed.Member.Email != "ann@a.test" {
			t.Fatalf("%q %+v", code, removed)
		}
		out := func(when string) {
			t.Helper()
			_, byCookie := f.Sessions.BrowserSession(ctx, cookie.Cookie)
			_, byID := f.Sessions.SessionByID(ctx, device.Principal.SessionID)
			_, byRefresh := f.Sessions.RefreshSession(ctx, device.Refresh, audit.Actor{})
			_, byDevice := f.Sessions.PollDevice(ctx, accounts.DevicePoll{Code: pending.DeviceCode, ClientID: "cli"}, audit.Actor{})
			_, byInvitation := f.Accounts.LookupInvitation(ctx, invitation)
			for way, got := range map[string][2]string{"cookie": {string(bridge.CodeOf(byCookie)), "session_ended"},
				"session": {string(bridge.CodeOf(byID)), "session_ended"},
				"refresh": {string(bridge.CodeOf(byRefresh)), "invalid_grant"}, "device": {string(bridge.CodeOf(byDevice)), "access_denied"},
				"invitation": {string(bridge.CodeOf(byInvitation)), "invitation_unknown"}} {
				if got[0] != got[1] {
					t.Errorf("%s, by %s: %q, want %q", when, way, got[0], got[1])
				}
			}
		}
		out("removed")
		_, err = f.Sessions.OpenSession(ctx, ann.UserID, "acme", accounts.MethodBrowser, audit.Actor{})
		if bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("signing in again: %v", err)
		}
		key := storetest.AceKey().Text().Disclose()
		if _, _, err := f.Connections.Register(ctx, ann.As(audit.Actor{}), api.RegisterRequest{ServerURL: "https://x.test",
			APIKey: &key}); bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("a request that began before the removal registers a connection: %v", err)
		}

		// What she had: the shared one goes on, the private one is the admins' to disconnect and nobody's to use.
		member := f.Person("mia@a.test", "acme", bridge.RoleMember)
		if _, err := f.Tokens.Credential(ctx, member, shared.ID); err != nil {
			t.Errorf("the shared connection: %v", err)
		}
		for name, c := range map[string]struct {
			err  error
			want bridge.Code
		}{
			"an admin looks":    {storetest.Second(f.Connections.Connection(ctx, owner, private.ID)), ""},
			"a member looks":    {storetest.Second(f.Connections.Connection(ctx, member, private.ID)), "connection_unknown"},
			"an admin uses it":  {storetest.Second(f.Tokens.Credential(ctx, owner, private.ID)), "owner_gone"},
			"an admin shares":   {storetest.Second(f.Connections.Patch(ctx, owner.As(owner.Actor("", "")), private.ID, api.ConnectionPatch{Visibility: &organization})), "owner_gone"},
			"a member removes":  {storetest.Second(f.Connections.Delete(ctx, member.As(member.Actor("", "")), private.ID)), "connection_unknown"},
			"an admin's list":   {wantConnections(f, owner, 2), ""},
			"a member's list":   {wantConnections(f, member, 1), ""},
			"an admin moves it": {storetest.Second(f.Connections.Patch(ctx, owner.As(owner.Actor("", "")), private.ID, api.ConnectionPatch{ServerURL: new("https://evil.test")})), "owner_gone"},
		} {
			if got := bridge.CodeOf(c.err); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
		if _, err := f.Connections.Delete(ctx, owner.As(owner.Actor("", "")), private.ID); err != nil {
			t.Errorf("an admin disconnects what she left: %v", err)
		}

		// She comes back, and nothing of before is alive again.
		_, back, _ := f.Invite(owner, api.NewInvitation{Role: "admin"})
		if _, err := f.Joining.Accept(ctx, ann.As(ann.Actor("", "")), back); err != nil {
			t.Fatal(err)
		}
		f.Advance(time.Minute)
		out("back")
		if c, err := f.Connections.Connection(ctx, ann, shared.ID); err != nil || !c.Mine || c.OwnerGone {
			t.Errorf("her shared connection is hers again: %+v %v", c, err)
		}
	})
}

func wantConnections(f *fixture, p accounts.Principal, want int) error {
	list, _, err := f.Connections.Connections(f.T.Context(), p, "", 0)
	if err == nil && len(list) != want {
		err = bridge.E(bridge.Internal, "count", "%d connections, want %d", len(list), want)
	}
	return err
}
