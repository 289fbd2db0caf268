package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/e2e/world"
)

// go test ./cmd/ace -run TestGolden -update rewrites the files; git diff shows what changed for users.
var update = flag.Bool("update", false, "rewrite the files in testdata/golden")

// golden is a command whose result is recorded, in every output format, as testdata/golden/NAME.golden. before are
// commands that run before each of them. $FORMAT is the format, so that a command can be told apart from its other runs.
type golden struct {
	name, command string
	before        []string
}

const (
	onServer = " --server $SERVER --token $OPERATOR "
	newKey   = "api-key create" + onServer + "--name "
)

var goldens = []golden{
	{name: "version", command: "version"},
	{name: "not_logged_in", command: "connections list"},
	{name: "doctor_not_logged_in", command: "doctor"},
	{name: "auth_login_token", command: "auth login-token --token $TOKEN"},
	{name: "auth_me", command: "auth me"},
	{name: "auth_address", command: "auth address"},
	{name: "auth_status", command: "auth status"},
	{name: "auth_token", command: "auth token"},
	{name: "org_create", command: "org create shop-$FORMAT"},
	{name: "org_list", command: "org list"},
	{name: "org_audit", command: "org audit --action organization.rename --target organization:lab-$FORMAT",
		before: []string{"org create lab-$FORMAT", "org switch lab-$FORMAT", "org rename Lab"}},
	{name: "org_switch", command: "org switch acme"},
	{name: "org_rename", command: "org rename Acme"},
	{name: "org_members", command: "org members"},
	{name: "org_role", command: "org role gone-$FORMAT@acme.test viewer"},
	{name: "org_remove", command: "org remove gone-$FORMAT@acme.test --yes"},
	{name: "org_leave", command: "org leave --yes", before: []string{"org create left-$FORMAT", "org switch left-$FORMAT"}},
	{name: "org_invite", command: "org invite --email new-$FORMAT@acme.test", before: []string{"org switch acme"}},
	{name: "org_invitations", command: "org invitations"},
	{name: "org_withdraw", command: "org withdraw new-$FORMAT@acme.test"},
	{name: "join-token_create", command: "org join-token create --name $FORMAT --uses 3 --expires 7d --tag berlin --share"},
	{name: "join-token_list", command: "org join-token list"},
	{name: "join-token_revoke", command: "org join-token revoke $FORMAT"},
	{name: "org_join", command: "org join http://127.0.0.1:1/invitations/unknown"},
	{name: "connections_none", command: "connections list"},
	{name: "api-key_create", command: newKey + "ci --expires 30d --allow-from 127.0.0.0/8 --rate 100/m --max-uses 5"},
	{name: "api-key_list", command: "api-key list" + onServer},
	{name: "api-key_revive", command: "api-key revive" + onServer + "one-$FORMAT", before: []string{newKey + "one-$FORMAT"}},
	{name: "api-key_rotate", command: "api-key rotate" + onServer + "two-$FORMAT --grace 1h", before: []string{newKey + "two-$FORMAT"}},
	{name: "api-key_disable", command: "api-key disable" + onServer + "two-$FORMAT"},
	{name: "api-key_enable", command: "api-key enable" + onServer + "two-$FORMAT"},
	{name: "api-key_revoke", command: "api-key revoke" + onServer + "two-$FORMAT"},
	{name: "api-key_scopes", command: "api-key scopes" + onServer},
	{name: "api-key_create_cloud", command: "api-key create --cloud --name ci-$FORMAT"},
	{name: "api-key_list_cloud", command: "api-key list --cloud"},
	{name: "connect", command: "connect --server $SERVER --name laptop"},
	{name: "connections_list", command: "connections list"},
	{name: "connections_list_wide", command: "connections list -o wide"},
	{name: "connections_share", command: "connections share laptop"},
	{name: "connections_share_ceiling", command: "connections share laptop --preset read-only"},
	{name: "connections_limit", command: "connections limit laptop member@acme.test --scope app:read"},
	{name: "connections_sharing", command: "connections sharing laptop"},
	{name: "connections_unlimit", command: "connections unlimit laptop member@acme.test"},
	{name: "connections_unshare", command: "connections unshare laptop --yes"},
	{name: "connections_check", command: "connections check laptop"},
	{name: "doctor", command: "doctor --server laptop"},
	{name: "input_needed", command: "disconnect --all"},
	{name: "why", command: "why $REQUEST" + onServer},
	{name: "scan", command: "scan $DIR/found"},
	{name: "scan_nothing", command: "scan $DIR/clean"},
	{name: "org_trust", command: "org trust"},
	{name: "disconnect", command: "disconnect laptop --yes", before: []string{"connect --server $SERVER --name laptop"}},
	{name: "disconnect_unknown", command: "disconnect laptpo"},
	{name: "unreachable", command: "connect --server http://127.0.0.1:1"},
	{name: "usage", command: "connections lst"},
	{name: "auth_login-api-key", command: "auth login-api-key --profile trio-$FORMAT --key $KEY --service-name terraform-prod"},
	{name: "login_pat", command: "login pat --profile pat-$FORMAT --token $PAT"},
	{name: "login_api-key", command: "login api-key --profile key-$FORMAT --name ci --secret $KEY --organization-id acme"},
	{name: "auth_list", command: "auth list"},
	{name: "auth_switch", command: "auth switch pat-table"},
	{name: "logout", command: "logout", before: []string{"auth login-token --token $TOKEN"}},
	{name: "server_token", command: "server token --role member --subject ci"},
	{name: "server_accept-clock", command: "server accept-clock"},
	{name: "server_status", command: "server status"},
	{name: "server_leave", command: "server leave --yes"},
	{name: "server_install", command: "server install --user --print"},
	{name: "server_uninstall", command: "server uninstall --user --yes"},
	{name: "cloud_accept-clock", command: "cloud accept-clock"},
	{name: "server_restore", command: "server restore --accept --disable-keys"},
	{name: "server_doctor", command: "server doctor"},
	{name: "cloud_restore", command: "cloud restore --accept"},
	{name: "cloud_user_add", command: "cloud user add --email $FORMAT@acme.test --name Ada --org acme --password long-enough-$FORMAT"},
	{name: "cloud_user_set-address", command: "cloud user set-address moves-$FORMAT@acme.test moved-$FORMAT@acme.test",
		before: []string{"cloud user add --email moves-$FORMAT@acme.test --org acme --password long-enough-$FORMAT"}},
	{name: "cloud_init", command: "cloud init --dir $DIR/init-$FORMAT --public-url https://cloud.example --org acme"},
	{name: "cloud_rotate", command: "cloud rotate-encryption-key"},
	{name: "cloud_accept-missing-key", command: "cloud accept-missing-key ab12cd34"},
	{name: "cloud_new-signing-key", command: "cloud new-signing-key"},
	{name: "cloud_new-encryption-key", command: "cloud new-encryption-key"},
}

// unrecorded run until they are stopped, wait for a browser, or print no result in formats.
var unrecorded = []string{"login", "auth login", "auth login pat", "auth login api-key", "auth logout", "dev app", "completion", "server health", "cloud health", "server join"}

func TestGolden(t *testing.T) {
	run, token, values := goldenWorld(t)
	fields := recorded(t)
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			var text strings.Builder
			for _, format := range term.Outputs {
				fill := strings.NewReplacer(append([]string{"$FORMAT", format, "$TOKEN", token()}, values...)...)
				for _, line := range g.before {
					if code, _, stderr := run(words(fill.Replace(line))); code != 0 {
						t.Fatalf("ace %s: %s", line, stderr)
					}
				}
				line := strings.Join(strings.Fields(g.command), " ")
				if format != term.OutputTable {
					line += " -o " + format
				}
				code, stdout, stderr := run(words(fill.Replace(line)))
				_, _ = fmt.Fprintf(&text, "$ ace %s\n%s", line, stable(stdout, values))
				if code != 0 {
					_, _ = fmt.Fprintf(&text, "exit code %d, stderr:\n%s", code, stable(stderr, values))
					stdout += stderr
				}
				if format == term.OutputJSON {
					fields.hold(t, g.name, stdout)
				}
			}
			same(t, filepath.Join("testdata", "golden", g.name+".golden"), text.String())
		})
	}
	fields.write(t)
}

// Every command that prints a result is recorded.
func TestGoldenIsComplete(t *testing.T) {
	done := map[string]bool{}
	root := newTestApp().rootCommand()
	for _, g := range goldens {
		if cmd, _, err := root.Find(words(g.command)); err == nil {
			done[strings.TrimPrefix(cmd.CommandPath(), "ace ")] = true
		}
	}
	cmdline.Each(root, func(path string, cmd *cobra.Command) {
		if visible(cmd) && !done[path] && !slices.Contains(unrecorded, path) && !cmd.HasSubCommands() {
			t.Errorf("ace %s is not recorded: add a line to goldens, and run go test ./cmd/ace -run TestGolden -update", path)
		}
	})
}

// goldenWorld returns what runs ace in this process, what makes a developer token of the admin, and what the other
// variables in the commands stand for.
func goldenWorld(t *testing.T) (run func(args []string) (code int, stdout, stderr string), token func() string, values []string) {
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	token = func() string {
		secret, _, err := w.Cloud.DeveloperToken(t.Context(), "admin@acme.test", "acme")
		if err != nil {
			t.Fatal(err)
		}
		return secret.Reveal()
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"found/config.yaml": "name: app\nkey: " + bridge.NewKey(bridge.KindLive, [16]byte{1}).Text().Reveal() + "\n", "clean/none": "none",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"HOME": dir, "XDG_CONFIG_HOME": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": "", "HTTP_PROXY": "",
		"HTTPS_PROXY": "", "NO_PROXY": "", "http_proxy": "", "https_proxy": "", "no_proxy": "", "DBUS_SESSION_BUS_ADDRESS": "", "ACE_ENV": "", "ACE_PROFILE": "", "ACE_KEY": "",
		"ACE_TOKEN": "", "ACE_API_KEY_ID": "", "ACE_DATA_DIR": filepath.Join(dir, "data"), "ACE_LOG_LEVEL": "error"} {
		t.Setenv(name, value)
	}
	t.Setenv("ACE_ENV", string(w.CloudURL))
	version = "v1.2.3"
	t.Cleanup(func() { version = "" })
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	run = func(args []string) (int, string, string) {
		out, errs := filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr")
		stdout, err := os.Create(out)
		if err != nil {
			t.Fatal(err)
		}
		stderr, err := os.Create(errs)
		if err != nil {
			t.Fatal(err)
		}
		code := newApp(null, stdout, stderr).execute(t.Context(), args)
		_, _ = stdout.Close(), stderr.Close()
		return code, readText(t, out), readText(t, errs)
	}
	for _, format := range term.Outputs {
		w.Person("gone-"+format, bridge.RoleMember)
	}
	return run, token, []string{"$KEY", w.CloudKey(bridge.KindLive), "$PAT", w.CloudKey(bridge.KindPAT),
		"$SERVER", string(w.URL), "$DIR", dir, "$BINARY", binary,
		"$OPERATOR", w.OperatorToken.Reveal(), "$REQUEST", refusedRequest(t, w)}
}

// refusedRequest is the ID of a request that the server has refused.
func refusedRequest(t *testing.T, w *world.World) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, string(w.URL)+"/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", bridge.NewKey(bridge.KindLive, [16]byte{2}).Text().Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get("X-Request-Id")
}

func readText(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil && (!*update || !errors.Is(err, fs.ErrNotExist)) {
		t.Fatal(err)
	}
	return string(raw)
}

// varying is what differs from run to run, and what is written in its place.
var varying = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\bey[\w-]+\.[\w-]+\.[\w-]+`), "JWT"},
	{regexp.MustCompile(`\bace_(live|test|sk|pat)_[0-9A-Za-z]{71}\b`), "ace_${1}_KEY"},
	{regexp.MustCompile(`\bace_(live|test|sk|pat)_[0-9A-Za-z]{8}\b`), "ace_${1}_PREFIX"},
	{regexp.MustCompile(`\bace_jt1\.[\w.-]+`), "ace_jt1.VALUE"},
	{regexp.MustCompile(`\b\d+ ms\b`), "N ms"},
	{regexp.MustCompile(`\bace_(pk1|cs1)\.[\w.-]+`), "ace_${1}.VALUE"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`), "DATE"},
	{regexp.MustCompile(`\b(127\.0\.0\.1|localhost):\d{2,}\b`), "${1}:PORT"},
	{regexp.MustCompile(`\b[A-Z2-7]{24}\b`), "REQUEST"},
	{regexp.MustCompile(`[\w-]{40,}=?`), "SECRET"},
	{regexp.MustCompile(`\bgo1\.[\w.]+`), "GO"},
	{regexp.MustCompile(`\b((?:latency|took)_ms"?: ?)\d+`), "${1}MS"},
	{regexp.MustCompile(`\bin \d+ ms\b`), "in MS"},
	{regexp.MustCompile(`(\S)  +`), "$1  "}, // of a table; YAML's stand at the beginning
	{regexp.MustCompile(` +\n`), "\n"},
}

func stable(text string, values []string) string {
	for i := 0; i+1 < len(values); i += 2 {
		if name := values[i]; name == "$DIR" || name == "$REQUEST" || name == "$BINARY" {
			text = strings.ReplaceAll(text, values[i+1], name)
		}
	}
	text = strings.ReplaceAll(text, runtime.GOOS+"/"+runtime.GOARCH, "PLATFORM")
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.name)
	}
	return text
}

// same compares with a file, or writes it.
func same(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(readText(t, path), got); diff != "" {
		t.Errorf("%s (-recorded +now); if it is meant: go test ./cmd/ace -run TestGolden -update\n%s", path, diff)
	}
}

// fieldRecord is testdata/golden/fields: every field that a command has had in its JSON, with its type. Scripts read them, so
// that fields may be added and not taken away: -update adds, and a line is removed by hand only.
type fieldRecord map[string]string

var fieldsPath = filepath.Join("testdata", "golden", "fields")

func recorded(t *testing.T) fieldRecord {
	r := fieldRecord{}
	for line := range strings.Lines(readText(t, fieldsPath)) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		r[name] = kind
	}
	return r
}

func (r fieldRecord) hold(t *testing.T, command, output string) {
	t.Helper()
	now := fieldRecord{}
	for decoder := json.NewDecoder(strings.NewReader(output)); decoder.More(); {
		var v any
		if err := decoder.Decode(&v); err != nil {
			t.Errorf("-o json prints something else: %v\n%s", err, output)
			return
		}
		now.walk(command, v)
	}
	for name, kind := range r {
		switch got, ok := now[name]; {
		case !strings.HasPrefix(name, command+":"):
		case !ok:
			t.Errorf("the field %s is gone; scripts may read it", name)
		case got != kind && got != "null" && kind != "null":
			t.Errorf("the field %s is a %s, it was a %s", name, got, kind)
		}
	}
	for name, kind := range now {
		if was, ok := r[name]; *update && (!ok || was == "null") {
			r[name] = kind
		} else if !ok {
			t.Errorf("the field %s is not recorded: go test ./cmd/ace -run TestGolden -update", name)
		}
	}
}

func (r fieldRecord) walk(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			separator := "."
			if !strings.Contains(path, ":") {
				separator = ":"
			}
			r.walk(path+separator+strings.ReplaceAll(name, " ", "_"), value)
		}
		return
	case []any:
		for _, value := range v {
			r.walk(path+"[]", value)
		}
	}
	kind := "null"
	switch v.(type) {
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case float64:
		kind = "number"
	case []any:
		kind = "list"
	}
	if r[path] == "" || r[path] == "null" {
		r[path] = kind
	}
}

func (r fieldRecord) write(t *testing.T) {
	if !*update {
		return
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r)) {
		_, _ = fmt.Fprintf(&text, "%s %s\n", name, r[name])
	}
	same(t, fieldsPath, text.String())
}
