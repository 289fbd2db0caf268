package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// The time of the keyring is for all its calls together.
func TestKeyringBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &ring{limit: keyringTimeout}
		start := time.Now()
		slow := func(d time.Duration) func() (string, error) {
			return func() (string, error) {
				select {
				case <-time.After(d):
				case <-release:
				}
				return "", nil
			}
		}
		if _, err := r.ask(t.Context(), slow(2*time.Second)); err != nil {
			t.Errorf("a keyring that answers after 2 s: %v", err)
		}
		for range 3 {
			if _, err := r.ask(t.Context(), slow(time.Hour)); !errors.Is(err, errKeyringSilent) {
				t.Errorf("a silent keyring: %v", err)
			}
		}
		if took := time.Since(start); took != keyringTimeout {
			t.Errorf("the keyring took %s in all, want %s", took, keyringTimeout)
		}
		close(release)
	})
}

// What counts: a variable before the profile, and which of several.
func TestCredentialOrder(t *testing.T) {
	key := bridge.NewKey(bridge.KindLive, uuid.New())
	id, secret := key.ID.String(), key.Text().Reveal()
	tests := []struct {
		name            string
		env             map[string]string
		source, bearer  string
		ignored         []string
		code, complaint string
	}{
		{name: "none"},
		{name: "ACE_KEY", env: map[string]string{"ACE_KEY": "k"}, source: "ACE_KEY", bearer: "k"},
		{name: "ACE_TOKEN", env: map[string]string{"ACE_TOKEN": "t"}, source: "ACE_TOKEN", bearer: "t"},
		{name: "trio", env: map[string]string{trio[0]: id, trio[1]: secret, trio[2]: "ci"}, source: trio[0], bearer: id + "." + secret},
		{name: "trio of a key with its ID", env: map[string]string{trio[0]: id, trio[1]: id + "." + secret, trio[2]: "ci"}, source: trio[0], bearer: id + "." + secret},
		{name: "all", env: map[string]string{"ACE_KEY": "k", trio[0]: id, trio[1]: secret, trio[2]: "ci", "ACE_TOKEN": "t"},
			source: "ACE_KEY", bearer: "k", ignored: []string{trio[0] + ": ACE_KEY counts before it", "ACE_TOKEN: ACE_KEY counts before it"}},
		{name: "trio and token", env: map[string]string{trio[0]: id, trio[1]: secret, trio[2]: "ci", "ACE_TOKEN": "t"},
			source: trio[0], bearer: id + "." + secret, ignored: []string{"ACE_TOKEN: " + trio[0] + " counts before it"}},
		{name: "no secret", env: map[string]string{trio[0]: id, trio[2]: "ci"}, code: term.CodeUsage, complaint: trio[0] + " and " + trio[2] + " is set without " + trio[1]},
		{name: "no name", env: map[string]string{trio[0]: id, trio[1]: secret}, code: term.CodeUsage, complaint: "without " + trio[2]},
		{name: "no ID, beside a token", env: map[string]string{trio[1]: secret, trio[2]: "ci", "ACE_TOKEN": "t"}, code: term.CodeUsage, complaint: "without " + trio[0]},
		{name: "mistyped", env: map[string]string{trio[0]: id, trio[1]: secret[:60], trio[2]: "ci"}, code: "key_malformed", complaint: trio[1]},
		{name: "another ID", env: map[string]string{trio[0]: uuid.New().String(), trio[1]: secret, trio[2]: "ci"}, code: "key_id_mismatch", complaint: trio[1]},
		{name: "no ID in it", env: map[string]string{trio[0]: "mine", trio[1]: secret, trio[2]: "ci"}, code: "credential_malformed", complaint: trio[0]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range append([]string{"ACE_KEY", "ACE_TOKEN"}, trio[:]...) {
				t.Setenv(name, tt.env[name])
			}
			g, err := fromEnv()
			if bridge.CodeOf(err) != tt.code || (err != nil && !strings.Contains(err.Error(), tt.complaint)) {
				t.Fatalf("the error is %v, want %q with %q", err, tt.code, tt.complaint)
			}
			if g.source != tt.source || g.bearer.Reveal() != tt.bearer || !slices.Equal(g.ignored, tt.ignored) {
				t.Errorf("%s counts, ignored are %q", g.source, g.ignored)
			}
		})
	}
}

// Which profile counts, by what was said: all combinations of the five places.
func TestProfileOrder(t *testing.T) {
	c := config{Active: "active", Profiles: map[string]*profile{}}
	for _, name := range []string{"active", "flag", "variable"} {
		c.Profiles[name] = &profile{CloudURL: bridge.ServerURL("https://" + name + ".example")}
	}
	c.Profiles["env"] = &profile{CloudURL: "https://env.example"}
	c.Profiles["ace-env"] = &profile{CloudURL: "https://ace-env.example"}
	for bits := range 16 {
		said := []struct{ place, value, profile string }{
			{"--profile", "flag", "flag"}, {"--env", "env.example", "env"},
			{"ACE_PROFILE", "variable", "variable"}, {"ACE_ENV", "https://ace-env.example", "ace-env"},
		}
		a := newTestApp()
		want, ignored := "active", 0
		for i := range said {
			switch {
			case bits&(1<<i) == 0:
				said[i].value = ""
			case want == "active":
				want = said[i].profile
			default:
				ignored++
			}
		}
		a.Term.Profile, a.Term.Env = said[0].value, said[1].value
		t.Setenv("ACE_PROFILE", said[2].value)
		t.Setenv("ACE_ENV", said[3].value)
		sel, err := a.selectProfile(c)
		if err != nil || sel.name != want || len(sel.ignored) != ignored || sel.cloud != c.Profiles[want].CloudURL {
			t.Errorf("%v: the profile is %q of %s, ignored are %q, want %q and %d: %v", said, sel.name, sel.cloud, sel.ignored, want, ignored, err)
		}
	}
}
