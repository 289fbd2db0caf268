package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// CommonEnv are the variables of both a server and a cloud. All fields are strings or secrets, so that every mistake in
// the environment can be reported at once, and any variable can come from a file. It is exported because envconfig
// passes over embedded fields that are not.
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
}

type cloudEnv struct {
	CommonEnv
	SigningKey bridge.Secret `envconfig:"ACE_CLOUD_SIGNING_KEY"`
	RelayAllow string        `envconfig:"ACE_RELAY_ALLOW"`
	SMTPURL    bridge.Secret `envconfig:"ACE_SMTP_URL"` // may hold a password
	FirstEmail string        `envconfig:"ACE_FIRST_EMAIL"`

	AllowedOrigins string `envconfig:"ACE_ALLOWED_ORIGINS"`
}

// readEnv fills spec from the environment. A variable that is set and empty counts as a mistake, not as unset: an empty
// secret is what a broken template leaves behind.
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
				err = errors.New("there is only white space in it")
			}
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %v", name, err))
				return
			}
			setString(field, text)
		case hasFile:
			text, err := files.ReadNamedFile(file)
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

// settingVariables are the variables of a server and a cloud.
func settingVariables() []string {
	var names []string
	for _, spec := range []any{&serverEnv{}, &cloudEnv{}} {
		eachVariable(reflect.ValueOf(spec).Elem(), func(name string, _ reflect.Value) { names = append(names, name) })
	}
	return names
}

// secretSettings are the variables of a server and a cloud that hold a secret and nothing else.
func secretSettings() []string {
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

// unknownVariables says which of the variables look like settings of ace and are none: most are mistyped, and their owner
// believes in them. Values are not looked at.
func unknownVariables(environ []string) []string {
	settings := settingVariables()
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
		line := term.Printable(name) + " is no variable of ace, and does nothing"
		if nearest := catalogue.Nearest(upper, known); nearest != "" {
			line += "; did you mean " + nearest + "?"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// warnOfVariables names the unknown variables in the log of what starts.
func warnOfVariables(log *slog.Logger) {
	for _, line := range unknownVariables(os.Environ()) {
		log.Warn(line)
	}
}

func badEnv(wrong []string) error {
	return bridge.E(bridge.Invalid, "environment", "the environment is not right:\n  %s", strings.Join(wrong, "\n  ")).
		WithHint("set what is named above; configs/ has examples, and the README says what each variable is")
}

func eachVariable(v reflect.Value, do func(name string, field reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			eachVariable(v.Field(i), do)
			continue
		}
		do(field.Tag.Get("envconfig"), v.Field(i))
	}
}

func setString(field reflect.Value, text string) {
	if field.Kind() == reflect.String {
		field.SetString(text)
		return
	}
	field.Set(reflect.ValueOf(bridge.NewSecret(text)))
}

// settings are the common variables, checked.
type settings struct {
	addr       string
	loopback   bool
	publicURLs []bridge.ServerURL
	dataDir    string
	stateDir   string // the data directory, where it belongs to this database
	database   string
	proxies    []netip.Prefix
	drain      time.Duration
}

const (
	defaultDrain = 3 * time.Second // on loopback none: nobody else would answer instead
	maxDrain     = 10 * time.Minute
)

// settings checks the common variables. What is wrong is collected, so that one start names every mistake.
func (e *CommonEnv) settings(role, addr string, wrong *[]string) settings {
	s := settings{addr: e.Addr, dataDir: e.DataDir}
	if s.addr == "" {
		s.addr = addr
	}
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		*wrong = append(*wrong, "ACE_ADDR: it is not HOST:PORT")
	}
	s.loopback = profile.IsLoopback(host)
	for _, raw := range splitComma(e.PublicURL) {
		u, err := bridge.CanonicalURL(raw)
		if err != nil {
			*wrong = append(*wrong, "ACE_PUBLIC_URL: "+bridge.AsError(err).Detail)
			continue
		}
		s.publicURLs = append(s.publicURLs, u)
	}
	if e.PublicURL == "" && s.loopback && err == nil {
		s.publicURLs = loopbackURLs(e.scheme(), host, port)
	}
	if s.dataDir == "" {
		home, err := os.UserHomeDir()
		if err != nil && e.DatabaseURL.IsZero() {
			*wrong = append(*wrong, "ACE_DATA_DIR is not set, and there is no home directory to put ~/.ace/"+role+" into")
		}
		s.dataDir = filepath.Join(home, ".ace", role)
	}
	if e.DataDir != "" || e.DatabaseURL.IsZero() { // a database elsewhere has nothing to do with the directory that is nobody's choice
		s.stateDir = s.dataDir
	}
	s.database = e.DatabaseURL.Reveal()
	if s.database == "" {
		s.database = "sqlite:" + filepath.Join(s.dataDir, role+".db")
	}
	s.proxies = prefixes("ACE_TRUSTED_PROXIES", e.TrustedProxies, wrong)
	s.drain = e.drain(s.loopback, wrong)
	if (e.TLSCert == "") != (e.TLSKey == "") {
		*wrong = append(*wrong, "ACE_TLS_CERT and ACE_TLS_KEY go together, and one is missing")
	}
	if _, err := e.logger(io.Discard); err != nil {
		*wrong = append(*wrong, err.Error())
	}
	notYet(wrong, "ACE_METRICS_ADDR", e.MetricsAddr)
	return s
}

func (e *CommonEnv) drain(loopback bool, wrong *[]string) time.Duration {
	switch {
	case e.Drain == "" && loopback:
		return 0
	case e.Drain == "":
		return defaultDrain
	}
	d, err := time.ParseDuration(e.Drain)
	if err != nil || d < 0 || d > maxDrain {
		*wrong = append(*wrong, fmt.Sprintf("ACE_DRAIN: it is not a duration such as 5s, of at most %s", maxDrain))
	}
	return d
}

// notYet refuses a setting that this version does not act on: ignoring it would make its owner believe in it.
func notYet(wrong *[]string, name, value string) {
	if value != "" {
		*wrong = append(*wrong, name+" is not supported by this version")
	}
}

func (e *CommonEnv) scheme() string {
	if e.TLSCert != "" {
		return "https"
	}
	return "http"
}

func (e *CommonEnv) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(e.LogLevel)); err != nil {
		return nil, errors.New("ACE_LOG_LEVEL: it is not debug, info, warn or error")
	}
	options := &slog.HandlerOptions{Level: level}
	switch e.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, errors.New("ACE_LOG_FORMAT: it is not text or json")
}

// loopbackURLs are the names of what listens on a loopback address; the first is what it calls itself.
func loopbackURLs(scheme, host, port string) []bridge.ServerURL {
	var out []bridge.ServerURL
	for _, name := range []string{"localhost", "127.0.0.1", "::1", host} {
		u, err := bridge.CanonicalURL(scheme + "://" + net.JoinHostPort(name, port))
		if err == nil && (len(out) < 3 || !u.Same(out[0])) {
			out = append(out, u)
		}
	}
	return out
}

func splitComma(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func prefixes(name, value string, wrong *[]string) []netip.Prefix {
	var out []netip.Prefix
	for i, part := range splitComma(value) {
		p, err := netip.ParsePrefix(part)
		if addr, addrErr := netip.ParseAddr(part); addrErr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			*wrong = append(*wrong, fmt.Sprintf("%s: entry %d is not a CIDR such as 10.0.0.0/8", name, i+1))
			continue
		}
		if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 { // addresses are compared without it
			p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

// origins reads ACE_ALLOWED_ORIGINS: browser origins, as they stand in an Origin header.
func origins(value string, wrong *[]string) []string {
	var out []string
	for i, origin := range splitComma(value) {
		u, err := bridge.CanonicalURL(origin)
		if err != nil || u.Origin() != string(u) {
			*wrong = append(*wrong, fmt.Sprintf("ACE_ALLOWED_ORIGINS: entry %d is not an origin such as https://app.company.com", i+1))
			continue
		}
		out = append(out, u.Origin())
	}
	return out
}

func parseUpstream(value string, wrong *[]string) *url.URL {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		*wrong = append(*wrong, "ACE_UPSTREAM_URL: it must be http://HOST or https://HOST, without a user or a query")
		return nil
	}
	return u
}
