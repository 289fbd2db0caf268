package registry_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/mark"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/upkeep"
)

// unnumbered are the functions, each with its package, that change the database without a change number, and why nothing is taken away there.
var unnumbered = map[string]string{
	"schema.ChangeIf":             "numbers what it runs",
	"preview.rehearse":            "takes back what it has done",
	"connections.AddRelayUses":    "counts",
	"accounts.AdoptTokens":        "is done again at each start",
	"vault.AcceptMissingKey":      "notes",
	"upkeep.BeginRotation":        "leases; the secret is replaced by FinishRotation",
	"signin.BeginSecondStep":      "gives",
	"factors.Begin":               "gives; nothing is on before the first code",
	"providers.Begin":             "gives",
	"connections.ConnectClaims":   "reads",
	"accounts.CreateOrganization": "gives",
	"tokens.Credential":           "gives, and is too frequent for a write to another file",
	"signin.FinishSecondStep":     "counts tries; the end of the step is numbered",
	"accounts.IssueCode":          "gives",
	"upkeep.KeepPresets":          "notes what a server says",
	"lockout.KnowDevice":          "gives",
	"outbox.MailDone":             "notes; a mail is sent twice otherwise",
	"accounts.OpenSession":        "gives",
	"accounts.OpenSessionFrom":    "gives",
	"schema.DeleteBefore":         "deletes what is over by its time",
	"accounts.RenameOrganization": "changes a name",
	"upkeep.RevocationDelivered":  "notes; a revocation is sent twice otherwise",
	"upkeep.RevocationFailed":     "notes",
	"upkeep.RotationFailed":       "notes",
	"upkeep.SetStatus":            "notes",
	"signin.SignIn":               "gives",
	"accounts.StartDevice":        "gives",
	"tokens.WithdrawalFailed":     "notes",
	"tokens.Withdrawn":            "notes; a withdrawal is sent twice otherwise",
	"vault.UseEncryptionKeys":     "notes",
	"vault.UseSigningKeys":        "notes",
	"schema.bringToOneForm":       "spells names anew, at the start",
	"lockout.Charge":              "counts",
	"lockout.Forgive":             "counts",
	"vault.identifyRows":          "notes which key a row needs",
	"upkeep.learn":                "notes what a server says",
	"upkeep.learnNumbers":         "notes what a server says",
	"upkeep.learnSubject":         "notes what a server says",
	"upkeep.linkChanged":          "notes",
	"upkeep.settleLink":           "notes",
	"tokens.noteRelay":            "notes",
	"tokens.noteRelayed":          "gives, and is too frequent for a write to another file",
	"connections.DropOld":         "deletes what is old",
	"vault.replace":               "seals anew what is there",
	"outbox.takeMail":             "gives",
}

// stores are the packages of the registry.
var stores = []string{"schema", "vault", "outbox", "lockout", "accounts", "factors", "joining", "addresses", "signin", "signup", "providers", "connections", "tokens", "upkeep", "preview", "registry"}

// Every change of the registry has a change number unless it is known why it needs none.
func TestEveryChangeIsNumbered(t *testing.T) {
	seen := map[string]bool{}
	files, err := filepath.Glob("../*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		room := filepath.Base(filepath.Dir(name))
		if strings.HasSuffix(name, "_test.go") || !slices.Contains(stores, room) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				c, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				call, ok := c.Fun.(*ast.SelectorExpr)
				if !ok || call.Sel.Name != "Tx" && call.Sel.Name != "ExecContext" && call.Sel.Name != "BeginTx" && call.Sel.Name != "Numbered" {
					return true
				}
				if of, ok := call.X.(*ast.Ident); ok && of.Name == "tx" {
					return true // within a transaction
				}
				of := room + "." + fn.Name.Name
				seen[of] = true
				if unnumbered[of] == "" {
					t.Errorf("%s: %s changes the database without a change number: use DB.Change, or say here why not", name, of)
				}
				return true
			})
		}
	}
	for name := range unnumbered {
		if !seen[name] {
			t.Errorf("%s does not exist any more, or is numbered", name)
		}
	}
}

// What takes something away moves the number, in the database and outside it; what is frequent and takes nothing does not.
func TestNumbersMove(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.Mark = mark.Place{Dir: t.TempDir(), Role: "cloud"}
		f.Open(storetest.NewKeys(t))
		ctx, by := t.Context(), audit.Actor{ID: "test"}
		owner, max := f.Person("owner@a.test", "acme", bridge.RoleOwner), f.Person("max@a.test", "acme", bridge.RoleMember)
		eve := f.Person("eve@a.test", "acme", bridge.RoleMember)
		key := storetest.AceKey()
		c := f.Shared(owner, "https://ace.a.test", key.Text())
		refresh := func() accounts.Session {
			t.Helper()
			s, err := f.Sessions.OpenSession(ctx, max.UserID, "acme", accounts.MethodDevice, by)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first, second := refresh(), refresh()
		code := func() bridge.Secret {
			t.Helper()
			code, err := f.Sessions.IssueCode(ctx, max.As(by), accounts.CodeGrant{ClientID: "x", RedirectURI: "http://127.0.0.1/", Challenge: "x"})
			if err != nil {
				t.Fatal(err)
			}
			return code
		}()
		invited, err := f.Accounts.Invite(ctx, owner.As(by), "acme", api.NewInvitation{Role: "member"})
		if err != nil {
			t.Fatal(err)
		}
		device, err := f.Sessions.StartDevice(ctx, accounts.DeviceStart{ClientID: "x"})
		if err != nil {
			t.Fatal(err)
		}
		target, err := f.Upkeep.Target(ctx, owner, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		unshared := api.ConnectionPatch{Visibility: new(connections.Private)}
		number := func() (n int64) {
			t.Helper()
			if err := f.SQL.QueryRowContext(ctx, "SELECT version FROM key_changes").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		kept := func() int64 {
			t.Helper()
			m, err := mark.Open(f.Mark, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = m.Close() }()
			return m.Number()
		}
		for _, op := range []struct {
			name  string
			moves bool
			do    func() error
		}{
			{"a credential", false, func() error { _, err := f.Tokens.Credential(ctx, max, c.ID); return err }},
			{"a call through the relay", false, func() error { _, err := f.Tokens.Relay(ctx, max.As(by), c.ID); return err }},
			{"a probe", false, func() error {
				return f.Upkeep.SetStatus(ctx, target, upkeep.Status{Status: connections.StatusOnline})
			}},
			{"a session is opened", false, func() error {
				_, err := f.Sessions.OpenSession(ctx, eve.UserID, "acme", accounts.MethodBrowser, by)
				return err
			}},
			{"a device waits", false, func() error {
				_, err := f.Sessions.PollDevice(ctx, accounts.DevicePoll{Code: device.DeviceCode, ClientID: "x"}, by)
				return wantCode(err, "authorization_pending")
			}},
			{"a device is approved", true, func() error { return f.Sessions.DecideDevice(ctx, max.As(by), device.UserCode, true) }},
			{"a device code is used", true, func() error {
				_, err := f.Sessions.PollDevice(ctx, accounts.DevicePoll{Code: device.DeviceCode, ClientID: "x"}, by)
				return err
			}},
			{"a code is used", true, func() error {
				_, err := f.Sessions.RedeemCode(ctx, code, bridge.NewSecret("y"), "x", "http://127.0.0.1/", by)
				return wantCode(err, "invalid_grant")
			}},
			{"a refresh token is used", true, func() error { _, err := f.Sessions.RefreshSession(ctx, first.Refresh, by); return err }},
			{"a refresh token is used twice", true, func() error {
				_, err := f.Sessions.RefreshSession(ctx, first.Refresh, by)
				return wantCode(err, "invalid_grant")
			}},
			{"a refresh token is revoked", true, func() error { return f.Sessions.RevokeRefresh(ctx, second.Refresh, by) }},
			{"an invitation is withdrawn", true, func() error { return f.Accounts.Withdraw(ctx, owner.As(by), "acme", invited.ID) }},
			{"a password is changed", true, func() error {
				return f.Passwords.Change(ctx, eve.As(by), bridge.NewSecret(storetest.Password), bridge.NewSecret("another correct horse"))
			}},
			{"a limit", true, func() error { return f.Limit(owner, c.ID, max.UserID, storetest.Limited("app:read")) }},
			{"a ceiling", true, func() error {
				_, err := f.Connections.Patch(ctx, owner.As(by), c.ID, storetest.Ceiling("app:read"))
				return err
			}},
			{"a role", true, func() error {
				_, err := f.Accounts.ChangeRole(ctx, owner.As(by), "acme", max.UserID, "viewer")
				return err
			}},
			{"unshared", true, func() error { _, err := f.Connections.Patch(ctx, owner.As(by), c.ID, unshared); return err }},
			{"a withdrawal is signed", true, func() error { f.Statements(); return nil }},
			{"sessions end", true, func() error { return f.Sessions.EndSessions(ctx, eve.As(by), true) }},
			{"a member is removed", true, func() error { _, err := f.Accounts.RemoveMember(ctx, owner.As(by), "acme", max.UserID); return err }},
			{"a connection is deleted", true, func() error { _, err := f.Connections.Delete(ctx, owner.As(by), c.ID); return err }},
			{"a session ends", true, func() error { return f.Sessions.EndSession(ctx, owner.As(by)) }},
		} {
			before := number()
			if err := op.do(); err != nil {
				t.Fatalf("%s: %v", op.name, err)
			}
			after := number()
			if moved := after > before; moved != op.moves {
				t.Errorf("%s: the number went from %d to %d", op.name, before, after)
			}
			if op.moves && kept() != after {
				t.Errorf("%s: %d is kept outside the database, want %d", op.name, kept(), after)
			}
			f.Advance(time.Second)
		}
	})
}

// wantCode is nil where an error has a code.
func wantCode(err error, code bridge.Code) error {
	if bridge.CodeOf(err) == code {
		return nil
	}
	if err == nil {
		return fs.ErrNotExist
	}
	return err
}
