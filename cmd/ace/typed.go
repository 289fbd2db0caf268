package main

import (
	"regexp"
	"strings"
)

// ownCommands are the commands that hints and notes tell a person to type; `ace server` and `ace cloud` are the names of things
// as well, and with `ace dev` they run on machines of their own.
var ownCommands = regexp.MustCompile(`(^|[\s(;:` + "`" + `])ace (api-key|auth|completion|connect|connections|disconnect|login|logout|org|scan|why|help|--help|-i)\b`)

// asTyped makes the commands in a text for a person such that they work when typed here: by the name or path of this program, and
// at the cloud and with the profile that this command was given.
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

// argument quotes a word of a command for a shell where it has to be.
func argument(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return shellWord(s)
}

var plainWord = regexp.MustCompile(`^[\w./:@%+,-]+$`)
