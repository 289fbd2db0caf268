package catalogue

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// rule is a compiled [Rule].
type rule struct {
	name     string
	methods  []string
	segments []segment
	rest     string // the name in a final {name...}
	hasRest  bool
	require  []template
	tool     string // "", toolMCP, or the path of a body field, separated by dots
	tools    []operation
	messages []operation
}

// segment is one segment of a path pattern: a literal, or the name of a wildcard.
type segment struct{ literal, wildcard string }

type operation struct {
	names   []string
	require []template
}

const (
	toolMCP  = "mcp"
	toolBody = "body."
)

var (
	methodPattern = regexp.MustCompile(`^[A-Z][A-Z-]{0,19}$`)
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9*?_./-]{1,128}$`)
)

// compileRule checks one rule and compiles its path and its required scopes.
func (c *Catalogue) compileRule(r Rule) (rule, error) {
	out := rule{methods: r.Methods}
	for _, m := range r.Methods {
		if !methodPattern.MatchString(m) {
			return rule{}, bad("%q is not a method in upper case", m)
		}
	}
	if slices.Contains(r.Methods, "GET") { // HEAD is GET without the content (RFC 9110 section 9.3.2)
		out.methods = append(slices.Clone(r.Methods), "HEAD")
	}
	if err := out.compilePath(r.Path); err != nil {
		return rule{}, err
	}
	wildcards := out.wildcards()
	var err error
	if r.Tool == "" {
		if len(r.Tools)+len(r.Messages) > 0 {
			return rule{}, bad("tools and messages need the field tool, which says where the tool is named")
		}
		if r.Require == nil {
			return rule{}, bad("require is missing; an empty list [] lets every valid credential pass")
		}
		out.require, err = c.templates(r.Require, wildcards, false)
		return out, err
	}
	field, body := strings.CutPrefix(r.Tool, toolBody)
	switch {
	case body && fieldPattern.MatchString(field):
		out.tool = field
	case r.Tool == toolMCP:
		out.tool = toolMCP
	default:
		return rule{}, bad("tool is neither mcp nor body.FIELD")
	}
	if r.Tool != toolMCP && len(r.Messages) > 0 {
		return rule{}, bad("messages belong to tool: mcp")
	}
	if len(r.Tools) == 0 {
		return rule{}, bad("tools is empty, so nothing could ever pass")
	}
	if out.require, err = c.templates(r.Require, wildcards, true); err != nil {
		return rule{}, err
	}
	if out.tools, err = c.operations(r.Tools, wildcards); err != nil {
		return rule{}, err
	}
	out.messages, err = c.operations(r.Messages, wildcards)
	return out, err
}

func (c *Catalogue) operations(list []Operation, wildcards []string) ([]operation, error) {
	out := make([]operation, 0, len(list))
	for _, o := range list {
		if len(o.Names) == 0 || o.Require == nil {
			return nil, bad("an operation needs names and require")
		}
		for _, name := range o.Names {
			if _, err := path.Match(name, ""); err != nil || !namePattern.MatchString(name) {
				return nil, bad("%q is not a pattern for names", name)
			}
		}
		require, err := c.templates(o.Require, wildcards, true)
		if err != nil {
			return nil, err
		}
		out = append(out, operation{o.Names, require})
	}
	return out, nil
}

var wildcardPattern = regexp.MustCompile(`^\{([a-z][a-z0-9_]*)(\.\.\.)?\}$`)

// compilePath parses a path pattern. It must not be ambiguous itself.
func (r *rule) compilePath(pattern string) error {
	if !strings.HasPrefix(pattern, "/") || len(pattern) > 1024 || strings.ContainsAny(pattern, "?#;%\\") ||
		bridge.AmbiguousPath(strings.ReplaceAll(pattern, "...}", "}")) {
		return bad("the path %q must begin with / and hold no empty or dot segments, no ? # ; %% and no backslash", pattern)
	}
	parts := split(pattern)
	for i, part := range parts {
		m := wildcardPattern.FindStringSubmatch(part)
		switch {
		case m == nil && strings.ContainsAny(part, "{}"):
			return bad("%q is not a wildcard: a whole segment {name}, or {name...} at the end", part)
		case m == nil:
			r.segments = append(r.segments, segment{literal: part})
		case m[2] != "" && i != len(parts)-1:
			return bad("%q must come last", part)
		case m[2] != "":
			r.rest, r.hasRest = m[1], true
		default:
			r.segments = append(r.segments, segment{wildcard: m[1]})
		}
	}
	names := r.wildcards()
	slices.Sort(names)
	if len(slices.Compact(names)) != len(r.wildcards()) {
		return bad("two wildcards have the same name")
	}
	return nil
}

// split splits a path into segments. A trailing slash makes no difference: most apps treat /a/ like /a.
func split(p string) []string {
	p = strings.TrimSuffix(strings.TrimPrefix(p, "/"), "/")
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// wildcards returns the names of a path's wildcards.
func (r *rule) wildcards() []string {
	var out []string
	for _, s := range r.segments {
		if s.wildcard != "" {
			out = append(out, s.wildcard)
		}
	}
	if r.hasRest {
		out = append(out, r.rest)
	}
	return out
}

// matches reports whether the rule applies to a method and path, and whether the path matches exactly: apps that ignore case
// would take /Settings for /settings.
func (r *rule) matches(method string, parts []string) (matches, exactly bool) {
	if len(r.methods) > 0 && !slices.Contains(r.methods, method) {
		return false, false
	}
	if len(parts) < len(r.segments) || (len(parts) > len(r.segments) && !r.hasRest) {
		return false, false
	}
	exactly = true
	for i, s := range r.segments {
		if s.wildcard != "" || s.literal == parts[i] {
			continue
		}
		if !nearly(s.literal, parts[i]) {
			return false, false
		}
		exactly = false
	}
	return true, exactly
}

// value returns what a wildcard stands for in a matching path.
func (r *rule) value(wildcard string, parts []string) string {
	for i, s := range r.segments {
		if s.wildcard == wildcard {
			return parts[i]
		}
	}
	return strings.Join(parts[len(r.segments):], "/")
}

// find returns the first operation with a matching name.
func find(list []operation, name string) (operation, bool) {
	for _, o := range list {
		for _, pattern := range o.names {
			if ok, _ := path.Match(pattern, name); ok { // cannot fail: compile has checked the patterns
				return o, true
			}
		}
	}
	return operation{}, false
}
