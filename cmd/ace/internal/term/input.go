package term

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/files"
)

const (
	maxSecretInput = 64 << 10
	maxLine        = 1024
)

// SecretFlag reads the value of a flag that takes a secret. - stands for stdin and file:PATH for a file; anything else is the
// secret itself.
func (t *Terminal) SecretFlag(flag, value string) (bridge.Secret, error) {
	path, isFile := strings.CutPrefix(value, "file:")
	switch {
	case value == "":
		return bridge.Secret{}, Usage("%s is empty", flag)
	case value == "-":
		return t.secretStdin(flag)
	case isFile:
		text, err := files.ReadSmallFile(path)
		if err != nil {
			return bridge.Secret{}, Usage("%s: %w", flag, err)
		}
		return bridge.NewSecret(text), nil
	}
	text, err := bridge.OutsideText(value)
	if err == nil && text == "" {
		err = errors.New("it is only white space")
	}
	if err != nil {
		return bridge.Secret{}, Usage("%s: %w", flag, err)
	}
	return bridge.NewSecret(text), nil
}

func (t *Terminal) secretStdin(flag string) (bridge.Secret, error) {
	if IsTerminal(t.In) && t.Interactive() {
		t.StdinUsed = true
		return t.AskToken(flag)
	}
	text, err := t.readStdin(flag)
	return bridge.NewSecret(text), err
}

// readStdin reads all of stdin as text. It works once, and not on a terminal.
func (t *Terminal) readStdin(flag string) (string, error) {
	_, text, err := t.allStdin(flag)
	return text, err
}

// PasswordStdin reads a password from stdin.
func (t *Terminal) PasswordStdin(flag string) (string, error) {
	raw, _, err := t.allStdin(flag)
	return passwordText(raw), err
}

// Password reads a password from stdin or from the terminal. Only the end of its line is removed.
func (t *Terminal) Password(stdin bool) (bridge.Disclosed, error) {
	if !stdin || (IsTerminal(t.In) && t.Interactive()) {
		password, err := t.AskSecret("Password")
		return password.Disclose(), err
	}
	text, err := t.PasswordStdin("--password-stdin")
	return bridge.NewSecret(text).Disclose(), err
}

// passwordText removes line ends and a byte-order mark from a password. White space around it stays, since it may belong to it.
func passwordText(raw string) string {
	return strings.TrimPrefix(strings.TrimRight(raw, "\r\n"), "\ufeff")
}

// passwordFlag is SecretFlag for passwords.
func (t *Terminal) passwordFlag(flag, value string) (bridge.Secret, error) {
	path, isFile := strings.CutPrefix(value, "file:")
	switch {
	case value == "-" && IsTerminal(t.In) && t.Interactive():
		t.StdinUsed = true
		return t.AskSecret("Password")
	case value == "-":
		text, err := t.PasswordStdin(flag)
		return bridge.NewSecret(text), err
	case isFile:
		raw, err := files.ReadBounded(path, maxSecretInput)
		if err == nil {
			_, err = bridge.OutsideText(raw)
		}
		if err != nil {
			return bridge.Secret{}, Usage("%s: %w", flag, err)
		}
		value = raw
	}
	if value = passwordText(value); value == "" {
		return bridge.Secret{}, Usage("%s is empty", flag)
	}
	return bridge.NewSecret(value), nil
}

// allStdin reads all of stdin, and returns it raw and as text.
func (t *Terminal) allStdin(flag string) (read, text string, err error) {
	switch {
	case t.StdinUsed:
		return "", "", Usage("%s: stdin has already been read", flag)
	case IsTerminal(t.In):
		return "", "", InputNeeded("%s: there is nothing to read on stdin", flag)
	}
	t.StdinUsed = true
	raw, err := Await(t, func() ([]byte, error) { return io.ReadAll(io.LimitReader(t.In, maxSecretInput+1)) })
	if err != nil {
		return "", "", err
	}
	text, err = bridge.OutsideText(string(raw))
	switch {
	case len(raw) > maxSecretInput:
		return "", "", Usage("%s: stdin is too long", flag)
	case err != nil:
		return "", "", Usage("%s: stdin: %w", flag, err)
	case text == "":
		return "", "", Usage("%s: stdin is empty", flag)
	}
	return string(raw), text, nil
}

// AskSecret reads a line without an echo. It changes the terminal's mode itself: if the reader did, it could change it last
// after an early Ctrl-C.
func (t *Terminal) AskSecret(what string) (bridge.Secret, error) {
	fd := int(t.In.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return bridge.Secret{}, err
	}
	text, err := t.readSecret(what)
	err = errors.Join(err, term.Restore(fd, before))
	if err != nil {
		t.Say("")
	}
	return bridge.NewSecret(text), err
}

// AskToken is AskSecret for keys, tokens and codes, which are usually pasted.
func (t *Terminal) AskToken(what string) (bridge.Secret, error) {
	typed, err := t.AskSecret(what)
	if err != nil {
		return typed, err
	}
	text, err := bridge.OutsideText(typed.Reveal())
	if err != nil {
		return bridge.Secret{}, Usage("%s: %w", what, err)
	}
	return bridge.NewSecret(text), nil
}

func (t *Terminal) readSecret(what string) (string, error) {
	keys, err := openKeyboard(t.In)
	if err != nil {
		return "", err
	}
	defer keys.stop()
	line := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{byteByByte{keys}, t.Err}, "")
	text, err := Await(t, func() (string, error) { return line.ReadPassword(what + ": ") })
	if errors.Is(err, io.EOF) {
		err = ErrInterrupted // Ctrl-C is a key here
	}
	return text, err
}

// NewPassword reads a new user's password; if it is typed, twice.
func (t *Terminal) NewPassword(flag string) (bridge.Secret, error) {
	if flag != "" {
		return t.passwordFlag("--password", flag)
	}
	if !t.Interactive() {
		return bridge.Secret{}, InputNeeded("there is no terminal to ask for the password").
			WithHint("pass it with --password-stdin or --password file:PATH")
	}
	first, err := t.AskSecret("Password")
	if err != nil {
		return first, err
	}
	again, err := t.AskSecret("Password again")
	if err != nil {
		return again, err
	}
	if !first.Equal(again) {
		return bridge.Secret{}, Usage("the passwords do not match")
	}
	return first, nil
}

func (t *Terminal) ask(format string, args ...any) {
	prompt := strings.TrimSuffix(format, "\n")
	_, _ = io.WriteString(t.Err, fmt.Sprintf(prompt, args...))
}

// Await waits for a read, or for Ctrl-C. The read itself cannot be cancelled and is left behind.
func Await[T any](a *Terminal, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-a.Interrupted:
		var none T
		return none, context.Canceled
	}
}

// AskLine reads one line from the terminal.
func (t *Terminal) AskLine(format string, args ...any) (string, error) {
	t.ask(format, args...)
	line, err := Await(t, func() (string, error) { return readLine(t.In) })
	if errors.Is(err, context.Canceled) {
		t.Say("")
	}
	if errors.Is(err, io.EOF) {
		return "", InputNeeded("there was no answer")
	}
	if err != nil {
		return strings.TrimSpace(line), err
	}
	text, err := bridge.OutsideText(line)
	if err != nil {
		err = Usage("what was entered cannot be read: %w", err)
	}
	return text, err
}

// byteByByte reads one byte at a time. The rest is left for the next question.
type byteByByte struct{ io.Reader }

func (r byteByByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

// readLine reads to the end of the line.
func readLine(r io.Reader) (string, error) {
	return bufio.NewReader(io.LimitReader(byteByByte{r}, maxLine)).ReadString('\n')
}

// Confirm asks a yes-or-no question. Anything but y or yes means no.
func (t *Terminal) Confirm(format string, args ...any) (bool, error) {
	answer, err := t.AskLine(format+" [y/N] ", args...)
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), err
}
