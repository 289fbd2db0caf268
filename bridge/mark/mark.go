// Package mark keeps a database's change number in a file outside the database.
//
// A database that has lost commits, for example an old backup put in its place, has a lower number than the file. The number is
// written after the commit and before the caller gets an answer, so the file is never ahead of what was committed.
package mark

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/acebridge/ace/bridge"
)

// The file has two slots in separate sectors, written in turn: a write that is interrupted leaves the other slot intact.
const (
	slotSize = 32
	sector   = 512
	magic    = "ace gen1"
)

// File is an open mark. It is safe for concurrent use; the methods of a nil File do nothing.
type File struct {
	f      *os.File
	want   atomic.Int64 // the highest number that shall be in the file
	mu     sync.Mutex
	synced atomic.Int64 // the highest number that is in the file
}

// Place says where a mark is kept.
type Place struct {
	Dir  string // the data directory; empty: no mark is kept
	Role string // "server" or "cloud"; both may share the directory
	New  bool   // the database replaces another one, whose mark is discarded
}

// Path returns the path of the file.
func (p Place) Path() string { return filepath.Join(p.Dir, p.Role+"-generation") }

// Open opens the mark of a data directory, creating it if there is none.
//
// If the directory cannot be written, it logs that and returns nil: then only the cloud can notice lost changes. A damaged
// file fails with [bridge.CodeGenerationUnreadable].
func Open(p Place, log *slog.Logger) (*File, error) {
	if p.Dir == "" {
		return nil, nil //nolint:nilnil // a nil File does nothing
	}
	path, flags := p.Path(), os.O_CREATE|os.O_RDWR
	if p.New {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		if _, statErr := os.Stat(path); !errors.Is(statErr, fs.ErrNotExist) {
			return nil, fmt.Errorf("open the mark of changes: %w", err)
		}
		log.Warn("an old backup put in place will be noticed by the cloud only: the data directory cannot be written", "error", err)
		return nil, nil //nolint:nilnil // a nil File does nothing
	}
	m := &File{f: f}
	number, _, err := m.read()
	if err != nil {
		_ = f.Close()
		return nil, bridge.E(bridge.Unavailable, bridge.CodeGenerationUnreadable,
			"%s is damaged, so nobody knows whether the database is behind", path).
			WithHint("if the database is the newest there is, remove the file and start again")
	}
	m.want.Store(number)
	m.synced.Store(number)
	return m, syncDir(p.Dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator names the folder
	if err != nil {
		return fmt.Errorf("open the mark of changes: %w", err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync the folder of the mark of changes: %w", err)
	}
	return nil
}

// Number returns the highest number in the file; 0: none yet.
func (m *File) Number() int64 {
	if m == nil {
		return 0
	}
	return m.synced.Load()
}

// Advance raises the number in the file to at least number, and returns once that is on disk.
//
// Simultaneous callers share one write.
func (m *File) Advance(number int64) error {
	if m == nil || m.synced.Load() >= number {
		return nil
	}
	for old := m.want.Load(); old < number && !m.want.CompareAndSwap(old, number); old = m.want.Load() {
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.synced.Load() >= number {
		return nil
	}
	want := m.want.Load()
	highest, slot, err := m.read() // another process may use the same file
	if err != nil {
		return fmt.Errorf("read the mark of changes: %w", err)
	}
	if highest < want {
		if _, err := m.f.WriteAt(encode(want), int64(1-slot)*sector); err != nil {
			return fmt.Errorf("write the mark of changes: %w", err)
		}
		if err := m.f.Sync(); err != nil {
			return fmt.Errorf("sync the mark of changes: %w", err)
		}
	}
	m.synced.Store(max(want, highest))
	return nil
}

// Close closes the file.
func (m *File) Close() error {
	if m == nil {
		return nil
	}
	return m.f.Close()
}

var errDamaged = errors.New("the mark of changes is damaged")

// read returns the highest number and its slot. A file of zeros is new; one with other contents but no intact slot is damaged.
func (m *File) read() (number int64, slot int, err error) {
	var raw [sector + slotSize]byte
	n, err := m.f.ReadAt(raw[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	if bytes.Count(raw[:n], []byte{0}) == n {
		return 0, 1, nil
	}
	found := false
	for i := range 2 {
		if one, ok := decode(raw[i*sector:][:slotSize]); ok && (!found || one > number) {
			number, slot, found = one, i, true
		}
	}
	if !found {
		return 0, 0, errDamaged
	}
	return number, slot, nil
}

func encode(number int64) []byte {
	out := binary.BigEndian.AppendUint64([]byte(magic), uint64(number)) //nolint:gosec // never negative
	sum := sha256.Sum256(out)
	return append(out, sum[:slotSize-len(out)]...)
}

func decode(slot []byte) (int64, bool) {
	number := int64(binary.BigEndian.Uint64(slot[len(magic):])) //nolint:gosec // encode's
	return number, number > 0 && bytes.Equal(slot, encode(number))
}
