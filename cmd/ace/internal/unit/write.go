package unit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
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

// Write writes the files and removes secrets that an earlier unit had. It reports whether anything is different now.
func (u *Unit) Write() (changed bool, err error) {
	if err := errors.Join(os.MkdirAll(filepath.Dir(u.Path), 0o755), os.MkdirAll(filepath.Dir(u.DataDir), 0o755)); err != nil { //nolint:gosec // of systemd and of all data directories
		return false, err
	}
	err = files.MakeDataDir(u.credentialsDir())
	if err == nil && (!u.System || u.RunAs != "") { // else systemd makes it
		err = u.makeDataDir()
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

// makeDataDir makes the data directory for the user that the server runs as. One that exists stays as it is.
func (u *Unit) makeDataDir() error {
	if _, err := os.Stat(u.DataDir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := files.MakeDataDir(u.DataDir); err != nil {
		return err
	}
	return u.handOver(u.DataDir)
}

// handOver gives a file to the user that the server runs as.
func (u *Unit) handOver(path string) error {
	if u.RunAs == "" {
		return nil
	}
	who, err := user.Lookup(u.RunAs)
	if err != nil {
		return fmt.Errorf("find the user of the server: %w", err)
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(who.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}

// LeaveJoinToken puts a join token where the server finds it at its first start, and removes it once it has joined.
func (u *Unit) LeaveJoinToken(token bridge.Secret) error {
	if err := u.makeDataDir(); err != nil {
		return err
	}
	path := filepath.Join(u.DataDir, JoinTokenFile)
	if err := files.ReplaceFile(path, []byte(token.Reveal()+"\n")); err != nil {
		return err
	}
	return u.handOver(path)
}

// JoinTokenFile is the name of a join token's file in the data directory.
const JoinTokenFile = "join-token"

// Remove removes the files of an installation, except the data directory. It returns what it removed.
func (i *Installed) Remove(path string) ([]string, error) {
	u := Unit{DataDir: i.DataDir}
	removed := []string{}
	var errs error
	for _, name := range []string{u.settingsFile(), u.credentialsDir(), filepath.Join(i.DataDir, JoinTokenFile), path} { // the unit last: it names the others
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
