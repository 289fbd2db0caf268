package profile

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

// What counts: a variable before the profile, and which of several.
func TestCredentialOrder(t *testing.T) {
	key := bridge.NewKey(bridge.KindLive, uuid.New())
	id, secret := key.ID.String(), key.Text().Reveal()
	tests := []struct {
		name           string
		env            map[string]string
		source, bearer string
		ignored        []string
		code           bridge.Code
		complaint      string
	}{
		{name: "none"},
		{name: "ACE_KEY", env: map[string]string{"ACE_KEY": "k"}, source: "ACE_KEY", bearer: "k"},
		{name: "ACE_TOKEN", env: map[string]string{"ACE_TOKEN": "t"}, source: "ACE_TOKEN", bearer: "t"},
		{name: "trio", env: map[string]string{Trio[0]: id, Trio[1]: secret, Trio[2]: "ci"}, source: Trio[0], bearer: id + "." + secret},
		{name: "trio of a key with its ID", env: map[string]string{Trio[0]: id, Trio[1]: id + "." + secret, Trio[2]: "ci"}, source: Trio[0], bearer: id + "." + secret},
		{name: "all", env: map[string]string{"ACE_KEY": "k", Trio[0]: id, Trio[1]: secret, Trio[2]: "ci", "ACE_TOKEN": "t"},
			source: "ACE_KEY", bearer: "k", ignored: []string{Trio[0] + ": ACE_KEY takes precedence", "ACE_TOKEN: ACE_KEY takes precedence"}},
		{name: "trio and token", env: map[string]string{Trio[0]: id, Trio[1]: secret, Trio[2]: "ci", "ACE_TOKEN": "t"},
			source: Trio[0], bearer: id + "." + secret, ignored: []string{"ACE_TOKEN: " + Trio[0] + " takes precedence"}},
		{name: "no secret", env: map[string]string{Trio[0]: id, Trio[2]: "ci"}, code: bridge.CodeUsage,
			complaint: Trio[0] + " and " + Trio[2] + " is set without " + Trio[1]},
		{name: "no name", env: map[string]string{Trio[0]: id, Trio[1]: secret}, code: bridge.CodeUsage,
			complaint: "without " + Trio[2]},
		{name: "no ID, beside a token", env: map[string]string{Trio[1]: secret, Trio[2]: "ci", "ACE_TOKEN": "t"},
			code: bridge.CodeUsage, complaint: "without " + Trio[0]},
		{name: "mistyped", env: map[string]string{Trio[0]: id, Trio[1]: secret[:60], Trio[2]: "ci"}, code: "key_malformed", complaint: Trio[1]},
		{name: "another ID", env: map[string]string{Trio[0]: uuid.New().String(), Trio[1]: secret, Trio[2]: "ci"}, code: "key_id_mismatch", complaint: Trio[1]},
		{name: "no ID in it", env: map[string]string{Trio[0]: "mine", Trio[1]: secret, Trio[2]: "ci"}, code: "credential_malformed", complaint: Trio[0]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range append([]string{"ACE_KEY", "ACE_TOKEN"}, Trio[:]...) {
				t.Setenv(name, tt.env[name])
			}
			g, err := FromEnv()
			if bridge.CodeOf(err) != tt.code || (err != nil && !strings.Contains(err.Error(), tt.complaint)) {
				t.Fatalf("the error is %v, want %q with %q", err, tt.code, tt.complaint)
			}
			if g.Source != tt.source || g.Bearer.Reveal() != tt.bearer || !slices.Equal(g.Ignored, tt.ignored) {
				t.Errorf("%s counts, ignored are %q", g.Source, g.Ignored)
			}
		})
	}
}

// White space that a shell or an editor leaves around a key is no part of it.
func TestKeyWithLineEnd(t *testing.T) {
	for _, value := range []string{"tok\n", " tok\r\n", "\ufefftok"} {
		t.Setenv("ACE_KEY", value)
		g, err := FromEnv()
		if err != nil || g.Bearer.Reveal() != "tok" {
			t.Errorf("%q: %q %v", value, g.Bearer.Reveal(), err)
		}
	}
	for _, c := range []struct{ value, want string }{{" \n", "white space"}, {"to\nk", "white space"}, {"té", "ASCII"}, {"\xff\xfet", "UTF-16"}} {
		t.Setenv("ACE_KEY", c.value)
		if _, err := FromEnv(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ACE_KEY") {
			t.Errorf("%q: %v, want %q", c.value, err, c.want)
		}
	}
}
