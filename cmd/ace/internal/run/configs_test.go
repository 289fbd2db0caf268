package run

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/sample"
)

// The example environments start: their variables exist, and nothing that a production start needs is missing.
func TestExampleEnvironments(t *testing.T) {
	secrets := t.TempDir()
	if _, err := initSecrets(secrets, "acme", "https://cloud.vendor.com"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secrets, "smtp-url"), []byte("smtp://u:p@mail.vendor.com?from=ace@vendor.com\n"), 0o600); err != nil {
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
		if cfg, s, err := e.config(); err != nil || s.loopback || cfg.Mail == nil {
			t.Errorf("%+v %v", s, err)
		}
	})
}

func readEnvFile(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("../../../../configs/env", name))
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

// Each proxy example passes every identity header on and no other of that name. nginx and Caddy are held to more in
// proxies_test.go.
func TestProxyExamplesNameEveryIdentityHeader(t *testing.T) {
	pattern := regexp.MustCompile(`X-Ace-[A-Za-z-]+`)
	others := []string{bridge.HeaderAceAPIKey, bridge.HeaderKeyExpires}
	for _, name := range []string{"nginx/forward-auth.conf", "caddy/Caddyfile", "traefik/dynamic.yml"} {
		raw, err := os.ReadFile(filepath.Join("../../../../configs", name))
		if err != nil {
			t.Fatal(err)
		}
		found := pattern.FindAllString(string(raw), -1)
		for _, header := range sample.IdentityHeaders {
			if !slices.Contains(found, header) {
				t.Errorf("%s does not pass %s on", name, header)
			}
		}
		for _, header := range found {
			if !slices.Contains(sample.IdentityHeaders, header) && !slices.Contains(others, header) {
				t.Errorf("%s names %s, which nobody sets", name, header)
			}
		}
	}
}

type traefikFile struct {
	HTTP struct {
		Routers map[string]struct {
			Rule, Service string
			Middlewares   []string
		}
		Middlewares map[string]struct {
			ForwardAuth *struct {
				Address                  string
				TrustForwardHeader       *bool    `yaml:"trustForwardHeader"`
				AuthResponseHeaders      []string `yaml:"authResponseHeaders"`
				AuthResponseHeadersRegex string   `yaml:"authResponseHeadersRegex"`
			} `yaml:"forwardAuth"`
			Headers *struct {
				CustomRequestHeaders map[string]string `yaml:"customRequestHeaders"`
				Origins              []string          `yaml:"accessControlAllowOriginList"`
				Methods              []string          `yaml:"accessControlAllowMethods"`
				Allowed              []string          `yaml:"accessControlAllowHeaders"`
				Exposed              []string          `yaml:"accessControlExposeHeaders"`
				MaxAge               int               `yaml:"accessControlMaxAge"`
				Vary                 bool              `yaml:"addVaryHeader"`
			}
		}
		Services map[string]any
	}
}

// No Traefik runs where the tests do, so that its file is held against Traefik's documentation.
func TestTraefikExample(t *testing.T) {
	raw, err := os.ReadFile("../../../../configs/traefik/dynamic.yml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	var file traefikFile
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for name, router := range file.HTTP.Routers {
		for _, middleware := range router.Middlewares {
			if m, ok := file.HTTP.Middlewares[middleware]; !ok || (m.ForwardAuth == nil) == (m.Headers == nil) {
				t.Errorf("%s: the middleware %s is not there, or not one thing", name, middleware)
			}
		}
		if _, ok := file.HTTP.Services[router.Service]; !ok {
			t.Errorf("%s: there is no service %q", name, router.Service)
		}
	}
	if got := file.HTTP.Routers["app"].Middlewares; !slices.Equal(got, []string{"ace-cors", "ace-clean", "ace-verify", "ace-strip"}) {
		t.Fatalf("the app is behind %v", got) // what strips the credential comes after what reads it
	}
	verify := file.HTTP.Middlewares["ace-verify"].ForwardAuth
	if verify == nil || verify.Address != "http://127.0.0.1:7777/ace/v1/verify?refusal=status" || verify.TrustForwardHeader == nil ||
		*verify.TrustForwardHeader || !slices.Equal(verify.AuthResponseHeaders, sample.IdentityHeaders) {
		t.Fatalf("%+v", verify)
	}
	spellings := regexp.MustCompile(verify.AuthResponseHeadersRegex)
	for _, header := range []string{"X-Ace-Subject", "X_ace_subject", "X-Ace.subject", "X_Ace-Key-Id"} {
		if !spellings.MatchString(header) {
			t.Errorf("a client's %s passes", header)
		}
	}
	if spellings.MatchString("X-Acetone-Level") {
		t.Error("the app's own headers do not pass")
	}
	if cors := file.HTTP.Middlewares["ace-cors"].Headers; cors == nil || len(cors.Origins) != 1 || !cors.Vary ||
		!slices.Contains(cors.Allowed, bridge.HeaderAuthorization) || !slices.Contains(cors.Methods, "DELETE") {
		t.Errorf("pages of other origins: %+v", cors)
	}
	stripped := file.HTTP.Middlewares["ace-strip"].Headers.CustomRequestHeaders
	for _, header := range []string{bridge.HeaderAuthorization, bridge.HeaderAPIKey, bridge.HeaderAceAPIKey,
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"} {
		if value, ok := stripped[header]; !ok || value != "" {
			t.Errorf("%s reaches the app", header)
		}
	}
}
