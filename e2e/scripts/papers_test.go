package scripts

import (
	"bytes"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/e2e/world"
)

// block is a fenced block of a paper.
type block struct{ paper, language, text string }

var (
	fence   = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	comment = regexp.MustCompile(`\s+#.*$`)
)

// blocks reads all fenced blocks of README.md and docs/*.md.
func blocks(t *testing.T) []block {
	t.Helper()
	papers, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(papers) == 0 {
		t.Fatalf("no papers in docs/ (%v)", err)
	}
	var out []block
	for _, paper := range append(papers, "../../README.md") {
		raw, err := os.ReadFile(paper) //nolint:gosec // of this repository
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllStringSubmatch(string(raw), -1) {
			out = append(out, block{filepath.Base(paper), m[1], m[2]})
		}
	}
	return out
}

// Every block says what it is in, so that no command hides from the tests.
func TestPapersBlocksSayTheirLanguage(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{"yaml": "TestPapersCatalogues", "js": "e2e/browser", "console": "TestTheTourAsTyped",
		"mermaid": "a picture", "text": "no command"}
	for _, b := range blocks(t) {
		if elsewhere[b.language] == "" && b.language != "sh" && !slices.Contains(shells, b.language) {
			t.Errorf("%s: a block in %q is run by no test:\n%s", b.paper, b.language, b.text)
		}
	}
}

// shells are those that have a completion.
var shells = []string{"bash", "zsh", "fish"}

// Every line of the papers' blocks in sh is a command that does what it should, in a world where the names that they use exist.
func TestPapersCommands(t *testing.T) {
	t.Parallel()
	world.Installed(t, "bash")
	world.Installed(t, "curl")
	p := newPapers(t)
	seen := map[string]bool{}
	for _, b := range blocks(t) {
		if b.language != "sh" {
			continue
		}
		for line := range strings.Lines(b.text) {
			line = comment.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
			if seen[line] || line == "" {
				continue
			}
			seen[line] = true
			t.Run(b.paper+"/"+line, func(t *testing.T) { p.try(t, line) })
		}
	}
	for line := range ways {
		if !seen[line] {
			t.Errorf("no paper shows %q", line)
		}
	}
	if len(seen) < 130 {
		t.Errorf("only %d commands were found", len(seen))
	}
}

// The lines with which a shell completes are taken by that shell.
func TestPapersCompletion(t *testing.T) {
	t.Parallel()
	ran := 0
	for _, b := range blocks(t) {
		if !slices.Contains(shells, b.language) {
			continue
		}
		ran++
		t.Run(b.language, func(t *testing.T) {
			before := map[string]string{"zsh": "autoload -U compinit; compinit -u; "}[b.language]
			cmd := exec.CommandContext(t.Context(), world.Installed(t, b.language), "-c", before+b.text)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if ran != len(shells) {
		t.Errorf("the papers show the completion of %d shells", ran)
	}
}

// papers is the world in which the commands of the papers run.
type papers struct {
	*world.World
	home      string // of a person who is logged in as the admin
	operator  string // a data directory with a cloud's and a server's database
	secrets   []string
	id        string // of the connection "production"
	key       api.CreatedKey
	invited   string // the token of an invitation
	joinToken string // ID
	refused   string // the ID of a request that the server has refused
}

func newPapers(t *testing.T) *papers {
	t.Helper()
	p := &papers{}
	cloudDB := sqldbtest.SQLite(t)
	p.World = world.NewOf(t, cloudDB, sqldbtest.SQLite(t), func(c *cloud.Config) {
		p.secrets = []string{"ACE_DATABASE_ENCRYPTION_KEY=" + c.EncryptionKeys.Reveal(), "ACE_CLOUD_SIGNING_KEY=" + c.SigningKey.Reveal()}
	}, nil, slog.New(slog.DiscardHandler))
	p.home = t.TempDir()
	p.must(t, p.home, nil, "ace auth login-token --profile staging --token "+p.TokenOf("admin"))
	p.must(t, p.home, nil, "ace auth login-token --token "+p.TokenOf("admin"))
	for _, name := range []string{"key.txt", "ace-key", "token.txt", "ace-token", "config.yaml"} {
		p.write(t, p.home, name, "nothing")
	}
	if err := os.Mkdir(filepath.Join(p.home, "src"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.operator = t.TempDir()
	data := append([]string{"ACE_DATA_DIR=" + p.operator, "ACE_ADDR=127.0.0.1:0"}, p.secrets...)
	p.must(t, p.home, data, "ace cloud user add --email ada@company.com --org acme --password-stdin <<<'"+world.Password+"'")
	if got := p.run(t, p.home, data, how{until: "server is up"}, "ace server"); got.code != 0 {
		t.Fatal(got.said)
	}
	for _, email := range []string{"ada@company.com", "ann@company.com"} {
		p.add(t, email, "other") // where they stay, and ready has them join ours
	}
	return p
}

// add makes an account, which is a member.
func (p *papers) add(t *testing.T, email, org string) {
	t.Helper()
	if _, err := p.Cloud.Registry().SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: email,
		Password: bridge.NewSecret(world.Password), Org: org, Role: bridge.RoleMember}); err != nil {
		t.Fatal(err)
	}
}

// login logs somebody new in, who is in no organization but one.
func (p *papers) login(t *testing.T, home, org string) {
	t.Helper()
	email := strings.ToLower(bridge.RandomToken(6)) + "@guests.test"
	p.add(t, email, org)
	token, _, err := p.Cloud.DeveloperToken(t.Context(), email, org)
	if err != nil {
		t.Fatal(err)
	}
	p.must(t, home, nil, "ace auth login-token --profile staging --token "+token.Reveal())
	p.must(t, home, nil, "ace auth login-token --token "+token.Reveal())
}

func (p *papers) write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *papers) must(t *testing.T, home string, env []string, line string) {
	t.Helper()
	if got := p.run(t, home, env, how{}, line); got.code != 0 {
		t.Fatalf("%s exits with %d\n%s", line, got.code, got.said)
	}
}

// ready makes what the commands name: the connection "production", a key "ci" of the cloud, and Ada, who is a member.
func (p *papers) ready(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	admin := p.Admin
	connections, err := admin.Connections(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(connections) != 1 || connections[0].OwnerOnly {
		for _, c := range connections {
			if _, err := admin.Delete(ctx, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		connections = []api.Connection{p.Connect(admin)}
	}
	p.id = connections[0].ID
	if _, err := admin.Patch(ctx, p.id, api.ConnectionPatch{Name: new("production"), Visibility: new("organization")}); err != nil {
		t.Fatal(err)
	}
	keys, err := admin.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Name == "ci" && (k.Status == "active" || k.Status == "disabled") {
			if _, err := admin.RevokeKey(ctx, k.KeyID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p.key, err = admin.CreateKey(ctx, api.CreateKeyRequest{Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	members, err := admin.Members(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"ada@company.com", "ann@company.com"} {
		if !slices.ContainsFunc(members, func(m api.Member) bool { return m.Email == email }) {
			open(t, p, "")
			post := dashboardForms(t, string(p.CloudURL), email, world.Password, "/invite?token="+p.invited)
			post("/invite", url.Values{"token": {p.invited}})
		}
	}
}

// how says in what a command differs from one that is given nothing, ends, and exits with 0.
type how struct {
	not     string // why no test can run it
	stdin   func(*papers) string
	exit    int
	until   string // a command that goes on is interrupted once this appears
	twin    string // what is run in its place
	nobody  bool   // in a home where nobody is logged in
	guest   string // as a person of this organization, whose account or session the command may spoil
	refuses string // the command finds nothing to do, and says so
	before  func(*testing.T, *papers, string)
	address func(*papers) bridge.ServerURL // of the process that an operator's command asks
}

type ran struct {
	said string
	code int
}

// run runs a command line in bash.
func (p *papers) run(t *testing.T, home string, env []string, h how, line string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
	cmd.Dir = home
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "NO_COLOR=1", "ACE_ENV=" + string(p.CloudURL), "KEY=" + p.key.Key.Reveal()}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if h.stdin != nil {
		cmd.Stdin = strings.NewReader(h.stdin(p) + "\n")
	}
	said := &watched{more: make(chan struct{}, 1)}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	kill := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer kill.Stop()
	confirmed, interrupted := false, false
	for {
		select {
		case err := <-ended:
			if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
				t.Fatal(err)
			}
			code := cmd.ProcessState.ExitCode()
			if interrupted && (code == -1 || code == 130) {
				code = 0
			}
			if h.until != "" && !interrupted && code == 0 {
				t.Fatalf("%s ended by itself\n%s", line, said)
			}
			return ran{said.String(), code}
		case <-said.more:
			text := said.String()
			if m := codePattern.FindStringSubmatch(text); m != nil && !confirmed {
				confirmed = true
				post := dashboardForms(t, string(p.CloudURL), "admin@acme.test", world.Password, "/device?user_code="+m[1])
				post("/device", url.Values{"user_code": {m[1]}, "action": {"approve"}})
			} else if m := pageLine.FindStringSubmatch(text); m != nil && !confirmed && strings.Contains(line, "--browser") {
				confirmed = true
				page, err := url.Parse(m[1])
				if err != nil {
					t.Fatal(err)
				}
				form := page.Query()
				form.Set("action", "approve")
				dashboardForms(t, string(p.CloudURL), "admin@acme.test", world.Password, page.RequestURI())(page.Path, form)
			}
			if h.until != "" && !interrupted && strings.Contains(text, h.until) {
				interrupted = true
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
			}
		}
	}
}

var pageLine = regexp.MustCompile(`(?m)^Open (\S+)$`)

// watched keeps what a command prints, and tells when there is more.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.text.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// try runs a command of the papers.
func (p *papers) try(t *testing.T, line string) {
	h := ways[line]
	if h.not != "" {
		return
	}
	p.World.T = t
	p.ready(t)
	home := t.TempDir()
	if !h.nobody {
		if err := os.CopyFS(home, os.DirFS(p.home)); err != nil {
			t.Fatal(err)
		}
	}
	var env []string
	switch {
	case h.guest != "":
		p.login(t, home, h.guest)
	case strings.HasPrefix(line, "ace cloud"), strings.HasPrefix(line, "ace server"):
		data := t.TempDir()
		if err := os.CopyFS(data, os.DirFS(p.operator)); err != nil {
			t.Fatal(err)
		}
		env = append(append([]string{"ACE_DATA_DIR=" + data, "ACE_ADDR=127.0.0.1:0"}, p.secrets...), env...)
	}
	line2 := line
	if h.twin != "" {
		line2 = h.twin
	}
	if h.before != nil {
		h.before(t, p, home)
	}
	if h.address != nil {
		env = append(env, "ACE_ADDR="+strings.TrimPrefix(string(h.address(p)), "http://"))
	}
	if h.refuses != "" {
		h.exit = world.ExitFailed
	}
	got := p.run(t, home, env, h, p.here(home).Replace(line2))
	if got.code != h.exit || !strings.Contains(got.said, h.refuses) {
		t.Errorf("it exits with %d, not %d\n%s", got.code, h.exit, got.said)
	} else if testing.Verbose() {
		t.Logf("%s", got.said)
	}
}

// here puts the world's own names in the place of those that the papers use.
func (p *papers) here(home string) *strings.Replacer {
	_, host, _ := strings.Cut(string(p.CloudURL), "://")
	return strings.NewReplacer("https://ace.company.com", string(p.URL), "http://localhost:7777", string(p.URL),
		"https://cloud.company.com", string(p.CloudURL), "https://cloud.example.com", string(p.CloudURL), "cloud.company.com", host,
		"01a1fc30-3fc5-7603-bc83-1f1313f67ee9", p.key.KeyID, "0198a3c1-7d21-7c3e-8f00-0123456789ab", p.joinToken, "KEYID.KEY", p.key.KeyID+"."+p.key.Key.Reveal(), "/ID/", "/"+p.id+"/",
		"org-123", "acme", "token=TOKEN", "token="+p.invited, "0RDZ6ZKMQ4", p.refused, "/run/secrets", home, `"…"`, `"`+world.Password+`"`)
}
