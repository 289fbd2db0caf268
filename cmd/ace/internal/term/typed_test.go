package term

import (
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

// What hints tell a person to type works where they are: under the program's own name, cloud and profile.
func TestCommandsInHintsAsTyped(t *testing.T) {
	for _, c := range []struct {
		name, self, env, profile string
		text, want               string
	}{
		{"in PATH", "ace", "", "", "ace login", "ace login"},
		{"not in PATH", "./ace", "", "", "ace login", "./ace login"},
		{"go run", "go run ./cmd/ace", "", "", "  fix: ace connect --server URL; or: ace login", "  fix: go run ./cmd/ace connect --server URL; or: go run ./cmd/ace login"},
		{"quoted", "./ace", "", "", "connect again with `ace connect`, or (ace org trust)", "connect again with `./ace connect`, or (./ace org trust)"},
		{"another cloud", "ace", "cloud.test", "", "ace connections list", "ace --env cloud.test connections list"},
		{"another profile", "ace", "", "my own", "ace connections list", `ace --profile "my own" connections list`},
		{"a secret in the place of a cloud", "ace", bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal(), "", "ace login", "ace login"},
		{"named already", "./ace", "cloud.test", "", "ace login --env https://cloud.test", "./ace login --env https://cloud.test"},
		{"one of two", "ace", "cloud.test", "", "ace login --env cloud.test; then: ace api-key list", "ace login --env cloud.test; then: ace --env cloud.test api-key list"},
		{"on another machine", "./ace", "", "", "on the server: ace api-key create --for-connection", "on the server: ace api-key create --for-connection"},
		{"no command", "./ace", "", "", "it is an ace server, not a cloud; the face connects", "it is an ace server, not a cloud; the face connects"},
		{"a word that begins alike", "./ace", "", "", "ace connectors", "ace connectors"},
	} {
		a := &Terminal{Self: c.self, Env: c.env, Profile: c.profile}
		if got := a.AsTyped(c.text); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
