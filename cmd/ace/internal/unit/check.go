package unit

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/acebridge/ace/bridge"
)

func refused(hint, format string, args ...any) error {
	return bridge.E(bridge.Invalid, bridge.CodeUnitPath, format, args...).WithHint("%s", hint)
}

// Check refuses paths that a unit cannot name, or that the server could not use from its unit. database is ACE_DATABASE_URL.
func (u *Unit) Check(database bridge.Secret) error {
	paths := []string{u.Path, u.Binary, u.DataDir}
	for _, v := range u.Variables {
		if v.Kind == File {
			paths = append(paths, v.Value.Reveal())
		}
	}
	for _, path := range paths {
		if !filepath.IsAbs(path) || strings.ContainsAny(path, " \t\n\r\"'\\%$:;{}") || !bridge.PlainText(path, 1024) {
			return refused("use another path; for the data directory, ACE_DATA_DIR",
				"%q cannot be named in a unit: it is not absolute, or has a space or a special character", path)
		}
	}
	if file, ok := strings.CutPrefix(database.Reveal(), "sqlite:"); ok {
		if inside := filepath.IsAbs(file) && filepath.Dir(file) == u.DataDir; !inside {
			return refused("leave ACE_DATABASE_URL out, and name the directory in ACE_DATA_DIR", "the SQLite file of a unit is in the data directory")
		}
	}
	if u.System && u.RunAs == "" && filepath.Dir(u.DataDir) != filepath.Dir(SystemDataDir) {
		return refused("sudo ACE_DATA_DIR="+u.DataDir+" ace server install --run-as USER, where USER owns the directory",
			"systemd makes data directories directly in /var/lib only")
	}
	return nil
}

// RequireKept refuses to replace an installation by one with other data or fewer variables. nil: there is none.
func (u *Unit) RequireKept(before *Installed) error {
	if before == nil {
		return nil
	}
	if before.DataDir != u.DataDir {
		return bridge.E(bridge.Conflict, bridge.CodeUnitVariables, "the installed server has its data in %s, and this one would have it in %s", before.DataDir, u.DataDir).
			WithHint("set ACE_DATA_DIR=%s, or run ace server uninstall first", before.DataDir)
	}
	var lost []string
	for _, name := range before.Variables {
		if !slices.ContainsFunc(u.Variables, func(v Variable) bool {
			return strings.TrimSuffix(v.Name, "_FILE") == strings.TrimSuffix(name, "_FILE")
		}) {
			lost = append(lost, name)
		}
	}
	if len(lost) > 0 {
		return bridge.E(bridge.Conflict, bridge.CodeUnitVariables, "the installed server has %s, which this environment has not", strings.Join(lost, ", ")).
			WithHint("set them again, or drop them: ace server install --reset")
	}
	return nil
}
