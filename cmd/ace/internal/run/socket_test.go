//go:build linux

package run

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestSocket: the socket is the owner's alone; one that was left behind is replaced, one that is answered at is not.
func TestSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "ace") // short: the name of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "data", "server.sock")
	first, err := listenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := os.Stat(path); err != nil || s.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", s.Mode(), err)
	}
	if s, err := os.Stat(filepath.Dir(path)); err != nil || s.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", s.Mode(), err)
	}
	if _, err := listenSocket(t.Context(), path); err == nil {
		t.Error("a second server takes the socket away")
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = first.Close()
	second, err := listenSocket(t.Context(), path)
	if err != nil {
		t.Fatalf("a socket that was left behind: %v", err)
	}
	_ = second.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(t.Context(), path); err == nil {
		t.Error("a file is taken for a socket")
	}
}
