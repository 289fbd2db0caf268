package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"github.com/acebridge/ace/bridge"
)

const maxSecretInput = 64 << 10

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
	if a.stdinUsed {
		return bridge.Secret{}, usage("%s: stdin has been read already", flag)
	}
	a.stdinUsed = true
	if isTerminal(a.in) {
		if !a.interactive() {
			return bridge.Secret{}, inputNeeded("%s: nothing comes in on stdin", flag)
		}
		return a.askSecret(flag)
	}
	raw, err := io.ReadAll(io.LimitReader(a.in, maxSecretInput+1))
	if err != nil {
		return bridge.Secret{}, err
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || len(raw) > maxSecretInput {
		return bridge.Secret{}, usage("%s: stdin is empty or too long", flag)
	}
	return bridge.NewSecret(text), nil
}

func (a *app) askSecret(what string) (bridge.Secret, error) {
	a.ask("%s: ", what)
	raw, err := term.ReadPassword(int(a.in.Fd()))
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

// askLine reads one line from the terminal.
func (a *app) askLine(format string, args ...any) (string, error) {
	a.ask(format, args...)
	line, err := bufio.NewReader(io.LimitReader(a.in, 1024)).ReadString('\n')
	if errors.Is(err, io.EOF) {
		return "", inputNeeded("nothing was answered")
	}
	return strings.TrimSpace(line), err
}

// confirm asks a question to which nothing but yes is yes.
func (a *app) confirm(format string, args ...any) (bool, error) {
	answer, err := a.askLine(format+" [y/N] ", args...)
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), err
}
