//go:build unix

package terminal

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/e2e/world"
)

// On a terminal, a new join token comes with what to do with it, and a server that is installed with one asks before it joins.
func TestJoinTokenOnTerminal(t *testing.T) {
	t.Parallel()
	_, env := world.ThreeConnections(t)
	x := world.OnTerminal(t, 300, env, "org", "join-token", "create")
	x.Expect("One server can join acme with this token until")
	x.Expect("ace_jt1.")
	x.Expect("On the server, run `ace server join -` and paste it.")
	raw := world.Plain(x.Exits(0))
	_, token, _ := strings.Cut(raw, "ace_jt1.")
	token, _, _ = strings.Cut("ace_jt1."+token, "\r")

	x = world.OnTerminal(t, 300, append(env, "XDG_CONFIG_HOME="+t.TempDir(), "ACE_DATA_DIR="+t.TempDir()), "server", "install", "--user", "-")
	x.Expect("the join token: ")
	x.Press(token + world.Enter)
	x.Expect("Join the organization acme at")
	x.Expect("[y/N]")
	x.Press("n" + world.Enter)
	x.Expect("not joined")
	if raw := x.Exits(world.ExitUsage); strings.Contains(raw, token) {
		t.Error("the token is shown")
	}
}
