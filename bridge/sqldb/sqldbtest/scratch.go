package sqldbtest

import (
	"os"
	"syscall"
)

const (
	inMemory = "/dev/shm"
	room     = 2 << 30 // what the databases of a package's tests take at most, with much to spare
)

// scratch makes a folder for databases: in memory if there is room and TMPDIR names no other place, as no test needs them
// on a disk.
func scratch() (string, error) {
	var disk syscall.Statfs_t
	where := ""
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(inMemory, &disk) == nil && disk.Bavail*uint64(disk.Bsize) > room { //nolint:gosec // a size of a block
		where = inMemory
	}
	return os.MkdirTemp(where, "ace_test_")
}
