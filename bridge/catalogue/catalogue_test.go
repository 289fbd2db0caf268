package catalogue_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

func shipped(t testing.TB, name string) catalogue.Catalogue {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../configs/scopes", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalogue.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func holding(org string, scopes ...string) bridge.Identity {
	list, err := bridge.NewScopes(scopes)
	if err != nil {
		panic(err)
	}
	return bridge.Identity{Org: org, Scopes: list}
}

// cause returns the exact code behind a refusal.
func cause(err error) bridge.Code {
	e := bridge.AsError(err)
	if err == nil {
		return ""
	}
	if e.Code == "scope_missing" || e.Err == nil {
		return e.Code
	}
	return bridge.CodeOf(e.Err)
}

// agents is the design's table of resources and their actions.
var agents = map[string]string{
	"agent":      "deploy read list execute generate logs delete",
	"workflow":   "deploy read list run validate generate logs signal cancel delete",
	"execution":  "read list stream logs cancel remove",
	"swarm":      "read list cancel",
	"secret":     "read write list delete rotate",
	"credential": "read list create delete rotate grant",
	"approval":   "read list approve reject",
	"stimulus":   "ingest",
	"node":       "read list register deregister drain shutdown",
	"stack":      "read up down restart update uninstall",
	"key":        "read list create revoke",
	"tenant":     "read list onboard provision",
}

func allAgents() []string {
	var out []string
	for resource, actions := range agents {
		for action := range strings.FieldsSeq(actions) {
			out = append(out, resource+":"+action)
		}
	}
	slices.Sort(out)
	return out
}

var (
	readOnly = strings.Fields(`agent:read agent:list workflow:read workflow:list execution:read execution:list execution:logs
		swarm:read swarm:list node:read node:list`)
	execution = append(slices.Clone(readOnly), strings.Fields(`agent:execute agent:logs workflow:run workflow:logs workflow:signal
		workflow:cancel execution:stream execution:cancel swarm:cancel approval:read approval:list approval:approve
		approval:reject`)...)
	developer = append(slices.Clone(execution), strings.Fields(`agent:deploy agent:generate agent:delete workflow:deploy
		workflow:validate workflow:generate workflow:delete execution:remove credential:read credential:list credential:create
		stimulus:ingest key:read key:list key:create key:revoke`)...)
	adminOnly = strings.Fields(`node:register node:deregister node:drain node:shutdown stack:up stack:down stack:restart
		stack:update stack:uninstall tenant:onboard tenant:provision`)
)

func TestAgentsDeclaresExactlyTheTable(t *testing.T) {
	c := shipped(t, "agents")
	var declared []string
	for s := range c.File().Scopes {
		if s != "audit:read" && !bridge.Scope(s).Reserved() { // the server's own scopes
			declared = append(declared, s)
		}
	}
	slices.Sort(declared)
	if diff := cmp.Diff(allAgents(), declared); diff != "" {
		t.Error(diff)
	}
}

// TestAgentsPresets checks every preset against every scope.
func TestAgentsPresets(t *testing.T) {
	c := shipped(t, "agents")
	want := map[string][]string{"read-only": readOnly, "execution": execution, "developer": developer, "full": allAgents()}
	if diff := cmp.Diff(slices.Sorted(mapKeys(want)), c.Presets()); diff != "" {
		t.Fatal(diff)
	}
	for preset, scopes := range want {
		have, _ := c.Preset(preset)
		for _, s := range allAgents() {
			if got := have.Covers(bridge.Scope(s)); got != slices.Contains(scopes, s) {
				t.Errorf("%s covers %s: %v", preset, s, got)
			}
		}
	}
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestAgentsRoles checks every role against every scope: what it may grant, by name and by each preset.
func TestAgentsRoles(t *testing.T) {
	c := shipped(t, "agents")
	for _, role := range []bridge.Role{bridge.RoleOwner, bridge.RoleAdmin, bridge.RoleMember, bridge.RoleViewer} {
		admin := role.AtLeast(bridge.RoleAdmin)
		m := catalogue.Minter{Org: "acme", Scopes: c.Ceiling(role), Admin: admin}
		for _, s := range allAgents() {
			may := admin || (role == bridge.RoleMember && !slices.Contains(adminOnly, s)) || (role == bridge.RoleViewer && slices.Contains(readOnly, s))
			if _, err := c.Grant(m, "", []string{s}); (err == nil) != may {
				t.Errorf("%s grants %s: %v", role, s, err)
			}
		}
		full, err := c.Grant(m, "full", nil)
		if err != nil {
			t.Errorf("%s: full: %v", role, err)
		}
		for _, s := range allAgents() {
			if full.Covers(bridge.Scope(s)) != c.Ceiling(role).Covers(bridge.Scope(s)) {
				t.Errorf("%s: full covers %s: %v", role, s, full.Covers(bridge.Scope(s)))
			}
		}
		for _, expires := range []time.Duration{0, 365 * 24 * time.Hour} {
			now := time.Unix(1_800_000_000, 0)
			at := now.Add(expires)
			if expires == 0 {
				at = time.Time{}
			}
			if err := c.GrantExpiry(m, at, now); (err == nil) != (admin || expires > 0) {
				t.Errorf("%s: expiry %v: %v", role, expires, err)
			}
		}
	}
	// A key is not an admin, even if an admin created it.
	key := catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"*"}}
	if _, err := c.Grant(key, "", []string{"node:drain"}); bridge.CodeOf(err) != "scope_admin" {
		t.Errorf("a key grants node:drain: %v", err)
	}
	if scopes, err := c.Grant(key, "full", nil); err != nil || scopes.Covers("node:drain") || !scopes.Covers("node:read") {
		t.Errorf("a key grants full: %v %v", scopes, err)
	}
}

// TestAgentsRules checks that every scope lets exactly one kind of request pass: each request against a key of each scope.
func TestAgentsRules(t *testing.T) {
	c := shipped(t, "agents")
	type request struct{ method, path string }
	plural := map[string]string{"stimulus": "stimuli"}
	requests := map[string]request{}
	for _, s := range allAgents() {
		resource, action, _ := strings.Cut(s, ":")
		base := "/api/v1/" + resource + "s"
		if p := plural[resource]; p != "" {
			base = "/api/v1/" + p
		}
		switch action {
		case "list":
			requests[s] = request{"GET", base}
		case "read":
			requests[s] = request{"GET", base + "/x1"}
		case "logs", "stream":
			requests[s] = request{"GET", base + "/x1/" + action}
		case "deploy", "create", "register", "onboard", "ingest":
			requests[s] = request{"POST", base}
		case "delete", "remove", "deregister", "revoke", "uninstall":
			requests[s] = request{"DELETE", base + "/x1"}
		case "write", "update":
			requests[s] = request{"PUT", base + "/x1"}
		case "generate", "validate":
			requests[s] = request{"POST", base + "/" + action}
		default:
			requests[s] = request{"POST", base + "/x1/" + action}
		}
	}
	for needed, r := range requests {
		for _, s := range allAgents() {
			err := c.Decide(holding("acme", s), catalogue.Request{Method: r.method, Path: r.path})
			if (err == nil) != (s == needed) {
				t.Errorf("%s %s with %s, needs %s: %v", r.method, r.path, s, needed, err)
			}
			if err != nil && (bridge.CodeOf(err) != "scope_missing" || bridge.AsError(err).Scope != bridge.Scope(needed)) {
				t.Errorf("%s %s with %s: %v %q", r.method, r.path, s, err, bridge.AsError(err).Scope)
			}
		}
	}
	for _, r := range []request{{"GET", "/"}, {"GET", "/api/v1/agents/x1/secrets"}, {"PATCH", "/api/v1/agents/x1"}, {"BREW", "/api/v1/agents"}} {
		if err := c.Decide(holding("acme", "*"), catalogue.Request{Method: r.method, Path: r.path}); cause(err) != "no_rule" {
			t.Errorf("%s %s: %v", r.method, r.path, err)
		}
	}
}

// TestFileRoundTrip checks that a catalogue survives being sent over the wire, as by GET /ace/v1/scopes.
func TestFileRoundTrip(t *testing.T) {
	for _, name := range []string{"agents", "services"} {
		c := shipped(t, name)
		raw, err := json.Marshal(c.File())
		if err != nil {
			t.Fatal(err)
		}
		again, err := catalogue.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.File(), again.File()); diff != "" {
			t.Error(diff)
		}
	}
	if raw, err := json.Marshal(catalogue.Builtin().File()); err != nil {
		t.Error(err)
	} else if _, err := catalogue.Parse(raw); err != nil {
		t.Error(err)
	}
}

func TestGrant(t *testing.T) {
	agents, services, plain := shipped(t, "agents"), shipped(t, "services"), catalogue.Builtin()
	admin := func(c catalogue.Catalogue) catalogue.Minter {
		return catalogue.Minter{Org: "acme", Scopes: c.Ceiling(bridge.RoleAdmin), Admin: true}
	}
	member := func(c catalogue.Catalogue) catalogue.Minter {
		return catalogue.Minter{Org: "acme", Scopes: c.Ceiling(bridge.RoleMember)}
	}
	for _, test := range []struct {
		name   string
		c      catalogue.Catalogue
		minter catalogue.Minter
		preset string
		scopes string
		want   string // scopes, or the code of the refusal and a part of its text
	}{
		{"default", plain, admin(plain), "", "", "app:*"},
		{"default of the agents", agents, admin(agents), "", "", strings.Join(sorted(readOnly), " ")},
		{"preset and scope", plain, member(plain), "read-only", "app:write", "app:read app:write"},
		{"unknown scope", agents, admin(agents), "", "agnet:read", "scope_unknown: did you mean agent:read?"},
		{"unknown wildcard", agents, admin(agents), "", "nodes:*", "scope_unknown: "},
		{"unknown preset", agents, admin(agents), "develoepr", "", "preset_unknown: did you mean developer?"},
		{"over the ceiling", plain, member(plain), "", "key:create", "scope_ceiling: app:*"},
		{"wider than the ceiling", agents, member(agents), "", "node:*", "scope_ceiling: "},
		{"preset over the ceiling", agents, catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"agent:*"}}, "developer", "", "scope_ceiling: "},
		{"malformed", plain, admin(plain), "", "Agent:Read", "scope_malformed: "},
		{"organization and axis come along", services, admin(services), "", "svc:wiki:read", "agent:* org:acme svc:wiki:read"},
		{"named organization", services, admin(services), "", "org:acme agent:cto svc:mcp:write svc:tasks:write", "agent:cto org:acme svc:mcp:write svc:tasks:write"},
		{"several agents", services, admin(services), "", "agent:cto agent:ceo svc:kb:read", "agent:ceo agent:cto org:acme svc:kb:read"},
		{"another organization", services, admin(services), "", "org:rival svc:wiki:read", "scope_organization: acme"},
		{"every organization", services, admin(services), "", "org:* svc:wiki:read", "scope_organization: acme"},
		{"axis of the minter", services, catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"agent:cto", "svc:wiki:read"}}, "", "svc:wiki:read", "agent:cto org:acme svc:wiki:read"},
		{"wider than the axis", services, catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"agent:cto", "svc:wiki:read"}}, "", "agent:* svc:wiki:read", "scope_ceiling: agent:*"},
		{"unknown service", services, admin(services), "", "svc:wki:read", "scope_unknown: did you mean svc:"},
		{"unknown capability", services, admin(services), "", "svc:wiki:raed", "scope_unknown: did you mean svc:wiki:read?"},
		{"admin capability by a member", services, member(services), "", "svc:wiki:admin", "scope_ceiling: "},
		{"every service of an admin's key", services, catalogue.Minter{Org: "acme", Scopes: bridge.Scopes{"*"}}, "", "svc:wiki:admin", "scope_admin: "},
		{"too many", plain, admin(plain), "", strings.Repeat("app:read ", bridge.MaxScopes+1), "scope_malformed: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			scopes, err := test.c.Grant(test.minter, test.preset, strings.Fields(test.scopes))
			code, text, refused := strings.Cut(test.want, ": ")
			switch {
			case !refused && (err != nil || scopes.String() != test.want):
				t.Errorf("%q %v", scopes, err)
			case refused && (bridge.CodeOf(err) != bridge.Code(code) || !strings.Contains(err.Error(), text)):
				t.Errorf("%v (%s)", err, bridge.CodeOf(err))
			}
		})
	}
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

func TestParseRefuses(t *testing.T) {
	const good = `
scopes: {app:read: r, app:write: w, "thing:<id>": t}
presets: {all: {scopes: ["app:*"]}}
roles: {viewer: {scopes: ["app:read"]}, member: {extends: [all]}, admin: {extends: [all]}, owner: {extends: [all]}}
admin_only: {scopes: ["thing:x"], expiries: [never, 365d]}
no_match: deny
rules:
- {path: "/a/{id}", methods: [GET], require: ["thing:{path.id}"]}
`
	if _, err := catalogue.Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string][2]string{
		"field no_mach not found":             {"no_match", "no_mach"},
		"no_match must be":                    {"deny", "allow"},
		"did you mean app:read?":              {`{scopes: ["app:*"]}`, `{scopes: ["app:raed"]}`},
		"in a circle":                         {`{scopes: ["app:*"]}`, `{extends: [all]}`},
		"extends \"al\"":                      {"extends: [all]", "extends: [al]"},
		"is not one of owner":                 {"viewer:", "guest:"},
		"the role viewer has no ceiling":      {`viewer: {scopes: ["app:read"]}, `, ""},
		"which is for admins only":            {`viewer: {scopes: ["app:read"]}`, `viewer: {scopes: ["thing:*"]}`},
		"neither never nor":                   {"365d", "1y"},
		"has no wildcard of that name":        {"{path.id}", "{path.name}"},
		"is not one of {header":               {"{path.id}", "{cookie.id}"},
		"names no tool":                       {"{path.id}", "{tool}"},
		"cannot contain *":                    {`"thing:{path.id}"`, `"app:*"`},
		"is not a method":                     {"[GET]", "[get]"},
		"require is missing":                  {`, require: ["thing:{path.id}"]`, ""},
		"must begin with /":                   {"/a/{id}", "a/{id}"},
		"is not a wildcard":                   {"/a/{id}", "/a/x{id}"},
		"must come last":                      {"/a/{id}", "/{id...}/a"},
		"two wildcards":                       {"/a/{id}", "/{id}/{id}"},
		"tools and messages need":             {"methods: [GET]", "tools: [{names: [x], require: []}]"},
		"neither mcp nor":                     {"methods: [GET]", "tool: query.x, tools: [{names: [x], require: []}]"},
		"tools is empty":                      {"methods: [GET]", "tool: mcp"},
		"messages belong":                     {"methods: [GET]", "tool: body.x, messages: [{names: [x], require: []}], tools: [{names: [x], require: []}]"},
		"an operation needs":                  {"methods: [GET]", "tool: body.x, tools: [{names: [x]}]"},
		"is not a pattern":                    {"methods: [GET]", `tool: body.x, tools: [{names: ["[x"], require: []}]`},
		"already defined":                     {"app:write: w", "app:read: w"},
		"more than one document":              {"no_match: deny", "no_match: deny\n---\nno_match: deny"},
		"no scopes, or more":                  {`{scopes: ["app:*"]}`, `{scopes: []}`},
		"there is no preset \"x\"":            {"no_match", "default_preset: x\nno_match"},
		"the scope nothing:x does not exist":  {`"thing:{path.id}"`, `"nothing:x"`},
		"\"APP:read\" is not a scope: segmen": {"app:read: r", "APP:read: r"},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		_, err := catalogue.Parse([]byte(text))
		if text == good || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s → %s: %v, want %q", change[0], change[1], err, want)
		}
	}
	if _, err := catalogue.Parse(make([]byte, 2<<20)); err == nil {
		t.Error("a catalogue of 2 MiB is read")
	}
}

func FuzzParse(f *testing.F) {
	// A small one, so that many variations are tried; the tests above read the catalogues of configs/.
	f.Add([]byte(`{name: a, scopes: {"svc:<s>:read": r, "doc:delete": d, "agent:<id>": a}, axes: ["agent:*"], no_match: deny,
  presets: {p: {scopes: ["svc:*"]}, q: {extends: [p], scopes: ["*"], capped: true}},
  roles: {viewer: {extends: [p]}, member: {extends: [p]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}},
  admin_only: {scopes: ["doc:delete"], expiries: [never, 365d]},
  rules: [{path: "/v1/{s}/{rest...}", methods: [GET], require: ["svc:{path.s}:read"]},
    {path: /rpc, tool: mcp, tools: [{names: ["a_*"], require: ["svc:{tool.prefix}:read"]}]}]}`))
	f.Add([]byte("scopes: &a {x: *a}"))
	f.Add([]byte(`{scopes: {"a:b": x}, no_match: deny, presets: {p: {extends: [q, q]}, q: {extends: [r, r]}, r: {extends: &r [s, s], scopes: &s ["a:b"]}, s: {scopes: *s}},
  roles: {viewer: {extends: *r}, member: {scopes: *s}, admin: {scopes: *s}, owner: {scopes: *s}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := catalogue.Parse(raw)
		if err != nil {
			return
		}
		for name, preset := range c.File().Presets {
			scopes, _ := c.Preset(name)
			if len(scopes) == 0 || len(scopes) > bridge.MaxScopes {
				t.Errorf("the preset %s has %d scopes", name, len(scopes))
			}
			for _, extended := range preset.Extends {
				if below, ok := c.Preset(extended); !ok || !scopes.CoversAll(below) {
					t.Errorf("the preset %s does not have all of %s", name, extended)
				}
			}
		}
		// No role below admin reaches what is for admins only, and nobody is granted more than the minter has.
		for _, role := range []bridge.Role{bridge.RoleMember, bridge.RoleViewer} {
			m := catalogue.Minter{Org: "acme", Scopes: c.Ceiling(role)}
			for _, preset := range c.Presets() {
				scopes, err := c.Grant(m, preset, nil)
				for _, s := range scopes {
					if err == nil && !m.Scopes.Covers(s) && s != "org:acme" {
						t.Errorf("%s gets %s of %s, and may %s", role, s, preset, m.Scopes)
					}
				}
			}
		}
	})
}
