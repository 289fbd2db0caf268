package run

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/acebridge/ace/cmd/ace/internal/term"
)

type composeFile struct {
	Services map[string]struct {
		Command     []string
		Profiles    []string
		ReadOnly    bool `yaml:"read_only"`
		Ports       []string
		Environment map[string]string
		Healthcheck struct{ Test []string }
		Volumes     []string
		NetworkMode string `yaml:"network_mode"`
	}
}

// No container engine runs where the tests do, so the file is held against the binary: its commands exist, its
// variables are ones that the command reads, and a start with them passes the checks of the configuration.
func TestComposeFile(t *testing.T) {
	raw, err := os.ReadFile("../../../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	secrets := t.TempDir()
	ours := 0
	for name, service := range file.Services {
		if name == "postgres" {
			continue
		}
		ours++
		if !service.ReadOnly {
			t.Errorf("%s: the file system is not read-only", name)
		}
		commandExists(t, name, service.Command)
		if test := service.Healthcheck.Test; len(test) > 0 {
			if test[0] != "CMD" || test[1] != "/ace" {
				t.Errorf("%s: the health check is not the binary's: %v", name, test)
			}
			commandExists(t, name, test[2:])
		}
	}
	if ours < 6 {
		t.Errorf("only %d services of ours", ours)
	}
	if _, err := initSecrets(secrets, "acme", "http://localhost:7700"); err != nil {
		t.Fatal(err)
	}
	for _, profile := range []string{"", "-postgres"} {
		cloud, server := file.Services["cloud"+profile], file.Services["server"+profile]
		if !slices.Contains(cloud.Ports, "127.0.0.1:7700:7700") || !slices.Contains(cloud.Ports, "127.0.0.1:7777:7777") {
			t.Errorf("cloud%s: ports %v", profile, cloud.Ports)
		}
		if server.NetworkMode != "service:cloud"+profile {
			t.Errorf("server%s: network %q", profile, server.NetworkMode)
		}
		t.Run("cloud"+profile, func(t *testing.T) {
			var e cloudEnv
			setEnvironment(t, cloud.Environment, secrets, &e)
			cfg, s, err := e.config()
			if err != nil || s.loopback || cfg.PublicURL != "http://localhost:7700" {
				t.Errorf("%+v %v", s, err)
			}
		})
		t.Run("server"+profile, func(t *testing.T) {
			var e serverEnv
			setEnvironment(t, server.Environment, secrets, &e)
			cfg, s, err := e.config()
			if err != nil || s.loopback || !cfg.Trust.Configured() || cfg.Trust.Issuer != "http://localhost:7700" {
				t.Errorf("%+v %v", s, err)
			}
			if cfg.Upstream == nil || cfg.Upstream.Host != "app:8080" || !slices.Contains(file.Services["app"].Command, "0.0.0.0:8080") {
				t.Errorf("the upstream is %v, the app listens at %v", cfg.Upstream, file.Services["app"].Command)
			}
		})
	}
}

// setEnvironment sets a service's variables, with the secrets in a folder of the test, and reads them as the binary does.
func setEnvironment(t *testing.T, environment map[string]string, secrets string, spec any) {
	t.Helper()
	known := map[string]bool{}
	eachVariable(reflect.ValueOf(spec).Elem(), func(name string, _ reflect.Value) { known[name] = true })
	for name, value := range environment {
		if !known[strings.TrimSuffix(name, "_FILE")] {
			t.Errorf("%s is no variable of this command", name)
		}
		t.Setenv(name, strings.Replace(value, "/secrets/", secrets+string(filepath.Separator), 1))
	}
	if err := readEnv(spec); err != nil {
		t.Fatal(err)
	}
}

// commandExists finds the command and checks that it knows its flags.
func commandExists(t *testing.T, service string, args []string) {
	t.Helper()
	r := &Runner{Term: term.New(os.Stdin, os.Stdout, os.Stderr)}
	root := &cobra.Command{Use: "ace"}
	root.AddCommand(r.ServerCommand(), r.CloudCommand(), r.DevCommand())
	cmd, rest, err := root.Find(args)
	if err != nil || cmd == root {
		t.Errorf("%s: there is no command %v (%v)", service, args, err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s: %v: %v", service, args, err)
	}
	if extra := cmd.Flags().Args(); len(extra) > 0 {
		t.Errorf("%s: %v: what is %v?", service, args, extra)
	}
}

func TestDockerfile(t *testing.T) {
	raw, err := os.ReadFile("../../../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	last := text[strings.LastIndex(text, "\nFROM ")+1:]
	for _, want := range []string{"FROM scratch", "USER 65532:65532", `ENTRYPOINT ["/ace"]`} {
		if !strings.Contains(last, want) {
			t.Errorf("the image lacks %s", want)
		}
	}
	if !strings.Contains(text, "CGO_ENABLED=0") {
		t.Error("the binary is not static")
	}
}
