//go:build linux

package run

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acebridge/ace/cmd/ace/internal/files"
)

const hiding = "ACE_TEST_HIDE"

// TestHideJoinToken: a join token in a plain variable is gone from /proc/PID/environ, and the process is the same.
func TestHideJoinToken(t *testing.T) {
	if os.Getenv(hiding) != "" {
		hidden(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHideJoinToken$", "-test.v")
	cmd.Env = append(os.Environ(), hiding+"=1", "ACE_JOIN_TOKEN=ace_jt1.secret", "ACE_ADDR=none")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), fmt.Sprintf("read ace_jt1.secret as %d", cmd.Process.Pid)) {
		t.Error(out.String())
	}
}

// hidden is what the process of [TestHideJoinToken] does, twice: before it is executed again, and after.
func hidden(t *testing.T) {
	if err := hideJoinToken(); err != nil {
		t.Fatal(err)
	}
	environ, err := os.ReadFile("/proc/self/environ")
	if err != nil || strings.Contains(string(environ), "ace_jt1") || !strings.Contains(string(environ), "ACE_ADDR=none") {
		t.Fatalf("%q (%v)", environ, err)
	}
	token, err := files.ReadNamedFile(os.Getenv("ACE_JOIN_TOKEN_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	pipe := os.Getenv("ACE_JOIN_TOKEN_FILE")
	closeInherited()
	if _, err := os.Stat(pipe); err == nil {
		t.Errorf("%s is still open", pipe)
	}
	if _, set := os.LookupEnv("ACE_JOIN_TOKEN_FILE"); set {
		t.Error("the variable stays")
	}
	fmt.Printf("read %s as %d\n", token, os.Getpid())
}

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
