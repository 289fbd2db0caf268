package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// inProcess runs a command line in this process, in a home of its own.
func inProcess(t *testing.T, stdin string, args ...string) (code int, said string) {
	t.Helper()
	files := [3]*os.File{}
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "stream")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		files[i] = f
	}
	if _, err := files[0].WriteString(stdin); err != nil {
		t.Fatal(err)
	}
	if _, err := files[0].Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	code = newApp(files[0], files[1], files[2]).execute(t.Context(), args)
	for _, f := range files[1:] {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		said += string(text)
	}
	return code, said
}

// noCanary fails where a text has the canary in it, in whatever case.
func noCanary(t *testing.T, how, canary, said string) {
	t.Helper()
	if strings.Contains(strings.ToLower(said), strings.ToLower(canary)) {
		t.Errorf("%s: %s", how, said)
	}
}

// TestNoFlagIsRepeated: what a flag for a secret holds is in no message, however wrong it is, and wherever it comes from.
func TestNoFlagIsRepeated(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ACE_ENV", "http://127.0.0.1:1")
	broken := []string{leaked, " " + leaked + " x", leaked + "\nx", "x\n" + leaked, "\xff\xfe" + leaked, leaked + "\xe9", leaked + "%zz", "https://u:" + leaked + "@h:p/%zz",
		"ace_pat_" + leaked, "ace_live_" + strings.Repeat("a", 30) + leaked, leaked + "." + leaked + "." + leaked, "eyJ" + leaked + ".eyJ.x", strings.Repeat(leaked+"-", 10_000), "{\"token\":\"" + leaked + "\"}"}
	for k, command := range []string{"login pat --token", "login api-key --name n --secret", "auth login-api-key --service-name n --key", "auth login-token --token",
		"connect --server http://127.0.0.1:1 --token", "connect --server http://127.0.0.1:1 --api-key", "api-key list --server http://127.0.0.1:1 --token",
		"login --email a@b.test --password-stdin --otp", "why GET / --server http://127.0.0.1:1 --token"} {
		args := strings.Fields(command)
		flag := args[len(args)-1]
		for i, value := range broken {
			file := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
				t.Fatal(err)
			}
			front := append([]string{"--output", []string{"table", "json"}[i%2]}, args...)
			forms := [][]string{append(front, value), append(front[:len(front)-1:len(front)-1], flag+"="+value), append(front, "file:"+file), append(front, "-")}
			form := (i + k) % len(forms) // each command meets each form, and each form each value
			code, said := inProcess(t, value, forms[form]...)
			noCanary(t, fmt.Sprintf("%s, form %d", command, form), leaked, said)
			if code == 0 || said == "" {
				t.Errorf("%s, form %d, value %d: exit %d, %q", command, form, i, code, said)
			}
		}
	}
}

// pastedInto are command lines with a place for what is no secret.
var pastedInto = []string{"connect --server VALUE", "connect VALUE", "disconnect VALUE", "connections share VALUE", "connections check VALUE", "--env VALUE connections list",
	"--profile VALUE connections list", "--profile VALUE --env x_y auth status", "auth switch VALUE", "scan VALUE", "api-key revoke VALUE", "api-key revoke VALUE --server http://127.0.0.1:1",
	"api-key create --name n --max-uses VALUE", "api-key create --name n --expires VALUE --server http://127.0.0.1:1", "--output VALUE version", "VALUE", "connect --VALUE", "connect -xVALUE",
	"connect --server --VALUE=x", "org switch VALUE", "org role VALUE admin", "org role a@b.test VALUE", "org invite VALUE", "org audit --format VALUE", "org audit --from VALUE",
	"server token --life VALUE", "server token --role VALUE", "why GET VALUE --server http://127.0.0.1:1", "completion VALUE", "help VALUE", "dev --addr VALUE",
	"login --email VALUE --password-stdin", "cloud user add --email a@b.test --role VALUE --org VALUE", "scan file:VALUE", "login pat --token file:VALUE"}

// TestNothingPastedIsRepeated: somebody has pasted a secret where something else belongs.
func TestNothingPastedIsRepeated(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ACE_ENV", "http://127.0.0.1:1")
	t.Setenv("ACE_KEY", "some-bearer")
	key := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal()
	random := bridge.RandomToken(32)
	for len(random) > 0 && (!term.MayBeSecret(random) || strings.ContainsAny(random[:1], "-_")) {
		random = bridge.RandomToken(32)
	}
	secrets := [][2]string{ // with what must not be shown of each
		{key, key[20:60]}, {key[:50], key[20:45]}, {strings.ToUpper(key), key[20:60]}, {random, random[4:30]},
		{"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl", "eyJzdWIiOiJjYW5hcnkifQ"},
		{"https://user:" + leaked + "@host.test", leaked}, {"https://" + leaked + "@host.test/%zz", leaked}, {"postgres://user:a b" + leaked + "@h/db", leaked},
		{"ace_cs1.aHR0cHM6Ly9jbG91ZA.YWNtZQ.1." + random, random[4:30]},
		{"ace_jt1.aHR0cHM6Ly9jbG91ZA.acme.1." + random + "." + random, random[4:30]},
	}
	for i, pair := range secrets {
		secret, canary := pair[0], pair[1]
		for j, command := range pastedInto {
			if (i+j)%3 == 0 {
				continue // two of three, for the time that it takes
			}
			var args []string
			for _, word := range strings.Fields(command) {
				args = append(args, strings.ReplaceAll(word, "VALUE", secret))
			}
			code, said := inProcess(t, "some password", args...)
			noCanary(t, command+" with "+secret, canary, said)
			if code == 0 {
				t.Errorf("%s with %s passes: %s", command, secret, said)
			}
		}
		t.Setenv("ACE_ENV", secret)
		t.Setenv("ACE_PROFILE", secret)
		for _, command := range []string{"connections list", "--profile x auth status", "--env http://127.0.0.1:1 auth status -o json"} {
			_, said := inProcess(t, "", strings.Fields(command)...)
			noCanary(t, "ACE_ENV="+secret+" "+command, canary, said)
		}
		t.Setenv("ACE_ENV", "http://127.0.0.1:1")
		t.Setenv("ACE_PROFILE", "")
	}
}
