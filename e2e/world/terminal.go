package world

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// ran is what a command left behind.
type ran struct {
	Stdout, Stderr string
	Code           int
}

// Terminal runs ace as processes of a person with a home of their own.
type Terminal struct {
	T    *testing.T
	Home string
	Env  []string
	said strings.Builder // all that any command has printed
}

// NewTerminal is one with an empty home and the variables of env.
func NewTerminal(t *testing.T, env ...string) *Terminal {
	t.Helper()
	home := t.TempDir()
	return &Terminal{T: t, Home: home, Env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "NO_COLOR=1"}, env...)}
}

// Command is a command line that is not running yet.
func (c *Terminal) Command(stdin string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.T.Context(), "ace", args...)
	cmd.Env, cmd.Dir = c.Env, c.Home
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	return cmd
}

// Run runs a command to its end, whatever its exit code is.
func (c *Terminal) Run(stdin string, args ...string) ran {
	c.T.Helper()
	cmd := c.Command(stdin, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		c.T.Fatalf("ace %v: %v", args, err)
	}
	r := ran{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
	c.said.WriteString(r.Stdout + r.Stderr)
	return r
}

// Must runs a command that has to succeed.
func (c *Terminal) Must(stdin string, args ...string) ran {
	c.T.Helper()
	r := c.Run(stdin, args...)
	if r.Code != 0 {
		c.T.Fatalf("ace %v exits with %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// Browse runs `ace login --browser` and opens the page it names, as a browser would.
func (c *Terminal) Browse(args ...string) (ran, string) {
	c.T.Helper()
	cmd := c.Command("", append([]string{"login", "--browser", "--no-connect"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	pipe, err := cmd.StderrPipe()
	if err != nil {
		c.T.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.T.Fatal(err)
	}
	said, page := ReadPage(pipe)
	shown := ""
	if page != "" {
		resp, err := http.Get(page) //nolint:gosec,noctx // the page of the fake cloud
		if err != nil {
			c.T.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		shown = resp.Status + "\n" + string(body)
	}
	rest, _ := io.ReadAll(pipe)
	_ = cmd.Wait()
	r := ran{out.String(), said + string(rest), cmd.ProcessState.ExitCode()}
	c.said.WriteString(r.Stdout + r.Stderr)
	return r, shown
}

// ReadPage reads what a login says, up to the address that it asks to open.
func ReadPage(r io.Reader) (said, page string) {
	var line []byte
	one := make([]byte, 1)
	for {
		if n, err := r.Read(one); n == 0 || err != nil {
			return said + string(line), ""
		}
		line = append(line, one[0])
		if one[0] != '\n' {
			continue
		}
		said += string(line)
		if address, ok := strings.CutPrefix(string(line), "Open "); ok {
			return said, strings.TrimSpace(address)
		}
		line = nil
	}
}
