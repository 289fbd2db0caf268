package term

import (
	"regexp"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// ownCommands matches the commands in hints that people type here. `ace server` and `ace cloud` are not among them: they are
// also the names of things and, like `ace dev`, run on other machines.
var ownCommands = regexp.MustCompile(`(^|[\s(;:` + "`" + `])ace (api-key|auth|completion|connect|connections|disconnect|doctor|login|logout|org|scan|why|help|--help|-i)\b`)

// AsTyped rewrites the commands in a text so they work here. It uses this program's own name or path, and adds the cloud and
// profile that this command was given.
func (t *Terminal) AsTyped(text string) string {
	var flags string
	if t.Profile != "" && !MayBeSecret(t.Profile) {
		flags += " --profile " + Argument(t.Profile)
	}
	if t.Env != "" && !MayBeSecret(t.Env) {
		flags += " --env " + Argument(t.Env)
	}
	if t.Self+flags == "ace" {
		return text
	}
	var out strings.Builder
	rest := 0
	for _, at := range ownCommands.FindAllStringSubmatchIndex(text, -1) {
		name := at[3] // where it begins
		if strings.HasSuffix(text[:name], "on the server: ") {
			continue
		}
		out.WriteString(text[rest:name] + t.Self)
		rest = name + len("ace")
		command, _, _ := strings.Cut(text[rest:], ";")
		if !strings.Contains(command, "--env") && !strings.Contains(command, "--profile") {
			out.WriteString(flags)
		}
	}
	return out.String() + text[rest:]
}

// Argument quotes a word of a command for a shell if needed.
func Argument(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return bridge.ShellWord(s)
}

var plainWord = regexp.MustCompile(`^[\w./:@%+,-]+$`)
