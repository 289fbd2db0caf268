package terminal

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/acebridge/ace/e2e/world"
)

// Ctrl-C ends a login that waits for the browser, and the port with it.
func TestBrowserLoginInterrupted(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	cmd := world.NewTerminal(t, "ACE_ENV="+cloud.URL).Command("", "login", "--browser", "--no-connect")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, page := world.ReadPage(pipe)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != world.ExitInterrupted {
		t.Errorf("it exits with %d, want %d", code, world.ExitInterrupted)
	}
	if resp, err := http.Get(page); err == nil { //nolint:gosec,noctx // the page of the fake cloud, which leads to the port
		_ = resp.Body.Close()
		t.Errorf("the port still answers: %s", resp.Status)
	}
}

// --qr shows the address on a terminal, for another device: no browser opens here.
func TestQR(t *testing.T) {
	t.Parallel()
	cloud := world.NewFakeCloud(t)
	text := world.OnTerminal(t, 120, []string{"ACE_ENV=" + cloud.URL}, "login", "--qr", "--no-connect").Exits(0)
	if strings.Count(text, "█") < 100 || !strings.Contains(text, "Open "+cloud.URL) {
		t.Error(text)
	}
}
