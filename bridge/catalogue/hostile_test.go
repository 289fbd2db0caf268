package catalogue_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

// own returns the built-in catalogue, to be modified.
func own() catalogue.File {
	f := catalogue.Builtin().File()
	f.Presets, f.Roles = maps.Clone(f.Presets), maps.Clone(f.Roles)
	return f
}

// extending returns a catalogue in which each preset extends the next one, the given number of times.
func extending(presets, times int) catalogue.File {
	f := own()
	for i := range presets - 1 {
		f.Presets[fmt.Sprintf("p%d", i)] = catalogue.Preset{Extends: slices.Repeat([]string{fmt.Sprintf("p%d", i+1)}, times)}
	}
	f.Presets[fmt.Sprintf("p%d", presets-1)] = catalogue.Preset{Scopes: []string{"app:read"}}
	return f
}

// parse parses a catalogue as a server sends it.
func parse(t testing.TB, f catalogue.File) (catalogue.Catalogue, error) {
	t.Helper()
	raw, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return catalogue.Parse(raw)
}

// TestPresetsAreResolvedOnce checks that presets which extend each other many times are resolved once each: following every path
// would take 10^16 steps, and the test would never end.
func TestPresetsAreResolvedOnce(t *testing.T) {
	c, err := parse(t, extending(17, 10))
	if err != nil {
		t.Fatal(err)
	}
	if scopes, ok := c.Preset("p0"); !ok || !slices.Equal(scopes, bridge.Scopes{"app:read"}) {
		t.Errorf("p0 is %v", scopes)
	}
	f := extending(17, 10)
	f.Presets["p16"] = catalogue.Preset{Extends: []string{"p3"}}
	if _, err := parse(t, f); err == nil || !strings.Contains(err.Error(), "preset p0 → p1 → p2 → p3") || !strings.Contains(err.Error(), "in a circle") {
		t.Errorf("a circle: %v", err)
	}
}

// TestPresetsExtendSoDeep checks that the depth of extending does not depend on which preset is resolved first.
func TestPresetsExtendSoDeep(t *testing.T) {
	viewer := func(f catalogue.File, preset string) catalogue.File {
		f.Roles["viewer"] = catalogue.Preset{Extends: []string{preset}}
		return f
	}
	backwards := extending(18, 1)
	for i := range 18 { // z17 is resolved before z16, which extends it
		p := backwards.Presets[fmt.Sprintf("p%d", i)]
		if i < 17 {
			p.Extends = []string{fmt.Sprintf("z%02d", 16-i)}
		}
		delete(backwards.Presets, fmt.Sprintf("p%d", i))
		backwards.Presets[fmt.Sprintf("z%02d", 17-i)] = p
	}
	for name, c := range map[string]struct {
		f  catalogue.File
		ok bool
	}{
		"17 presets": {extending(17, 1), true}, "18 presets": {extending(18, 1), false}, "18 presets, the last first": {backwards, false},
		"a role and 16 presets": {viewer(extending(17, 1), "p1"), true}, "a role and 17 presets": {viewer(extending(17, 1), "p0"), false},
	} {
		if _, err := parse(t, c.f); (err == nil) != c.ok || (!c.ok && !strings.Contains(err.Error(), "too deeply")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// large returns a catalogue larger than any that people write; it must be accepted.
func large() catalogue.File {
	f := own()
	for i := range 400 {
		scope := fmt.Sprintf("resource-%d:operation", i)
		f.Scopes[scope] = "do something with that"
		f.Rules = append(f.Rules, catalogue.Rule{Path: fmt.Sprintf("/v1/resource-%d/{id}", i), Methods: []string{"GET", "POST"}, Require: []string{scope}},
			catalogue.Rule{Path: fmt.Sprintf("/v1/tools-%d", i), Tool: "mcp", Tools: []catalogue.Operation{{Names: []string{"a_*", "b"}, Require: []string{scope}}}})
	}
	for i := range 60 {
		p := catalogue.Preset{Scopes: []string{"app:read"}}
		for j := range 40 {
			p.Scopes = append(p.Scopes, fmt.Sprintf("resource-%d:operation", i+j))
		}
		f.Presets[fmt.Sprintf("preset-%d", i)] = p
	}
	return f
}

func TestCatalogueIsBounded(t *testing.T) {
	if c, err := parse(t, large()); err != nil || len(c.Presets()) != 63 {
		t.Errorf("a large catalogue: %v", err)
	}
	many := func(n int) []string { return slices.Repeat([]string{"app:read"}, n) }
	for _, c := range []struct {
		says   string
		change func(*catalogue.File)
	}{
		{"more than 1000 scopes", func(f *catalogue.File) {
			for i := range 1001 {
				f.Scopes[fmt.Sprintf("a:%d", i)] = ""
			}
		}},
		{"more than 100 presets", func(f *catalogue.File) {
			for i := range 101 {
				f.Presets[fmt.Sprint(i)] = catalogue.Preset{Scopes: many(1)}
			}
		}},
		{"more than 2000 rules", func(f *catalogue.File) { f.Rules = make([]catalogue.Rule, 2001) }},
		{"more than 128 axes", func(f *catalogue.File) { f.Axes = many(129) }},
		{"more than 128 scopes for admins only", func(f *catalogue.File) { f.AdminOnly.Scopes = many(129) }},
		{"more than 128 expiries for admins only", func(f *catalogue.File) { f.AdminOnly.Expiries = slices.Repeat([]string{"never"}, 129) }},
		{"preset x: more than 128 scopes", func(f *catalogue.File) { f.Presets["x"] = catalogue.Preset{Scopes: many(129)} }},
		{"more than 16 presets that one", func(f *catalogue.File) {
			f.Presets["x"] = catalogue.Preset{Extends: slices.Repeat([]string{"app"}, 17)}
		}},
		{"more than 16 presets that one", func(f *catalogue.File) {
			f.Roles["viewer"] = catalogue.Preset{Extends: slices.Repeat([]string{"app"}, 17)}
		}},
		{"more than 5000 scopes in its", func(f *catalogue.File) {
			for i := range 50 {
				f.Presets[fmt.Sprint(i)] = catalogue.Preset{Scopes: many(101)}
			}
		}},
		{"more than 5000 scopes in its", func(f *catalogue.File) {
			for range 400 {
				needs := []catalogue.Operation{{Names: []string{"a"}, Require: many(6)}}
				f.Rules = append(f.Rules, catalogue.Rule{Path: "/a", Tool: "mcp", Require: many(1), Tools: needs, Messages: needs})
			}
		}},
		{"more than 5000 methods and names", func(f *catalogue.File) {
			f.Rules = []catalogue.Rule{{Path: "/a", Methods: slices.Repeat([]string{"GET"}, 1000), Tool: "mcp",
				Tools: []catalogue.Operation{{Names: many(4000), Require: []string{}}}}}
		}},
	} {
		f := own()
		c.change(&f)
		if _, err := parse(t, f); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.says, err)
		}
	}
}
