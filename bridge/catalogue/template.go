package catalogue

import (
	"regexp"
	"slices"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// template is a required scope with values of the request in it: literal text and values in turn.
type template struct {
	text  string
	parts []part
}

type part struct {
	literal  string
	source   source
	name     string
	prefix   bool
	fallback string // used if there is no value; empty: the request is refused
}

type source string

const (
	fromLiteral source = ""
	fromHeader  source = "header"
	fromPath    source = "path"
	fromQuery   source = "query"
	fromBody    source = "body"
	fromTool    source = "tool"
)

var (
	valuePattern = regexp.MustCompile(`\{[^{}]*\}`)
	partPattern  = regexp.MustCompile(`^\{(tool|(?:header|path|query|body)\.[A-Za-z0-9_.-]+?)(\.prefix)?(?:\|([a-z0-9._-]+|\*))?\}$`)
	fieldPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,7}$`)
)

func (c *Catalogue) templates(list []string, wildcards []string, hasTool bool) ([]template, error) {
	if len(list) > 16 {
		return nil, bad("require has more than 16 scopes")
	}
	var out []template
	for _, text := range list {
		t, err := c.template(text, wildcards, hasTool)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// template parses a required scope. One without values must be declared in the catalogue.
func (c *Catalogue) template(text string, wildcards []string, hasTool bool) (template, error) {
	t := template{text: text}
	rest, sample := text, valuePattern.ReplaceAllString(text, "x")
	if len(text) > 512 {
		return t, bad("a required scope is longer than 512 bytes")
	}
	scope, err := bridge.ParseScope(sample)
	if err != nil {
		return t, bad("require: %q: %s", text, err)
	}
	if strings.Contains(sample, "*") {
		return t, bad("require: %q: a required scope is a single thing and cannot contain *", text)
	}
	for _, at := range valuePattern.FindAllStringIndex(text, -1) {
		before := text[len(text)-len(rest) : at[0]]
		if before != "" {
			t.parts = append(t.parts, part{literal: before})
		}
		rest = text[at[1]:]
		p, err := parsePart(text[at[0]:at[1]], wildcards, hasTool)
		if err != nil {
			return t, err
		}
		t.parts = append(t.parts, p)
	}
	if rest != "" {
		t.parts = append(t.parts, part{literal: rest})
	}
	if len(t.parts) == 1 && t.parts[0].source == fromLiteral {
		if err := c.CheckKnown(scope); err != nil {
			return t, bad("require: %s", err)
		}
	}
	return t, nil
}

// parsePart parses one {…} of a required scope.
func parsePart(text string, wildcards []string, hasTool bool) (part, error) {
	m := partPattern.FindStringSubmatch(text)
	if m == nil {
		return part{}, bad("%q is not one of {header.NAME}, {path.NAME}, {query.NAME}, {body.FIELD}, {tool}", text)
	}
	kind, name, _ := strings.Cut(m[1], ".")
	p := part{source: source(kind), name: name, prefix: m[2] != "", fallback: m[3]}
	switch {
	case p.source == fromPath && !slices.Contains(wildcards, name):
		return part{}, bad("%q: the path has no wildcard of that name", text)
	case p.source == fromTool && !hasTool:
		return part{}, bad("%q: the rule names no tool", text)
	case p.source == fromBody && !fieldPattern.MatchString(name):
		return part{}, bad("%q is not a field of a body", text)
	}
	return p, nil
}

// fill puts the request's values into the template. A value only ever becomes part of one segment: a "*", a colon or an
// upper-case letter, which could widen or reshape the scope, is refused.
func (t template) fill(v *values) (bridge.Scope, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.source == fromLiteral {
			b.WriteString(p.literal)
			continue
		}
		value, found, err := v.get(p)
		if err != nil {
			return "", err
		}
		if !found {
			if p.fallback == "" {
				return "", refuse(bridge.CodeValueMissing, "the request has no %s.%s, which %s needs", p.source, p.name, t.text)
			}
			b.WriteString(p.fallback)
			continue
		}
		if p.prefix {
			value, _, _ = strings.Cut(value, "_")
		}
		if s, err := bridge.ParseScope(value); err != nil || strings.ContainsAny(string(s), "*:") {
			return "", refuse(bridge.CodeValueMalformed, "%s.%s of the request cannot be part of a scope: %q", p.source, p.name,
				bridge.Clip(value, maxShown))
		}
		b.WriteString(value)
	}
	scope, err := bridge.ParseScope(b.String())
	if err != nil {
		return "", refuse(bridge.CodeValueMalformed, "the request does not turn %s into a scope", t.text)
	}
	return scope, nil
}

const maxShown = 80 // bytes of an outside value that are quoted in a message
