package run

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// CommonEnv are the variables that a server and a cloud share. All fields are strings or secrets, so that every mistake in the
// environment can be reported at once, and any variable can come from a file. It is exported because envconfig passes over
// embedded fields that are not.
type CommonEnv struct {
	Addr           string        `envconfig:"ACE_ADDR"`
	PublicURL      string        `envconfig:"ACE_PUBLIC_URL"`
	DataDir        string        `envconfig:"ACE_DATA_DIR"`
	DatabaseURL    bridge.Secret `envconfig:"ACE_DATABASE_URL"` // may hold a password
	EncryptionKey  bridge.Secret `envconfig:"ACE_DATABASE_ENCRYPTION_KEY"`
	TLSCert        string        `envconfig:"ACE_TLS_CERT"`
	TLSKey         string        `envconfig:"ACE_TLS_KEY"`
	TrustedProxies string        `envconfig:"ACE_TRUSTED_PROXIES"`
	Drain          string        `envconfig:"ACE_DRAIN"`
	LogLevel       string        `envconfig:"ACE_LOG_LEVEL" default:"info"`
	LogFormat      string        `envconfig:"ACE_LOG_FORMAT" default:"text"`
	MetricsAddr    string        `envconfig:"ACE_METRICS_ADDR"`
}

type serverEnv struct {
	CommonEnv
	CloudPublicKey string        `envconfig:"ACE_CLOUD_PUBLIC_KEY"`
	CloudJWTSecret bridge.Secret `envconfig:"ACE_CLOUD_JWT_SECRET"`
	CloudURL       string        `envconfig:"ACE_CLOUD_URL"`
	CloudOrg       string        `envconfig:"ACE_CLOUD_ORG"`
	JWTSecret      bridge.Secret `envconfig:"ACE_JWT_SECRET"`
	UpstreamURL    string        `envconfig:"ACE_UPSTREAM_URL"`
	ScopesFile     string        `envconfig:"ACE_SCOPES_FILE"`
	AllowedOrigins string        `envconfig:"ACE_ALLOWED_ORIGINS"`
	UpstreamHealth string        `envconfig:"ACE_UPSTREAM_HEALTH"`
	Tunnel         string        `envconfig:"ACE_TUNNEL"`
	TunnelAllow    string        `envconfig:"ACE_TUNNEL_ALLOW"`
	TunnelGiveUp   string        `envconfig:"ACE_TUNNEL_GIVE_UP"`
	TunnelLinks    string        `envconfig:"ACE_TUNNEL_LINKS"`
	TunnelReplicas string        `envconfig:"ACE_TUNNEL_REPLICAS"`
	JoinToken      bridge.Secret `envconfig:"ACE_JOIN_TOKEN"`
	noJoinToken    error         // why the file that ACE_JOIN_TOKEN_FILE names gives none: it is gone
}

type cloudEnv struct {
	CommonEnv
	SigningKey bridge.Secret `envconfig:"ACE_CLOUD_SIGNING_KEY"`
	RelayAllow string        `envconfig:"ACE_RELAY_ALLOW"`
	SMTPURL    bridge.Secret `envconfig:"ACE_SMTP_URL"` // may hold a password
	FirstEmail string        `envconfig:"ACE_FIRST_EMAIL"`

	InternalAddr string `envconfig:"ACE_INTERNAL_ADDR"`
	InternalURL  string `envconfig:"ACE_INTERNAL_URL"`

	AllowedOrigins string `envconfig:"ACE_ALLOWED_ORIGINS"`
}

const joinTokenVariable = "ACE_JOIN_TOKEN"

// requireJoinToken refuses to go on without the join token whose file is gone, unless the server has joined before.
func (e *serverEnv) requireJoinToken(joined bool, log *slog.Logger) error {
	if e.noJoinToken == nil {
		return nil
	}
	if !joined {
		return badEnv([]string{fmt.Sprintf("%s_FILE: %v", joinTokenVariable, e.noJoinToken)})
	}
	log.Info("the file of the join token is gone; the server has joined already and does not need it")
	return nil
}

// readEnv fills spec from the environment. A variable that is set but empty is a mistake: a broken template leaves an empty
// secret behind.
func readEnv(spec any) error {
	if err := envconfig.Process("", spec); err != nil {
		return term.Usage("the environment: %w", err)
	}
	var wrong []string
	eachVariable(reflect.ValueOf(spec).Elem(), func(name string, field reflect.Value) {
		value, set := os.LookupEnv(name)
		file, hasFile := os.LookupEnv(name + "_FILE")
		switch {
		case set && hasFile:
			wrong = append(wrong, name+" and "+name+"_FILE are both set")
		case set && value == "":
			wrong = append(wrong, name+" is set, but empty")
		case set:
			text, err := bridge.OutsideText(value)
			if err == nil && text == "" {
				err = errors.New("it is only white space")
			}
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %v", name, err))
				return
			}
			setString(field, text)
		case hasFile:
			text, err := files.ReadNamedFile(file)
			if e, server := spec.(*serverEnv); server && name == joinTokenVariable && errors.Is(err, fs.ErrNotExist) {
				e.noJoinToken = err // a secret that was deleted after the join stops no server that has joined
				return
			}
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("%s_FILE: %v", name, err))
				return
			}
			setString(field, text)
		}
	})
	if len(wrong) > 0 {
		return badEnv(wrong)
	}
	return nil
}

// readServerEnv reads a server's variables. If hide is true, a join token among them is first hidden from those who can read this
// process's environment; see [files.HideJoinToken].
func readServerEnv(hide bool) (serverEnv, error) {
	var e serverEnv
	if hide {
		if err := files.HideJoinToken(); err != nil {
			return e, err
		}
	}
	if err := readEnv(&e); err != nil {
		return e, err
	}
	files.CloseInherited()
	return e, nil
}

// Variables are the variables of a server and a cloud.
func Variables() []string {
	var names []string
	for _, spec := range []any{&serverEnv{}, &cloudEnv{}} {
		eachVariable(reflect.ValueOf(spec).Elem(), func(name string, _ reflect.Value) { names = append(names, name) })
	}
	return names
}

// SecretSettings are the variables that hold a secret and nothing else. They are a server's and a cloud's.
func SecretSettings() []string {
	var names []string
	for _, spec := range []any{&serverEnv{}, &cloudEnv{}} {
		eachVariable(reflect.ValueOf(spec).Elem(), func(name string, field reflect.Value) {
			if field.Kind() != reflect.String && !strings.HasSuffix(name, "_URL") {
				names = append(names, name)
			}
		})
	}
	return names
}

// unknownVariables finds variables that look like ace's but are not. Most are mistyped settings that somebody relies on. Values
// are not looked at.
func unknownVariables(environ []string) []string {
	settings := Variables()
	known := slices.Clone(profile.Variables)
	for _, name := range settings {
		known = append(known, name, name+"_FILE")
	}
	var out []string
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		upper := strings.ToUpper(name)
		if !strings.HasPrefix(upper, "ACE_") || strings.HasPrefix(upper, "ACE_TEST_") || strings.HasPrefix(upper, "ACE_BENCH_") || slices.Contains(known, name) {
			continue
		}
		line := bridge.Printable(name) + " is not a variable of ace, and does nothing"
		if nearest := catalogue.Nearest(upper, known); nearest != "" {
			line += "; did you mean " + nearest + "?"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// warnOfVariables logs a warning for each unknown variable.
func warnOfVariables(log *slog.Logger) {
	for _, line := range unknownVariables(os.Environ()) {
		log.Warn(line)
	}
}

func badEnv(wrong []string) error {
	return bridge.E(bridge.Invalid, bridge.CodeEnvironment, "the environment has mistakes:\n  %s", strings.Join(wrong, "\n  ")).
		WithHint("set the variables named above; configs/ has examples, and docs/operate.md explains each variable")
}

func eachVariable(v reflect.Value, do func(name string, field reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			eachVariable(v.Field(i), do)
			continue
		}
		if name := field.Tag.Get("envconfig"); name != "" {
			do(name, v.Field(i))
		}
	}
}

func setString(field reflect.Value, text string) {
	if field.Kind() == reflect.String {
		field.SetString(text)
		return
	}
	field.Set(reflect.ValueOf(bridge.NewSecret(text)))
}
