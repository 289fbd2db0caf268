package main

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The example environments start: their variables exist, and nothing that a production start needs is missing.
func TestExampleEnvironments(t *testing.T) {
	secrets := t.TempDir()
	if _, err := initSecrets(secrets, "acme", "https://cloud.vendor.com"); err != nil {
		t.Fatal(err)
	}
	t.Run("server", func(t *testing.T) {
		var e serverEnv
		setEnvironment(t, readEnvFile(t, "server.env"), secrets, &e)
		if cfg, s, err := e.config(); err != nil || s.loopback || !cfg.Trust.Configured() {
			t.Errorf("%+v %v", s, err)
		}
	})
	t.Run("cloud", func(t *testing.T) {
		var e cloudEnv
		setEnvironment(t, readEnvFile(t, "cloud.env"), secrets, &e)
		if _, s, err := e.config(); err != nil || s.loopback {
			t.Errorf("%+v %v", s, err)
		}
	})
}

func readEnvFile(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("../../configs/env", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	out := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(name, "#") {
			out[name] = strings.Replace(value, "/etc/ace/", "/secrets/", 1)
		}
	}
	return out
}

// Each proxy example passes every identity header on and no other of that name.
func TestProxyExamplesNameEveryIdentityHeader(t *testing.T) {
	pattern := regexp.MustCompile(`X-Ace-[A-Za-z-]+`)
	for _, name := range []string{"nginx/forward-auth.conf", "caddy/Caddyfile", "traefik/dynamic.yml"} {
		raw, err := os.ReadFile(filepath.Join("../../configs", name))
		if err != nil {
			t.Fatal(err)
		}
		found := pattern.FindAllString(string(raw), -1)
		for _, header := range identityHeaders {
			if !slices.Contains(found, header) {
				t.Errorf("%s does not pass %s on", name, header)
			}
		}
		for _, header := range found {
			if !slices.Contains(identityHeaders, header) && header != "X-Ace-Api-Key" {
				t.Errorf("%s names %s, which nobody sets", name, header)
			}
		}
		if strings.HasSuffix(name, ".yml") {
			if err := yaml.Unmarshal(raw, new(any)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
