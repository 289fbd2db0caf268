package registry_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/vault"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

const (
	issuer   bridge.ServerURL = "https://cloud.example.com"
	password string           = "correct horse battery"
)

type fixture struct {
	*registry.Registry
	t    *testing.T
	db   *sqldb.DB
	root bridge.SigningRoot
	dead map[uuid.UUID]bool // API keys of the cloud that were revoked
	mark mark.Place

	mu  sync.Mutex
	now time.Time
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) open(keys bridge.Secret) {
	f.t.Helper()
	vault, err := vault.NewVault(keys)
	if err != nil {
		f.t.Fatal(err)
	}
	f.Registry, err = registry.New(f.t.Context(), f.db, registry.Config{Issuer: issuer, Vault: vault, Root: f.root,
		Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}, Mail: true, Now: f.clock, Mark: f.mark}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.t.Fatal(err)
	}
}

func newKeys(t *testing.T) bridge.Secret {
	t.Helper()
	keys, err := vault.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := &fixture{t: t, now: time.Unix(1_800_000_000, 0)}
		var err error
		if f.db, err = sqldb.Open(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.db.Close() })
		if f.root, err = bridge.ParseSigningRoot(bridge.NewSigningRoot()); err != nil {
			t.Fatal(err)
		}
		f.open(newKeys(t))
		test(t, f)
	})
}

// person adds a user and signs them in.
func (f *fixture) person(email, org string, role bridge.Role) accounts.Principal {
	f.t.Helper()
	u, err := f.SignUp.AddUser(f.t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: email,
		Password: bridge.NewSecret(password), Org: org, Role: role})
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := f.Sessions.OpenSession(f.t.Context(), u.ID, org, accounts.MethodBrowser, audit.Actor{})
	if err != nil {
		f.t.Fatal(err)
	}
	p, err := f.Sessions.BrowserSession(f.t.Context(), s.Cookie)
	if err != nil || p.Email != email || p.Role != role {
		f.t.Fatalf("the session is not that of %s: %+v %v", email, p, err)
	}
	return p
}

// register adds a connection by hand.
func (f *fixture) register(p accounts.Principal, server, key string) api.Connection {
	f.t.Helper()
	k := bridge.NewSecret(key).Disclose()
	c, _, err := f.Connections.Register(f.t.Context(), p.As(p.Actor("", "")), api.RegisterRequest{ServerURL: server, APIKey: &k})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func aceKey() bridge.Key { return bridge.NewKey(bridge.KindSK, uuid.New()) }

// Who may do what with a connection of the organization, before and after it is shared.
func TestVisibility(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		people := map[string]accounts.Principal{
			"owner": f.person("owner@a.test", "acme", bridge.RoleMember), "admin": f.person("admin@a.test", "acme", bridge.RoleAdmin),
			"member": f.person("member@a.test", "acme", bridge.RoleMember), "viewer": f.person("viewer@a.test", "acme", bridge.RoleViewer),
			"rival": f.person("rival@b.test", "rival", bridge.RoleOwner),
		}
		c := f.register(people["owner"], "https://ace.a.test", aceKey().Text().Reveal())
		organization, name := connections.Organization, "renamed"
		try := func(who, what string) bridge.Code {
			t.Helper()
			p, ctx := people[who], t.Context()
			var err error
			switch what {
			case "get":
				_, err = f.Connections.Connection(ctx, p, c.ID)
			case "credential":
				_, err = f.Tokens.Credential(ctx, p, c.ID)
			case "rename":
				_, err = f.Connections.Patch(ctx, p.As(p.Actor("", "")), c.ID, api.ConnectionPatch{Name: &name})
			case "share":
				_, err = f.Connections.Patch(ctx, p.As(p.Actor("", "")), c.ID, api.ConnectionPatch{Visibility: &organization})
			case "delete":
				_, err = f.Connections.Delete(ctx, p.As(p.Actor("", "")), c.ID)
			}
			return bridge.CodeOf(err)
		}
		check := func(stage string, want map[string]map[string]string) {
			t.Helper()
			for what, each := range want {
				for who, code := range each {
					if got := try(who, what); got != bridge.Code(code) {
						t.Errorf("%s: %s by %s: %q, want %q", stage, what, who, got, code)
					}
				}
			}
		}
		const unknown = "connection_unknown"
		nobodyElse := map[string]string{"owner": "", "admin": unknown, "member": unknown, "viewer": unknown, "rival": unknown}
		check("private", map[string]map[string]string{"get": nobodyElse, "credential": nobodyElse})
		check("private", map[string]map[string]string{"share": {"owner": "share_admin", "rival": unknown}, "delete": {"member": unknown}})
		f.role(people["admin"], people["owner"], "admin")
		check("sharing", map[string]map[string]string{"share": {"owner": ""}})
		f.role(people["admin"], people["owner"], "member")
		everybody := map[string]string{"owner": "", "admin": "", "member": "", "viewer": "", "rival": unknown}
		check("shared", map[string]map[string]string{"get": everybody, "credential": everybody,
			"rename": {"owner": "", "admin": "", "member": "not_owner", "viewer": "not_owner", "rival": unknown}})
		check("shared", map[string]map[string]string{"delete": {"member": "not_owner", "viewer": "not_owner", "rival": unknown}})
		check("shared", map[string]map[string]string{"delete": {"admin": ""}})
		check("gone", map[string]map[string]string{"get": {"owner": unknown}})
	})
}

func TestPlainKeyIsTheOwnersAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, member := f.person("admin@a.test", "acme", bridge.RoleAdmin), f.person("member@a.test", "acme", bridge.RoleMember)
		c := f.register(admin, "https://other.a.test", "plain-key-of-another-product")
		organization := connections.Organization
		if _, err := f.Connections.Patch(t.Context(), admin.As(audit.Actor{}), c.ID, api.ConnectionPatch{Visibility: &organization}); err != nil {
			t.Fatal(err)
		}
		got, err := f.Tokens.Credential(t.Context(), admin, c.ID)
		if err != nil || got.Type != "api_key" || got.Value.Reveal() != "plain-key-of-another-product" {
			t.Errorf("the owner gets %+v (%v)", got, err)
		}
		if _, err := f.Tokens.Credential(t.Context(), member, c.ID); bridge.CodeOf(err) != "key_not_shown" {
			t.Errorf("a member gets it as well: %v", err)
		}
		text := aceKey().Text().Reveal()
		mistyped := "Q"
		if text[20] == 'Q' {
			mistyped = "q"
		}
		key := bridge.NewSecret(text[:20] + mistyped + text[21:]).Disclose()
		if _, _, err := f.Connections.Register(t.Context(), admin.As(audit.Actor{}), api.RegisterRequest{ServerURL: "https://x.test",
			APIKey: &key}); bridge.CodeOf(err) != "key_malformed" {
			t.Errorf("a mistyped ace key: %v", err)
		}
	})
}

func TestEditingTheURLErasesTheCredential(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		c := f.register(p, "https://ace.a.test", aceKey().Text().Reveal())
		elsewhere := "https://evil.test"
		moved, err := f.Connections.Patch(t.Context(), p.As(p.Actor("", "")), c.ID, api.ConnectionPatch{ServerURL: &elsewhere})
		if err != nil || moved.Status != connections.StatusUnauthorized {
			t.Fatalf("%+v %v", moved, err)
		}
		if _, err := f.Tokens.Credential(t.Context(), p, c.ID); bridge.CodeOf(err) != "credential_erased" {
			t.Errorf("the old key would go to the new URL: %v", err)
		}
		due, err := f.Upkeep.DueRevocations(t.Context(), 10) // at once: nobody else delivers it
		if err != nil || len(due) != 1 || due[0].Server != "https://ace.a.test" {
			t.Errorf("the old key is not revoked at the old server: %+v %v", due, err)
		}
	})
}

func TestSealedKeyOpensForItsMemberOnly(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ann, bob := f.person("ann@a.test", "acme", bridge.RoleMember), f.person("bob@a.test", "acme", bridge.RoleMember)
		claims, err := f.Connections.ConnectClaims(t.Context(), ann, "https://ace.a.test")
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := bridge.Seal(claims.Sealing, claims.Binding(), bridge.NewKey(bridge.KindSK, uuid.New()))
		if err != nil {
			t.Fatal(err)
		}
		try := func(p accounts.Principal, server string) bridge.Code {
			_, _, err := f.Connections.Register(t.Context(), p.As(audit.Actor{}), api.RegisterRequest{ServerURL: server, SealedKey: sealed})
			return bridge.CodeOf(err)
		}
		if got := try(bob, "https://ace.a.test"); got != "sealed_key_invalid" {
			t.Errorf("another member: %q", got)
		}
		if got := try(ann, "https://evil.test"); got != "sealed_key_invalid" {
			t.Errorf("another server: %q", got)
		}
		if got := try(ann, "https://ace.a.test"); got != "" {
			t.Errorf("the member herself: %q", got)
		}
	})
}

func TestReconnectingReplacesAndRevokes(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		first, second := aceKey(), aceKey()
		c := f.register(p, "http://localhost:7777", first.Text().Reveal())
		again := f.register(p, "http://127.0.0.1:7777", second.Text().Reveal())
		if c.ID != again.ID || again.KeyID != second.ID.String() {
			t.Errorf("a second connection to one server: %+v", again)
		}
		due, err := f.Upkeep.DueRevocations(t.Context(), 10) // at once: nobody else delivers it
		if err != nil || len(due) != 1 || due[0].KeyID != first.ID.String() {
			t.Fatalf("%+v %v", due, err)
		}
		if _, err := bridge.VerifyRevocation(due[0].Token, first.PublicKey()); err != nil {
			t.Errorf("the kept revocation does not verify: %v", err)
		}
		if err := f.Upkeep.RevocationFailed(t.Context(), due[0], "away"); err != nil {
			t.Fatal(err)
		}
		if due, _ := f.Upkeep.DueRevocations(t.Context(), 10); len(due) != 0 {
			t.Error("a failed revocation is tried again at once")
		}
		f.advance(time.Minute)
		if due, _ := f.Upkeep.DueRevocations(t.Context(), 10); len(due) != 1 {
			t.Error("a failed revocation is not tried again")
		}
		if err := f.Upkeep.RevocationDelivered(t.Context(), due[0].ID, audit.Actor{ID: "system"}); err != nil {
			t.Fatal(err)
		}
		f.advance(24 * time.Hour)
		if due, _ := f.Upkeep.DueRevocations(t.Context(), 10); len(due) != 0 {
			t.Error("a delivered revocation is delivered again")
		}
	})
}

func TestRefreshRotatesAndReuseKills(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
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
		f.advance(accounts.RefreshLife)
		if _, err := f.Sessions.RefreshSession(t.Context(), s.Refresh, audit.Actor{}); bridge.CodeOf(err) != "invalid_grant" {
			t.Errorf("an expired refresh token: %v", err)
		}
	})
}

func TestDeviceLogin(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
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
		f.advance(11 * time.Second)
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
		f.advance(10 * time.Minute)
		if got := poll(d); got != "expired_token" {
			t.Errorf("expired: %q", got)
		}
		if got := poll(accounts.Device{DeviceCode: bridge.NewSecret("x")}); got != "invalid_grant" {
			t.Errorf("unknown: %q", got)
		}
	})
}

func TestAuthenticate(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.person("ann@a.test", "acme", bridge.RoleMember)
		for name, c := range map[string]struct {
			email, password string
			code            bridge.Code
		}{
			"right": {"Ann@A.test", password, ""}, "wrong": {"ann@a.test", "no", "login_failed"},
			"unknown": {"bob@a.test", password, "login_failed"}, "long": {"ann@a.test", strings.Repeat("x", 10_000), "login_failed"},
		} {
			_, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: c.email, Password: bridge.NewSecret(c.password)}, audit.Actor{})
			if bridge.CodeOf(err) != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := f.SignUp.AddUser(t.Context(), audit.Actor{}, signup.NewUser{Email: "ANN@a.test",
			Password: bridge.NewSecret(password), Org: "acme"}); bridge.CodeOf(err) != "user_exists" {
			t.Errorf("the same person twice: %v", err)
		}
	})
}

// No column of any table holds a key, a token or a password in the clear.
func TestCanaryIsNowhereInTheClear(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleAdmin)
		key := aceKey()
		c := f.register(p, "https://ace.a.test", key.Text().Reveal())
		f.register(p, "https://plain.a.test", "canary-plain-key")
		device, err := f.Sessions.OpenSession(t.Context(), p.UserID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		removed, err := f.Connections.Delete(t.Context(), p.As(p.Actor("", "")), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		enrolment, codes := f.enrol(p)
		if err := f.Links.RequestReset(t.Context(), p.Email, audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		token := f.link(signin.PurposeReset)
		pending, err := f.SignIn.BeginSecondStep(t.Context(), accounts.User{ID: p.UserID, Email: p.Email}, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		known := bridge.NewSecret(bridge.RandomToken(32))
		if err := f.Lockout.KnowDevice(t.Context(), p.UserID, known, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		canaries := []string{enrolment.Secret.Reveal(), codes[0].Reveal(), strings.ReplaceAll(codes[0].Reveal(), "-", ""), token.Reveal(),
			pending.Reveal(), known.Reveal(), "192.0.2.1", key.Text().Reveal()[31:], "canary-plain-key", device.Refresh.Reveal(), removed.Revocation.Token.Reveal(), password}
		rows := 0
		for _, table := range []string{"users", "sessions", "refresh_tokens", "devices", "connections", "revocations", "audit",
			"mail_tokens", "outbox", "totp", "recovery_codes", "pending_logins", "known_devices", "login_failures"} {
			rows += dump(t, f.db, table, canaries)
		}
		if rows < 5 {
			t.Errorf("only %d rows were looked at", rows)
		}
	})
}

func dump(t *testing.T, db *sqldb.DB, table string, canaries []string) int {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
		values := make([]any, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			text, _ := v.(string)
			for _, canary := range canaries {
				if strings.Contains(text, canary) {
					t.Errorf("%s.%s holds a secret in the clear", table, columns[i])
				}
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// One member registers one server many times at once: one connection stays, and every key but its own is revoked.
func TestConcurrentRegistration(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.person("ann@a.test", "acme", bridge.RoleMember)
		const tries = 6
		failed := make(chan error, tries)
		for i := range tries {
			go func() {
				key := aceKey().Text().Disclose()
				url := []string{"http://localhost:7777", "http://127.0.0.1:7777"}[i%2]
				_, _, err := f.Connections.Register(context.Background(), p.As(audit.Actor{}), api.RegisterRequest{ServerURL: url, APIKey: &key})
				failed <- err
			}()
		}
		for range tries {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		list, _, err := f.Connections.Connections(t.Context(), p, "", 0)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d connections to one server (%v)", len(list), err)
		}
		f.advance(time.Minute)
		if n := len(f.revoked()); n != tries-1 {
			t.Errorf("%d of %d replaced keys are to be revoked", n, tries-1)
		}
	})
}
