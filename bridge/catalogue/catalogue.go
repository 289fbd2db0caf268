// Package catalogue is what a server declares about scopes, and the decisions that follow from it.
//
// A catalogue says which scopes exist, which presets are made of them, how much each role may grant, and which scopes a request
// to the app behind the server needs. A [Catalogue] is parsed from YAML or JSON ([Parse]) and answers two questions:
// [Catalogue.Grant], what a new key may have, and [Catalogue.Decide], whether an identity may make a request. Decide is the one
// decision behind the gateway, forward-auth, introspection and bridge/guard:
//
//	request ──► path, method, headers ──can be read in two ways──► refused
//	              │ unambiguous
//	              ▼
//	            first rule that matches ──none──► no_match: denied, or any valid credential
//	              │
//	              ▼
//	            each required scope covered? ──no──► scope_missing
//	              │ yes
//	              ▼
//	            allowed
//
// A rule may put values of the request into the scopes it requires. Such a value must be readable in only one way, or the
// request is refused: the app must not be able to read another value than the rule did. The package performs no I/O.
package catalogue

import (
	"maps"
	"slices"

	"github.com/acebridge/ace/bridge"
)

// File is a catalogue as written, in YAML or JSON.
type File struct {
	Name string `yaml:"name" json:"name"`
	// Scopes maps each existing scope to its description. A segment <name> stands for any one segment.
	Scopes map[string]string `yaml:"scopes" json:"scopes"`
	// Axes are scopes that a key gets unless it names one with the same first segment; for example agent:*.
	Axes    []string          `yaml:"axes,omitempty" json:"axes,omitempty"`
	Presets map[string]Preset `yaml:"presets" json:"presets"`
	// DefaultPreset is what a key gets if neither a preset nor scopes are named.
	DefaultPreset string            `yaml:"default_preset,omitempty" json:"default_preset,omitempty"`
	Roles         map[string]Preset `yaml:"roles" json:"roles"`
	AdminOnly     AdminOnly         `yaml:"admin_only,omitempty" json:"admin_only"`
	// NoMatch decides about a request that no rule matches: "deny", or "authenticated", which lets any valid credential
	// pass.
	NoMatch string `yaml:"no_match" json:"no_match"`
	Rules   []Rule `yaml:"rules,omitempty" json:"rules,omitempty"`
	// EncodedSlash is "allow" if %2F in a path is an ordinary character to the app; the rules then treat it alike.
	// Otherwise, if there are rules, a path with %2F is refused.
	EncodedSlash string `yaml:"encoded_slash,omitempty" json:"encoded_slash,omitempty"`
}

// Preset is a named set of scopes, including those of the presets that it extends.
type Preset struct {
	Description string   `yaml:"description,omitempty" json:"description,omitempty"`
	Extends     []string `yaml:"extends,omitempty" json:"extends,omitempty"`
	Scopes      []string `yaml:"scopes,omitempty" json:"scopes,omitempty"`
	// Capped: a caller who may not grant all of it grants as much as they may. Otherwise that is refused.
	Capped bool `yaml:"capped,omitempty" json:"capped,omitempty"`
}

// AdminOnly is what only an admin or owner in person may grant.
type AdminOnly struct {
	Scopes []string `yaml:"scopes,omitempty" json:"scopes"`
	// Expiries are "never", or a number of days such as "365d", which means that long or longer.
	Expiries []string `yaml:"expiries,omitempty" json:"expiries"`
}

// Rule says what a request needs. The first rule whose method and path match decides.
type Rule struct {
	Methods []string `yaml:"methods,omitempty" json:"methods,omitempty"` // empty: any
	// Path is a pattern: {name} stands for one segment, a final {name...} for the rest.
	Path string `yaml:"path" json:"path"`
	// Require lists the scopes that are needed, all of them; an empty list lets any valid credential pass. A scope may
	// contain values of the request: {header.NAME}, {path.NAME}, {query.NAME}, {body.FIELD} or {tool}. Each may be
	// followed by ".prefix", which takes what precedes the first underscore, and by "|word", which is used if there is no
	// value.
	Require []string `yaml:"require,omitempty" json:"require,omitempty"`
	// Tool says where a path with many operations names the one it is about: "body.FIELD" is a field of the JSON body, "mcp"
	// the tool of an MCP tools/call (JSON-RPC, including batches). Tools says what each needs; an unlisted one is refused.
	Tool  string      `yaml:"tool,omitempty" json:"tool,omitempty"`
	Tools []Operation `yaml:"tools,omitempty" json:"tools,omitempty"`
	// Messages does the same for other MCP messages, by method; "response" is an answer to a request of the server.
	Messages []Operation `yaml:"messages,omitempty" json:"messages,omitempty"`
}

// Operation says what operations with these names need. "*" in a name stands for any characters but "/".
type Operation struct {
	Names   []string `yaml:"names" json:"names"`
	Require []string `yaml:"require" json:"require"`
}

// Values of File.NoMatch.
const (
	NoMatchDeny          = "deny"
	NoMatchAuthenticated = "authenticated"
)

// serverScopes are the scopes of the server's own API. They exist in every catalogue; its roles say who has them.
var serverScopes = map[string]string{
	"key:read":   "see an API key, and ask whose a presented one is",
	"key:list":   "list API keys",
	"key:create": "create, rotate, revive and enable API keys, within one's own scopes",
	"key:revoke": "revoke and disable API keys",
	"audit:read": "read the audit log",

	string(bridge.ScopeActAs):              "sign access tokens for other people; only an admin in person grants it, by name",
	string(bridge.ScopeCreateOrganization): "create organization keys, which outlive the key; only an admin in person grants it, by name",
}

// Catalogue is a checked catalogue.
//
// The zero value declares nothing and lets nothing pass; see [Builtin].
type Catalogue struct {
	file    File
	known   bridge.Scopes // with placeholders replaced by "*"
	plain   bridge.Scopes // those of known that are not for admins only
	axes    bridge.Scopes
	presets map[string]bridge.Scopes
	roles   map[bridge.Role]bridge.Scopes
	admin   bridge.Scopes
	rules   []rule
}

// IsZero reports whether c is the zero value.
func (c Catalogue) IsZero() bool { return c.roles == nil }

// File returns the catalogue as written, plus the scopes of the server's own API.
func (c Catalogue) File() File {
	f := c.file
	f.Scopes = maps.Clone(f.Scopes)
	maps.Copy(f.Scopes, serverScopes)
	return f
}

// Ceiling returns the most that a role may be granted; nothing for an unknown role.
func (c Catalogue) Ceiling(r bridge.Role) bridge.Scopes { return c.roles[r] }

// Presets returns the names of the presets, sorted.
func (c Catalogue) Presets() []string { return slices.Sorted(maps.Keys(c.presets)) }

// Preset returns the scopes of a preset; ok is false if there is none by that name.
func (c Catalogue) Preset(name string) (bridge.Scopes, bool) {
	scopes, ok := c.presets[presetName(name)]
	return scopes, ok
}

// HasRules reports whether a decision depends on the request.
func (c Catalogue) HasRules() bool { return len(c.rules) > 0 || c.file.NoMatch == NoMatchDeny }

// builtin is for a server without a catalogue file: reading and writing in the app, keys, and the audit log.
var builtin = File{
	Name:   "builtin",
	Scopes: map[string]string{"app:read": "read in the app", "app:write": "change things in the app"},
	Presets: map[string]Preset{
		"read-only": {Description: "read in the app", Scopes: []string{"app:read"}},
		"app":       {Description: "all of the app", Scopes: []string{"app:*"}, Capped: true},
		"full":      {Description: "everything the key's creator may do", Scopes: []string{"*"}, Capped: true},
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

// Builtin returns the catalogue of a server without a catalogue file.
func Builtin() Catalogue {
	c, err := compile(builtin)
	if err != nil {
		panic(err) // cannot happen: a test compiles it
	}
	return c
}
