package complete

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Completer finds the words that a shell offers. Its fields are everything it may use.
type Completer struct {
	Term     *term.Terminal    // required: it is made quiet
	Profiles *profile.Profiles // required
	Target   *target.Finder    // required: finds whose keys a command is about
}

// patience is how long a key press may wait.
const patience = time.Second

// source looks up the words for one place of a command line. A word may be followed by a tab and a description.
type source func(ctx context.Context, comp *Completer, cmd *cobra.Command) ([]string, error)

// argumentWords has the sources of each command's arguments, by its path.
var argumentWords = map[string][]source{
	"disconnect":            {connectionNames},
	"connections share":     {connectionNames},
	"connections unshare":   {connectionNames},
	"connections check":     {connectionNames},
	"connections sharing":   {connectionNames},
	"connections limit":     {connectionNames, memberNames},
	"connections unlimit":   {connectionNames, memberNames},
	"api-key revive":        {keyNames},
	"api-key rotate":        {keyNames},
	"api-key revoke":        {keyNames},
	"api-key disable":       {keyNames},
	"api-key enable":        {keyNames},
	"auth switch":           {profileNames},
	"org switch":            {organizationNames},
	"org role":              {memberNames, fixed(cmdline.RoleNames...)},
	"org remove":            {memberNames},
	"org withdraw":          {invitationNames},
	"org join-token revoke": {joinTokenNames},
}

// flagWords has the source of each flag's value, by the flag's name.
var flagWords = map[string]source{
	"output":     outputs,
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

// fileArguments are the commands that take paths. The shell completes those itself.
var fileArguments = map[string]bool{"scan": true}

// Fill gives every command of a tree its words. Where there are none, the shell offers no files either.
func (comp *Completer) Fill(root *cobra.Command) {
	cmdline.Each(root, func(path string, cmd *cobra.Command) {
		if find, ok := argumentWords[path]; ok {
			cmd.ValidArgsFunction = comp.words(find...)
		} else if cmd.ValidArgs == nil && cmd.ValidArgsFunction == nil && !fileArguments[path] && !cmd.HasSubCommands() {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		flags := func(f *pflag.Flag) {
			find := flagWords[f.Name]
			switch {
			case find != nil:
				_ = cmd.RegisterFlagCompletionFunc(f.Name, comp.flagValue(find))
			case f.Value.Type() != "bool" && f.Name != "data-dir":
				_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
			}
		}
		cmd.LocalNonPersistentFlags().VisitAll(flags)
		cmd.PersistentFlags().VisitAll(flags)
	})
}

// words adapts the sources of a command's arguments to cobra.
func (comp *Completer) words(each ...source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return comp.flagValue(each[len(args)])(cmd, args, typed)
	}
}

// flagValue adapts a source to cobra, and bounds its time.
func (comp *Completer) flagValue(find source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		comp.Profiles.Completing, comp.Term.Quiet = true, true
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		found := make(chan []string, 1)
		go func() {
			all, err := find(ctx, comp, cmd)
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

// fitting keeps the words that begin as typed. It drops those that a terminal cannot show or a command would take for a flag:
// names come from other people.
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

// fixed is a source with a fixed list.
func fixed(words ...string) source {
	return func(context.Context, *Completer, *cobra.Command) ([]string, error) { return words, nil }
}

// outputs are the formats of a command.
func outputs(_ context.Context, _ *Completer, cmd *cobra.Command) ([]string, error) {
	return term.OutputsOf(cmd), nil
}

func connectionNames(ctx context.Context, comp *Completer, _ *cobra.Command) ([]string, error) {
	_, cloud, err := comp.Profiles.LoggedIn(ctx)
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
		} else { // the name is not unique
			out = append(out, c.ID+"\t"+c.Name+" of "+c.Owner)
		}
	}
	return out, nil
}

func serverURLs(ctx context.Context, comp *Completer, _ *cobra.Command) ([]string, error) {
	out := []string{string(bridge.DefaultServerURL)}
	_, cloud, err := comp.Profiles.LoggedIn(ctx)
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

func organizationNames(ctx context.Context, comp *Completer, _ *cobra.Command) ([]string, error) {
	_, cloud, err := comp.Profiles.LoggedIn(ctx)
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

func memberNames(ctx context.Context, comp *Completer, _ *cobra.Command) ([]string, error) {
	_, cloud, me, err := comp.Profiles.InOrg(ctx)
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

func invitationNames(ctx context.Context, comp *Completer, _ *cobra.Command) ([]string, error) {
	_, cloud, me, err := comp.Profiles.InOrg(ctx)
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

func joinTokenNames(ctx context.Context, comp *Completer, _ *cobra.Command) ([]string, error) {
	_, cloud, err := comp.Profiles.LoggedIn(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := cloud.JoinTokens(ctx)
	var out []string
	for _, t := range tokens {
		if t.State == api.JoinActive {
			out = append(out, t.ID+"\t"+t.Name)
		}
	}
	return out, err
}

// profileNames lists profiles, which are in config.json and need no session.
func profileNames(_ context.Context, _ *Completer, _ *cobra.Command) ([]string, error) {
	return fromConfig(func(name string, p *profile.Profile) string { return name + "\t" + string(p.CloudURL) })
}

// cloudURLs lists the clouds of the profiles.
func cloudURLs(_ context.Context, _ *Completer, _ *cobra.Command) ([]string, error) {
	return fromConfig(func(name string, p *profile.Profile) string { return string(p.CloudURL) + "\t" + name })
}

// fromConfig makes a line of each profile in config.json.
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
