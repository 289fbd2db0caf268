package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

const cliPage = repository + "/docs/cli.md"

// exitCodes are what the page says of each exit code.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{0, "Done."},
	{term.ExitFailed, "It failed. For `ace scan`: a key was found, or something could not be searched."},
	{term.ExitUsage, "The command line is wrong, or the command needs an answer and there is no terminal to ask."},
	{term.ExitNotLoggedIn, "You are not logged in, or the credential is refused."},
	{term.ExitForbidden, "The credential is valid, but may not do this."},
	{term.ExitUnreachable, "The cloud or the server cannot be reached, did not answer in time, or is unavailable."},
	{term.ExitInterrupted, "Interrupted, for example with Ctrl-C."},
}

// TestCLIDoc holds that docs/cli.md is what the commands say; go test ./cmd/ace -run TestCLIDoc -update writes it.
func TestCLIDoc(t *testing.T) {
	root := newTestApp().rootCommand()
	var b strings.Builder
	b.WriteString("# The command line\n\nGenerated from the commands of `ace` by `go test ./cmd/ace -run TestCLIDoc -update`.\n\n" +
		"`ace COMMAND --help` says more about a command. Results go to stdout, everything else to stderr. Without a terminal,\n" +
		"or with `--non-interactive`, `ace` asks nothing. The value of a flag that takes a secret is the secret itself, `-` for\n" +
		"stdin, or `file:PATH`.\n\n")
	writeContents(&b, root)
	writeExitCodes(&b)
	writeCredentials(&b)
	cmdline.Each(root, func(_ string, cmd *cobra.Command) {
		if visible(cmd) {
			writeCommand(&b, cmd)
		}
	})
	got := strings.TrimSpace(b.String()) + "\n"
	if *update {
		if err := os.WriteFile(cliPage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(cliPage)
	if err != nil || string(page) != got {
		t.Errorf("docs/cli.md is not current: go test ./cmd/ace -run TestCLIDoc -update (%v)", err)
	}
}

// writeContents links the root's commands, in the groups of the root's help.
func writeContents(b *strings.Builder, root *cobra.Command) {
	for _, g := range groups {
		var links []string
		for _, name := range g.commands {
			links = append(links, fmt.Sprintf("[%[1]s](#%[2]s-%[1]s)", name, root.Name()))
		}
		fmt.Fprintf(b, "- %s %s\n", g.title, strings.Join(links, ", "))
	}
	b.WriteString("\n")
}

func writeExitCodes(b *strings.Builder) {
	b.WriteString("## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, e := range exitCodes {
		fmt.Fprintf(b, "| %d | %s |\n", e.code, e.meaning)
	}
	b.WriteString("\nWith `-o json` an error is one line of JSON on stderr: `code` ([error codes](errors.md)), `detail`, `hint`\n" +
		"and `exit_code`.\n\n")
}

func writeCredentials(b *strings.Builder) {
	trio := "`" + strings.Join(profile.Trio[:], "`, `") + "`"
	fmt.Fprintf(b, "## Credentials\n\n`ace` uses the first of these that it finds:\n\n"+
		"1. a flag of the command, such as `--token`\n"+
		"2. `ACE_KEY`: any API key or token\n"+
		"3. %s: an API key in parts; setting only some of them is a usage error\n"+
		"4. `ACE_TOKEN`: a token (JWT)\n"+
		"5. the session of the profile, from `ace login`\n\n", trio)
	b.WriteString("A command that calls a server, such as `ace api-key list --server URL`, uses the credential of your connection to\n" +
		"that server in place of the session.\n\n" +
		"The profile is taken from `--profile`, `--env`, `ACE_PROFILE` or `ACE_ENV`, in this order; otherwise it is the active\n" +
		"one. `ace auth status` shows which profile and credential are used, what is ignored, and why.\n\n")
}

// writeCommand writes the section of one command.
func writeCommand(b *strings.Builder, cmd *cobra.Command) {
	usage := cmd.UseLine()
	if cmd.HasParent() && cmd.HasSubCommands() && cmd.Example == "" { // it only holds others
		usage = cmd.CommandPath() + " COMMAND"
	}
	what := strings.TrimPrefix(cmd.Short, cmd.Root().Name()+" ")
	fmt.Fprintf(b, "## %s\n\n```text\nUsage: %s\n```\n\n%s.\n\n", cmd.CommandPath(), usage, inTable(strings.ToUpper(what[:1])+what[1:]))
	if cmd.HasParent() && cmd.HasSubCommands() {
		var links []string
		for _, c := range slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return !visible(c) }) {
			links = append(links, fmt.Sprintf("[%s](#%s)", c.Name(), strings.ReplaceAll(c.CommandPath(), " ", "-")))
		}
		fmt.Fprintf(b, "Commands: %s.\n\n", strings.Join(links, ", "))
	}
	if !cmd.HasParent() {
		b.WriteString("Every command takes these flags, except `-i`:\n\n")
	}
	var rows []string
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			rows = append(rows, flagRow(f))
		}
	})
	if len(rows) > 0 {
		fmt.Fprintf(b, "| flag | value | default | meaning |\n|---|---|---|---|\n%s\n", strings.Join(rows, ""))
	}
	if cmd.Example != "" {
		var lines []string
		for line := range strings.Lines(cmd.Example) {
			lines = append(lines, strings.TrimSpace(line))
		}
		fmt.Fprintf(b, "```sh\n%s\n```\n\n", strings.Join(lines, "\n"))
	}
}

// flagRow is a flag's line of the table. A default that means nothing set is left out.
func flagRow(f *pflag.Flag) string {
	name := "`--" + f.Name + "`"
	if f.Shorthand != "" {
		name = "`-" + f.Shorthand + "`, " + name
	}
	value, _ := pflag.UnquoteUsage(f)
	standard := ""
	if !slices.Contains([]string{"", "false", "[]", "0", "0s"}, f.DefValue) {
		standard = "`" + f.DefValue + "`"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", name, value, standard, inTable(f.Usage))
}

// inTable escapes what Markdown would read as more than text.
func inTable(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(text)
}
