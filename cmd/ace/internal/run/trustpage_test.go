package run

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// What the dashboard says to write into an environment file and into docker compose starts a server that trusts the cloud.
func TestTrustPageStartsAServer(t *testing.T) {
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	resp, err := client.PostForm(string(w.CloudURL)+"/login", url.Values{"email": {"admin@acme.test"}, "password": {world.Password},
		"next": {"/settings/trust?server=https://ace.acme.test"}})
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	lines := map[string]string{}
	for _, m := range regexp.MustCompile(`(?s)<textarea [^>]*id="trust-(\w+)"[^>]*>(.*?)</textarea>`).FindAllStringSubmatch(string(page), -1) {
		lines[m[1]] = html.UnescapeString(m[2])
	}
	env := map[string]string{}
	for line := range strings.Lines(lines["env"]) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = value
		}
	}
	var compose composeFile
	if err := yaml.Unmarshal([]byte(lines["compose"]), &compose); err != nil {
		t.Fatalf("%v in %s", err, lines["compose"])
	}
	service := compose.Services["ace"]
	commandExists(t, "ace", service.Command)
	secrets := t.TempDir()
	if err := os.WriteFile(filepath.Join(secrets, "jwt-secret"), []byte(strings.Repeat("s", 48)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, environment := range map[string]map[string]string{"environment file": env, "docker compose": service.Environment} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range environment {
				environment[variable] = strings.NewReplacer("/etc/ace/", "/secrets/", "/run/secrets/", "/secrets/").Replace(value)
			}
			var e serverEnv
			setEnvironment(t, environment, secrets, &e)
			cfg, s, err := e.config()
			if err != nil || s.loopback || !cfg.Trust.Configured() || len(cfg.PublicURLs) != 1 || cfg.PublicURLs[0] != "https://ace.acme.test" {
				t.Errorf("%+v %+v %v", cfg.PublicURLs, s, err)
			}
		})
	}
}
