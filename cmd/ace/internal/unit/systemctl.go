package unit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

// patience bounds one call of systemctl. Stopping a server takes as long as its unit allows.
const patience = 45 * time.Second

// Systemctl calls systemctl for one scope.
type Systemctl struct {
	System  bool
	Runtime string // XDG_RUNTIME_DIR, where the manager of a user is found
}

// Runs reports whether systemd runs here, for this scope.
func (s Systemctl) Runs() bool {
	if _, err := exec.LookPath("systemctl"); err != nil {
		return false
	}
	at := "/run/systemd/system"
	if !s.System {
		if s.Runtime == "" {
			return false
		}
		at = filepath.Join(s.Runtime, "systemd")
	}
	info, err := os.Stat(at)
	return err == nil && info.IsDir()
}

// Command is a call as people type it.
func (s Systemctl) Command(words ...string) string { return strings.Join(s.words(words), " ") }

func (s Systemctl) words(words []string) []string {
	if s.System {
		return append([]string{"systemctl"}, words...)
	}
	return append([]string{"systemctl", "--user"}, words...)
}

// Call runs systemctl, for a bounded time.
func (s Systemctl) Call(ctx context.Context, more time.Duration, words ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience+more)
	defer cancel()
	all := s.words(words)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...) //nolint:gosec // words of this package
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	why := err.Error()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = "it does not answer"
	} else if text := strings.TrimSpace(said.String()); text != "" {
		why = bridge.Printable(text[:min(len(text), 500)])
	}
	return bridge.E(bridge.Internal, bridge.CodeSystemd, "%s failed: %s", s.Command(words...), why).
		WithHint("see: %s; %s", s.Command("status", Name), s.journal())
}

// Start enables the unit and starts it, or restarts it where it has changed. left are commands for somebody to run: all of them where
// systemd does not run.
func (u *Unit) Start(ctx context.Context, s Systemctl, changed bool) (started bool, left []string, err error) {
	start := "start"
	if changed {
		start = "restart"
	}
	left = []string{}
	runs := s.Runs()
	for _, words := range [][]string{{"daemon-reload"}, {"enable", Name}, {start, Name}} {
		if !runs {
			left = append(left, s.Command(words...))
		} else if err := s.Call(ctx, u.Drain, words...); err != nil {
			return false, left, err
		}
	}
	if runs && !u.System && !lingers() {
		left = append(left, "loginctl enable-linger")
	}
	return runs, left, nil
}

// lingers reports whether the units of this user run without a login.
func lingers() bool {
	who, err := user.Current()
	if err == nil {
		_, err = os.Stat("/var/lib/systemd/linger/" + filepath.Base(who.Username))
	}
	return err == nil
}

// journal is the command that shows the server's log.
func (s Systemctl) journal() string {
	if s.System {
		return "journalctl -u " + Name
	}
	return "journalctl --user -u " + Name
}
