package sqldb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/acebridge/ace/bridge"
)

// State is the part of a database's history that the data directory keeps outside the database.
type State struct {
	DatabaseID string `json:"database_id"`          // the database that was used last
	Generation int64  `json:"generation,omitempty"` // its newest change that must not be lost
}

// StateFile is the path of the state of a role, "server" or "cloud", in a data directory. Both may share the directory.
func StateFile(dir, role string) string { return filepath.Join(dir, role+"-state.json") }

const maxState = 4 << 10

// ReadState reads a state file; the zero state where there is no file.
func ReadState(path string) (State, error) {
	var s State
	f, err := os.Open(path) //nolint:gosec // in the operator's data directory
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read the state of the database: %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return s, fmt.Errorf("read the state of the database: %w", err)
	}
	if err := parseState(raw, &s); err != nil {
		return State{}, bridge.E(bridge.Unavailable, bridge.CodeStateUnreadable,
			"the file %s does not say which database was used here: %w", path, err).
			WithHint("remove the file if you know that the database is the right one and up to date")
	}
	return s, nil
}

func parseState(raw []byte, s *State) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(s); err != nil {
		return err
	}
	if s.DatabaseID == "" {
		return errors.New("it names no database")
	}
	return nil
}

// Write replaces a state file so that a crash leaves the old one or the new one, on the disk and not in its cache.
func (s State) Write(path string) (err error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the state of the database: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the state of the database: %w", err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // for its owner only
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // nothing once it is renamed
	_, err = f.Write(append(raw, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
