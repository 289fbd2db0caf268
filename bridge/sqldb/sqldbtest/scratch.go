package sqldbtest

import (
	"os"
	"syscall"
)

const (
	inMemory = "/dev/shm"
	room     = 2 << 30 // more than the databases of one package's tests ever need
)

// scratch creates a folder for databases: in memory if there is room and TMPDIR does not name another place, since no test needs
// a real disk.
func scratch() (string, error) {
	var disk syscall.Statfs_t
	where := ""
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(inMemory, &disk) == nil && disk.Bavail*uint64(disk.Bsize) > room { //nolint:gosec // a size of a block
		where = inMemory
	}
	return os.MkdirTemp(where, "ace_test_")
}
