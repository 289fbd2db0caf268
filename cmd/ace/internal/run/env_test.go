package run

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// startOf is what a server or a cloud says that does not start with the environment as it is.
func startOf(role string) string {
	var err error
	if role == "server" {
		var e serverEnv
		if err = readEnv(&e); err == nil {
			_, _, err = e.config()
		}
	} else {
		var e cloudEnv
		if err = readEnv(&e); err == nil {
			_, _, err = e.config()
		}
	}
	if err == nil {
		return ""
	}
	e := term.Explain(err)
	shown := new(term.Terminal).Without(e)
	return e.Detail + e.Hint + shown.Detail + shown.Hint
}

// TestNoSettingIsRepeated: a server or a cloud that does not start names the variable, and repeats nothing of its value; nor of a
// secret that somebody has given in place of the file with it.
func TestNoSettingIsRepeated(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ACE_LOG_LEVEL", "wrong") // so that none starts
	key := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal()
	values := append(slices.Clone(malformed), key, "-----BEGIN PRIVATE KEY-----\n"+leaked+"\n-----END PRIVATE KEY-----", strings.Repeat(leaked, 500),
		"postgres://user:"+leaked+"@h/db?sslmode=%zz", "postgres://h/db?password="+leaked+"&port=x", "sqlite:"+leaked+"?x=%zz", "ace_cs1."+leaked, "ace_pk1."+leaked+".x.y.z")
	for role, spec := range map[string]any{"server": &serverEnv{}, "cloud": &cloudEnv{}} {
		eachVariable(reflect.ValueOf(spec).Elem(), func(name string, _ reflect.Value) {
			if name == "ACE_LOG_LEVEL" {
				return
			}
			for i, value := range values {
				if strings.Contains(value, "\x00") {
					continue // no variable can have it
				}
				variable := name
				if i%2 == 1 {
					variable += "_FILE"
				}
				t.Setenv(variable, value)
				said := startOf(role)
				noCanary(t, variable+"="+value, leaked, said)
				noCanary(t, variable+"="+value, key[20:60], said)
				if !strings.Contains(said, "ACE_") {
					t.Errorf("%s=%q: %q", variable, value, said)
				}
				_ = os.Unsetenv(variable)
			}
		})
	}
	for _, value := range []string{"-----BEGIN PRIVATE KEY-----\n" + leaked, key} {
		_, err := (&CommonEnv{TLSCert: value, TLSKey: value}).certificate()
		noCanary(t, "ACE_TLS_KEY="+value, leaked, err.Error())
		t.Setenv("ACE_TLS_KEY", value)
		noCanary(t, "ACE_TLS_KEY="+value, leaked, new(term.Terminal).Without(bridge.E(bridge.Internal, "x", "open %s: no such file", value)).Detail+new(term.Terminal).Without(term.Usage("bad").WithHint("%q", value)).Hint)
	}
}

// Variables that look like settings and are none are named, with the nearest that there is; values are not told.
func TestUnknownVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"ACE_UPSTREAM_ULR":         "did you mean ACE_UPSTREAM_URL?",
		"ACE_JWT_SECRET_FIEL":      "did you mean ACE_JWT_SECRET_FILE?",
		"ACE_PUBLIC_URLS":          "did you mean ACE_PUBLIC_URL?",
		"ACE_DATABASE":             "did you mean ACE_DATABASE_URL?",
		"ace_addr":                 "did you mean ACE_ADDR?",
		"ACE_SOMETHING_ELSE":       "does nothing",
		"ACE_KEY_FILE":             "does nothing",
		"ACE_ADDR":                 "",
		"ACE_DATABASE_URL_FILE":    "",
		"ACE_SMTP_URL":             "",
		"ACE_AUTH_KEY":             "",
		"ACE_KEY":                  "",
		"ACE_API_KEY_SERVICE_NAME": "",
		"ACE_TEST_REQUIRE":         "",
		"PLACE_ADDR":               "",
	} {
		t.Run(variable, func(t *testing.T) {
			lines := unknownVariables([]string{variable + "=canary"})
			if got := strings.Join(lines, "\n"); (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "canary") {
				t.Errorf("%q", got)
			}
		})
	}
}

// Every variable that the commands read is known.
func TestEveryVariableIsKnown(t *testing.T) {
	err := filepath.WalkDir("../..", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(file) //nolint:gosec // of the command
		for _, name := range regexp.MustCompile(`"(ACE_[A-Z_]*[A-Z])"`).FindAllStringSubmatch(string(raw), -1) {
			if lines := unknownVariables([]string{name[1] + "=x"}); len(lines) > 0 {
				t.Errorf("%s: %s", file, lines[0])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// noCanary fails where a text has the canary in it, in whatever case.
func noCanary(t *testing.T, how, canary, said string) {
	t.Helper()
	if strings.Contains(strings.ToLower(said), strings.ToLower(canary)) {
		t.Errorf("%s: %s", how, said)
	}
}
