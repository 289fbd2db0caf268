package joins_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

// madeKey is an API key of the cloud.
type madeKey struct {
	id uuid.UUID
	p  accounts.Principal
}

// key makes an API key of the cloud, as p.
func (f *fixture) key(a *keys.Authority, p accounts.Principal, kind bridge.KeyKind, scope string) madeKey {
	f.T.Helper()
	_, r, err := a.Mint(f.T.Context(), keys.By{Actor: p.Actor("", ""), Who: p.Identity(), Bind: accounts.BindToken(p)}, keys.Wish{Kind: kind, Name: "n", Scopes: []string{scope}})
	if err != nil {
		f.T.Fatal(err)
	}
	id := bridge.Identity{Type: bridge.TypeAPIKey, KeyID: r.ID, Kind: kind, Subject: p.Email, Org: p.Org, Scopes: r.Scopes}
	of, err := f.Accounts.KeyPrincipal(f.T.Context(), id, accounts.KeyFacts{Name: "n"})
	if err != nil {
		f.T.Fatal(err)
	}
	return madeKey{r.ID, of}
}

// revoke revokes an API key of the cloud, as p.
func (f *fixture) revoke(a *keys.Authority, p accounts.Principal, id uuid.UUID) {
	f.T.Helper()
	if _, err := a.Revoke(f.T.Context(), keys.By{Actor: p.Actor("", ""), Who: p.Identity()}, id, "test"); err != nil {
		f.T.Fatal(err)
	}
}

// opens reports which of the keys may open links of the server's connection.
func (f *fixture) opens(s *storetest.Joiner, keys ...ed25519.PublicKey) (out []bool) {
	f.T.Helper()
	_, all, err := f.Joins.Lookup(f.T.Context(), s.Key.ID.String())
	if err != nil {
		f.T.Fatal(err)
	}
	for _, key := range keys {
		found := false
		for _, other := range all {
			found = found || key.Equal(other)
		}
		out = append(out, found)
	}
	return out
}

func newLinkKey(t *testing.T) ed25519.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// A replaced key overlaps its successor by a day, or by an hour once the successor has opened a link.
func TestRotateLinkKey(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		s := f.NewJoiner()
		c := s.Join(f.JoinToken(admin, api.JoinTokenRequest{}).Token.Secret)
		was, second, third := s.Public(), newLinkKey(t), newLinkKey(t)
		check := func(when string, want ...bool) {
			t.Helper()
			for i, got := range f.opens(s, was, second, third) {
				if got != want[i] {
					t.Errorf("%s: key %d opens a link: %t", when, i+1, got)
				}
			}
		}
		rotate := func(to ed25519.PublicKey) {
			t.Helper()
			if err := f.Joins.RotateKey(ctx, c.ID, to, audit.Actor{Address: "192.0.2.1"}); err != nil {
				t.Fatal(err)
			}
		}
		used := func(key ed25519.PublicKey) {
			t.Helper()
			if err := f.Joins.KeyUsed(ctx, c.ID, key); err != nil {
				t.Fatal(err)
			}
		}
		rotate(second)
		rotate(second) // the answer was lost
		check("rotated", true, true, false)
		used(was) // which says nothing about the new one
		f.Advance(24*time.Hour - time.Second)
		check("within a day", true, true, false)
		f.Advance(time.Second)
		check("after a day", false, true, false)
		rotate(third)
		used(third)
		f.Advance(time.Hour - time.Second)
		check("within an hour of use", false, true, true)
		f.Advance(time.Second)
		check("after an hour of use", false, false, true)
		if got := f.Audited(admin, "link.rotate_key"); len(got) != 2 || got[0].Actor != "link:"+s.Key.ID.String() || got[0].Address != "192.0.2.1" {
			t.Errorf("audited: %+v", got)
		}
		for range 20 {
			rotate(newLinkKey(t))
		}
		if got := f.Column("SELECT public_key FROM link_keys"); len(got) > 4 || !f.opens(s, third)[0] {
			t.Errorf("%d keys, the one that was used is among them: %t", len(got), f.opens(s, third)[0])
		}
		if err := f.Joins.RotateKey(ctx, c.ID, ed25519.PublicKey("short"), audit.Actor{}); bridge.CodeOf(err) != bridge.CodeLinkKeyMalformed {
			t.Errorf("a malformed key: %v", err)
		}
		own, _ := f.Exchanged(admin, "https://own.a.test")
		if err := f.Joins.RotateKey(ctx, own.ID, second, audit.Actor{}); bridge.CodeOf(err) != bridge.CodeLinkRefused {
			t.Errorf("of a connection without links: %v", err)
		}
	})
}

// A server leaves, and its connection is gone with its key; nobody else's.
func TestLeave(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		s := f.NewJoiner()
		c := s.Join(f.JoinToken(admin, api.JoinTokenRequest{}).Token.Secret)
		own, key := f.linked(admin, "https://own.a.test", newLinkKey(t))
		for _, c := range []api.Connection{c, own} {
			if err := f.Joins.Leave(ctx, c.ID, audit.Actor{}); err != nil {
				t.Error(err)
			}
			if err := f.Joins.Leave(ctx, c.ID, audit.Actor{}); bridge.CodeOf(err) != bridge.CodeConnectionUnknown {
				t.Errorf("it leaves again: %v", err)
			}
		}
		got := f.Audited(admin, "connection.leave")
		if len(got) != 2 || got[0].Actor != "link:"+key.ID.String() || got[1].Actor != "link:"+s.Key.ID.String() {
			t.Errorf("audited: %+v", got)
		}
		if left := f.Column("SELECT key_id FROM revocations"); len(left) != 2 {
			t.Errorf("revocations: %q", left)
		}
		if left := f.Column("SELECT public_key FROM link_keys"); len(left) != 0 {
			t.Errorf("keys of links are left: %q", left)
		}
	})
}

// linked registers a connection with a link's key, as `ace connect` does.
func (f *fixture) linked(p accounts.Principal, server bridge.ServerURL, link ed25519.PublicKey) (api.Connection, bridge.Key) {
	f.T.Helper()
	c, key, err := f.register(p, server, bridge.LinkKeyText(link), bridge.NewKey(bridge.KindSK, uuid.New()))
	if err != nil {
		f.T.Fatal(err)
	}
	return c, key
}

func (f *fixture) register(p accounts.Principal, server bridge.ServerURL, link string, key bridge.Key) (api.Connection, bridge.Key, error) {
	f.T.Helper()
	claims, err := f.Connections.ConnectClaims(f.T.Context(), p, server)
	if err != nil {
		return api.Connection{}, key, err
	}
	sealed, err := bridge.Seal(claims.Sealing, claims.Binding(), key)
	if err != nil {
		f.T.Fatal(err)
	}
	c, _, err := f.Connections.Register(f.T.Context(), p.As(p.Actor("", "")), api.RegisterRequest{ServerURL: string(server), SealedKey: sealed, LinkKey: link})
	return c, key, err
}

// `ace connect` brings a link's key, which lives as long as the key of the connection, and opens no other's links.
func TestLinkKeyOfAConnect(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		ann, eve := f.Person("ann@a.test", "acme", bridge.RoleMember), f.Person("eve@b.test", "rival", bridge.RoleOwner)
		link := newLinkKey(t)
		c, key := f.linked(ann, "https://lab.a.test", link)
		if id, keys, err := f.Joins.Lookup(ctx, key.ID.String()); id != c.ID || len(keys) != 1 || !link.Equal(keys[0]) || err != nil {
			t.Errorf("%q %d %v", id, len(keys), err)
		}
		// Key IDs are public: another server's operator may issue a key of the same one.
		if _, _, err := f.register(eve, "https://eve.b.test", bridge.LinkKeyText(newLinkKey(t)), bridge.NewKey(bridge.KindSK, key.ID)); bridge.CodeOf(err) != bridge.CodeLinkRefused {
			t.Errorf("another organization's server gets links under the same key ID: %v", err)
		}
		if _, _, err := f.register(eve, "https://eve.b.test", "", bridge.NewKey(bridge.KindSK, key.ID)); err != nil {
			t.Error(err)
		}
		if id, keys, err := f.Joins.Lookup(ctx, key.ID.String()); id != c.ID || len(keys) != 1 || err != nil {
			t.Errorf("with a twin: %q %d %v", id, len(keys), err)
		}
		for name, text := range map[string]string{"short": "AAAA", "long": bridge.LinkKeyText(make([]byte, 64)), "no base64url": "!"} {
			if _, _, err := f.register(ann, "https://lab.a.test", text, bridge.NewKey(bridge.KindSK, uuid.New())); bridge.CodeOf(err) != bridge.CodeLinkKeyMalformed {
				t.Errorf("%s: %v", name, err)
			}
		}
		plain := storetest.AceKey().Text().Disclose()
		if _, _, err := f.Connections.Register(ctx, ann.As(ann.Actor("", "")), api.RegisterRequest{ServerURL: "https://other.a.test", APIKey: &plain, LinkKey: bridge.LinkKeyText(link)}); bridge.CodeOf(err) != bridge.CodeLinkKeyMalformed {
			t.Errorf("with a key that somebody has typed in: %v", err)
		}
		for _, server := range []string{string(bridge.LinkURL(uuid.NewString())), "https://x.link.invalid/app"} {
			if _, _, err := f.Connections.Register(ctx, ann.As(ann.Actor("", "")), api.RegisterRequest{ServerURL: server, APIKey: &plain}); bridge.CodeOf(err) != bridge.CodeLinkURL {
				t.Errorf("%s by hand: %v", server, err)
			}
			if _, err := f.Connections.Patch(ctx, ann.As(ann.Actor("", "")), c.ID, api.ConnectionPatch{ServerURL: &server}); bridge.CodeOf(err) != bridge.CodeLinkURL {
				t.Errorf("moved to %s: %v", server, err)
			}
			if _, err := f.Connections.ConnectClaims(ctx, ann, bridge.ServerURL(server)); bridge.CodeOf(err) != bridge.CodeLinkURL {
				t.Errorf("a connect token for %s: %v", server, err)
			}
		}
		next, _, err := f.register(ann, "https://lab.a.test", "", bridge.NewKey(bridge.KindSK, uuid.New()))
		if err != nil || next.ID != c.ID {
			t.Fatalf("%+v %v", next, err)
		}
		if got := f.Column("SELECT public_key FROM link_keys"); len(got) != 0 {
			t.Errorf("another key without links keeps the old one's: %q", got)
		}
	})
}
