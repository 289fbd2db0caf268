package main

import (
	"regexp"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// Whoever refuses a credential cannot know where it came from. Logging in again, which the other side may advise, helps only
// with one of the profile: what a variable or a flag holds would still count before it.

const sourceProfile = "profile"

// login is the command that logs in to the cloud, and as the profile, that is meant.
func (s selection) login(command string) string {
	if s.why == "--profile" {
		command += " --profile " + s.name
	}
	if s.cloud != bridge.DefaultCloudURL {
		command += " --env " + string(s.cloud)
	}
	return command
}

// refused gives a refusal by the cloud the line that helps with the credential that was sent.
func (l *login) refused(e *bridge.Error) *bridge.Error {
	bad := e.Kind == bridge.Unauthenticated
	advised := strings.Contains(e.Hint, "ace login")
	switch {
	case l.source == "" || (!bad && !advised):
		return e
	case l.source != sourceProfile:
		return e.WithHint("%s", l.instead())
	case !bad && l.session.isKey():
		return e.WithHint("%s", l.login("ace login --force"))
	case !bad:
		return e
	case l.session.Method == methodPAT:
		return e.WithHint("%s", l.login("ace login pat --token -"))
	case l.session.isKey():
		return e.WithHint("%s", l.login("ace auth login-api-key --key - --service-name NAME"))
	}
	return e.WithHint("%s", l.login("ace login"))
}

// instead says how another credential than that of a variable or a flag comes to count.
func (l *login) instead() string {
	if strings.HasPrefix(l.source, "--") {
		return "give another " + l.source + ", or leave it out and log in: " + l.login("ace login")
	}
	if l.profile != nil && l.profile.Method != "" {
		return unset(l.source) + ", so that the session of the profile " + l.name + " counts; or give it another value"
	}
	return unset(l.source) + " and log in: " + l.login("ace login") + "; or give it another value"
}

// unset is the command that takes a credential out of the environment.
func unset(source string) string {
	if source == trio[0] {
		source = strings.Join(trio[:], " ")
	}
	return "unset " + source
}

// serverToken is the command that makes a token of a server. One of `ace dev` has a secret of its own.
func (a *app) serverToken(server bridge.ServerURL) string {
	if isLoopback(server.URL().Hostname()) {
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
		case source == sourceProfile:
			return e.WithHint("ace connect --server %s; or with a token of the server: --token -, and on the server: %s", server, a.serverToken(server))
		case strings.HasPrefix(source, "--"):
			return e.WithHint("give %s %s", source, another)
		}
		return e.WithHint("%s, so that your connection counts; or give --token %s", unset(source), another)
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
