//go:build linux

package files_test

import (
	"fmt"
	"os"
	"os/exec"
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
	if err := files.HideJoinToken(); err != nil {
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
	files.CloseInherited()
	if _, err := os.Stat(pipe); err == nil {
		t.Errorf("%s is still open", pipe)
	}
	if _, set := os.LookupEnv("ACE_JOIN_TOKEN_FILE"); set {
		t.Error("the variable stays")
	}
	fmt.Printf("read %s as %d\n", token, os.Getpid())
}
