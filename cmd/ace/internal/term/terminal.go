package term

import (
	"fmt"
	"os"

	xterm "golang.org/x/term"

	"github.com/acebridge/ace/bridge/catalogue"
)

// Terminal is how a command talks to a person. It has the streams, and the flags of every command.
type Terminal struct {
	In, Out, Err *os.File

	Interrupted <-chan struct{} // closed by Ctrl-C; nil: never

	Env, Profile   string // the flags; hints repeat them
	Output         string // table, json or yaml
	Wide           bool   // tables have more columns: -o wide
	Quiet          bool   // no notes
	NonInteractive bool   // nothing is asked
	NoColor        bool
	Debug          bool // requests are told

	Self            string   // what a person types to run this program
	Typed           []string // the command line as it was typed
	SecretVariables []string // the environment variables that hold a secret
	StdinUsed       bool     // a second "-" would read nothing

	progress progress
}

// New returns a terminal on three streams. The flags have their defaults.
func New(in, out, err *os.File) *Terminal {
	return &Terminal{In: in, Out: out, Err: err, Output: OutputTable, Self: "ace"}
}

// Interactive reports whether there is somebody to ask.
func (t *Terminal) Interactive() bool {
	return !t.NonInteractive && !InCI() && IsTerminal(t.In) && IsTerminal(t.Err)
}

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(f *os.File) bool { return xterm.IsTerminal(int(f.Fd())) }

// Note prints a line to stderr, unless --quiet is given.
func (t *Terminal) Note(format string, args ...any) {
	if !t.Quiet {
		t.Say(format, args...)
	}
}

// Say prints a line to stderr, even with --quiet.
func (t *Terminal) Say(format string, args ...any) {
	_, _ = fmt.Fprintln(t.Err, t.AsTyped(fmt.Sprintf(format, args...)))
}

// Bold returns text in bold if the terminal can show it.
func (t *Terminal) Bold(s string) string {
	if !t.colours() {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// Count writes a number and its noun: 1 key, 2 keys.
func Count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// DidYouMean suggests the candidate nearest to a word. The suggestion is the end of a sentence; it is empty if nothing is near.
func DidYouMean(word string, candidates []string) string {
	if n := catalogue.Nearest(word, candidates); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}
