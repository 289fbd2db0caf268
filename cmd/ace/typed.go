package main

import (
	"regexp"
	"strings"
)

// ownCommands matches the commands that hints and notes tell a person to type here. `ace server` and `ace cloud` are not
// among them: they are also the names of things and, like `ace dev`, run on other machines.
var ownCommands = regexp.MustCompile(`(^|[\s(;:` + "`" + `])ace (api-key|auth|completion|connect|connections|disconnect|login|logout|org|scan|why|help|--help|-i)\b`)

// asTyped rewrites the commands in a text so that they work when typed here: with this program's name or path, and the cloud
// and profile that this command was given.
func (a *app) asTyped(text string) string {
	var flags string
	if a.profile != "" && !mayBeSecret(a.profile) {
		flags += " --profile " + argument(a.profile)
	}
	if a.env != "" && !mayBeSecret(a.env) {
		flags += " --env " + argument(a.env)
	}
	if a.self+flags == "ace" {
		return text
	}
	var out strings.Builder
	rest := 0
	for _, at := range ownCommands.FindAllStringSubmatchIndex(text, -1) {
		name := at[3] // where it begins
		if strings.HasSuffix(text[:name], "on the server: ") {
			continue
		}
		out.WriteString(text[rest:name] + a.self)
		rest = name + len("ace")
		command, _, _ := strings.Cut(text[rest:], ";")
		if !strings.Contains(command, "--env") && !strings.Contains(command, "--profile") {
			out.WriteString(flags)
		}
	}
	return out.String() + text[rest:]
}

// argument quotes a word of a command for a shell if needed.
func argument(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return shellWord(s)
}

var plainWord = regexp.MustCompile(`^[\w./:@%+,-]+$`)
