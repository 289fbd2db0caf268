package registry

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

var nobody = audit.Actor{ID: "system"}

func each(t *testing.T, test func(t *testing.T, r *Registry, join func(name, org string, role bridge.Role) Principal)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		db, err := sqldb.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		r, err := New(t.Context(), db, Config{Issuer: "https://cloud.example", Vault: vault(t, specKey), Root: root,
			Password: PasswordCost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return now }},
			slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		test(t, r, func(name, org string, role bridge.Role) Principal {
			u, err := r.AddUser(t.Context(), nobody, NewUser{Email: name + "@x.example", Org: org, Role: role,
				Password: bridge.NewSecret("a long password")})
			if err != nil {
				t.Fatal(err)
			}
			s, err := r.OpenSession(t.Context(), u.ID, org, MethodBrowser, nobody)
			if err != nil {
				t.Fatal(err)
			}
			return s.Principal
		})
	})
}

func TestRefreshReuseEndsTheSession(t *testing.T) {
	each(t, func(t *testing.T, r *Registry, join func(string, string, bridge.Role) Principal) {
		p := join("ann", "acme", bridge.RoleMember)
		first, err := r.OpenSession(t.Context(), p.UserID, "acme", MethodDevice, nobody)
		if err != nil {
			t.Fatal(err)
		}
		second, err := r.RefreshSession(t.Context(), first.Refresh, nobody)
		if err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]bridge.Secret{"reused": first.Refresh} {
			if _, err := r.RefreshSession(t.Context(), token, nobody); bridge.CodeOf(err) != "invalid_grant" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.RefreshSession(t.Context(), second.Refresh, nobody); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("the successor of a reused token: %v", err)
		}
		if _, err := r.SessionByID(t.Context(), first.Principal.SessionID); bridge.CodeOf(err) != "session_ended" {
			t.Errorf("the session: %v", err)
		}
	})
}

func TestDeviceCodeIsRedeemedOnce(t *testing.T) {
	each(t, func(t *testing.T, r *Registry, join func(string, string, bridge.Role) Principal) {
		p := join("ann", "acme", bridge.RoleMember)
		d, err := r.StartDevice(t.Context(), DeviceStart{ClientID: "ace-cli"})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"authorization_pending", "slow_down"} {
			if _, err := r.PollDevice(t.Context(), d.DeviceCode, "ace-cli", nobody); bridge.CodeOf(err) != want {
				t.Errorf("want %s: %v", want, err)
			}
		}
		if err := r.DecideDevice(t.Context(), p, d.UserCode, true, nobody); err != nil {
			t.Fatal(err)
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, err := r.PollDevice(t.Context(), d.DeviceCode, "ace-cli", nobody); err == nil {
					won.Add(1)
				}
			})
		}
		if wg.Wait(); won.Load() != 1 {
			t.Errorf("redeemed %d times", won.Load())
		}
	})
}

func TestPlainKeyIsForItsOwnerAndDiesWithItsURL(t *testing.T) {
	each(t, func(t *testing.T, r *Registry, join func(string, string, bridge.Role) Principal) {
		owner, admin := join("ann", "acme", bridge.RoleMember), join("bob", "acme", bridge.RoleAdmin)
		other := join("eve", "rival", bridge.RoleOwner)
		key := bridge.NewSecret("canary-key").Disclose()
		c, _, err := r.Register(t.Context(), owner, api.RegisterRequest{ServerURL: "https://a.example", APIKey: &key}, nobody)
		if err != nil {
			t.Fatal(err)
		}
		shared := Organization
		if _, err := r.Patch(t.Context(), owner, c.ID, api.ConnectionPatch{Visibility: &shared}, nobody); bridge.CodeOf(err) != "share_admin" {
			t.Errorf("a member shares: %v", err)
		}
		if _, err := r.db.ExecContext(t.Context(), "UPDATE connections SET visibility = 'organization'"); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			p    Principal
			code string
		}{{owner, ""}, {admin, "key_not_shown"}, {other, "connection_unknown"}} {
			if _, err := r.Credential(t.Context(), tc.p, c.ID); (err != nil || tc.code != "") && bridge.CodeOf(err) != tc.code {
				t.Errorf("%s: %v", tc.p.Email, err)
			}
		}
		moved := "https://b.example"
		if _, err := r.Patch(t.Context(), owner, c.ID, api.ConnectionPatch{ServerURL: &moved}, nobody); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Credential(t.Context(), owner, c.ID); bridge.CodeOf(err) != "credential_erased" {
			t.Errorf("after the move: %v", err)
		}
	})
}
