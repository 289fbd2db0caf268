package target

import (
	"regexp"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
)

// serverToken returns the command that makes a token of a server. A server of `ace dev` has its own secret.
func (f *Finder) serverToken(server bridge.ServerURL) string {
	if profile.IsLoopback(server.URL().Hostname()) {
		return f.Term.Self + " server token (where `ace dev` runs it: the command that it printed next to Operator)"
	}
	return "ace server token"
}

// refusedAt adds a hint if a server refuses the credential from source.
func (f *Finder) refusedAt(server bridge.ServerURL, source string) func(*bridge.Error) *bridge.Error {
	return func(e *bridge.Error) *bridge.Error {
		another := ", made on the server: " + f.serverToken(server)
		switch {
		case e.Kind != bridge.Unauthenticated:
			hint := Aim(e.Hint, server, strings.HasPrefix(source, "--"))
			return e.WithHint("%s", strings.Replace(hint, "ace server token --role admin", f.serverToken(server), 1))
		case source == profile.SourceProfile:
			return e.WithHint("%s; or with a token of the server: --token -, and on the server: %s", bridge.ConnectAgain(server), f.serverToken(server))
		case strings.HasPrefix(source, "--"):
			return e.WithHint("pass another %s%s", source, another)
		}
		return e.WithHint("%s to use your connection; or pass a --token%s", profile.Unset(source), another)
	}
}

// serverFlags returns the flags that point a key command at a server.
func serverFlags(server bridge.ServerURL, token bool) string {
	flags := " --server " + string(server)
	if token {
		flags += " --token -"
	}
	return flags
}

var keyCommand = regexp.MustCompile(`ace api-key [a-z]+( [0-9a-f-]{36})?`)

// Aim points the commands in a server's hint at that server. The server does not know the flags, and without them a command
// may ask the cloud. With token, --token is one of them.
func Aim(hint string, server bridge.ServerURL, token bool) string {
	if strings.Contains(hint, "--server") || strings.Contains(hint, "on the server") {
		return hint
	}
	flags := serverFlags(server, token)
	return keyCommand.ReplaceAllString(hint, "${0}"+strings.ReplaceAll(flags, "$", "$$"))
}
