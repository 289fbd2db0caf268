package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// exchanged creates the key of a connection made by a person of this role, and uses it for the first time.
func (f *fixture) exchanged(role bridge.Role) bridge.Key {
	f.t.Helper()
	claims := f.claims()
	claims.Role = role
	_, body := f.do(http.MethodPost, "/ace/v1/exchange", "", "Authorization", "Bearer "+f.connectToken(claims))
	var answer struct{ Key string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		f.t.Fatal(err)
	}
	key, err := bridge.ParseKey(bridge.NewSecret(answer.Key))
	if err != nil {
		f.t.Fatal(err)
	}
	if resp, body := f.do(http.MethodGet, "/ace/v1/me", "", bridge.HeaderAceAPIKey, answer.Key); resp.StatusCode != http.StatusOK {
		f.t.Fatalf("the first use: %d %s", resp.StatusCode, body)
	}
	return key
}

// derived returns the credential header of a member with all scopes and the highest role.
func (f *fixture) derived(key bridge.Key) string {
	f.t.Helper()
	return f.derivedFor(key, bridge.AccessClaims{Subject: "bob@example.com", Scope: "*", Role: bridge.RoleOwner, Connection: "c1"})
}

// derivedFor returns the header of an access token with these claims.
func (f *fixture) derivedFor(key bridge.Key, claims bridge.AccessClaims) string {
	f.t.Helper()
	claims.Times = bridge.NewTimes(time.Now(), bridge.MaxAccessTokenLife)
	token, err := key.SignAccess(claims.ForServer(bridge.ServerURL(f.url)))
	if err != nil {
		f.t.Fatal(err)
	}
	return "Bearer " + token.Reveal()
}

// TestConnectionKeyRotatesItself checks that the key of a member's connection, which may not create keys, rotates itself over
// HTTP. A retry with the old secret gets the same answer, and a revocation kills both secrets, whichever of them signed it.
func TestConnectionKeyRotatesItself(t *testing.T) {
	f := start(t, nil, nil)
	for _, signer := range []string{"the old secret", "the new secret"} {
		key := f.exchanged(bridge.RoleMember)
		client := apiclient.NewServer(bridge.ServerURL(f.url), key.Text(), api.ClientConfig{})
		idempotency := bridge.NewSecret(bridge.RandomToken(32))
		rotate := func() bridge.Key {
			t.Helper()
			answer, err := client.RotateKey(t.Context(), key.ID.String(), idempotency, api.RotateKeyRequest{Grace: "7d"})
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := bridge.ParseKey(answer.Key.Secret)
			if err != nil || fresh.ID != key.ID {
				t.Fatalf("the answer is %+v (%v)", answer, err)
			}
			return fresh
		}
		fresh := rotate()
		if again := rotate(); !again.Text().Equal(fresh.Text()) || fresh.Text().Equal(key.Text()) {
			t.Error("a retry does not answer the new secret of before")
		}
		sign := key
		if signer == "the new secret" {
			sign = fresh
		}
		revocation, err := sign.SignRevocation("ann@example.com", "disconnected", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.DeliverRevocation(t.Context(), key.ID.String(), revocation); err != nil {
			t.Errorf("a revocation by %s: %v", signer, err)
		}
		for name, k := range map[string]bridge.Key{"old": key, "new": fresh} {
			if _, err := client.As(k.Text()).Me(t.Context()); bridge.CodeOf(err) != "key_invalid" {
				t.Errorf("revoked by %s, the %s one: %v", signer, name, err)
			}
		}
		if _, err := client.RotateKey(t.Context(), key.ID.String(), idempotency, api.RotateKeyRequest{}); bridge.CodeOf(err) != "key_invalid" {
			t.Errorf("a revoked key rotates: %v", err)
		}
	}
	_, body := f.do(http.MethodGet, "/ace/v1/audit?action=key.rotate", "", "Authorization", "Bearer "+f.admin.Reveal())
	if n := strings.Count(body, `"action":"key.rotate"`); n != 2 {
		t.Errorf("%d rotations in the audit log, want 2: %s", n, body)
	}
}

// TestMembersGetNoSecretOfAConnectionKey checks that members, whose tokens are derived from a connection's key, cannot get a
// secret of it, and neither can the key of another connection.
func TestMembersGetNoSecretOfAConnectionKey(t *testing.T) {
	f := start(t, nil, nil)
	key, other := f.exchanged(bridge.RoleOwner), f.exchanged(bridge.RoleOwner)
	path := "/ace/v1/api-keys/" + key.ID.String()
	for _, action := range []string{"/rotate", "/revive", "/enable", ""} {
		method := http.MethodPost
		if action == "" {
			method = http.MethodGet
		}
		for name, headers := range map[string][]string{
			"a member": {"Authorization", f.derived(key)}, "a member, with the cloud's idempotency key": {"Authorization", f.derived(key), api.HeaderIdempotencyKey, bridge.RandomToken(32)},
			"a member of another connection": {"Authorization", f.derived(other)}, "another connection's key": {"X-Api-Key", other.Text().Reveal()},
			"the operator": {"Authorization", "Bearer " + f.admin.Reveal()},
		} {
			resp, body := f.do(method, path+action, "", headers...)
			refused := resp.StatusCode == http.StatusConflict && f.code(body) == "key_of_connection"
			if harmless := action == "" || action == "/enable"; !refused && !harmless || bridge.KeyPattern.MatchString(body) {
				t.Errorf("%s of %s: %d %s", action, name, resp.StatusCode, body)
			}
		}
	}
	if resp, body := f.do(http.MethodGet, "/ace/v1/me", "", "X-Api-Key", key.Text().Reveal()); resp.StatusCode != http.StatusOK {
		t.Errorf("the key does not work any more: %d %s", resp.StatusCode, body)
	}
}

// TestMeTellsHowLongTheKeyIsValid checks what a cloud learns about the key behind the token with which it probes a server.
func TestMeTellsHowLongTheKeyIsValid(t *testing.T) {
	f := start(t, nil, nil)
	key := f.exchanged(bridge.RoleMember)
	client := apiclient.NewServer(bridge.ServerURL(f.url), key.Text(), api.ClientConfig{})
	token := bridge.NewSecret(strings.TrimPrefix(f.derived(key), "Bearer "))
	me, err := client.As(token).Me(t.Context())
	if err != nil || me.KeyExpiresAt == nil || me.KeyIssuedAt == nil || me.KeyExpiresAt.Sub(*me.KeyIssuedAt) != time.Hour || !me.ExpiresAt.Before(*me.KeyExpiresAt) {
		t.Fatalf("%+v (%v)", me, err)
	}
	answer, err := client.RotateKey(t.Context(), key.ID.String(), bridge.Secret{}, api.RotateKeyRequest{Grace: "10m"})
	if err != nil || answer.GraceUntil == nil {
		t.Fatalf("%+v (%v)", answer, err)
	}
	if me, err = client.As(token).Me(t.Context()); err != nil || me.KeyExpiresAt == nil || !me.KeyExpiresAt.Equal(*answer.GraceUntil) || me.KeyIssuedAt != nil {
		t.Errorf("by the old secret: %+v (%v)", me, err)
	}
}
