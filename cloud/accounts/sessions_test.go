package accounts_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
)

func TestSwitchSession(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		rival := f.Person("rival@b.test", "rival", bridge.RoleOwner)
		if _, err := f.Sessions.SwitchSession(t.Context(), p.As(audit.Actor{}), "rival"); bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("into another's organization: %v", err)
		}
		if _, err := f.SQL.ExecContext(t.Context(), "INSERT INTO members (org_id, user_id, role, joined_at) VALUES ($1, $2, 'viewer', 0)",
			rival.OrgID, p.UserID); err != nil {
			t.Fatal(err)
		}
		moved, err := f.Sessions.SwitchSession(t.Context(), p.As(p.Actor("", "")), "rival")
		if err != nil || moved.Org != "rival" || moved.Role != bridge.RoleViewer || moved.SessionID != p.SessionID || moved.Moves != p.Moves+1 {
			t.Errorf("%+v (%v)", moved, err)
		}
		if _, err := f.Sessions.SwitchSession(t.Context(), p.As(audit.Actor{}), "acme"); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("with what was known before the switch: %v", err)
		}
		if err := f.Sessions.EndSessionByID(t.Context(), moved.As(audit.Actor{}),
			rival.SessionID); bridge.CodeOf(err) != "session_unknown" {
			t.Errorf("another's session is ended: %v", err)
		}
		if err := f.Sessions.EndSessions(t.Context(), moved.As(moved.Actor("", "")), true); err != nil {
			t.Error(err)
		}
		if _, err := f.Sessions.SessionByID(t.Context(), p.SessionID); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("the session lives on: %v", err)
		}
	})
}

func TestSignOutEverywhereVoidsApprovals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		device, code, verifier := f.Approve(p)
		if err := f.Sessions.EndSessions(t.Context(), p.As(p.Actor("", "")), true); err != nil {
			t.Fatal(err)
		}
		f.Void(device, code, verifier)
	})
}

// Whoever comes back to an organization finds nothing there of what they approved before they left.
func TestRemovalVoidsApprovals(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		owner, p := f.Person("own@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleMember)
		device, code, verifier := f.Approve(p)
		if _, err := f.Accounts.RemoveMember(t.Context(), owner.As(owner.Actor("", "")), "acme", p.UserID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.SQL.ExecContext(t.Context(), "INSERT INTO members (org_id, user_id, role, joined_at) VALUES ($1, $2, 'member', 0)",
			p.OrgID, p.UserID); err != nil {
			t.Fatal(err)
		}
		f.Void(device, code, verifier)
	})
}

func TestRefreshRotatesAndReuseKills(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		s, err := f.Sessions.OpenSession(t.Context(), p.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		next, err := f.Sessions.RefreshSession(t.Context(), s.Refresh, audit.Actor{})
		if err != nil || next.Refresh.Equal(s.Refresh) {
			t.Fatalf("refresh: %v", err)
		}
		if _, err := f.Sessions.SessionByID(t.Context(), next.Principal.SessionID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Sessions.RefreshSession(t.Context(), s.Refresh, audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("the first token is taken twice: %v", err)
		}
		if _, err := f.Sessions.RefreshSession(t.Context(), next.Refresh, audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("the family lives on after a reuse: %v", err)
		}
		if _, err := f.Sessions.SessionByID(t.Context(), next.Principal.SessionID); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("the session lives on after a reuse: %v", err)
		}
		s, _ = f.Sessions.OpenSession(t.Context(), p.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		f.Advance(accounts.RefreshLife)
		if _, err := f.Sessions.RefreshSession(t.Context(), s.Refresh, audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("an expired refresh token: %v", err)
		}
	})
}

func TestDeviceLogin(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		begin := func() accounts.Device {
			t.Helper()
			d, err := f.Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: "cli", Address: "192.0.2.1", UserAgent: "x\xff"})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		poll := func(d accounts.Device) bridge.Code {
			_, err := f.Sessions.PollDevice(t.Context(), accounts.DevicePoll{Code: d.DeviceCode, ClientID: "cli"}, audit.Actor{})
			return bridge.CodeOf(err)
		}
		d := begin()
		if got := poll(d); got != "authorization_pending" {
			t.Errorf("the first poll: %q", got)
		}
		if got := poll(d); got != "slow_down" {
			t.Errorf("a poll at once: %q", got)
		}
		f.Advance(11 * time.Second)
		if got := poll(d); got != "authorization_pending" {
			t.Errorf("a patient poll: %q", got)
		}
		if _, err := f.Sessions.LookupDevice(t.Context(), strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " "))); err != nil {
			t.Errorf("the code typed carelessly: %v", err)
		}
		if err := f.Sessions.DecideDevice(t.Context(), p.As(p.Actor("", "")), d.UserCode, true); err != nil {
			t.Fatal(err)
		}
		if err := f.Sessions.DecideDevice(t.Context(), p.As(p.Actor("", "")), d.UserCode,
			false); bridge.CodeOf(err) != "user_code_unknown" {
			t.Errorf("decided twice: %v", err)
		}
		won := make(chan string, 6)
		for range cap(won) {
			go func() {
				_, err := f.Sessions.PollDevice(context.Background(), accounts.DevicePoll{Code: d.DeviceCode, ClientID: "cli"}, audit.Actor{})
				won <- string(bridge.CodeOf(err))
			}()
		}
		sessions := 0
		for range cap(won) {
			switch code := <-won; code {
			case "":
				sessions++
			case "invalid_grant":
			default:
				t.Errorf("redeem: %q", code)
			}
		}
		if sessions != 1 {
			t.Errorf("one approval opened %d sessions", sessions)
		}
		d = begin()
		if err := f.Sessions.DecideDevice(t.Context(), p.As(p.Actor("", "")), d.UserCode, false); err != nil {
			t.Fatal(err)
		}
		if got := poll(d); got != "access_denied" {
			t.Errorf("denied: %q", got)
		}
		d = begin()
		f.Advance(10 * time.Minute)
		if got := poll(d); got != "expired_token" {
			t.Errorf("expired: %q", got)
		}
		if got := poll(accounts.Device{DeviceCode: bridge.NewSecret("x")}); got != "invalid_grant" {
			t.Errorf("unknown: %q", got)
		}
	})
}

// Whoever is not a member any more is nobody to any grant that was under way.
func TestRemovedMemberGetsNothing(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		s, err := f.Sessions.OpenSession(t.Context(), p.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := f.Sessions.StartDevice(t.Context(), accounts.DeviceStart{ClientID: "cli"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sessions.DecideDevice(t.Context(), p.As(audit.Actor{}), d.UserCode, true); err != nil {
			t.Fatal(err)
		}
		const verifier = "a verifier of forty-three or more characters, as it must"
		sum := sha256.Sum256([]byte(verifier))
		code, err := f.Sessions.IssueCode(t.Context(), p.As(audit.Actor{}), accounts.CodeGrant{ClientID: "cli", RedirectURI: "x",
			Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.SQL.ExecContext(t.Context(), "DELETE FROM members WHERE user_id = $1", p.UserID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Sessions.RefreshSession(t.Context(), s.Refresh, audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("a refresh: %v", err)
		}
		if _, err := f.Sessions.PollDevice(t.Context(), accounts.DevicePoll{Code: d.DeviceCode, ClientID: "cli"}, audit.Actor{}); bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("a device login: %v", err)
		}
		if _, err := f.Sessions.RedeemCode(t.Context(), code, bridge.NewSecret(verifier), "cli", "x", audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" || !strings.Contains(err.Error(), "not a member") {
			t.Errorf("a code: %v", err)
		}
	})
}
