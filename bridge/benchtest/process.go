package benchtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const roleVariable = "ACE_BENCH_ROLE"

// Process is a server in a process of its own, so that its CPU time can be told from that of others.
type Process struct {
	URL string

	in  io.Writer
	out *bufio.Reader
}

// Main runs the role that [Start] asks for, and returns only if none is asked for. Call it first in TestMain.
//
// A role starts serving and returns its URL. It ends with the process that started it.
func Main(roles map[string]func() (url string, err error)) {
	name := os.Getenv(roleVariable)
	if name == "" {
		return
	}
	role, ok := roles[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "no role", name)
		os.Exit(1)
	}
	url, err := role()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(url)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(used.Utime.Nano() + used.Stime.Nano())
	}
	os.Exit(0)
}

// Start runs a role of this test binary in another process, with settings ("NAME=value") in its environment.
func Start(b testing.TB, role string, settings ...string) *Process {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), program) //nolint:gosec // this very binary
	cmd.Env = append(append(os.Environ(), settings...), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	p := &Process{in: in, out: bufio.NewReader(out)}
	p.URL = p.line(b)
	return p
}

func (p *Process) line(b testing.TB) string {
	b.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		b.Fatal("a process of the benchmark has ended: ", err)
	}
	return strings.TrimSpace(line)
}

// cpu is the CPU time that the process has used, in user and kernel mode.
func (p *Process) cpu(b *testing.B) time.Duration {
	b.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseInt(p.line(b), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(n)
}
