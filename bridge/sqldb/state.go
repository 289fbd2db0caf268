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

// State is what the data directory records about a database.
type State struct {
	DatabaseID string `json:"database_id"`          // the database that was last used
	Generation int64  `json:"generation,omitempty"` // its newest change that must not be lost
}

// StateFile returns the path of a state file; role is "server" or "cloud". Both may share a data directory.
func StateFile(dir, role string) string { return filepath.Join(dir, role+"-state.json") }

const maxState = 4 << 10

// ReadState reads a state file; if there is none it returns the zero state.
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
		return errors.New("it does not name a database")
	}
	return nil
}

// Write replaces a state file atomically and syncs it: after a crash the file has either the old or the new state.
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
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // readable only by its owner
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // does nothing once it is renamed
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
