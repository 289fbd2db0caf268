package terminal

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/e2e/world"
)

// The line that says how to fix a refused credential is about the one that was sent, wherever it came from.
func TestRefusedCredential(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	key, keyID := cloud.Key.Text().Reveal(), cloud.Key.ID.String()
	host := strings.TrimPrefix(cloud.URL, "http://")
	env := "ACE_ENV=" + host
	inParts := []string{"ACE_API_KEY_ID=" + keyID, "ACE_API_KEY_SECRET=" + key, "ACE_API_KEY_SERVICE_NAME=ci"}
	const allParts = "unset ACE_API_KEY_ID ACE_API_KEY_SECRET ACE_API_KEY_SERVICE_NAME"
	logIn := " and log in: ace login --env " + cloud.URL
	ask, askServer := []string{"connections", "list"}, []string{"api-key", "list", "--server", cloud.URL}
	refuse := func(hint string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			api.WriteProblem(w, bridge.E(bridge.Unauthenticated, "key_invalid", "that is not valid").WithHint("%s", hint))
		})
	}
	personOnly := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		api.WriteProblem(w, bridge.E(bridge.Forbidden, "person_only", "an API key cannot do that").WithHint("ace login"))
	})
	tests := []struct {
		name      string
		login     []string // before
		env, args []string
		answer    http.Handler
		code      int
		fix       string
	}{
		{"ACE_KEY", nil, []string{"ACE_KEY=" + key}, ask, refuse("ace login"), 4, "unset ACE_KEY" + logIn},
		{"the trio", nil, inParts, ask, refuse("ace login"), 4, allParts + logIn},
		{"ACE_TOKEN", nil, []string{"ACE_TOKEN=canary"}, ask, refuse("ace login"), 4, "unset ACE_TOKEN" + logIn},
		{"ACE_TOKEN, export", nil, []string{"ACE_TOKEN=canary"}, []string{"org", "audit", "--format", "csv"}, refuse("ace login"), 4, "unset ACE_TOKEN" + logIn},
		{"ACE_TOKEN, status", nil, []string{"ACE_TOKEN=canary"}, []string{"auth", "status"}, refuse("ace login"), 4, "unset ACE_TOKEN" + logIn},
		{"ACE_TOKEN before a session", []string{"login", "--no-browser", "--no-connect"}, []string{"ACE_TOKEN=canary"}, ask, refuse("ace login"), 4,
			"unset ACE_TOKEN to use the session of the profile " + host},
		{"ACE_KEY where it takes a person", nil, []string{"ACE_KEY=" + key}, []string{"org", "create", "lab"}, personOnly, 5, "unset ACE_KEY" + logIn},
		{"a flag", nil, nil, []string{"connect", "--server", cloud.URL, "--token", "canary"}, refuse("ace login"), 4, "pass another --token"},
		{"a session", []string{"login", "--no-browser", "--no-connect"}, nil, ask, refuse("create a key"), 4, "ace login --env " + cloud.URL},
		{"a session of a named profile", []string{"login", "--no-browser", "--no-connect", "--profile", "work"}, nil, append([]string{"--profile", "work"}, ask...),
			refuse(""), 4, "ace login --profile work --env " + cloud.URL},
		{"a stored key", []string{"auth", "login-api-key", "--key", key, "--service-name", "ci"}, nil, ask, refuse("ace login"), 4,
			"ace auth login-api-key --key - --service-name NAME --env " + cloud.URL},
		{"a stored key where it takes a person", []string{"auth", "login-api-key", "--key", key, "--service-name", "ci"}, nil,
			[]string{"org", "create", "lab"}, personOnly, 5, "ace login --force --env " + cloud.URL},
		{"a stored personal token", []string{"login", "pat", "--token", cloud.PAT.Text().Reveal()}, nil, ask, refuse(""), 4,
			"ace login pat --token - --env " + cloud.URL},
		{"ACE_KEY at a server", nil, []string{"ACE_KEY=" + key}, askServer, refuse("ace connect"), 4, "unset ACE_KEY to use your connection; or pass a --token"},
		{"the trio at a server", nil, inParts, askServer, refuse("ace connect"), 4, allParts + " to use your connection"},
		{"a flag at a server", nil, []string{"ACE_TOKEN=canary"}, []string{"api-key", "list", "--server", cloud.URL, "--token", "canary"}, refuse("ace connect"), 4, "pass another --token, made on the server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cloud.Set(func() { cloud.Instead = nil })
			ace := world.NewTerminal(t, env)
			if tt.login != nil {
				ace.Must("", tt.login...)
			}
			cloud.Set(func() { cloud.Instead = tt.answer })
			ace.Env = append(ace.Env, tt.env...)
			out := ace.Run("", tt.args...)
			if out.Code != tt.code || !strings.Contains(out.Stderr, "fix: "+tt.fix) {
				t.Errorf("exits with %d, want %d and %q\n%s", out.Code, tt.code, tt.fix, out.Stderr)
			}
		})
	}
}
