package docs

import (
	"fmt"
	"strings"
)

// entry is a page of the documentation: its name in the URL and in a menu, its title, and a line that says what is on it.
type entry struct{ Name, Short, Title, Line string }

// entries are the pages in the order in which people read them. The README has the same lines.
var entries = []entry{
	{"use", "Using ace", "Using ace", "the terminal, logging in, your account, organizations, keys, sharing"},
	{"cli", "Commands", "The command line", "every command with its flags, exit codes, which credential counts"},
	{"operate", "Operating", "Operating a server and a cloud", "deployment, trust, variables, accounts and mail, backup, rotation, troubleshooting"},
	{"behind-nat", "Behind NAT", "A server behind NAT", "join with one command, links, who sees what, a service, a sidecar"},
	{"apps", "Apps", "Protecting an app", "gateway, forward-auth, introspection, `bridge/guard`, scopes and rules"},
	{"api", "API", "Calling the cloud from programs and pages", "relay, history, live status, and the script for your own dashboard"},
	{"sso", "Sign-in", "Sign-in through your own provider", "an organization's sign-in provider, and the cloud as an authorization server"},
	{"security", "Security", "Security", "what dies with what, keys of the cloud, backups"},
	{"errors", "Errors", "Error codes", "every error code"},
	{"architecture", "Architecture", "Architecture", "packages, three requests file by file, where each rule is decided"},
}

// about is what ace is, in the words of the README.
const about = "ace connects a product's self-hosted server to the vendor's hosted dashboard with API keys that the server itself issues, scopes and revokes."

// list is the list of pages for language models, in the form of llmstxt.org.
func list(link func(name string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# ace\n\n> %s\n\n## Documentation\n\n", about)
	for _, e := range entries {
		fmt.Fprintf(&b, "- [%s](%s): %s\n", e.Title, link(e.Name), e.Line)
	}
	return b.String()
}
