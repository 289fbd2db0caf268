package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/acebridge/ace/bridge"
)

// MaxFile is the largest catalogue, in bytes.
const MaxFile = 1 << 20

func bad(format string, args ...any) error {
	return bridge.E(bridge.Invalid, bridge.CodeCatalogueInvalid, format, args...)
}

// Parse parses a catalogue in YAML or JSON.
//
// It refuses, naming the place: unknown fields; unknown scopes in presets and roles; presets that extend each other in a
// circle; roles below admin that reach what is for admins only; rules that could never match or be satisfied; and lists that
// are too long. The error has the code [bridge.CodeCatalogueInvalid].
func Parse(data []byte) (Catalogue, error) {
	if len(data) > MaxFile {
		return Catalogue{}, bad("the catalogue is larger than %d KiB", MaxFile>>10)
	}
	text, err := bridge.OutsideText(string(data))
	if err != nil {
		return Catalogue{}, bad("the catalogue cannot be read: %s", err)
	}
	if text == "" {
		return Catalogue{}, bad("the catalogue is empty")
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	// Aliases are checked before they are expanded: yaml.v3 limits how much they may multiply.
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var f File
	if err := d.Decode(&f); err != nil {
		return Catalogue{}, bad("the catalogue cannot be read: %s", err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Catalogue{}, bad("the catalogue has more than one document")
	}
	return compile(f)
}

// compile checks a catalogue and computes what decisions need.
func compile(f File) (Catalogue, error) {
	c := Catalogue{file: f, presets: map[string]bridge.Scopes{}, roles: map[bridge.Role]bridge.Scopes{}}
	if err := checkBounds(f); err != nil {
		return Catalogue{}, err
	}
	for _, step := range []func(*Catalogue) error{compileScopes, compileSets, compileRules} {
		if err := step(&c); err != nil {
			return Catalogue{}, err
		}
	}
	return c, nil
}

var placeholder = regexp.MustCompile(`<[a-z][a-z0-9_-]*>`)

// compileScopes checks the declared scopes, the axes and what is for admins only.
func compileScopes(c *Catalogue) error {
	if len(c.file.Scopes) == 0 {
		return bad("the catalogue declares no scopes")
	}
	for _, declared := range []map[string]string{c.file.Scopes, serverScopes} {
		for text, description := range declared {
			if !bridge.PlainText(description, 500) {
				return bad("the description of the scope %q is not at most 500 bytes of plain text", text)
			}
			scope, err := bridge.ParseScope(placeholder.ReplaceAllString(text, "*"))
			if err != nil {
				return bad("scopes: %q: %s", text, err)
			}
			c.known = append(c.known, scope)
		}
	}
	slices.Sort(c.known)
	c.known = slices.Compact(c.known)
	var err error
	if c.axes, err = c.scopes("axes", c.file.Axes); err != nil {
		return err
	}
	if slices.ContainsFunc(c.axes, bridge.Scope.Reserved) {
		return bad("axes: a scope that only an admin grants, by name, cannot be an axis")
	}
	if c.admin, err = c.scopes("admin_only", c.file.AdminOnly.Scopes); err != nil {
		return err
	}
	for _, text := range c.file.AdminOnly.Expiries {
		if _, err := adminExpiry(text); err != nil {
			return err
		}
	}
	for _, s := range c.known {
		if _, reaches := c.forAdmins(s); !reaches && !s.Reserved() {
			c.plain = append(c.plain, s)
		}
	}
	return nil
}

// scopes parses a list of scopes that must be known.
func (c *Catalogue) scopes(where string, list []string) (bridge.Scopes, error) {
	scopes, err := bridge.NewScopes(list)
	if err != nil {
		return nil, bad("%s: %s", where, err)
	}
	for _, s := range scopes {
		if err := c.CheckKnown(s); err != nil {
			return nil, bad("%s: %s", where, err)
		}
	}
	return scopes, nil
}

// adminExpiry parses an entry of admin_only.expiries into days; 0 stands for never.
func adminExpiry(text string) (int, error) {
	if text == "never" {
		return 0, nil
	}
	days, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
	if err != nil || days <= 0 || days > 36500 || !strings.HasSuffix(text, "d") {
		return 0, bad("admin_only: the expiry %q is neither never nor a number of days such as 365d", text)
	}
	return days, nil
}

// compileRules checks the rules and numbers them, so that a refusal can name one.
func compileRules(c *Catalogue) error {
	if c.file.NoMatch != NoMatchDeny && c.file.NoMatch != NoMatchAuthenticated {
		return bad("no_match must be %s or %s: what happens to a request that no rule matches", NoMatchDeny, NoMatchAuthenticated)
	}
	if c.file.EncodedSlash != "" && c.file.EncodedSlash != encodedSlashAllow {
		return bad("encoded_slash is %q: leave it out, or say %s where the app takes %%2F for a character of one segment",
			bridge.Clip(c.file.EncodedSlash, maxShown), encodedSlashAllow)
	}
	for i, r := range c.file.Rules {
		compiled, err := c.compileRule(r)
		if err != nil {
			return fmt.Errorf("rule %d (%s): %w", i+1, r.Path, err)
		}
		compiled.name = fmt.Sprintf("rule %d (%s)", i+1, strings.TrimSpace(strings.Join(r.Methods, ",")+" "+r.Path))
		c.rules = append(c.rules, compiled)
	}
	return nil
}
