package term

import (
	"context"
	"os/exec"
	"runtime"
	"strings"
)

// OpenBrowser tries to open a page in the person's browser. Failures are ignored, since the address is on the screen as well.
// Only http and https are opened: the address comes from the cloud, and other schemes start other programs.
func OpenBrowser(ctx context.Context, page string) {
	if !strings.HasPrefix(page, "https://") && !strings.HasPrefix(page, "http://") {
		return
	}
	name, args := "xdg-open", []string{page}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", page}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), name, args...) //nolint:gosec // the page's scheme is checked above
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}
