package cloud_test

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/signup"
)

// joiner is a server that joins over HTTP.
type joiner struct {
	id  string
	url bridge.ServerURL
}

func newJoiner() joiner {
	id := uuid.NewString()
	return joiner{id, bridge.LinkURL(id)}
}

func (f *fixture) with(token bridge.Secret) *apiclient.Cloud {
	return apiclient.NewCloud(bridge.ServerURL(f.url), token, api.ClientConfig{})
}

// postJoin sends what a joining server does, and returns the code of a refusal.
func (f *fixture) postJoin(path string, token bridge.Secret, body, out any) bridge.Code {
	f.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, got := f.do("POST", path, string(text), "Authorization", "Bearer "+token.Reveal(), "Content-Type", "application/json")
	if resp.StatusCode != http.StatusOK {
		var problem struct {
			Code bridge.Code `json:"code"`
		}
		if err := json.Unmarshal([]byte(got), &problem); err != nil {
			f.t.Fatalf("%d %s", resp.StatusCode, got)
		}
		return problem.Code
	}
	if err := json.Unmarshal([]byte(got), out); err != nil {
		f.t.Fatal(err)
	}
	return ""
}

func (f *fixture) begin(token bridge.Secret, s joiner) (answer api.JoinAnswer, code bridge.Code) {
	f.t.Helper()
	code = f.postJoin(api.PathJoin, token, api.JoinRequest{ServerID: s.id, ServerURL: string(s.url)}, &answer)
	return answer, code
}

// sealed issues a key for the connect token of an answer, and seals it.
func (f *fixture) sealed(token bridge.Secret, s joiner, answer api.JoinAnswer) api.JoinComplete {
	f.t.Helper()
	parsed, err := bridge.ParseJoinToken(token)
	if err != nil {
		f.t.Fatal(err)
	}
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: parsed.PublicKey()})
	if err != nil {
		f.t.Fatal(err)
	}
	claims, err := trust.VerifyConnect(answer.ConnectToken.Secret, []bridge.ServerURL{s.url}, f.clock())
	if err != nil {
		f.t.Fatal(err)
	}
	key := bridge.NewKey(bridge.KindSK, uuid.New())
	sealed, err := bridge.Seal(claims.Sealing, claims.Binding(), key)
	if err != nil {
		f.t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	proof := bridge.JoinProof{Cloud: parsed.Cloud(), Token: parsed.Hash(), Server: s.id, LinkKey: bridge.LinkKeyText(public), KeyID: key.ID.String()}
	return api.JoinComplete{ServerID: s.id, ServerURL: string(s.url), Name: "lab", SealedKey: sealed, KeyID: proof.KeyID, LinkKey: proof.LinkKey,
		Proofs: []string{proof.Sign(private)}}
}

func (f *fixture) complete(token bridge.Secret, c api.JoinComplete) (connection api.Connection, code bridge.Code) {
	f.t.Helper()
	code = f.postJoin(api.PathJoinDone, token, c, &connection)
	return connection, code
}

// A server joins over HTTP with a token that an admin has made, and that can do nothing else.
func TestJoinOverHTTP(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		made, err := f.client().CreateJoinToken(t.Context(), api.JoinTokenRequest{Name: "lab", Tags: []string{"eu"}})
		if err != nil {
			t.Fatal(err)
		}
		token, s := made.Token.Secret, newJoiner()
		answer, code := f.begin(token, s)
		if code != "" || answer.Org != "acme" {
			t.Fatalf("%+v %q", answer, code)
		}
		if answer, code = f.begin(token, s); code != "" {
			t.Errorf("the same server again: %q", code)
		}
		if _, code := f.begin(token, newJoiner()); code != bridge.CodeJoinOther {
			t.Errorf("another server: %q", code)
		}
		done := f.sealed(token, s, answer)
		connection, code := f.complete(token, done)
		if code != "" || connection.Name != "lab" || connection.Owner != "org:acme" || connection.Way != api.WayTunnel {
			t.Fatalf("%+v %q", connection, code)
		}
		if again, code := f.complete(token, done); code != "" || again.ID != connection.ID || again.KeyID != done.KeyID {
			t.Errorf("the same again, since the answer was lost: %+v %q", again, code)
		}
		again := done
		again.Proofs = nil
		if _, code := f.complete(token, again); code != bridge.CodeJoinServerTaken {
			t.Errorf("the same again, by who has overheard it without its proof: %q", code)
		}
		if _, code := f.begin(token, s); code != bridge.CodeJoinServerTaken {
			t.Errorf("its ID again, without a proof: %q", code)
		}
		if c, err := f.client().Connection(t.Context(), connection.ID); err != nil || c.Mine || c.Access != "full" || c.Tags[0] != "eu" {
			t.Errorf("an admin sees %+v (%v)", c, err)
		}
		list, err := f.client().JoinTokens(t.Context())
		if err != nil || len(list) != 1 || list[0].State != api.JoinUsedUp || list[0].UsedAt == nil || list[0].CreatedBy != "user:ann@acme.test" {
			t.Errorf("listed: %+v %v", list, err)
		}
		for _, path := range []string{"/v1/me", "/v1/connections", "/v1/join-tokens", "/v1/connections/" + connection.ID, "/v1/audit", "/connections"} {
			for _, header := range []string{"Authorization", "X-API-Key"} {
				value := token.Reveal()
				if header == "Authorization" {
					value = "Bearer " + value
				}
				if resp, _ := f.do("GET", path, "", header, value); resp.StatusCode != http.StatusUnauthorized && (path != "/connections" || resp.StatusCode != http.StatusSeeOther) {
					t.Errorf("the token at %s: %d", path, resp.StatusCode)
				}
			}
		}
		if status, _ := f.oauth("/oauth/token", map[string][]string{"grant_type": {api.GrantExchange}, "subject_token": {token.Reveal()},
			"subject_token_type": {api.TokenTypeAccess}, "resource": {"https://a.test"}}); status != http.StatusBadRequest {
			t.Errorf("the token at the token endpoint: %d", status)
		}
		if _, code := f.begin(f.token, s); code != bridge.CodeJoinTokenMalformed {
			t.Errorf("a session joins: %q", code)
		}
		if resp, _ := f.do("POST", api.PathJoin, "{}", "Content-Type", "application/json"); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("nobody joins: %d", resp.StatusCode)
		}
	})
}

// Tokens beyond their count, expired, revoked, or of another organization join nothing, and requests are strict and bounded.
func TestJoinRefusalsOverHTTP(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	create := func(req api.JoinTokenRequest) api.CreatedJoinToken {
		t.Helper()
		made, err := f.client().CreateJoinToken(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	fleet, short, gone := create(api.JoinTokenRequest{Uses: 2}), create(api.JoinTokenRequest{ExpiresIn: 60}), create(api.JoinTokenRequest{})
	one, two, three := newJoiner(), newJoiner(), newJoiner()
	for _, c := range []struct {
		server joiner
		code   bridge.Code
	}{{one, ""}, {two, ""}, {three, bridge.CodeJoinTokenEnded}, {one, ""}} {
		if _, code := f.begin(fleet.Token.Secret, c.server); code != c.code {
			t.Errorf("one of a fleet: %q, want %q", code, c.code)
		}
	}
	if err := f.client().RevokeJoinToken(t.Context(), gone.ID); err != nil {
		t.Error(err)
	}
	if err := f.client().RevokeJoinToken(t.Context(), uuid.NewString()); bridge.CodeOf(err) != bridge.CodeJoinTokenUnknown {
		t.Errorf("one that is none: %v", err)
	}
	if _, code := f.begin(gone.Token.Secret, one); code != bridge.CodeJoinTokenEnded {
		t.Errorf("revoked: %q", code)
	}
	if _, err := f.cloud.Registry().SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "eve@rival.test", Password: bridge.NewSecret(password), Org: "rival", Role: bridge.RoleOwner}); err != nil {
		t.Fatal(err)
	}
	rival, _, err := f.cloud.DeveloperToken(t.Context(), "eve@rival.test", "rival")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := f.with(rival).CreateJoinToken(t.Context(), api.JoinTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.with(rival).RevokeJoinToken(t.Context(), fleet.ID); bridge.CodeOf(err) != bridge.CodeJoinTokenUnknown {
		t.Errorf("another organization's token is revoked: %v", err)
	}
	answer, _ := f.begin(fleet.Token.Secret, one)
	done := f.sealed(fleet.Token.Secret, one, answer)
	if _, code := f.begin(theirs.Token.Secret, one); code != "" {
		t.Fatal(code)
	}
	if _, code := f.complete(theirs.Token.Secret, done); code != bridge.CodeSealedKeyInvalid {
		t.Errorf("what was sealed for acme joins rival: %q", code)
	}
	body, err := json.Marshal(api.JoinRequest{ServerID: one.id, ServerURL: string(one.url)})
	if err != nil {
		t.Fatal(err)
	}
	bearer := "Bearer " + fleet.Token.Reveal()
	for name, text := range map[string]string{"an unknown name": strings.Replace(string(body), "server_id", "server", 1), "a name twice": strings.Replace(string(body), "{", `{"server_id":"x",`, 1),
		"more after the end": string(body) + "{}", "nothing": ""} {
		if resp, got := f.do("POST", api.PathJoin, text, "Authorization", bearer, "Content-Type", "application/json"); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, resp.StatusCode, got)
		}
	}
	resp, _ := f.do("POST", api.PathJoin, string(body), "Authorization", bearer, "Content-Type", "application/json")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	f.advance(time.Minute)
	if _, code := f.begin(short.Token.Secret, one); code != bridge.CodeJoinTokenEnded {
		t.Errorf("expired: %q", code)
	}
	var last bridge.Code
	for range 101 {
		_, last = f.begin(gone.Token.Secret, one)
	}
	if last != bridge.CodeTooManyRequests {
		t.Errorf("after a hundred tries: %q", last)
	}
}
