package joins_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

// A server joins, and its connection belongs to the organization: admins see, use and manage it, and others once it is shared.
func TestJoin(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner, admin, member := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("bob@a.test", "acme", bridge.RoleMember)
		other := f.Person("eve@b.test", "rival", bridge.RoleOwner)
		token := f.JoinToken(admin, api.JoinTokenRequest{Name: "lab", Tags: []string{"eu", "lab 1"}})
		s := f.NewJoiner()
		c := s.Join(token.Token.Secret)
		if c.Owner != "org:acme" || c.Visibility != connections.Private || c.ServerURL != s.URL || c.OwnerGone || !slices.Equal(c.Tags, []string{"eu", "lab 1"}) ||
			c.Way != api.WayTunnel || c.Link != nil || c.Name != "server-"+s.ID[:8] || c.KeyID != s.Key.ID.String() {
			t.Errorf("the connection: %+v", c)
		}
		sees := func(p accounts.Principal) bool {
			_, err := f.Connections.Connection(ctx, p, c.ID)
			return err == nil
		}
		uses := func(p accounts.Principal) bool {
			_, err := f.Tokens.Credential(ctx, p, c.ID)
			return err == nil
		}
		for name, p := range map[string]accounts.Principal{"owner": owner, "admin": admin, "member": member, "of another organization": other} {
			want := name == "owner" || name == "admin"
			if sees(p) != want || uses(p) != want {
				t.Errorf("%s: sees %t, uses %t", name, sees(p), uses(p))
			}
		}
		patch := func(p accounts.Principal, patch api.ConnectionPatch) bridge.Code {
			_, err := f.Connections.Patch(ctx, p.As(p.Actor("", "")), c.ID, patch)
			return bridge.CodeOf(err)
		}
		if code := patch(admin, api.ConnectionPatch{Name: new("the lab"), Visibility: new(connections.Organization)}); code != "" || !sees(member) || !uses(member) {
			t.Errorf("shared: %q, the member sees it: %t", code, sees(member))
		}
		if code := patch(member, api.ConnectionPatch{Name: new("mine")}); code != bridge.CodeNotOwner {
			t.Errorf("a member renames it: %q", code)
		}
		for name, p := range map[string]api.ConnectionPatch{"URL": {ServerURL: new("https://a.test")}, "key": {APIKey: new(storetest.AceKey().Text().Disclose())}} {
			if code := patch(owner, p); code != bridge.CodeLinkURL {
				t.Errorf("it gets another %s: %q", name, code)
			}
		}
		// Whoever has made the token leaves, and the connection stays.
		if _, code := f.RemoveMember(owner, admin); code != "" || !uses(owner) || !uses(member) {
			t.Errorf("the maker leaves: %q", code)
		}
		removed, err := f.Connections.Delete(ctx, owner.As(owner.Actor("", "")), c.ID)
		if err != nil || removed.Revocation == nil || removed.Revocation.KeyID != s.Key.ID.String() {
			t.Errorf("disconnected: %+v %v", removed, err)
		}
		if id, keys, err := f.Joins.Lookup(ctx, s.Key.ID.String()); id != "" || len(keys) != 0 || err != nil {
			t.Errorf("its links open still: %q %d %v", id, len(keys), err)
		}
		for action, want := range map[string]string{"join_token.create": "user:ann@a.test", "join_token.use": "join_token:" + token.ID, "connection.join": "join_token:" + token.ID} {
			if got := f.Audited(owner, action); len(got) != 1 || got[0].Actor != want {
				t.Errorf("%s: audited %+v", action, got)
			}
		}
	})
}

// A token joins as many servers as it says, each as often as it needs, and no other server, nor after its end.
func TestTokenEnds(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		begin := func(token bridge.Secret, s *storetest.Joiner) bridge.Code {
			return bridge.CodeOf(storetest.Second(s.Begin(token)))
		}
		is := func(what string, got, want bridge.Code) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		one, first, second, third := f.JoinToken(admin, api.JoinTokenRequest{}), f.NewJoiner(), f.NewJoiner(), f.NewJoiner()
		is("first", begin(one.Token.Secret, first), "")
		is("first again", begin(one.Token.Secret, first), "")
		is("another", begin(one.Token.Secret, second), bridge.CodeJoinOther)
		fleet := f.JoinToken(admin, api.JoinTokenRequest{Uses: 2})
		is("first of a fleet", begin(fleet.Token.Secret, first), "")
		is("second of a fleet", begin(fleet.Token.Secret, second), "")
		is("beyond its count", begin(fleet.Token.Secret, third), bridge.CodeJoinTokenEnded)
		is("within its count, again", begin(fleet.Token.Secret, second), "")
		answer, err := second.Begin(fleet.Token.Secret)
		if err != nil {
			t.Fatal(err)
		}
		sealed := second.Seal(fleet.Token.Secret, answer)
		third.Key, third.URL = second.Key, second.URL
		_, err = third.Complete(fleet.Token.Secret, sealed)
		is("completed by a server with another's URL", bridge.CodeOf(err), bridge.CodeLinkURL)
		third.URL = bridge.LinkURL(third.ID)
		_, err = third.Complete(fleet.Token.Secret, sealed)
		is("completed by one that has not begun", bridge.CodeOf(err), bridge.CodeJoinOther)
		if err := f.Joins.RevokeToken(ctx, admin.As(admin.Actor("", "")), fleet.ID); err != nil {
			t.Fatal(err)
		}
		is("revoked", begin(fleet.Token.Secret, second), bridge.CodeJoinTokenEnded)
		_, err = second.Complete(fleet.Token.Secret, sealed)
		is("completed with a revoked one", bridge.CodeOf(err), bridge.CodeJoinTokenEnded)
		f.Advance(api.JoinLife)
		is("expired", begin(one.Token.Secret, first), bridge.CodeJoinTokenEnded)
		list, _, err := f.Joins.Tokens(ctx, admin, "", 0)
		if err != nil || len(list) != 2 || list[0].State != api.JoinRevoked || list[0].Used != 2 || list[1].State != api.JoinExpired || list[1].Used != 1 {
			t.Errorf("listed: %+v %v", list, err)
		}
		if got := f.Column("SELECT token_id || server_id FROM join_uses"); len(got) != 3 {
			t.Errorf("uses: %q", got)
		}
		f.Advance(48 * time.Hour)
		if err := f.Purge(ctx); err != nil {
			t.Fatal(err)
		}
		if got := f.Column("SELECT id FROM join_tokens"); len(got) != 0 {
			t.Errorf("what was over long ago is kept: %q", got)
		}
	})
}

// Of many servers at once with one token, as many join as the token says.
func TestTokenRace(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		token := f.JoinToken(f.Person("ann@a.test", "acme", bridge.RoleAdmin), api.JoinTokenRequest{Uses: 3})
		servers := make(chan *storetest.Joiner, 8)
		for range cap(servers) {
			servers <- f.NewJoiner()
		}
		got := storetest.Race(cap(servers), func() error { return storetest.Second((<-servers).Begin(token.Token.Secret)) })
		if got[""] != 3 || got[bridge.CodeJoinTokenEnded] != 5 {
			t.Errorf("%v", got)
		}
	})
}

// A token is of one cloud and one organization, and what a server seals for one opens for no other.
func TestTokenOfAnother(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin, rival := f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("eve@b.test", "rival", bridge.RoleOwner)
		acme, theirs, s := f.JoinToken(admin, api.JoinTokenRequest{}), f.JoinToken(rival, api.JoinTokenRequest{}), f.NewJoiner()
		parts := strings.Split(acme.Token.Reveal(), ".")
		with := func(i int, part string) bridge.Secret {
			changed := slices.Clone(parts)
			changed[i] = part
			return bridge.NewSecret(strings.Join(changed, "."))
		}
		for name, token := range map[string]struct {
			secret bridge.Secret
			code   bridge.Code
		}{
			"nonsense":                         {bridge.NewSecret("ace_jt1.x"), bridge.CodeJoinTokenMalformed},
			"the name of another organization": {with(2, "rival"), bridge.CodeJoinOther},
			"another secret":                   {with(5, bridge.RandomToken(32)), bridge.CodeJoinTokenInvalid},
			"another cloud":                    {with(1, "aHR0cHM6Ly9vdGhlci50ZXN0"), bridge.CodeJoinTokenInvalid},
		} {
			if _, err := s.Begin(token.secret); bridge.CodeOf(err) != token.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		answer, err := s.Begin(acme.Token.Secret)
		if err != nil {
			t.Fatal(err)
		}
		sealed := s.Seal(acme.Token.Secret, answer)
		if _, err := s.Begin(theirs.Token.Secret); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Complete(theirs.Token.Secret, sealed); bridge.CodeOf(err) != bridge.CodeSealedKeyInvalid {
			t.Errorf("what was sealed for one organization opens for another: %v", err)
		}
		if _, _, err := f.Connections.Register(t.Context(), admin.As(admin.Actor("", "")), api.RegisterRequest{ServerURL: "https://a.test", SealedKey: sealed}); bridge.CodeOf(err) != bridge.CodeSealedKeyInvalid {
			t.Errorf("what was sealed for the organization opens for a member: %v", err)
		}
		if _, err := s.Complete(acme.Token.Secret, sealed); err != nil {
			t.Error(err)
		}
	})
}

// A token is worth what its maker may do now.
func TestTokenOfItsMaker(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		a := f.NewAuthority()
		owner, admin, member := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleAdmin), f.Person("bob@a.test", "acme", bridge.RoleMember)
		create := func(p accounts.Principal) (bridge.Secret, bridge.Code) {
			made, err := f.Joins.CreateToken(ctx, p.As(p.Actor("", "")), api.JoinTokenRequest{Uses: 10})
			return made.Token.Secret, bridge.CodeOf(err)
		}
		if _, code := create(member); code != bridge.CodeRoleAdmin {
			t.Errorf("a member makes a join token: %q", code)
		}
		if _, _, err := f.Joins.Tokens(ctx, member, "", 0); bridge.CodeOf(err) != bridge.CodeRoleAdmin {
			t.Errorf("a member lists join tokens: %v", err)
		}
		key := f.key(a, admin, bridge.KindLive, "connection:manage")
		pat := f.key(a, admin, bridge.KindPAT, "connection:manage")
		if _, code := create(f.key(a, admin, bridge.KindTest, "connection:manage").p); code != bridge.CodeKeyEnvironment {
			t.Errorf("a test key makes one: %q", code)
		}
		if _, code := create(f.key(a, admin, bridge.KindLive, "connection:read").p); code != bridge.CodeScopeMissing {
			t.Errorf("a key without the scope makes one: %q", code)
		}
		by := map[string]bridge.Secret{}
		for name, p := range map[string]accounts.Principal{"admin": admin, "key": key.p, "token": pat.p} {
			var code bridge.Code
			if by[name], code = create(p); code != "" {
				t.Fatalf("%s: %q", name, code)
			}
		}
		operators, err := f.Joins.CreateTokenAsOperator(ctx, "acme", audit.Actor{ID: "operator"}, api.JoinTokenRequest{Uses: 10})
		if err != nil || operators.CreatedBy != "operator" {
			t.Fatalf("%+v %v", operators, err)
		}
		by["operator"] = operators.Token.Secret
		if _, err := f.Joins.CreateTokenAsOperator(ctx, "nobody", audit.Actor{ID: "operator"}, api.JoinTokenRequest{}); bridge.CodeOf(err) != bridge.CodeOrganizationUnknown {
			t.Errorf("for no organization: %v", err)
		}
		s := f.NewJoiner()
		answer, err := s.Begin(by["admin"])
		if err != nil {
			t.Fatal(err)
		}
		sealed := s.Seal(by["admin"], answer)
		works := func() (out []string) {
			for name, token := range by {
				switch _, err := f.NewJoiner().Begin(token); bridge.CodeOf(err) {
				case "":
					out = append(out, name)
				case bridge.CodeJoinTokenEnded:
				default:
					t.Errorf("%s: %v", name, err)
				}
			}
			slices.Sort(out)
			return out
		}
		check := func(when string, want ...string) {
			t.Helper()
			if got := works(); !slices.Equal(got, want) {
				t.Errorf("%s: %v work, want %v", when, got, want)
			}
		}
		check("at first", "admin", "key", "operator", "token")
		if code := f.ChangeRole(owner, admin, "member"); code != "" {
			t.Fatal(code)
		}
		check("its maker is a member", "key", "operator")
		if _, err := s.Complete(by["admin"], sealed); bridge.CodeOf(err) != bridge.CodeJoinTokenEnded {
			t.Errorf("a join is completed after its maker has become a member: %v", err)
		}
		if code := f.ChangeRole(owner, admin, "admin"); code != "" {
			t.Fatal(code)
		}
		check("and an admin again", "admin", "key", "operator", "token")
		f.revoke(a, owner, pat.id)
		check("the personal access token is revoked", "admin", "key", "operator")
		f.revoke(a, owner, key.id)
		check("the key is revoked", "admin", "operator")
		if _, code := f.RemoveMember(owner, admin); code != "" {
			t.Fatal(code)
		}
		check("its maker is removed", "operator")
	})
}

// A server that joins again keeps its connection, whatever its URL is; its old key is revoked.
func TestJoinAgain(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		token := f.JoinToken(admin, api.JoinTokenRequest{Uses: 5, Share: true})
		s, twin := f.NewJoiner(), f.NewJoiner()
		s.URL, twin.URL = "http://localhost:7777", "http://localhost:7777" // every laptop's
		first, second := s.Join(token.Token.Secret), twin.Join(token.Token.Secret)
		if first.ID == second.ID || first.Visibility != connections.Organization || first.Way != api.WayDirect {
			t.Errorf("two laptops: %+v %+v", first, second)
		}
		was := s.Key.ID.String()
		s.URL = "https://lab.a.test"
		again := s.Join(token.Token.Secret)
		if s.Replaces != was || again.ID != first.ID || again.ServerURL != s.URL || again.Name != first.Name {
			t.Errorf("again: it replaces %q, %+v", s.Replaces, again)
		}
		if key, err := f.Tokens.Credential(ctx, admin, first.ID); err != nil || key.ServerURL != s.URL {
			t.Errorf("the key does not open: %v", err)
		}
		if got := f.Column("SELECT key_id || ' ' || server_url || ' ' || after_key FROM revocations"); len(got) != 1 || got[0] != was+" http://localhost:7777 "+s.Key.ID.String() {
			t.Errorf("revocations: %q", got)
		}
		if id, keys, err := f.Joins.Lookup(ctx, was); id != "" || err != nil {
			t.Errorf("links of the old key: %q %d %v", id, len(keys), err)
		}
		// The same server as somebody's own is another connection.
		if own, _ := f.Exchanged(admin, s.URL); own.ID == again.ID || own.Owner != admin.Email {
			t.Errorf("%+v", own)
		}
	})
}

// What a server says of itself must be its own.
func TestJoinBounds(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		for name, req := range map[string]api.JoinTokenRequest{
			"uses": {Uses: api.MaxJoinUses + 1}, "no uses": {Uses: -1}, "life": {ExpiresIn: int64(api.MaxJoinLife/time.Second) + 1}, "no life": {ExpiresIn: -1},
			"tags": {Tags: make([]string, api.MaxTags+1)}, "an empty tag": {Tags: []string{""}}, "a long tag": {Tags: []string{strings.Repeat("t", api.MaxTag+1)}},
			"two lines": {Tags: []string{"a\nb"}},
		} {
			if _, err := f.Joins.CreateToken(t.Context(), admin.As(admin.Actor("", "")), req); bridge.CodeOf(err) != bridge.CodeJoinMalformed {
				t.Errorf("%s: %v", name, err)
			}
		}
		token := f.JoinToken(admin, api.JoinTokenRequest{Uses: api.MaxJoinUses, ExpiresIn: int64(api.MaxJoinLife / time.Second), Tags: []string{strings.Repeat("t", api.MaxTag)}})
		for name, c := range map[string]struct {
			change func(s *storetest.Joiner)
			code   bridge.Code
		}{
			"no ID":                {func(s *storetest.Joiner) { s.ID = "" }, bridge.CodeJoinMalformed},
			"an ID in capitals":    {func(s *storetest.Joiner) { s.ID = strings.ToUpper("a" + s.ID[1:]) }, bridge.CodeJoinMalformed},
			"plain http":           {func(s *storetest.Joiner) { s.URL = "http://lab.a.test" }, bridge.CodeJoinMalformed},
			"no URL":               {func(s *storetest.Joiner) { s.URL = "" }, "url_malformed"},
			"another server's":     {func(s *storetest.Joiner) { s.URL = bridge.LinkURL(f.NewJoiner().ID) }, bridge.CodeLinkURL},
			"its own, with a path": {func(s *storetest.Joiner) { s.URL += "/x" }, bridge.CodeLinkURL},
		} {
			s := f.NewJoiner()
			c.change(s)
			if _, err := s.Begin(token.Token.Secret); bridge.CodeOf(err) != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
