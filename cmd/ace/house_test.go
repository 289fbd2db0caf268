package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/acebridge/ace"

// mayImport says what of ours a folder may import; imports point one way only.
var mayImport = map[string][]string{
	"bridge/connect":               {"bridge", "bridge/api", "bridge/apiclient"},
	"cmd/ace":                      {"server", "cloud", "cloud/", "bridge", "bridge/", "cmd/ace/internal/"},
	"cmd/ace/internal/auth":        {"bridge", "bridge/api", "bridge/apiclient", "cmd/ace/internal/cmdline", "cmd/ace/internal/preview", "cmd/ace/internal/profile", "cmd/ace/internal/term"},
	"cmd/ace/internal/checkup":     {"bridge", "bridge/api", "bridge/apiclient", "bridge/doctor", "cmd/ace/internal/cmdline", "cmd/ace/internal/profile", "cmd/ace/internal/report", "cmd/ace/internal/target", "cmd/ace/internal/term"},
	"cmd/ace/internal/complete":    {"bridge", "bridge/api", "bridge/catalogue", "cmd/ace/internal/cmdline", "cmd/ace/internal/profile", "cmd/ace/internal/target", "cmd/ace/internal/term"},
	"cmd/ace/internal/connections": {"bridge", "bridge/api", "bridge/apiclient", "bridge/connect", "cmd/ace/internal/cmdline", "cmd/ace/internal/connector", "cmd/ace/internal/preview", "cmd/ace/internal/profile", "cmd/ace/internal/target", "cmd/ace/internal/term"},
	"cmd/ace/internal/connector":   {"bridge", "bridge/api", "bridge/connect", "cmd/ace/internal/profile", "cmd/ace/internal/term"},
	"cmd/ace/internal/keys":        {"bridge", "bridge/api", "bridge/catalogue", "cmd/ace/internal/cmdline", "cmd/ace/internal/preview", "cmd/ace/internal/target", "cmd/ace/internal/term"},
	"cmd/ace/internal/login":       {"bridge", "bridge/api", "bridge/apiclient", "cmd/ace/internal/cmdline", "cmd/ace/internal/connector", "cmd/ace/internal/profile", "cmd/ace/internal/term"},
	"cmd/ace/internal/menu":        {"bridge", "cmd/ace/internal/term"},
	"cmd/ace/internal/org":         {"bridge", "bridge/api", "bridge/apiclient", "cmd/ace/internal/cmdline", "cmd/ace/internal/preview", "cmd/ace/internal/profile", "cmd/ace/internal/term"},
	"cmd/ace/internal/preview":     {"bridge", "bridge/api", "cmd/ace/internal/term"},
	"cmd/ace/internal/target":      {"bridge", "bridge/api", "bridge/apiclient", "cmd/ace/internal/cmdline", "cmd/ace/internal/profile", "cmd/ace/internal/term"},
	"cmd/ace/internal/cmdline":     {"bridge", "bridge/catalogue", "cmd/ace/internal/term"},
	"cmd/ace/internal/files":       {"bridge"},
	"cmd/ace/internal/outsidetest": {},
	"cmd/ace/internal/profile":     {"bridge", "bridge/api", "bridge/apiclient", "cmd/ace/internal/files", "cmd/ace/internal/term"},
	"cmd/ace/internal/report":      {"bridge", "bridge/api", "bridge/doctor", "cmd/ace/internal/files", "cmd/ace/internal/term"},
	"cmd/ace/internal/run":         {"server", "server/", "cloud", "cloud/", "bridge", "bridge/", "cmd/ace/internal/cmdline", "cmd/ace/internal/files", "cmd/ace/internal/preview", "cmd/ace/internal/profile", "cmd/ace/internal/report", "cmd/ace/internal/sample", "cmd/ace/internal/selfcheck", "cmd/ace/internal/term", "cmd/ace/internal/unit"},
	"cmd/ace/internal/sample":      {},
	"cmd/ace/internal/scan":        {"bridge", "cmd/ace/internal/files", "cmd/ace/internal/term"},
	"cmd/ace/internal/selfcheck":   {"bridge", "bridge/api", "bridge/apiclient", "bridge/doctor", "bridge/sqldb", "cmd/ace/internal/cmdline", "cmd/ace/internal/files", "cmd/ace/internal/report", "cmd/ace/internal/term"},
	"cmd/ace/internal/term":        {"bridge", "bridge/api", "bridge/apiclient", "bridge/catalogue", "cmd/ace/internal/files"},
	"cmd/ace/internal/unit":        {"bridge", "cmd/ace/internal/files"},
	"e2e":                          {},
	"e2e/browser":                  {}, // tests only, as the next ones
	"e2e/proxies":                  {},
	"e2e/scenario":                 {},
	"e2e/scripts":                  {},
	"e2e/terminal":                 {},
	"e2e/world":                    {"server", "cloud", "cloud/", "bridge", "bridge/"},
	"server":                       {"server/link", "bridge", "bridge/"},
	"server/link":                  {"bridge", "bridge/"},
	"cloud":                        {"web", "cloud/", "bridge", "bridge/"},
	"cloud/login":                  {"web", "cloud/page", "cloud/who", "cloud/signup", "cloud/signin", "cloud/addresses", "cloud/joining", "cloud/lockout", "cloud/accounts", "cloud/outbox", "bridge", "bridge/"},
	"cloud/dashboard":              {"web", "cloud/page", "cloud/auditlog", "cloud/servers", "cloud/who", "cloud/preview", "cloud/upkeep", "cloud/joins", "cloud/connections", "cloud/accounts", "cloud/outbox", "bridge", "bridge/"},
	"cloud/settings":               {"cloud/page", "cloud/who", "cloud/signin", "cloud/addresses", "cloud/factors", "cloud/accounts", "bridge", "bridge/"},
	"cloud/auditlog":               {"bridge", "bridge/"},
	"cloud/v1":                     {"cloud/auditlog", "cloud/joins", "cloud/servers", "cloud/who", "cloud/preview", "cloud/upkeep", "cloud/tokens", "cloud/connections", "cloud/signin", "cloud/addresses", "cloud/factors", "cloud/joining", "cloud/lockout", "cloud/accounts", "bridge", "bridge/"},
	"cloud/oauth":                  {"web", "cloud/page", "cloud/who", "cloud/connections", "cloud/accounts", "bridge", "bridge/"},
	"cloud/sso":                    {"web", "cloud/page", "cloud/who", "cloud/outbound", "cloud/providers", "cloud/accounts", "bridge", "bridge/"},
	"cloud/docs":                   {"docs", "web", "cloud/page", "cloud/who", "bridge", "bridge/"},
	"docs":                         {},
	"cloud/live":                   {"cloud/who", "cloud/connections", "cloud/accounts", "bridge", "bridge/"},
	"cloud/servers":                {"cloud/who", "cloud/outbound", "cloud/links", "cloud/periodic", "cloud/preview", "cloud/upkeep", "cloud/tokens", "cloud/connections", "cloud/accounts", "bridge", "bridge/"},
	"cloud/relay":                  {"cloud/who", "cloud/links", "cloud/outbound", "cloud/periodic", "cloud/tokens", "cloud/connections", "cloud/accounts", "bridge", "bridge/"},
	"cloud/page":                   {"web", "cloud/who", "cloud/accounts", "bridge", "bridge/"},
	"cloud/who":                    {"cloud/signin", "cloud/addresses", "cloud/accounts", "cloud/outbox", "bridge", "bridge/"},
	"cloud/internal/roomtest":      {"cloud/internal/storetest", "cloud/page", "cloud/who", "cloud/accounts", "bridge", "bridge/"},
	"cloud/internal/storetest":     {"cloud/registry", "cloud/upkeep", "cloud/tokens", "cloud/connections", "cloud/providers", "cloud/signup", "cloud/signin", "cloud/factors", "cloud/addresses", "cloud/accounts", "cloud/outbox", "cloud/passwords", "cloud/vault", "bridge", "bridge/"},
	"cloud/links":                  {"cloud/presence", "bridge", "bridge/"},
	"cloud/presence":               {"cloud/schema", "bridge", "bridge/"},
	"cloud/outbound":               {"bridge", "bridge/"},
	"cloud/passwords":              {"bridge"},
	"cloud/periodic":               {},
	"cloud/mail":                   {"bridge"},
	"cloud/registry":               {"cloud/passwords", "cloud/preview", "cloud/joins", "cloud/upkeep", "cloud/tokens", "cloud/connections", "cloud/providers", "cloud/signup", "cloud/signin", "cloud/addresses", "cloud/factors", "cloud/joining", "cloud/lockout", "cloud/accounts", "cloud/outbox", "cloud/vault", "cloud/schema", "bridge", "bridge/"},
	"cloud/preview":                {"cloud/tokens", "cloud/connections", "cloud/accounts", "cloud/schema", "bridge", "bridge/"},
	"cloud/upkeep":                 {"cloud/tokens", "cloud/connections", "cloud/accounts", "cloud/vault", "cloud/schema", "bridge", "bridge/"},
	"cloud/tokens":                 {"cloud/connections", "cloud/accounts", "cloud/schema", "bridge", "bridge/"},
	"cloud/joins":                  {"cloud/connections", "cloud/accounts", "cloud/schema", "bridge", "bridge/"},
	"cloud/connections":            {"cloud/accounts", "cloud/vault", "cloud/schema", "bridge", "bridge/"},
	"cloud/providers":              {"cloud/addresses", "cloud/joining", "cloud/accounts", "cloud/vault", "cloud/schema", "bridge", "bridge/"},
	"cloud/signup":                 {"cloud/signin", "cloud/joining", "cloud/passwords", "cloud/accounts", "cloud/outbox", "cloud/schema", "bridge", "bridge/"},
	"cloud/signin":                 {"cloud/addresses", "cloud/factors", "cloud/joining", "cloud/lockout", "cloud/passwords", "cloud/accounts", "cloud/outbox", "cloud/schema", "bridge", "bridge/"},
	"cloud/addresses":              {"cloud/factors", "cloud/joining", "cloud/accounts", "cloud/outbox", "cloud/schema", "bridge", "bridge/"},
	"cloud/factors":                {"cloud/lockout", "cloud/passwords", "cloud/accounts", "cloud/outbox", "cloud/vault", "cloud/schema", "bridge", "bridge/"},
	"cloud/joining":                {"cloud/accounts", "cloud/schema", "bridge", "bridge/"},
	"cloud/lockout":                {"cloud/schema", "bridge", "bridge/"},
	"cloud/accounts":               {"cloud/outbox", "cloud/schema", "bridge", "bridge/"},
	"cloud/outbox":                 {"cloud/vault", "cloud/schema", "bridge", "bridge/"},
	"cloud/vault":                  {"cloud/schema", "bridge", "bridge/"},
	"cloud/schema":                 {"bridge", "bridge/"},
	"web":                          {},
	"bridge":                       {},
	"bridge/api":                   {"bridge", "bridge/api/serving"},
	"bridge/api/serving":           {"bridge"},
	"bridge/apiclient":             {"bridge", "bridge/api"},
	"bridge/audit":                 {"bridge", "bridge/api", "bridge/sqldb"},
	"bridge/benchtest":             {},
	"bridge/catalogue":             {"bridge", "bridge/catalogue/mcp"},
	"bridge/catalogue/mcp":         {"bridge"},
	"bridge/doctor":                {"bridge", "bridge/api", "bridge/apiclient"},
	"bridge/guard":                 {"bridge", "bridge/api", "bridge/apiclient", "bridge/catalogue"},
	"bridge/keyhttp":               {"bridge", "bridge/api", "bridge/keys", "bridge/keys/record"},
	"bridge/keys":                  {"bridge", "bridge/api", "bridge/audit", "bridge/catalogue", "bridge/keys/", "bridge/mark", "bridge/sqldb"},
	"bridge/keys/record":           {"bridge", "bridge/api", "bridge/keys/statements", "bridge/sqldb"},
	"bridge/keys/statements":       {"bridge", "bridge/api"},
	"bridge/keys/table":            {"bridge", "bridge/api", "bridge/catalogue", "bridge/keys/", "bridge/sqldb"},
	"bridge/keys/timeline":         {"bridge", "bridge/mark", "bridge/sqldb"},
	"bridge/mark":                  {"bridge"},
	"bridge/tunnel":                {"bridge", "bridge/api", "bridge/benchtest", "bridge/sqldb/sqldbtest"},
	"bridge/sqldb":                 {"bridge"},
	"bridge/sqldb/sqldbtest":       {"bridge", "bridge/sqldb"},
}

// stores own rules and rows, and know nothing of HTTP.
var stores = []string{"cloud/registry", "cloud/preview", "cloud/joins", "cloud/upkeep", "cloud/tokens", "cloud/connections", "cloud/providers", "cloud/signup", "cloud/signin",
	"cloud/addresses", "cloud/factors", "cloud/joining", "cloud/accounts", "cloud/lockout", "cloud/outbox", "cloud/presence", "cloud/vault", "cloud/schema"}

type goPackage struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
}

func TestImportsPointOneWay(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		checkImports(t, p)
	}
	if seen != len(mayImport) {
		t.Errorf("%d packages, the table has %d: a new package needs a line in it", seen, len(mayImport))
	}
}

func checkImports(t *testing.T, p goPackage) {
	name := strings.TrimPrefix(p.ImportPath, modulePath+"/")
	allowed, known := mayImport[name]
	if !known {
		t.Errorf("%s is not in the table of packages", name)
	}
	for _, path := range p.Imports {
		ours, ok := strings.CutPrefix(path, modulePath+"/")
		if !ok {
			continue
		}
		fine := false
		for _, a := range allowed {
			fine = fine || ours == a || (strings.HasSuffix(a, "/") && strings.HasPrefix(ours, a))
		}
		if !fine {
			t.Errorf("%s imports %s", name, ours)
		}
	}
	for _, path := range p.Imports {
		if strings.HasPrefix(path, "github.com/labstack/echo") && (strings.HasPrefix(name, "bridge/keys") || slices.Contains(stores, name)) {
			t.Errorf("%s knows of HTTP: it imports %s", name, path)
		}
		if strings.HasPrefix(path, "github.com/kelseyhightower/envconfig") && name != "cmd/ace/internal/run" {
			t.Errorf("%s reads the environment", name)
		}
	}
}
