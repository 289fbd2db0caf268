package main

import (
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
		return bridge.NewSecret(strings.TrimSpace(text)), nil
	}
	return bridge.NewSecret(value), nil
}

func (a *app) secretStdin(flag string) (bridge.Secret, error) {
	if isTerminal(a.in) && a.interactive() {
		a.stdinUsed = true
		return a.askSecret(flag)
	}
	text, err := a.readStdin(flag)
	return bridge.NewSecret(strings.TrimSpace(text)), err
}

// readStdin reads all of stdin, which is not a terminal, once.
func (a *app) readStdin(flag string) (string, error) {
	switch {
	case a.stdinUsed:
		return "", usage("%s: stdin has been read already", flag)
	case isTerminal(a.in):
		return "", inputNeeded("%s: nothing comes in on stdin", flag)
	}
	a.stdinUsed = true
	raw, err := await(a, func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.in, maxSecretInput+1)) })
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(string(raw)) == "" || len(raw) > maxSecretInput {
		return "", usage("%s: stdin is empty or too long", flag)
	}
	return string(raw), nil
}

func (a *app) askSecret(what string) (bridge.Secret, error) {
	a.ask("%s: ", what)
	fd := int(a.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return bridge.Secret{}, err
	}
	raw, err := await(a, func() ([]byte, error) { return term.ReadPassword(fd) })
	if errors.Is(err, context.Canceled) {
		_ = term.Restore(fd, before) // the reader, which would do it, still waits
	}
	a.say("")
	return bridge.NewSecret(strings.TrimRight(string(raw), "\r\n")), err
}

// newPassword reads a password for a new user, twice when it is typed.
func (a *app) newPassword(flag string) (bridge.Secret, error) {
	if flag != "" {
		return a.secretFlag("--password", flag)
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
	return strings.TrimSpace(line), err
}

// readLine takes no more than the line, so that the rest is there for the next question.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < maxLine; {
		if _, err := io.ReadFull(r, b); err != nil {
			return string(line), err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return string(line), nil
}

// confirm asks a question to which nothing but yes is yes.
func (a *app) confirm(format string, args ...any) (bool, error) {
	answer, err := a.askLine(format+" [y/N] ", args...)
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), err
}
