package main

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/passwords"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cloud/vault"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/e2e/world"
)

// runOnce runs a command line in the environment of a test and returns its exit code and what it said; a server or a cloud
// is stopped once it is up.
func runOnce(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read := make(chan string, 1)
	go func() {
		var all strings.Builder
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadString('\n')
			all.WriteString(line)
			if strings.Contains(line, `"server is up"`) || strings.Contains(line, `"cloud is up"`) {
				stop()
			}
			if err != nil {
				read <- all.String()
				return
			}
		}
	}()
	code = newApp(null, w, w).execute(ctx, args)
	_, _ = w.Close(), null.Close()
	said = <-read
	_ = r.Close()
	return code, said
}

// operatorHome gives a test an environment of its own for a server and a cloud.
func operatorHome(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, value := range map[string]string{"HOME": dir, "ACE_ADDR": "127.0.0.1:0", "ACE_DATA_DIR": filepath.Join(dir, "data"),
		"ACE_ENV": "", "ACE_PROFILE": "", "ACE_KEY": "", "ACE_TOKEN": "", "ACE_LOG_LEVEL": "info"} {
		t.Setenv(name, value)
	}
	return dir
}

func newEncryptionKey(t *testing.T) (value, id string) {
	t.Helper()
	key, err := vault.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.NewVault(key)
	if err != nil {
		t.Fatal(err)
	}
	return key.Reveal(), v.KeyIDs()[0]
}

// TestCloudMissesAnEncryptionKey holds the way of an operator who starts a cloud without a key that rows need.
func TestCloudMissesAnEncryptionKey(t *testing.T) {
	dir := operatorHome(t)
	first, id := newEncryptionKey(t)
	second, other := newEncryptionKey(t)
	expect := func(what string, wantCode int, code int, said string, texts ...string) {
		t.Helper()
		if code != wantCode {
			t.Fatalf("%s: exit code %d, not %d:\n%s", what, code, wantCode, said)
		}
		for _, text := range texts {
			if !strings.Contains(said, text) {
				t.Errorf("%s: %q is not in:\n%s", what, text, said)
			}
		}
	}
	start := func(what, keys string, wantCode int, texts ...string) {
		t.Helper()
		t.Setenv("ACE_DATABASE_ENCRYPTION_KEY", keys)
		code, said := runOnce(t, "cloud")
		expect(what, wantCode, code, said, texts...)
	}
	start("a new cloud", first, 0, "cloud is up")
	addConnection(t, dir, first)

	start("another key", second, term.ExitUnreachable, "1 row needs the encryption key with the ID "+id, "1 connection", "it was last the first key on",
		"the key that is there has the ID "+other, "if it is lost: ace cloud accept-missing-key "+id)
	code, said := runOnce(t, "cloud", "user", "add", "--email", "bob@acme.test", "--org", "acme", "--password", "correct horse battery")
	expect("another command", term.ExitUnreachable, code, said, "ace cloud accept-missing-key "+id)
	code, said = runOnce(t, "cloud", "rotate-encryption-key")
	expect("rotation", term.ExitFailed, code, said, "1 of 1 rows could not be re-encrypted", "the ID "+id)
	start("both keys", second+","+first, 0, "cloud is up")

	t.Setenv("ACE_DATABASE_ENCRYPTION_KEY", second)
	code, said = runOnce(t, "cloud", "accept-missing-key", other)
	expect("a key that is there", term.ExitFailed, code, said, "no row needs a missing encryption key with the ID \""+other, "the ID "+id)
	code, said = runOnce(t, "cloud", "accept-missing-key", id)
	expect("acceptance", 0, code, said, "accepted; unreadable without the key: 1 connection")
	start("after it", second, 0, "cloud is up", "rows stay unreadable", id)

	t.Setenv("ACE_DATABASE_ENCRYPTION_KEY", second+","+first)
	code, said = runOnce(t, "cloud", "rotate-encryption-key")
	expect("rotation with both keys", 0, code, said, "1 row re-encrypted")
	start("the retired key gone", second, 0, "cloud is up")
}

// addConnection stores a connection, whose key is encrypted, as a cloud that is not running would.
func addConnection(t *testing.T, dir, key string) {
	t.Helper()
	cfg := cloud.Config{PublicURL: "http://127.0.0.1:7700", DatabaseURL: "sqlite:" + filepath.Join(dir, "data", "cloud.db"),
		EncryptionKeys: bridge.NewSecret(key), SigningKey: bridge.NewSigningRoot(), Password: passwords.Cost{MemoryKiB: 64, Iterations: 1}}
	reg, db, err := cloud.OpenRegistry(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	u, err := reg.SignUp.AddUser(t.Context(), audit.Actor{ID: "operator"}, signup.NewUser{Email: "ann@acme.test", Password: bridge.NewSecret("correct horse battery"), Org: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := reg.Sessions.OpenSession(t.Context(), u.ID, "acme", accounts.MethodDeveloper, audit.Actor{ID: "operator"})
	if err != nil {
		t.Fatal(err)
	}
	plain := bridge.NewSecret("a plain key").Disclose()
	if _, _, err := reg.Connections.Register(t.Context(), s.Principal.As(audit.Actor{ID: "operator"}), api.RegisterRequest{ServerURL: "https://a.test", APIKey: &plain}); err != nil {
		t.Fatal(err)
	}
}

// TestDatabaseBehindTheCLI holds that a terminal names why the database of a cloud or a server fails, and exits 6.
func TestDatabaseBehindTheCLI(t *testing.T) {
	operatorHome(t)
	cloudDB, serverDB := sqldbtest.LimitedPostgres(t), sqldbtest.LimitedPostgres(t)
	w := world.New(t, cloudDB, serverDB, nil)
	token, _, err := w.Cloud.DeveloperToken(t.Context(), "admin@acme.test", "acme")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ACE_ENV", string(w.CloudURL))
	t.Setenv("ACE_TOKEN", token.Reveal())
	for _, c := range []struct {
		name    string
		trouble func(testing.TB, string) func()
		code    string
		says    string
	}{
		{"away", sqldbtest.Away, "database_unreachable", "the database does not answer"},
		{"no connections", sqldbtest.TooMany, "database_too_many_connections", "the database accepts no more connections"},
		{"read-only", sqldbtest.ReadOnly, "database_read_only", "the database is read-only, and nothing can be stored"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, dsn := range []string{cloudDB, serverDB} {
				defer c.trouble(t, dsn)()
			}
			for what, line := range map[string][]string{
				"cloud":  {"api-key", "create", "--cloud", "--personal", "--name", "laptop"},
				"server": {"api-key", "create", "--name", "ci", "--scope", "app:read", "--server", string(w.URL), "--token", w.OperatorToken.Reveal()},
			} {
				var code int
				var said string
				for range 20 { // connections that were ended with the change are found out one by one
					if code, said = runOnce(t, append(line, "-o", "json")...); strings.Contains(said, c.code) {
						break
					}
				}
				if code != term.ExitUnreachable || !strings.Contains(said, `"code":"`+c.code+`"`) {
					t.Errorf("%s: exit code %d: %s", what, code, said)
				}
				if code, said = runOnce(t, line...); code != term.ExitUnreachable || !strings.Contains(said, c.says) || !strings.Contains(said, "the operator has to") {
					t.Errorf("%s: exit code %d: %s", what, code, said)
				}
			}
		})
	}
}

// TestStartOnASwappedFile holds that a server and a cloud refuse a database that is not the one of before, say why and what to do,
// and take a new one where that is meant.
func TestStartOnASwappedFile(t *testing.T) {
	for _, role := range []string{"server", "cloud"} {
		t.Run(role, func(t *testing.T) {
			dir := operatorHome(t)
			data := filepath.Join(dir, "data")
			file := filepath.Join(data, role+".db")
			first := func() {
				t.Helper()
				if code, said := runOnce(t, role); code != 0 {
					t.Fatalf("a first start: exit code %d\n%s", code, said)
				}
			}
			encryption, _ := newEncryptionKey(t)
			t.Setenv("ACE_DATABASE_ENCRYPTION_KEY", encryption)
			t.Setenv("ACE_CLOUD_SIGNING_KEY", bridge.NewSigningRoot().Reveal())
			t.Setenv("ACE_DATA_DIR", filepath.Join(dir, "other"))
			first()
			other := readText(t, filepath.Join(dir, "other", role+".db"))
			t.Setenv("ACE_DATA_DIR", data)
			first()
			good := readText(t, file)
			put := func(text string) {
				t.Helper()
				for _, suffix := range []string{"-wal", "-shm"} {
					_ = os.Remove(file + suffix)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			const page = 4096
			middle := len(good) / page / 2 * page
			for _, c := range []struct {
				name  string
				swap  func()
				says  []string
				means bool // --new-database is an answer
			}{
				{"an empty file", func() { put("") }, []string{"is missing or empty", "restore a backup", "ace " + role + " --new-database"}, true},
				{"no file", func() { put(""); _ = os.Remove(file) }, []string{"is missing or empty", "restore a backup", "ace " + role + " --new-database"}, true},
				{"another's database", func() { put(other) }, []string{"is not the one that", "restore a backup", "ace " + role + " --new-database"}, true},
				{"a damaged page", func() { put(good[:middle] + strings.Repeat("noise!!!", page/8) + good[middle+page:]) },
					[]string{"the database is damaged", "restore a backup"}, false},
				{"half of it", func() { put(good[:middle]) }, []string{"the database is damaged", "restore a backup"}, false},
				{"noise", func() { put(strings.Repeat("noise!!!", page)) }, []string{"the database is damaged", "restore a backup"}, false},
			} {
				put(good)
				state := readText(t, sqldb.StateFile(data, role))
				c.swap()
				for range 2 { // the first refusal leaves nothing that the second would take for a database
					code, said := runOnce(t, role)
					if code != term.ExitUnreachable {
						t.Errorf("%s: exit code %d:\n%s", c.name, code, said)
					}
					for _, text := range c.says {
						if !strings.Contains(said, text) {
							t.Errorf("%s: %q is not in:\n%s", c.name, text, said)
						}
					}
				}
				if code, said := runOnce(t, role, "--new-database"); c.means != (code == 0) {
					t.Errorf("%s, which is meant: exit code %d:\n%s", c.name, code, said)
				}
				if err := os.WriteFile(sqldb.StateFile(data, role), []byte(state), 0o600); err != nil {
					t.Fatal(err)
				}
				put(good)
				if code, said := runOnce(t, role); code != 0 {
					t.Fatalf("after %s the backup does not start: exit code %d\n%s", c.name, code, said)
				}
			}
		})
	}
}

// TestServerOnACloudsDatabase holds that a server does not take the API keys of a cloud for its own.
func TestServerOnACloudsDatabase(t *testing.T) {
	dir := operatorHome(t)
	if code, said := runOnce(t, "cloud"); code != 0 {
		t.Fatal(said)
	}
	t.Setenv("ACE_DATA_DIR", filepath.Join(dir, "server"))
	t.Setenv("ACE_DATABASE_URL", "sqlite:"+filepath.Join(dir, "data", "cloud.db"))
	for _, line := range [][]string{{"server"}, {"server", "--new-database"}} {
		if code, said := runOnce(t, line...); code != term.ExitUnreachable || !strings.Contains(said, "the database is a cloud's") {
			t.Errorf("%v: exit code %d:\n%s", line, code, said)
		}
	}
}
