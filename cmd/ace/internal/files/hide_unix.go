//go:build unix

package files

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/acebridge/ace/bridge"
)

const (
	joinTokenVariable = "ACE_JOIN_TOKEN"
	inherited         = "/dev/fd/"
	maxHidden         = 8 << 10 // more than a join token, and less than a pipe holds
)

// HideJoinToken executes this program again, as the same process, if its environment shows a join token to other processes
// (/proc/PID/environ).
func HideJoinToken() error {
	token := os.Getenv(joinTokenVariable)
	if token == "" || len(token) > maxHidden || os.Getenv(joinTokenVariable+"_FILE") != "" {
		return nil
	}
	return ExecuteAgain(os.Args, bridge.NewSecret(token))
}

// ExecuteAgain executes this program again with other arguments, and without a join token in its environment. The token comes along
// in a pipe, as ACE_JOIN_TOKEN_FILE.
func ExecuteAgain(args []string, token bridge.Secret) error {
	fd, err := inPipe(token.Reveal())
	if err != nil {
		return fmt.Errorf("hide the join token: %w", err)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, joinTokenVariable+"=") || strings.HasPrefix(v, joinTokenVariable+"_FILE=")
	})
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, args, append(env, joinTokenVariable+"_FILE="+inherited+strconv.Itoa(fd))) //nolint:gosec // this program
	}
	return fmt.Errorf("hide the join token: %w", err)
}

// inPipe returns a descriptor that outlives this program's execution, and from which a text can be read once.
func inPipe(text string) (int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	_, err = w.WriteString(text)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return 0, err
	}
	return syscall.Dup(int(r.Fd()))
}

// CloseInherited closes the pipe of [HideJoinToken] once it was read, and takes its name out of the environment.
func CloseInherited() {
	path := os.Getenv(joinTokenVariable + "_FILE")
	if rest, ok := strings.CutPrefix(path, inherited); ok {
		if fd, err := strconv.Atoi(rest); err == nil && fd > 2 {
			_ = syscall.Close(fd)
			_ = os.Unsetenv(joinTokenVariable + "_FILE")
		}
	}
}
