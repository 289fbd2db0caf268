package joins_test

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
)

// A server's ID is no secret: who has a join token and another server's ID gets nothing of that server's connection.
func TestServerTaken(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		s, thief := f.NewJoiner(), f.NewJoiner()
		c := s.Join(f.JoinToken(admin, api.JoinTokenRequest{}).Token.Secret)
		thief.ID, thief.URL = s.ID, s.URL
		stolen := f.JoinToken(admin, api.JoinTokenRequest{Name: "stolen"})
		facts := func() []string {
			return f.Column(`SELECT secret || key_id || server_url || status || (SELECT COUNT(*) FROM link_keys) || ' ' || (SELECT SUM(used) FROM join_tokens)
				|| ' ' || (SELECT COUNT(*) FROM join_uses) FROM connections`)
		}
		before := facts()
		if _, err := thief.Begin(stolen.Token.Secret); bridge.CodeOf(err) != bridge.CodeJoinServerTaken {
			t.Errorf("another server begins to join with its ID: %v", err)
		}
		if after := facts(); !slices.Equal(before, after) {
			t.Errorf("a refusal changes %q to %q", before, after)
		}
		answer, err := s.Begin(stolen.Token.Secret) // which the thief has overheard
		if err != nil {
			t.Fatal(err)
		}
		before = facts()
		sealed := thief.Seal(stolen.Token.Secret, answer)
		if _, err := thief.Complete(stolen.Token.Secret, sealed); bridge.CodeOf(err) != bridge.CodeJoinServerTaken {
			t.Errorf("another server completes the join: %v", err)
		}
		thief.Former = []ed25519.PrivateKey{f.NewJoiner().Link}
		for range 3 {
			if _, err := thief.Complete(stolen.Token.Secret, sealed); bridge.CodeOf(err) != bridge.CodeJoinServerTaken || bridge.AsError(err).Hint == "" {
				t.Errorf("with other keys: %v", err)
			}
		}
		if after := facts(); !slices.Equal(before, after) || !f.opens(s, s.Public())[0] {
			t.Errorf("a refusal changes %q to %q", before, after)
		}
		for action, want := range map[string]int{"join_token.use": 1, "connection.join": 4} {
			got := 0
			for _, e := range f.Audited(admin, action) {
				if e.Outcome == string(bridge.CodeJoinServerTaken) && e.Actor == "join_token:"+stolen.ID && e.Target == e.Actor && e.Details["server_id"] == s.ID {
					got++
				}
			}
			if got != want {
				t.Errorf("%s: %d refusals are audited, want %d", action, got, want)
			}
		}
		if _, err := f.Connections.Delete(t.Context(), admin.As(admin.Actor("", "")), c.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := thief.Complete(stolen.Token.Secret, sealed); err != nil {
			t.Errorf("once the server is disconnected: %v", err)
		}
	})
}

// A server that joins again shows any key that the cloud has for it: the present one, or one that is just being replaced. Of an interrupted
// join, that is the key that the server has made for it.
func TestJoinInterrupted(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		token, s := f.JoinToken(admin, api.JoinTokenRequest{}).Token.Secret, f.NewJoiner()
		next := func() { // makes the key of another link, and keeps the former one
			s.Former = []ed25519.PrivateKey{s.Link}
			s.Link = f.NewJoiner().Link
		}
		first := s.Join(token)
		for range 3 { // the cloud has completed it, the answer was lost, and the rerun has another key
			next()
			if again := s.Join(token); again.ID != first.ID || again.KeyID != s.Key.ID.String() {
				t.Errorf("the rerun: %+v", again)
			}
		}
		former := s.Link
		next()
		if err := f.Joins.RotateKey(t.Context(), first.ID, s.Public(), audit.Actor{}); err != nil {
			t.Fatal(err)
		}
		rotated := s.Link
		s.Link, s.Former = f.NewJoiner().Link, []ed25519.PrivateKey{former}
		if _, err := s.Begin(token); err != nil {
			t.Errorf("with the key that was just replaced: %v", err)
		}
		f.Advance(24 * time.Hour)
		token = f.JoinToken(admin, api.JoinTokenRequest{}).Token.Secret
		if _, err := s.Begin(token); bridge.CodeOf(err) != bridge.CodeJoinServerTaken {
			t.Errorf("with a key that has ended: %v", err)
		}
		s.Former = append(s.Former, rotated)
		if again := s.Join(token); again.ID != first.ID {
			t.Errorf("with the present one: %+v", again)
		}
	})
}

// A refused join is audited with its token, address and code, if there is such a token, and not without end.
func TestRefusedJoinsAreAudited(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.Person("ann@a.test", "acme", bridge.RoleAdmin)
		made := f.JoinToken(admin, api.JoinTokenRequest{Name: "lab"})
		f.NewJoiner().Join(made.Token.Secret)
		try := func(token bridge.Secret) {
			t.Helper()
			s := f.NewJoiner()
			if _, err := f.Joins.Begin(t.Context(), token, api.JoinRequest{ServerID: s.ID, ServerURL: string(s.URL)}, audit.Actor{Address: "192.0.2.7"}); err == nil {
				t.Error("it joins")
			}
		}
		refusals := func() (out []api.AuditEntry) {
			for _, e := range f.Audited(admin, "join_token.use") {
				if e.Outcome != audit.OK {
					out = append(out, e)
				}
			}
			return out
		}
		text := made.Token.Secret.Reveal()
		try(bridge.NewSecret(text[:strings.LastIndex(text, ".")+1] + bridge.RandomToken(32)))
		if got := refusals(); len(got) != 0 {
			t.Errorf("of an unknown token: %+v", got)
		}
		try(made.Token.Secret)
		if got := refusals(); len(got) != 1 || got[0].Outcome != string(bridge.CodeJoinOther) || got[0].Actor != "join_token:"+made.ID || got[0].Address != "192.0.2.7" ||
			got[0].Details["name"] != "lab" {
			t.Errorf("audited: %+v", got)
		}
		for range 50 {
			try(made.Token.Secret)
		}
		if got := refusals(); len(got) != 10 {
			t.Errorf("51 refusals at once: %d are audited", len(got))
		}
		f.Advance(time.Hour)
		if try(made.Token.Secret); len(refusals()) != 11 || refusals()[0].Outcome != string(bridge.CodeJoinTokenEnded) {
			t.Errorf("an hour later: %+v", refusals()[0])
		}
	})
}
