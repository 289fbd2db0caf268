package main

import (
	"regexp"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
)

// serverToken is the command that makes a token of a server. One of `ace dev` has a secret of its own.
func (a *app) serverToken(server bridge.ServerURL) string {
	if profile.IsLoopback(server.URL().Hostname()) {
		return a.Term.Self + " server token (where `ace dev` runs it: the command that it printed beside Operator)"
	}
	return "ace server token"
}

// refusedAt is what helps where a server refuses the credential of a source.
func (a *app) refusedAt(server bridge.ServerURL, source string) func(*bridge.Error) *bridge.Error {
	return func(e *bridge.Error) *bridge.Error {
		another := "another one: on the server, " + a.serverToken(server)
		switch {
		case e.Kind != bridge.Unauthenticated:
			hint := aimed(e.Hint, serverFlags(server, strings.HasPrefix(source, "--")))
			return e.WithHint("%s", strings.Replace(hint, "ace server token --role admin", a.serverToken(server), 1))
		case source == profile.SourceProfile:
			return e.WithHint("ace connect --server %s; or with a token of the server: --token -, and on the server: %s", server, a.serverToken(server))
		case strings.HasPrefix(source, "--"):
			return e.WithHint("give %s %s", source, another)
		}
		return e.WithHint("%s, so that your connection counts; or give --token %s", profile.Unset(source), another)
	}
}

// serverFlags are the flags that point a key command at a server.
func serverFlags(server bridge.ServerURL, token bool) string {
	flags := " --server " + string(server)
	if token {
		flags += " --token -"
	}
	return flags
}

var keyCommand = regexp.MustCompile(`ace api-key [a-z]+( [0-9a-f-]{36})?`)

// aimed adds the flags for the server to the commands in its hint. The server cannot know them, and without flags a command
// may ask the cloud.
func aimed(hint, flags string) string {
	if strings.Contains(hint, "--server") || strings.Contains(hint, "on the server") {
		return hint
	}
	return keyCommand.ReplaceAllString(hint, "${0}"+strings.ReplaceAll(flags, "$", "$$"))
}
