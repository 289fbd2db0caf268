package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"github.com/acebridge/ace/bridge"
)

const (
	maxSecretInput = 64 << 10
	maxLine        = 1024
)

// secretFlag reads the value of a flag that carries a secret: - is stdin, file:PATH a file, anything else the secret
// itself.
func (a *app) secretFlag(flag, value string) (bridge.Secret, error) {
	path, isFile := strings.CutPrefix(value, "file:")
	switch {
	case value == "":
		return bridge.Secret{}, usage("%s is empty", flag)
	case value == "-":
		return a.secretStdin(flag)
	case isFile:
		text, err := readSmallFile(path)
		if err != nil {
			return bridge.Secret{}, usage("%s: %w", flag, err)
		}
		return bridge.NewSecret(text), nil
	}
	text, err := bridge.OutsideText(value)
	if err == nil && text == "" {
		err = errors.New("there is only white space in it")
	}
	if err != nil {
		return bridge.Secret{}, usage("%s: %w", flag, err)
	}
	return bridge.NewSecret(text), nil
}

func (a *app) secretStdin(flag string) (bridge.Secret, error) {
	if isTerminal(a.in) && a.interactive() {
		a.stdinUsed = true
		return a.askToken(flag)
	}
	text, err := a.readStdin(flag)
	return bridge.NewSecret(text), err
}

// readStdin reads all of stdin, which is not a terminal, once.
func (a *app) readStdin(flag string) (string, error) {
	_, text, err := a.allStdin(flag)
	return text, err
}

// passwordStdin reads a password from stdin.
func (a *app) passwordStdin(flag string) (string, error) {
	raw, _, err := a.allStdin(flag)
	return passwordText(raw), err
}

// passwordText is a password without line ends and byte-order mark; white space around it may belong to it.
func passwordText(raw string) string {
	return strings.TrimPrefix(strings.TrimRight(raw, "\r\n"), "\ufeff")
}

// passwordFlag is secretFlag for passwords.
func (a *app) passwordFlag(flag, value string) (bridge.Secret, error) {
	path, isFile := strings.CutPrefix(value, "file:")
	switch {
	case value == "-" && isTerminal(a.in) && a.interactive():
		a.stdinUsed = true
		return a.askSecret("Password")
	case value == "-":
		text, err := a.passwordStdin(flag)
		return bridge.NewSecret(text), err
	case isFile:
		raw, err := readBounded(path, maxSecretInput)
		if err == nil {
			_, err = bridge.OutsideText(raw)
		}
		if err != nil {
			return bridge.Secret{}, usage("%s: %w", flag, err)
		}
		value = raw
	}
	if value = passwordText(value); value == "" {
		return bridge.Secret{}, usage("%s is empty", flag)
	}
	return bridge.NewSecret(value), nil
}

// allStdin reads all of stdin as it is and as text from outside is read.
func (a *app) allStdin(flag string) (read, text string, err error) {
	switch {
	case a.stdinUsed:
		return "", "", usage("%s: stdin has been read already", flag)
	case isTerminal(a.in):
		return "", "", inputNeeded("%s: nothing comes in on stdin", flag)
	}
	a.stdinUsed = true
	raw, err := await(a, func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.in, maxSecretInput+1)) })
	if err != nil {
		return "", "", err
	}
	text, err = bridge.OutsideText(string(raw))
	switch {
	case len(raw) > maxSecretInput:
		return "", "", usage("%s: stdin is too long", flag)
	case err != nil:
		return "", "", usage("%s: stdin: %w", flag, err)
	case text == "":
		return "", "", usage("%s: stdin is empty", flag)
	}
	return string(raw), text, nil
}

// askSecret reads a line without an echo. The terminal is changed here and not by whatever reads, which after a Ctrl-C that
// came early would do it last.
func (a *app) askSecret(what string) (bridge.Secret, error) {
	fd := int(a.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return bridge.Secret{}, err
	}
	text, err := a.readSecret(what)
	err = errors.Join(err, term.Restore(fd, before))
	if err != nil {
		a.say("")
	}
	return bridge.NewSecret(text), err
}

// askToken is askSecret for keys, tokens and codes, which are usually pasted.
func (a *app) askToken(what string) (bridge.Secret, error) {
	typed, err := a.askSecret(what)
	if err != nil {
		return typed, err
	}
	text, err := bridge.OutsideText(typed.Reveal())
	if err != nil {
		return bridge.Secret{}, usage("%s: %w", what, err)
	}
	return bridge.NewSecret(text), nil
}

func (a *app) readSecret(what string) (string, error) {
	keys, err := openKeyboard(a.in)
	if err != nil {
		return "", err
	}
	defer keys.stop()
	line := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{byteByByte{keys}, a.err}, "")
	text, err := await(a, func() (string, error) { return line.ReadPassword(what + ": ") })
	if errors.Is(err, io.EOF) {
		err = errInterrupted // Ctrl-C is a key here
	}
	return text, err
}

// newPassword reads a password for a new user, twice when it is typed.
func (a *app) newPassword(flag string) (bridge.Secret, error) {
	if flag != "" {
		return a.passwordFlag("--password", flag)
	}
	if !a.interactive() {
		return bridge.Secret{}, inputNeeded("there is no terminal to ask for the password on").
			WithHint("give it with --password-stdin or --password file:PATH")
	}
	first, err := a.askSecret("Password")
	if err != nil {
		return first, err
	}
	again, err := a.askSecret("Once more")
	if err != nil {
		return again, err
	}
	if !first.Equal(again) {
		return bridge.Secret{}, usage("the two passwords differ")
	}
	return first, nil
}

func (a *app) ask(format string, args ...any) {
	prompt := strings.TrimSuffix(format, "\n")
	_, _ = io.WriteString(a.err, fmt.Sprintf(prompt, args...))
}

// await waits for a read, which nothing can cancel, until Ctrl-C ends the command.
func await[T any](a *app, read func() (T, error)) (T, error) {
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
	case <-a.interrupted:
		var none T
		return none, context.Canceled
	}
}

// askLine reads one line from the terminal.
func (a *app) askLine(format string, args ...any) (string, error) {
	a.ask(format, args...)
	line, err := await(a, func() (string, error) { return readLine(a.in) })
	if errors.Is(err, context.Canceled) {
		a.say("")
	}
	if errors.Is(err, io.EOF) {
		return "", inputNeeded("nothing was answered")
	}
	if err != nil {
		return strings.TrimSpace(line), err
	}
	text, err := bridge.OutsideText(line)
	if err != nil {
		err = usage("what was entered cannot be read: %w", err)
	}
	return text, err
}

// byteByByte takes no more than is needed, so that the rest is there for the next question.
type byteByByte struct{ io.Reader }

func (r byteByByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

// readLine reads up to the end of the line.
func readLine(r io.Reader) (string, error) {
	return bufio.NewReader(io.LimitReader(byteByByte{r}, maxLine)).ReadString('\n')
}

// confirm asks a question to which nothing but yes is yes.
func (a *app) confirm(format string, args ...any) (bool, error) {
	answer, err := a.askLine(format+" [y/N] ", args...)
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), err
}
