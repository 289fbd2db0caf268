// Package catalogue owns what a server declares about scopes: which exist, the presets made of them, how much each role
// may grant, and the rules that say which scopes a request to the app behind the server needs.
//
// A [Catalogue] is read from YAML with [Parse] and answers two questions: [Catalogue.Grant], what a new key may have,
// and [Catalogue.Decide], whether an identity may make a request. Decide is the one decision of the gateway, of
// forward-auth, of introspection and of bridge/guard. Nothing here performs I/O.
package catalogue

import (
	"maps"
	"slices"

	"github.com/acebridge/ace/bridge"
)

// File is a catalogue as it is written, in YAML or JSON.
type File struct {
	Name string `yaml:"name" json:"name"`
	// Scopes maps each scope that exists to its description. A segment <name> stands for any one segment.
	Scopes map[string]string `yaml:"scopes" json:"scopes"`
	// Axes are scopes that a key gets when nobody names one with the same first segment: agent:* for example.
	Axes    []string          `yaml:"axes,omitempty" json:"axes,omitempty"`
	Presets map[string]Preset `yaml:"presets" json:"presets"`
	// DefaultPreset is what a key gets when nobody names preset or scopes.
	DefaultPreset string            `yaml:"default_preset,omitempty" json:"default_preset,omitempty"`
	Roles         map[string]Preset `yaml:"roles" json:"roles"`
	AdminOnly     AdminOnly         `yaml:"admin_only,omitempty" json:"admin_only"`
	// NoMatch says what becomes of a request that no rule matches: "deny", or "authenticated", which any valid
	// credential passes.
	NoMatch string `yaml:"no_match" json:"no_match"`
	Rules   []Rule `yaml:"rules,omitempty" json:"rules,omitempty"`
	// EncodedSlash is "allow" where %2F in a path is an ordinary character of one segment to the app, as it is then to the
	// rules. Otherwise a path with it is refused where there are rules.
	EncodedSlash string `yaml:"encoded_slash,omitempty" json:"encoded_slash,omitempty"`
}

// Preset is a named set of scopes; it has those of the presets that it extends as well.
type Preset struct {
	Description string   `yaml:"description,omitempty" json:"description,omitempty"`
	Extends     []string `yaml:"extends,omitempty" json:"extends,omitempty"`
	Scopes      []string `yaml:"scopes,omitempty" json:"scopes,omitempty"`
	// Capped: who may not grant all of it grants what they may. Otherwise that is refused.
	Capped bool `yaml:"capped,omitempty" json:"capped,omitempty"`
}

// AdminOnly is what only an admin or owner, in person, may grant.
type AdminOnly struct {
	Scopes []string `yaml:"scopes,omitempty" json:"scopes"`
	// Expiries: "never", or a number of days such as "365d", which means that long or longer.
	Expiries []string `yaml:"expiries,omitempty" json:"expiries"`
}

// Rule says what a request needs. The first rule whose method and path match decides.
type Rule struct {
	Methods []string `yaml:"methods,omitempty" json:"methods,omitempty"` // none: any
	// Path is a pattern: {name} stands for one segment, a last {name...} for the rest.
	Path string `yaml:"path" json:"path"`
	// Require lists the scopes that are all needed; an empty list lets any valid credential pass. A scope may hold
	// values of the request: {header.NAME}, {path.NAME}, {query.NAME}, {body.FIELD} or {tool}, each with ".prefix" for
	// what stands before its first underscore, and with "|word" for what stands in where there is no value.
	Require []string `yaml:"require,omitempty" json:"require,omitempty"`
	// Tool says where one path carries many operations: "body.FIELD" names a field of the JSON body, "mcp" the tool of
	// an MCP tools/call (JSON-RPC, batches too). Tools says what each needs; what none of them names is refused.
	Tool  string      `yaml:"tool,omitempty" json:"tool,omitempty"`
	Tools []Operation `yaml:"tools,omitempty" json:"tools,omitempty"`
	// Messages is the same for the other messages of MCP, by method; "response" is an answer to the server's request.
	Messages []Operation `yaml:"messages,omitempty" json:"messages,omitempty"`
}

// Operation says what the operations of these names need. In a name "*" stands for any run of characters but "/".
type Operation struct {
	Names   []string `yaml:"names" json:"names"`
	Require []string `yaml:"require" json:"require"`
}

// The values of File.NoMatch.
const (
	NoMatchDeny          = "deny"
	NoMatchAuthenticated = "authenticated"
)

// serverScopes are those of the server's own API. They exist in every catalogue; the roles say who has them.
var serverScopes = map[string]string{
	"key:read":   "see an API key, and ask whose a presented one is",
	"key:list":   "list API keys",
	"key:create": "create, rotate, revive and enable API keys, within one's own scopes",
	"key:revoke": "revoke and disable API keys",
	"audit:read": "read the audit log",

	string(bridge.ScopeActAs):              "sign access tokens for other people; only an admin in person grants it, by name",
	string(bridge.ScopeCreateOrganization): "create organization keys, which outlive the key; only an admin in person grants it, by name",
}

// Catalogue is a checked catalogue. The zero value declares nothing and lets nothing pass; see [Builtin].
type Catalogue struct {
	file    File
	known   bridge.Scopes // placeholders replaced by "*"
	plain   bridge.Scopes // those of them that are not for admins only
	axes    bridge.Scopes
	presets map[string]bridge.Scopes
	roles   map[bridge.Role]bridge.Scopes
	admin   bridge.Scopes
	rules   []rule
}

// IsZero reports whether c is the zero value.
func (c Catalogue) IsZero() bool { return c.roles == nil }

// File is the catalogue as it was written, with the scopes of the server's own API added.
func (c Catalogue) File() File {
	f := c.file
	f.Scopes = maps.Clone(f.Scopes)
	maps.Copy(f.Scopes, serverScopes)
	return f
}

// Ceiling is the most that a role may be granted; an unknown role may be granted nothing.
func (c Catalogue) Ceiling(r bridge.Role) bridge.Scopes { return c.roles[r] }

// Presets are the names of the presets, sorted.
func (c Catalogue) Presets() []string { return slices.Sorted(maps.Keys(c.presets)) }

// Preset returns the scopes of a preset.
func (c Catalogue) Preset(name string) (bridge.Scopes, bool) {
	scopes, ok := c.presets[presetName(name)]
	return scopes, ok
}

// HasRules reports whether a decision looks at the request.
func (c Catalogue) HasRules() bool { return len(c.rules) > 0 || c.file.NoMatch == NoMatchDeny }

// builtin serves a server without a catalogue file: reading and writing in the app, keys, and the audit log.
var builtin = File{
	Name:   "builtin",
	Scopes: map[string]string{"app:read": "read in the app", "app:write": "change things in the app"},
	Presets: map[string]Preset{
		"read-only": {Description: "read in the app", Scopes: []string{"app:read"}},
		"app":       {Description: "all of the app", Scopes: []string{"app:*"}, Capped: true},
		"full":      {Description: "all that the one who creates the key may", Scopes: []string{"*"}, Capped: true},
	},
	DefaultPreset: "app",
	Roles: map[string]Preset{
		"viewer": {Scopes: []string{"app:read"}},
		"member": {Scopes: []string{"app:*"}},
		"admin":  {Scopes: []string{"app:*", "audit:read", "key:*"}},
		"owner":  {Scopes: []string{"app:*", "audit:read", "key:*"}},
	},
	AdminOnly: AdminOnly{Expiries: []string{"never"}},
	NoMatch:   NoMatchAuthenticated,
}

// Builtin serves a server without a catalogue file.
func Builtin() Catalogue {
	c, err := compile(builtin)
	if err != nil {
		panic(err) // a test compiles it
	}
	return c
}
