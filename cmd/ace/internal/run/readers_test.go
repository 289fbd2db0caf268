package run

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/cmd/ace/internal/outsidetest"
)

// TestSettingsFromOutside: variables and the catalogue are read as all text from outside.
func TestSettingsFromOutside(t *testing.T) {
	outsidetest.Check(t, []outsidetest.Reader{
		{Name: "a variable of a server", Env: true, Read: func(t *testing.T, raw string) (string, error) {
			t.Setenv("ACE_JWT_SECRET", raw)
			var e serverEnv
			err := readEnv(&e)
			return e.JWTSecret.Reveal(), err
		}},
		{Name: "a file of a variable", Read: func(t *testing.T, raw string) (string, error) {
			t.Setenv("ACE_JWT_SECRET_FILE", outsidetest.FileOf(t, raw).Name())
			var e serverEnv
			err := readEnv(&e)
			return e.JWTSecret.Reveal(), err
		}},
		{Name: "a catalogue", Read: func(t *testing.T, raw string) (string, error) {
			const file = "\n  name: value\n  scopes: {a:b: x}\n  presets: {p: {scopes: [a:b]}}\n  roles: {viewer: {scopes: [a:b]}, member: {scopes: [a:b]}, admin: {scopes: [a:b]}, owner: {scopes: [a:b]}}\n  no_match: deny\n"
			if strings.HasPrefix(raw, "\xff\xfe") {
				raw = outsidetest.UTF16(file)
			} else {
				raw = strings.TrimSuffix(strings.Replace(strings.Trim(raw, " \t"), "value", file, 1), "\u00a0")
			}
			c, err := readCatalogue(outsidetest.FileOf(t, raw).Name())
			if err != nil {
				return "", err
			}
			return c.File().Name, nil
		}},
	})
}
