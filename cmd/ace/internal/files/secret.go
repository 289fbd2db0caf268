package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/acebridge/ace/bridge"
)

// MakeDataDir makes a directory that only its owner may enter.
func MakeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return nil
}

// KeptSecret reads the secret kept under dir, or makes one. Two starts at the same time agree on one value, because a link is
// only made if there is no file yet.
func KeptSecret(dir, name string, fresh func() (bridge.Secret, error)) (bridge.Secret, error) {
	path := filepath.Join(dir, name)
	if text, err := ReadSmallFile(path); !errors.Is(err, fs.ErrNotExist) {
		return bridge.NewSecret(text), err
	}
	secret, err := fresh()
	if err != nil {
		return bridge.Secret{}, err
	}
	temp, err := writeTemp(path, []byte(secret.Reveal()+"\n"))
	if err != nil {
		return bridge.Secret{}, err
	}
	defer func() { _ = os.Remove(temp) }()
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return bridge.Secret{}, err
	}
	text, err := ReadSmallFile(path)
	return bridge.NewSecret(text), err
}

// writeTemp writes and syncs a 0600 file next to path. The caller puts it in place.
func writeTemp(path string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// ReplaceFile replaces a file in one step. A reader sees the old file or the new one, even after a crash.
func ReplaceFile(path string, data []byte) error {
	temp, err := writeTemp(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every file system can; the rename itself has been done
	return dir.Close()
}
