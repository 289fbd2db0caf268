package connections_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

// Each role may do with a connection what its rights allow, before and after it is shared.
func TestVisibility(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		people := map[string]accounts.Principal{
			"owner": f.Person("owner@a.test", "acme", bridge.RoleMember), "admin": f.Person("admin@a.test", "acme", bridge.RoleAdmin),
			"member": f.Person("member@a.test", "acme", bridge.RoleMember), "viewer": f.Person("viewer@a.test", "acme", bridge.RoleViewer),
			"rival": f.Person("rival@b.test", "rival", bridge.RoleOwner),
		}
		c := f.Register(people["owner"], "https://ace.a.test", storetest.AceKey().Text().Reveal())
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
		f.ChangeRole(people["admin"], people["owner"], "admin")
		check("sharing", map[string]map[string]string{"share": {"owner": ""}})
		f.ChangeRole(people["admin"], people["owner"], "member")
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
		admin, member := f.Person("admin@a.test", "acme", bridge.RoleAdmin), f.Person("member@a.test", "acme", bridge.RoleMember)
		c := f.Register(admin, "https://other.a.test", "plain-key-of-another-product")
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
		text := storetest.AceKey().Text().Reveal()
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
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		c := f.Register(p, "https://ace.a.test", storetest.AceKey().Text().Reveal())
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
		ann, bob := f.Person("ann@a.test", "acme", bridge.RoleMember), f.Person("bob@a.test", "acme", bridge.RoleMember)
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
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		first, second := storetest.AceKey(), storetest.AceKey()
		c := f.Register(p, "http://localhost:7777", first.Text().Reveal())
		again := f.Register(p, "http://127.0.0.1:7777", second.Text().Reveal())
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
		f.Advance(time.Minute)
		if due, _ := f.Upkeep.DueRevocations(t.Context(), 10); len(due) != 1 {
			t.Error("a failed revocation is not tried again")
		}
		if err := f.Upkeep.RevocationDelivered(t.Context(), due[0].ID, audit.Actor{ID: "system"}); err != nil {
			t.Fatal(err)
		}
		f.Advance(24 * time.Hour)
		if due, _ := f.Upkeep.DueRevocations(t.Context(), 10); len(due) != 0 {
			t.Error("a delivered revocation is delivered again")
		}
	})
}

// If a member registers one server many times at once, one connection stays, and every other key is revoked.
func TestConcurrentRegistration(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p := f.Person("ann@a.test", "acme", bridge.RoleMember)
		const tries = 6
		failed := make(chan error, tries)
		for i := range tries {
			go func() {
				key := storetest.AceKey().Text().Disclose()
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
		f.Advance(time.Minute)
		if n := len(f.Revoked()); n != tries-1 {
			t.Errorf("%d of %d replaced keys are to be revoked", n, tries-1)
		}
	})
}

// A connection is replaced or taken back only if it has not changed since; another connect's connection stays.
func TestConnectionsAreChangedOnlyAsTheyWere(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		p := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		register := func(url string, key bridge.Key, ifKeyID string) (api.Connection, error) {
			disclosed := key.Text().Disclose()
			c, _, err := f.Connections.Register(ctx, p.As(audit.Actor{}), api.RegisterRequest{ServerURL: url, APIKey: &disclosed, IfKeyID: &ifKeyID})
			return c, err
		}
		first, second := storetest.AceKey(), storetest.AceKey()
		c, err := register("https://ace.a.test", first, "")
		if err != nil || c.Revision == "" {
			t.Fatalf("%+v (%v)", c, err)
		}
		if _, err := register("https://ace.a.test", second, ""); bridge.CodeOf(err) != bridge.CodeConnectionMoved {
			t.Errorf("a second connect that has seen no connection: %v", err)
		}
		for name, was := range map[string]connections.AsItWas{
			"another key":      {KeyID: second.ID.String()},
			"another revision": {KeyID: first.ID.String(), Revision: "0"},
		} {
			if _, err := f.Connections.DeleteIf(ctx, p.As(audit.Actor{}), c.ID, was); bridge.CodeOf(err) != bridge.CodeConnectionMoved {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := f.Connections.Keep(ctx, p, c.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.DeleteIf(ctx, p.As(audit.Actor{}), c.ID, connections.AsItWas{KeyID: c.KeyID,
			Revision: c.Revision}); bridge.CodeOf(err) != bridge.CodeConnectionMoved {
			t.Errorf("one that another connect keeps: %v", err)
		}
		if _, err := f.Tokens.Credential(ctx, p, c.ID); err != nil {
			t.Errorf("the key of a kept connection: %v", err)
		}
		if again, err := register("https://ace.a.test", second, first.ID.String()); err != nil || again.ID != c.ID || again.Revision != "" {
			t.Errorf("a connect later: %+v (%v)", again, err)
		}
		other, err := register("https://other.a.test", storetest.AceKey(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Connections.DeleteIf(ctx, p.As(audit.Actor{}), other.ID, connections.AsItWas{KeyID: other.KeyID, Revision: other.Revision}); err != nil {
			t.Errorf("as it was: %v", err)
		}
	})
}
