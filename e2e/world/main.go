// Package world is what tests of the whole product share: a cloud, a server and an app in the test's process, the built
// command, terminals to run it on, and a cloud that answers as it is told.
package world

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// Main runs a package's tests after what they need has been set up, and ends the PostgreSQL that they have started.
func Main(m interface{ Run() int }, setUp ...func() error) {
	for _, f := range setUp {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	sqldbtest.Stop()
	os.Exit(code)
}

// Command puts the command ace first on the PATH, built from the source beside the tests.
//
// It is built once: the next package finds it up to date, since all build it in one place. It is built without the race
// detector, under which it takes seconds to start; tests that run in the process of a test are what that is for.
func Command() error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "ace-e2e", fmt.Sprintf("%x", sha256.Sum256([]byte(root)))[:16])
	if err := build(dir); err != nil {
		return err
	}
	return os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// build builds the command into a directory, one process at a time.
func build(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "ace"), "github.com/acebridge/ace/cmd/ace").CombinedOutput(); err != nil {
		return fmt.Errorf("the command cannot be built: %w\n%s", err, out)
	}
	return nil
}
