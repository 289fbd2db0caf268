package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// entry is a line of the menu of `ace -i`: a menu of its own, or a command with what it has to be told. The menu has no
// rules: it makes an argument list and runs the command as if it had been typed.
type entry struct {
	title string
	items []entry
	args  []string
	asks  []question
}

// question is something that a command has to be told.
type question struct {
	label    string
	flag     string // what the answer is appended to, as in "--name="; empty: it is the command's argument
	optional bool   // an empty answer leaves the flag out
	// secret is asked for without an echo and given on stdin; flag is then all of the argument, as in "--secret=-".
	secret bool
}

var (
	askConnection = question{label: "Connection (name, URL or ID)"}
	askKey        = question{label: "Key (name or ID)"}
	askServer     = question{label: "Server's URL (empty: " + string(bridge.DefaultServerURL) + ")", flag: "--server=", optional: true}
	askExpires    = question{label: "Expires in, as 30d, or never (empty: 90d)", flag: "--expires=", optional: true}
)

var menu = []entry{
	{title: "Connections", items: []entry{
		{title: "List", args: []string{"connections", "list"}},
		{title: "Connect a server", args: []string{"connect"}, asks: []question{askServer,
			{label: "Name (empty: the server's host)", flag: "--name=", optional: true}}},
		{title: "Connect a server with a key made on it", args: []string{"connect"}, asks: []question{askServer,
			{label: "API key", flag: "--api-key=-", secret: true}}},
		{title: "Check", args: []string{"connections", "check"}, asks: []question{askConnection}},
		{title: "Share with the organization", args: []string{"connections", "share"}, asks: []question{askConnection}},
		{title: "Make private again", args: []string{"connections", "unshare"}, asks: []question{askConnection}},
		{title: "Disconnect", args: []string{"disconnect"}},
	}},
	{title: "Authentication (Login/Logout)", items: []entry{
		{title: "Login", items: loginMenu},
		{title: "Logout", args: []string{"logout"}},
		{title: "Status", args: []string{"auth", "status"}},
		{title: "Switch profile", args: []string{"auth", "switch"}},
	}},
	{title: "API keys", items: []entry{
		{title: "Create", args: []string{"api-key", "create"}, asks: []question{askServer,
			{label: "Name", flag: "--name="}, {label: "Preset (empty: the server's default)", flag: "--preset=", optional: true}, askExpires}},
		{title: "List", args: []string{"api-key", "list"}, asks: []question{askServer}},
		{title: "Revive: a new secret, the old one dies at once", args: []string{"api-key", "revive"}, asks: []question{askServer, askKey, askExpires}},
		{title: "Rotate: a new secret, the old one dies later", args: []string{"api-key", "rotate"}, asks: []question{askServer, askKey}},
		{title: "Revoke", args: []string{"api-key", "revoke"}, asks: []question{askServer, askKey}},
	}},
	{title: "Organization", items: []entry{
		{title: "List yours", args: []string{"org", "list"}},
		{title: "Switch", args: []string{"org", "switch"}, asks: []question{{label: "Organization"}}},
		{title: "Members", args: []string{"org", "members"}},
		{title: "Create", args: []string{"org", "create"}, asks: []question{{label: "Short name, as in acme"}}},
		{title: "Invite", args: []string{"org", "invite"}, asks: []question{
			{label: "E-mail (empty: whoever has the link)", flag: "--email=", optional: true},
			{label: "Role (empty: member)", flag: "--role=", optional: true}}},
		{title: "What a server needs to trust this cloud", args: []string{"org", "trust"}},
	}},
}

var loginMenu = []entry{
	{title: "Browser (device code)", args: []string{"login"}},
	{title: "API Key", args: []string{"login", "api-key"}, asks: []question{{label: "Name", flag: "--name="},
		{label: "Organization (empty: the key's)", flag: "--organization-id=", optional: true},
		{label: "API key", flag: "--secret=-", secret: true}}},
	{title: "Personal Access Token", args: []string{"login", "pat"}, asks: []question{{label: "Personal access token", flag: "--token=-", secret: true}}},
	{title: "E-mail and password", args: []string{"login"}, asks: []question{{label: "E-mail", flag: "--email="},
		{label: "Code of your authenticator app (empty: none)", flag: "--otp=", optional: true},
		{label: "Password", flag: "--password-stdin", secret: true}}},
	{title: "Developer token", args: []string{"auth", "login-token"}, asks: []question{{label: "Developer token", flag: "--token=-", secret: true}}},
}

// menuFlag gives the root command -i.
func (a *app) menuFlag(root *cobra.Command) {
	var interactive bool
	root.Flags().BoolVarP(&interactive, "interactive", "i", false, "choose from a menu")
	help := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if !interactive {
			return help(cmd, args)
		}
		if !a.Term.Interactive() {
			return term.InputNeeded("the menu needs a terminal").WithHint("ace --help shows the commands")
		}
		return a.openMenu(cmd, "ace", menu)
	}
}

// openMenu shows a menu until it is left, with Esc or an empty answer, for the one above.
func (a *app) openMenu(root *cobra.Command, title string, entries []entry) error {
	titles := make([]string, len(entries))
	for i, e := range entries {
		titles[i] = e.title
	}
	for {
		i, err := a.Term.Pick(title, titles)
		if errors.Is(err, term.ErrNothingChosen) {
			return nil
		}
		if err != nil {
			return err
		}
		if chosen := entries[i]; chosen.items != nil {
			err = a.openMenu(root, title+" › "+chosen.title, chosen.items)
		} else {
			err = a.act(root, chosen)
		}
		if err != nil {
			return err
		}
	}
}

// act asks what an entry's command has to be told, and runs it. Only an interrupt ends the menu: what fails has been told.
func (a *app) act(root *cobra.Command, e entry) error {
	global := a.globalFlags(root)
	args, secret, err := a.told(root.Context(), e, global)
	if err != nil || args == nil {
		return err
	}
	in := a.Term.In
	if !secret.IsZero() {
		if in, err = feed(secret); err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
	}
	a.Term.Note("%s", a.Term.Bold("$ ace "+commandLine(args)))
	inner := newApp(in, a.Term.Out, a.Term.Err)
	inner.Term.Interrupted = a.Term.Interrupted
	if inner.execute(root.Context(), args) == term.ExitInterrupted {
		return term.ErrInterrupted
	}
	return nil
}

// globalFlags are those that the menu was called with: --env, --profile, …
func (a *app) globalFlags(root *cobra.Command) (out []string) {
	root.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "interactive" {
			out = append(out, "--"+f.Name+"="+f.Value.String())
		}
	})
	return out
}

// told asks an entry's questions and returns the argument list that its command gets, and what it gets on stdin; nil when
// something that is needed was not answered.
func (a *app) told(ctx context.Context, e entry, global []string) (args []string, secret bridge.Secret, err error) {
	flags := slices.Clone(global)
	var rest []string
	for _, q := range e.asks {
		var answer string
		if q.secret {
			secret, err = a.Term.AskSecret(q.label)
			answer = secret.Reveal()
		} else {
			answer, err = a.answer(ctx, e, flags, q)
		}
		switch {
		case err != nil:
			return nil, secret, err
		case answer == "" && !q.optional:
			a.Term.Say("Nothing was entered.")
			return nil, secret, nil
		case answer == "":
		case q.secret:
			flags = append(flags, q.flag)
		case q.flag == "":
			rest = []string{"--", answer}
		default:
			flags = append(flags, q.flag+answer)
		}
	}
	return slices.Concat(e.args, flags, rest), secret, nil
}

// answer asks one question: with a list where there is something to choose from.
func (a *app) answer(ctx context.Context, e entry, flags []string, q question) (string, error) {
	words := a.suggest(ctx, e, flags, q)
	if len(words) == 0 {
		return a.Term.AskLine("%s: ", q.label)
	}
	i, err := a.Term.Pick(q.label, spaced(words))
	if errors.Is(err, term.ErrNothingChosen) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	answer, _, _ := strings.Cut(words[i], "\t")
	return answer, nil
}

// suggest is what the shell would complete the answer with.
func (a *app) suggest(ctx context.Context, e entry, flags []string, q question) []string {
	if q.flag != "" {
		return nil
	}
	quiet := newApp(a.Term.In, a.Term.Out, a.Term.Err)
	root := quiet.rootCommand()
	root.SetContext(ctx)
	cmd, _, err := root.Find(e.args)
	if err != nil || cmd.ValidArgsFunction == nil || cmd.ParseFlags(flags) != nil {
		return nil
	}
	cmd.SetContext(ctx)
	words, _ := cmd.ValidArgsFunction(cmd, nil, "")
	return words
}

// spaced shows a word and its description.
func spaced(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.Replace(w, "\t", "  ", 1)
	}
	return out
}

// feed is a stdin that has a secret, so that it is in no argument list.
func feed(secret bridge.Secret) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.WriteString(w, secret.Reveal())
		_ = w.Close()
	}()
	return r, nil
}

// commandLine is an argument list as it would be typed.
func commandLine(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = bridge.Printable(arg)
		if strings.ContainsAny(arg, " \t\"'`$\\*?|&;<>()[]{}#!~") {
			words[i] = bridge.ShellWord(words[i])
		}
	}
	return strings.Join(words, " ")
}
