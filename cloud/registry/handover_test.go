package registry_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/tokens"
)

// noCredentials are the tables with nothing in them that anybody can act with. A new table goes here, or to a Voider.
var noCredentials = map[string]string{
	"users":              "what proves or takes over an account sets the password",
	"organizations":      "names",
	"providers":          "of an organization, set by its admins",
	"provider_domains":   "of an organization",
	"provider_subjects":  "who is who at a provider; the provider says it anew",
	"provider_logins":    "a sign-in that the provider has still to vouch for",
	"waiting_members":    "start with the proof, or are dropped by it",
	"login_failures":     "counters",
	"connection_limits":  "take away; they outlive a membership on purpose",
	"connection_history": "figures",
	"connection_changes": "numbers of changes",
	"change_counters":    "numbers of changes",
	"access_changes":     "times of changes",
	"member_uses":        "figures",
	"relay_uses":         "what was audited when",
	"revocations":        "end keys",
	"encryption_keys":    "IDs of keys, which open nothing",
	"signing_keys":       "public keys",
	"audit":              "the log",
	"key_changes":        "the number of the last change",
	"used_tokens":        "what was used up",
	"replicas":           "where processes of the cloud are reached",
	"link_presence":      "figures",
	"first_links":        "makes the first account, and is good for nothing once there is one",
}

// Every table is one of a kind of credential that a handover makes void, or says why it is none.
func TestEveryKindOfCredentialIsVoided(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.NewAuthority()
		unlisted := func() (out []string) {
			listed := map[string]bool{}
			for _, v := range f.Accounts.Voiders() {
				for _, table := range v.Tables {
					listed[table] = true
				}
			}
			for _, table := range f.Tables() {
				if _, none := noCredentials[table]; !listed[table] && !none && !strings.HasPrefix(table, "schema_") {
					out = append(out, table)
				}
			}
			return out
		}
		if got := unlisted(); len(got) > 0 {
			t.Errorf("no voider has the tables %v: add each to one of a room, or to noCredentials with the reason", got)
		}
		if _, err := f.SQL.ExecContext(t.Context(), "CREATE TABLE wonder_tokens (hash TEXT PRIMARY KEY, user_id TEXT NOT NULL)"); err != nil {
			t.Fatal(err)
		}
		if got := unlisted(); !slices.Equal(got, []string{"wonder_tokens"}) {
			t.Errorf("a new kind of credential is not noticed: %v", got)
		}
	})
}

// alive names what of it still works.
func (f *fixture) alive(a *keys.Authority, g storetest.Given) (out []string) {
	f.T.Helper()
	ctx := f.T.Context()
	note := func(what string, err error) {
		if err == nil {
			out = append(out, what)
		}
	}
	_, err := f.Sessions.BrowserSession(ctx, g.Cookie)
	note("session", err)
	_, err = f.Sessions.RefreshSession(ctx, g.Refresh, audit.Actor{})
	note("refresh token", err)
	_, err = f.Sessions.SessionByID(ctx, g.Developer.SessionID)
	note("developer token", err)
	_, err = f.Sessions.PollDevice(ctx, accounts.DevicePoll{Code: g.Device.DeviceCode, ClientID: storetest.ClientID}, audit.Actor{})
	note("device approval", err)
	_, err = f.Sessions.RedeemCode(ctx, g.Code, bridge.NewSecret(storetest.Verifier), storetest.ClientID, storetest.RedirectURI, audit.Actor{})
	note("authorization code", err)
	_, err = f.SignIn.PendingLogin(ctx, g.Pending)
	note("pending login", err)
	_, err = f.Accounts.LookupInvitation(ctx, g.Invitation)
	note("invitation", err)
	_, err = f.Addresses.Offered(ctx, g.Address, false)
	note("change of the address", err)
	_, err = f.NewJoiner().Begin(g.JoinToken)
	note("join token", err)
	_, err = f.Accounts.KeyPrincipal(ctx, g.PatID, accounts.KeyFacts{Name: "n"})
	note("personal access token", err)
	for what, id := range map[string]uuid.UUID{"row of the token": g.Pat, "organization key": g.Live} {
		r, err := a.Get(ctx, keys.View{Org: g.P.Org}, id)
		if err == nil && r.EndedAt.IsZero() {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	return out
}

// moment is one in which an account changes hands.
type moment struct {
	unproven  bool // nobody had shown the address
	removal   bool
	providers bool   // the account is a sign-in provider's
	address   string // that the account has afterwards; empty: the same
	survivors []string
	do        func(f *fixture, owner accounts.Principal, p providers.Provider, g storetest.Given) error
}

func moments() map[string]moment {
	const moved = "ceo@new.test"
	changed := func(address string, do func(*fixture, accounts.Principal, providers.Provider, storetest.Given) error) moment {
		return moment{address: address, survivors: []string{"organization key"}, do: do}
	}
	return map[string]moment{
		"the link with the password": {unproven: true, do: func(f *fixture, _ accounts.Principal, _ providers.Provider, g storetest.Given) error {
			if err := f.Links.StartVerification(f.T.Context(), g.P.UserID, audit.Actor{}); err != nil {
				return err
			}
			return f.Links.VerifyEmail(f.T.Context(), f.Link(signin.PurposeVerify), bridge.NewSecret(storetest.Password), audit.Actor{})
		}},
		"a reset": {unproven: true, do: func(f *fixture, _ accounts.Principal, _ providers.Provider, g storetest.Given) error {
			if err := f.Links.RequestReset(f.T.Context(), g.P.Email, audit.Actor{}); err != nil {
				return err
			}
			return f.Links.ResetPassword(f.T.Context(), f.Link(signin.PurposeReset), bridge.NewSecret("another password"), false, audit.Actor{})
		}},
		"a provider": {unproven: true, do: func(f *fixture, _ accounts.Principal, p providers.Provider, g storetest.Given) error {
			_, err := f.Providers.Finish(f.T.Context(), p, storetest.Vouch(g.P.Email), audit.Actor{})
			return err
		}},
		"the operator": {unproven: true, do: func(f *fixture, _ accounts.Principal, _ providers.Provider, g storetest.Given) error {
			_, err := f.SignUp.AddUser(f.T.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: g.P.Email, Password: bridge.NewSecret(storetest.Password), Org: g.P.Org})
			return err
		}},
		"a change of the address": changed("elsewhere-acme@a.test", func(f *fixture, _ accounts.Principal, _ providers.Provider, g storetest.Given) error {
			_, err := f.Addresses.Confirm(f.T.Context(), g.P.As(g.P.Actor("", "")), g.Address)
			return err
		}),
		"another address by the operator": changed(moved, func(f *fixture, _ accounts.Principal, _ providers.Provider, g storetest.Given) error {
			_, err := f.Addresses.Set(f.T.Context(), g.P.Email, moved, audit.Actor{ID: "operator"})
			return err
		}),
		"another address at the provider": {address: "ceo2@a.test", survivors: []string{"organization key"}, providers: true,
			do: func(f *fixture, _ accounts.Principal, p providers.Provider, g storetest.Given) error {
				_, err := f.Providers.Finish(f.T.Context(), p, providers.Vouched{Subject: "ceo", Email: "ceo2@a.test", EmailVerified: true}, audit.Actor{})
				return err
			}},
		"a removal": {removal: true, survivors: []string{"organization key", "pending login"},
			do: func(f *fixture, owner accounts.Principal, _ providers.Provider, g storetest.Given) error {
				_, err := f.Accounts.RemoveMember(f.T.Context(), owner.As(owner.Actor("", "")), "acme", g.P.UserID)
				return err
			}},
	}
}

// failing is the cloud's keys at a moment at which the last thing that is done fails.
type failing struct{ registry.Keys }

func (k failing) RevokeIn(ctx context.Context, tx *sql.Tx, e keys.Ending) ([]uuid.UUID, error) {
	if _, err := k.Keys.RevokeIn(ctx, tx, e); err != nil {
		return nil, err
	}
	return nil, errFailing
}

var errFailing = errors.New("the database is away")

// However an account changes hands, nothing of what was handed out before works, and it is one transaction.
func TestHandover(t *testing.T) {
	for name, m := range moments() {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f *fixture) {
				a := f.NewAuthority()
				owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
				p := f.WithProvider(owner)
				g := f.Give(a, f.Person("ceo@a.test", "acme", bridge.RoleAdmin))
				shared := f.Register(owner, "https://shared.a.test", storetest.AceKey().Text().Reveal())
				if _, err := f.Connections.Patch(t.Context(), owner.As(owner.Actor("", "")), shared.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
					t.Fatal(err)
				}
				if _, err := f.Tokens.Credential(t.Context(), g.P, shared.ID); err != nil {
					t.Fatal(err)
				}
				f.Mailed()
				if m.unproven {
					f.unprove(g)
				}
				if m.providers {
					f.Exec("UPDATE users SET password = '' WHERE id = $1", g.P.UserID)
					f.Exec("INSERT INTO provider_subjects (provider_id, subject, user_id, created_at) VALUES ($2, 'ceo', $1, 0)", g.P.UserID, p.ID)
				}
				before := f.state()
				f.UseKeys(failing{a})
				if err := m.do(f, owner, p, g); !errors.Is(err, errFailing) {
					t.Fatalf("%v", err)
				}
				if now := f.state(); now != before {
					t.Errorf("a handover that fails leaves something:\n%s\nbefore:\n%s", now, before)
				}
				f.UseKeys(a)
				if err := m.do(f, owner, p, g); err != nil {
					t.Fatal(err)
				}
				f.handedOver(a, m, g, shared)
			})
		})
	}
}

// unprove makes the account what an earlier version has left: a member, with all of this, and nobody has shown the address.
func (f *fixture) unprove(g storetest.Given) {
	f.T.Helper()
	f.Exec("UPDATE users SET verified_at = 0 WHERE id = $1", g.P.UserID)
	if _, err := f.Sessions.SessionByID(f.T.Context(), g.P.SessionID); err == nil {
		f.T.Error("somebody whose address is not proven has a session")
	}
	if _, err := f.Accounts.KeyPrincipal(f.T.Context(), g.PatID, accounts.KeyFacts{Name: "n"}); err == nil {
		f.T.Error("somebody whose address is not proven has a token")
	}
}

// state is what a handover changes, as one text.
func (f *fixture) state() string {
	f.T.Helper()
	var out []string
	for _, query := range []string{"SELECT id || email || password || verified_at FROM users", "SELECT id || ended_at FROM sessions",
		"SELECT hash || expires_at FROM codes", "SELECT id || user_id FROM members", "SELECT id || state FROM invitations",
		"SELECT hash || ended_at FROM address_changes", "SELECT id || owner || ended_at FROM api_keys", "SELECT id || secret FROM connections",
		"SELECT terms || next_at FROM handed_tokens", "SELECT key_id || member_id FROM token_members"} {
		out = append(out, f.Column(query+" ORDER BY 1")...)
	}
	return strings.Join(out, "\n")
}

// handedOver checks what is left after a moment.
func (f *fixture) handedOver(a *keys.Authority, m moment, g storetest.Given, shared api.Connection) {
	t, ctx := f.T, f.T.Context()
	t.Helper()
	if got := f.alive(a, g); !slices.Equal(got, m.survivors) {
		t.Errorf("works on: %v, want %v", got, m.survivors)
	}
	owner, err := f.Sessions.OpenSession(ctx, f.userID("olga@a.test"), "acme", accounts.MethodDevice, audit.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	var gone bool
	if err := f.SQL.QueryRowContext(ctx, "SELECT NOT EXISTS (SELECT 1 FROM connections WHERE id = $1)", g.Connection.ID).Scan(&gone); err != nil || gone != m.unproven {
		t.Errorf("the connection that was made before is gone: %v %v", gone, err)
	}
	if due, err := f.Upkeep.DueRevocations(ctx, 10); err != nil || (len(due) == 1) != m.unproven {
		t.Errorf("the revocations of its key: %v %v", due, err)
	}
	lost, err := f.Tokens.LostTokens(ctx, tokens.Look{Alive: func(uuid.UUID) bool { return true }, Everybody: true})
	if err != nil || len(lost) != 1 || lost[0].Connection != shared.ID {
		t.Errorf("the access token that was handed out is not withdrawn: %v %v", lost, err)
	}
	r, err := a.Get(ctx, keys.View{Org: "acme"}, g.Live)
	if want := cmp.Or(m.address, g.P.Email); err != nil || r.Owner != want {
		t.Errorf("the organization's key is of %q (%v), want %s", r.Owner, err, want)
	}
	fresh, err := f.Sessions.OpenSession(ctx, g.P.UserID, "acme", accounts.MethodDevice, audit.Actor{})
	switch {
	case m.removal:
		if bridge.CodeOf(err) != "not_a_member" {
			t.Errorf("a removed member comes in: %v", err)
		}
	case err != nil || fresh.Principal.Member == g.P.Member || fresh.Principal.Email != cmp.Or(m.address, g.P.Email):
		t.Errorf("the membership goes on under its old ID or name: %+v %v", fresh.Principal, err)
	}
	if got := f.Audited(owner.Principal, "address.change"); (len(got) == 1) != (m.address != "") {
		t.Errorf("audited: %+v", got)
	}
}

func (f *fixture) userID(email string) string {
	f.T.Helper()
	u, err := f.Accounts.UserByEmail(f.T.Context(), email)
	if err != nil {
		f.T.Fatal(err)
	}
	return u.ID
}

// A member who is removed and comes back, within the same second, has a new membership.
func TestComingBack(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		a := f.NewAuthority()
		owner, ann := f.Person("olga@a.test", "acme", bridge.RoleOwner), f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		home, err := f.Accounts.CreateOrganization(t.Context(), ann.As(ann.Actor("", "")), api.NewOrganization{Slug: "home"})
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, err := f.Sessions.OpenSession(t.Context(), ann.UserID, home.Slug, accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		g, kept := f.Give(a, ann), f.Give(a, elsewhere.Principal)
		if _, err := f.Accounts.RemoveMember(t.Context(), owner.As(owner.Actor("", "")), "acme", ann.UserID); err != nil {
			t.Fatal(err)
		}
		_, back, _ := f.Invite(owner, api.NewInvitation{Role: "admin"})
		if _, err := f.Joining.Accept(t.Context(), elsewhere.Principal.As(audit.Actor{}), back); err != nil {
			t.Fatal(err)
		}
		if got := f.alive(a, g); !slices.Equal(got, []string{"organization key", "pending login"}) {
			t.Errorf("works on: %v", got)
		}
		if got := f.alive(a, kept); len(got) != 11 {
			t.Errorf("of another organization only this is left: %v", got)
		}
	})
}

// What is made in a session of a sign-in provider ends with the provider, and sees its organization alone.
func TestTokensOfAProvider(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		a := f.NewAuthority()
		owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		p := f.WithProvider(owner)
		s, err := f.Providers.Finish(t.Context(), p, storetest.Vouch("bob@a.test"), audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		_, r, err := a.Mint(t.Context(), keys.By{Who: s.Principal.Identity(), Bind: accounts.BindToken(s.Principal)},
			keys.Wish{Kind: bridge.KindPAT, Name: "n", Scopes: []string{"connection:read"}})
		if err != nil {
			t.Fatal(err)
		}
		id := bridge.Identity{Type: bridge.TypeAPIKey, KeyID: r.ID, Kind: bridge.KindPAT, Subject: "bob@a.test", Org: "acme", Scopes: r.Scopes}
		developer, err := f.Sessions.OpenSessionFrom(t.Context(), s.Principal.As(audit.Actor{}), accounts.MethodDeveloper)
		if err != nil {
			t.Fatal(err)
		}
		token, err := f.Accounts.KeyPrincipal(t.Context(), id, accounts.KeyFacts{Name: "n"})
		if err != nil || token.Provider != p.ID {
			t.Fatalf("%+v %v", token, err)
		}
		if _, err := f.SQL.ExecContext(t.Context(), "INSERT INTO members (id, org_id, user_id, role, joined_at) SELECT 'x', o.id, $1, 'owner', 0 FROM organizations o WHERE o.slug = 'rival'",
			s.Principal.UserID); err != nil {
			t.Fatal(err)
		}
		for name, p := range map[string]accounts.Principal{"session": s.Principal, "token": token} {
			if orgs, err := f.Accounts.Orgs(t.Context(), p); err != nil || len(orgs) != 1 || orgs[0].Slug != "acme" {
				t.Errorf("a %s sees the organizations %v %v", name, orgs, err)
			}
		}
		if err := f.Providers.Remove(t.Context(), owner.As(owner.Actor("", "")), "acme"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Accounts.KeyPrincipal(t.Context(), id, accounts.KeyFacts{Name: "n"}); err == nil {
			t.Error("a token outlives the provider")
		}
		if _, err := f.Sessions.SessionByID(t.Context(), developer.Principal.SessionID); err == nil {
			t.Error("a developer token outlives the provider")
		}
		if r, err := a.Get(t.Context(), keys.View{Org: "acme"}, r.ID); err != nil || r.EndedAt.IsZero() {
			t.Errorf("the token is not marked as revoked: %v", err)
		}
	})
}

// A reset of a proven account revokes its tokens if it is told to.
func TestResetRevokesTokens(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		a := f.NewAuthority()
		g := f.Give(a, f.Person("ann@a.test", "acme", bridge.RoleAdmin))
		for _, tokens := range []bool{false, true} {
			f.Mailed()
			if err := f.Links.RequestReset(t.Context(), g.P.Email, audit.Actor{}); err != nil {
				t.Fatal(err)
			}
			if err := f.Links.ResetPassword(t.Context(), f.Link(signin.PurposeReset), bridge.NewSecret(storetest.Password), tokens, audit.Actor{}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Accounts.KeyPrincipal(t.Context(), g.PatID, accounts.KeyFacts{Name: "n"}); (err == nil) == tokens {
				t.Errorf("with tokens %v: %v", tokens, err)
			}
			if _, err := f.Sessions.BrowserSession(t.Context(), g.Cookie); err == nil {
				t.Error("a session outlives a reset")
			}
		}
	})
}

// Nobody whose address is not proven becomes a member, and a stranger's acceptance is not the owner's of the address.
func TestWaitingMembership(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		owner := f.Person("olga@a.test", "acme", bridge.RoleOwner)
		members := func() int {
			list, _, err := f.Accounts.Members(ctx, owner, "acme", "", 0)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		_, open, _ := f.Invite(owner, api.NewInvitation{Role: "admin"})
		if up, code := f.SignUpWith(open, "ceo@a.test"); code != "" || up.Verified || !up.Session.Cookie.IsZero() {
			t.Fatalf("%+v %q", up, code)
		}
		_, shown, _ := f.Invite(owner, api.NewInvitation{Email: "cfo@a.test", Role: "admin"})
		if up, code := f.SignUpWith(shown, "cfo@a.test"); code != "" || up.Verified {
			t.Fatalf("by the inviter's copy: %+v %q", up, code)
		}
		if members() != 1 {
			t.Error("somebody whose address is not proven is a member")
		}
		for _, email := range []string{"ceo@a.test", "cfo@a.test"} {
			u, err := f.Accounts.UserByEmail(ctx, email)
			if err != nil {
				t.Fatal(err)
			}
			for _, method := range []string{accounts.MethodBrowser, accounts.MethodDevice, accounts.MethodPassword, accounts.MethodDeveloper} {
				if _, err := f.Sessions.OpenSession(ctx, u.ID, "", method, audit.Actor{}); err == nil {
					t.Errorf("%s opens a session: %s", email, method)
				}
			}
			f.Mailed()
			if err := f.Links.RequestReset(ctx, email, audit.Actor{}); err != nil {
				t.Fatal(err)
			}
			if err := f.Links.ResetPassword(ctx, f.Link(signin.PurposeReset), bridge.NewSecret("another password"), true, audit.Actor{}); err != nil {
				t.Fatal(err)
			}
		}
		list, _, _ := f.Accounts.Members(ctx, owner, "acme", "", 0)
		if len(list) != 2 || list[1].Email != "cfo@a.test" {
			t.Errorf("after resets by the owners of both addresses: %s", fmt.Sprint(list))
		}
		if _, err := f.Accounts.LookupInvitation(ctx, open); err != nil {
			t.Errorf("the open invitation is used up by a stranger: %v", err)
		}
	})
}
