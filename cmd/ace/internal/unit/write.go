package unit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/files"
)

const maxUnit = 64 << 10

// Installed is what a unit file says of its installation.
type Installed struct {
	DataDir   string
	Variables []string
	Text      string
}

// Find reads the unit at a path. Without one it returns nil. A unit that [Unit.Write] did not write is an error.
func Find(path string) (*Installed, error) {
	text, err := files.ReadBounded(path, maxUnit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	lines := strings.SplitN(text, "\n", 4)
	var data, variables string
	ours := len(lines) == 4 && lines[0] == Marker
	if ours {
		var named bool
		data, ours = strings.CutPrefix(lines[1], dataLine)
		variables, named = strings.CutPrefix(lines[2], variablesLine)
		ours = ours && named && filepath.IsAbs(data)
	}
	if !ours {
		return nil, bridge.E(bridge.Conflict, bridge.CodeUnitForeign, "%s was not written by ace server install, and is left as it is", path).
			WithHint("keep it, or move it away and run the command again")
	}
	return &Installed{DataDir: filepath.Clean(data), Variables: strings.Fields(variables), Text: text}, nil
}

// Check refuses paths that a unit cannot name.
func (u *Unit) Check() error {
	paths := []string{u.Path, u.Binary, u.DataDir}
	for _, v := range u.Variables {
		if v.Kind == File {
			paths = append(paths, v.Value.Reveal())
		}
	}
	for _, path := range paths {
		if !filepath.IsAbs(path) || strings.ContainsAny(path, " \t\n\r\"'\\%$:;{}") || !bridge.PlainText(path, 1024) {
			return bridge.E(bridge.Invalid, bridge.CodeUnitPath, "%q cannot be named in a unit: it is not absolute, or has a space or a special character", path).
				WithHint("use another path; for the data directory, ACE_DATA_DIR")
		}
	}
	return nil
}

// Write writes the files and removes secrets that an earlier unit had. It reports whether anything is different now.
func (u *Unit) Write() (changed bool, err error) {
	if err := errors.Join(os.MkdirAll(filepath.Dir(u.Path), 0o755), os.MkdirAll(filepath.Dir(u.DataDir), 0o755)); err != nil { //nolint:gosec // of systemd and of all data directories
		return false, err
	}
	if u.System && u.RunAs == "" { // systemd makes the data directory
		err = files.MakeDataDir(u.credentialsDir())
	} else {
		err = errors.Join(files.MakeDataDir(u.credentialsDir()), files.MakeDataDir(u.DataDir))
	}
	if err != nil {
		return false, err
	}
	all := u.Files()
	for _, f := range all {
		now, err := files.ReadBounded(f.Path, maxUnit)
		if info, statErr := os.Stat(f.Path); err == nil && statErr == nil && now == string(f.data) && info.Mode().Perm() == f.mode {
			continue
		}
		changed = true
		if err := errors.Join(files.ReplaceFile(f.Path, f.data), os.Chmod(f.Path, f.mode)); err != nil {
			return true, err
		}
	}
	old, err := os.ReadDir(u.credentialsDir())
	for _, entry := range old {
		path := filepath.Join(u.credentialsDir(), entry.Name())
		if !slices.ContainsFunc(all, func(f Written) bool { return f.Path == path }) {
			changed, err = true, errors.Join(err, os.Remove(path))
		}
	}
	return changed, err
}

// Remove removes the files of an installation, except the data directory. It returns what it removed.
func (i *Installed) Remove(path string) ([]string, error) {
	u := Unit{DataDir: i.DataDir}
	removed := []string{}
	var errs error
	for _, name := range []string{u.settingsFile(), u.credentialsDir(), path} { // the unit last: it names the others
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(name); err != nil {
			errs = errors.Join(errs, err)
			break
		}
		removed = append(removed, name)
	}
	return removed, errs
}
