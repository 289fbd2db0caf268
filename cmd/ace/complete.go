package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Completion runs at a key press, so it must not be noticed: it takes what there is within a second, and is silent about
// what there is not. It renews no session, since a shell may be closed over it, and asks nothing.
const completionTime = time.Second

// source looks up words that may stand at a place of a command line, each with a tab and a description if it has one.
type source func(ctx context.Context, a *app, cmd *cobra.Command) ([]string, error)

// argumentWords is what a command's arguments may be, one after the other, by the command's path.
var argumentWords = map[string][]source{
	"disconnect":          {connectionNames},
	"connections share":   {connectionNames},
	"connections unshare": {connectionNames},
	"connections check":   {connectionNames},
	"connections sharing": {connectionNames},
	"connections limit":   {connectionNames, memberNames},
	"connections unlimit": {connectionNames, memberNames},
	"api-key revive":      {keyNames},
	"api-key rotate":      {keyNames},
	"api-key revoke":      {keyNames},
	"api-key disable":     {keyNames},
	"api-key enable":      {keyNames},
	"auth switch":         {profileNames},
	"org switch":          {organizationNames},
	"org role":            {memberNames, fixed(cmdline.RoleNames...)},
	"org remove":          {memberNames},
	"org withdraw":        {invitationNames},
}

// flagWords is what a flag's value may be, by the flag's name.
var flagWords = map[string]source{
	"output":     fixed(term.Outputs...),
	"profile":    profileNames,
	"env":        cloudURLs,
	"server":     serverURLs,
	"parent":     keyNames,
	"role":       fixed(cmdline.RoleNames...),
	"preset":     presetNames,
	"scope":      scopeNames,
	"expires":    fixed("7d", "30d", "90d", "365d", "never"),
	"grace":      fixed("0s", "1h", "24h", "7d"),
	"visibility": fixed("private", "organization"),
}

// fileArguments take a path, which the shell knows best.
var fileArguments = map[string]bool{"scan": true}

// completions gives every command of the tree its words; where there are none the shell offers no files either.
func (a *app) completions(root *cobra.Command) {
	eachCommand(root, func(path string, cmd *cobra.Command) {
		if find, ok := argumentWords[path]; ok {
			cmd.ValidArgsFunction = a.words(find...)
		} else if cmd.ValidArgs == nil && cmd.ValidArgsFunction == nil && !fileArguments[path] && !cmd.HasSubCommands() {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		flags := func(f *pflag.Flag) {
			find := flagWords[f.Name]
			switch {
			case find != nil:
				_ = cmd.RegisterFlagCompletionFunc(f.Name, a.flagValue(find))
			case f.Value.Type() != "bool" && f.Name != "data-dir":
				_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
			}
		}
		cmd.LocalNonPersistentFlags().VisitAll(flags)
		cmd.PersistentFlags().VisitAll(flags)
	})
}

// eachCommand visits a tree of commands; path is without the root's name.
func eachCommand(root *cobra.Command, visit func(path string, cmd *cobra.Command)) {
	visit(strings.TrimPrefix(strings.TrimPrefix(root.CommandPath(), root.Root().Name()), " "), root)
	for _, cmd := range root.Commands() {
		eachCommand(cmd, visit)
	}
}

// words makes the sources of a command's arguments what cobra asks.
func (a *app) words(each ...source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.flagValue(each[len(args)])(cmd, args, typed)
	}
}

// flagValue makes a source what cobra asks, bounded in time.
func (a *app) flagValue(find source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		a.Profiles.Completing, a.Term.Quiet = true, true
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		found := make(chan []string, 1)
		go func() {
			all, err := find(ctx, a, cmd)
			if err != nil {
				all = nil
			}
			found <- all
		}()
		select {
		case all := <-found:
			return fitting(all, typed), cobra.ShellCompDirectiveNoFileComp
		case <-ctx.Done():
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

// fitting drops what does not begin as typed, and what a terminal cannot show or a command would take for a flag: names
// come from other people.
func fitting(all []string, typed string) []string {
	var out []string
	for _, line := range all {
		word, description, _ := strings.Cut(line, "\t")
		if word == "" || word != bridge.Printable(word) || strings.HasPrefix(word, "-") || !strings.HasPrefix(word, typed) {
			continue
		}
		if description != "" {
			word = cobra.CompletionWithDesc(word, bridge.Printable(description))
		}
		out = append(out, word)
	}
	return out
}

func fixed(words ...string) source {
	return func(context.Context, *app, *cobra.Command) ([]string, error) { return words, nil }
}

func connectionNames(ctx context.Context, a *app, _ *cobra.Command) ([]string, error) {
	_, cloud, err := a.Profiles.LoggedIn(ctx)
	if err != nil {
		return nil, err
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	for _, c := range connections {
		seen[c.Name]++
	}
	var out []string
	for _, c := range connections {
		if seen[c.Name] == 1 {
			out = append(out, c.Name+"\t"+string(c.ServerURL))
		} else { // the name would not do
			out = append(out, c.ID+"\t"+c.Name+" of "+c.Owner)
		}
	}
	return out, nil
}

func serverURLs(ctx context.Context, a *app, _ *cobra.Command) ([]string, error) {
	out := []string{string(bridge.DefaultServerURL)}
	_, cloud, err := a.Profiles.LoggedIn(ctx)
	if err != nil {
		return out, nil //nolint:nilerr // the default is known without a session
	}
	connections, err := cloud.Connections(ctx)
	for _, c := range connections {
		if u := string(c.ServerURL); err == nil && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out, nil
}

func organizationNames(ctx context.Context, a *app, _ *cobra.Command) ([]string, error) {
	_, cloud, err := a.Profiles.LoggedIn(ctx)
	if err != nil {
		return nil, err
	}
	organizations, err := cloud.Organizations(ctx)
	var out []string
	for _, o := range organizations {
		out = append(out, o.Slug+"\t"+o.Name)
	}
	return out, err
}

func memberNames(ctx context.Context, a *app, _ *cobra.Command) ([]string, error) {
	_, cloud, me, err := a.inOrg(ctx)
	if err != nil {
		return nil, err
	}
	members, err := cloud.Members(ctx, me.Org)
	var out []string
	for _, m := range members {
		out = append(out, m.Email+"\t"+m.Role)
	}
	return out, err
}

func invitationNames(ctx context.Context, a *app, _ *cobra.Command) ([]string, error) {
	_, cloud, me, err := a.inOrg(ctx)
	if err != nil {
		return nil, err
	}
	invitations, err := cloud.Invitations(ctx, me.Org)
	var out []string
	for _, i := range invitations {
		out = append(out, i.ID+"\t"+i.Email+" as "+i.Role)
	}
	return out, err
}

// profileNames and cloudURLs are in config.json: they need no session.
func profileNames(_ context.Context, _ *app, _ *cobra.Command) ([]string, error) {
	return fromConfig(func(name string, p *profile.Profile) string { return name + "\t" + string(p.CloudURL) })
}

func cloudURLs(_ context.Context, _ *app, _ *cobra.Command) ([]string, error) {
	return fromConfig(func(name string, p *profile.Profile) string { return string(p.CloudURL) + "\t" + name })
}

func fromConfig(line func(name string, p *profile.Profile) string) ([]string, error) {
	st, err := profile.OpenStore()
	if err != nil {
		return nil, err
	}
	c, err := st.Config()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
		out = append(out, line(name, c.Profiles[name]))
	}
	return out, err
}
