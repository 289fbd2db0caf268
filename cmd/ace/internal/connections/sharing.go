package connections

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/preview"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// ceilingFlags adds --preset and --scope.
func ceilingFlags(cmd *cobra.Command, c *api.Ceiling, what string) {
	f := cmd.Flags()
	f.StringVar(&c.Preset, "preset", "", what+" this preset of the connection's server")
	f.StringSliceVar(&c.Scopes, "scope", nil, what+" these scopes (repeat the flag, or separate them with commas)")
}

func isSet(c api.Ceiling) bool { return c.Preset != "" || len(c.Scopes) > 0 }

const shareLong = `Share a connection with the organization, or change its ceiling (admins).

The ceiling is the most that members may do with the connection. Without one they may do everything their role allows.
ace connections limit gives one member or key less.`

func (g *Group) shareCommand() *cobra.Command {
	var ceiling api.Ceiling
	var lift, yes bool
	cmd := g.oneConnection("share", "Share a connection with the organization, or change its ceiling (admins)",
		func(ctx context.Context, cloud *apiclient.Cloud, c api.Connection) (api.Connection, error) {
			patch := api.ConnectionPatch{Visibility: new("organization"), Ceiling: api.CeilingPatch{Given: lift || isSet(ceiling)}}
			switch {
			case lift && isSet(ceiling), ceiling.Preset != "" && len(ceiling.Scopes) > 0:
				return c, term.Usage("use only one of --preset, --scope and --no-ceiling")
			case isSet(ceiling):
				patch.Ceiling.To = &ceiling
			}
			if isSet(ceiling) && c.Visibility == "organization" { // it may take something away
				f, err := preview.Ask(ctx, func(ctx context.Context) (api.Ends, error) { return cloud.EndsOfConnection(ctx, c.ID, patch) }, preview.AccessToken)
				if err == nil {
					err = preview.Agree(g.Term, yes, f, "Set the ceiling of %s?", bridge.Printable(c.Name))
				}
				if err != nil {
					return c, err
				}
			}
			c, err := cloud.Patch(ctx, c.ID, patch)
			if err == nil && c.Ceiling != nil {
				g.Term.Note("Members get at most: %s", bridge.Printable(upTo(c.CeilingPreset, c.Ceiling)))
			}
			return c, err
		})
	cmd.Long = shareLong
	ceilingFlags(cmd, &ceiling, "set the ceiling to")
	cmd.Flags().BoolVar(&lift, "no-ceiling", false, "remove the ceiling: members get everything their role allows")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before a lower ceiling takes something away")
	return cmd
}

// upTo words the most that somebody gets.
func upTo(preset string, scopes []string) string {
	switch {
	case scopes == nil:
		return "no limit"
	case len(scopes) == 0:
		return "nothing"
	case preset != "":
		return strings.Join(scopes, " ") + " (" + preset + ")"
	}
	return strings.Join(scopes, " ")
}

func (g *Group) unshareCommand() *cobra.Command {
	var yes bool
	cmd := g.oneConnection("unshare", "Make a connection private again (admins)",
		func(ctx context.Context, cloud *apiclient.Cloud, c api.Connection) (api.Connection, error) {
			to := api.ConnectionPatch{Visibility: new("private")}
			if c.Visibility != "organization" {
				return cloud.Patch(ctx, c.ID, to)
			}
			if yes || g.Term.Interactive() {
				f, err := preview.Ask(ctx, func(ctx context.Context) (api.Ends, error) { return cloud.EndsOfConnection(ctx, c.ID, to) }, nil)
				if err != nil {
					return c, err
				}
				f.Print(g.Term)
			}
			if !yes {
				sharing, err := cloud.Sharing(ctx, c.ID)
				if err != nil {
					return c, err
				}
				if err := preview.RequireYes(g.Term, false, "ace connections unshare "+c.ID, "Make %s private again? %s, and their open calls are cut.", bridge.Printable(c.Name), lose(sharing.People)); err != nil {
					return c, err
				}
			}
			return cloud.Patch(ctx, c.ID, to)
		})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// lose says how many people lose access.
func lose(people int) string {
	if people == 1 {
		return "1 person loses access"
	}
	return fmt.Sprintf("%d people lose access", people)
}

func (g *Group) sharingCommand() *cobra.Command {
	return &cobra.Command{Use: "sharing NAME|URL|ID", Short: "Show who may use a connection, and how much of it", Args: cmdline.SomeArgs(1, 1, "connection (NAME, URL or ID)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cloud, c, err := g.Target.Connection(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			sharing, err := cloud.Sharing(cmd.Context(), c.ID)
			if err != nil {
				return err
			}
			return g.Term.Print(sharing, func(w io.Writer) {
				term.Row(w, "Visibility", sharing.Visibility)
				term.Row(w, "Ceiling", upTo(sharing.CeilingPreset, sharing.Ceiling))
				_, _ = fmt.Fprintln(w)
				sharerTable(w, sharing.Members...)
			})
		}}
}

func sharerTable(w io.Writer, members ...api.SharingMember) {
	term.Row(w, "MEMBER", "ROLE", "ACCESS", "AT MOST")
	for _, m := range members {
		access, most := m.Access, upTo("", m.Allowed)
		if m.Access == "none" {
			most = "nothing"
		}
		if m.Owner {
			access, most = "owner", "everything its key allows"
		}
		term.Row(w, m.Email, m.Role, access, most)
	}
}

// onSharer makes a command that changes one member's or key's limit.
func (g *Group) onSharer(name, short string, do func(ctx context.Context, cloud *apiclient.Cloud, connection, member string) (api.SharingMember, error)) *cobra.Command {
	return &cobra.Command{Use: name + " NAME|URL|ID MEMBER", Short: short, Args: cmdline.Exactly(2, "a connection and a MEMBER (e-mail address, ID, or key:NAME)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			cloud, c, err := g.Target.Connection(ctx, args[0])
			if err != nil {
				return err
			}
			id, err := findSharer(ctx, cloud, c, args[1])
			if err != nil {
				return err
			}
			m, err := do(ctx, cloud, c.ID, id)
			if err != nil {
				return err
			}
			return g.Term.Print(m, func(w io.Writer) { sharerTable(w, m) })
		}}
}

// findSharer returns the ID of a member or a cloud key. A member is named by e-mail address or ID, a key by key:NAME or key:ID.
func findSharer(ctx context.Context, cloud *apiclient.Cloud, c api.Connection, word string) (string, error) {
	sharing, err := cloud.Sharing(ctx, c.ID)
	if err != nil {
		return "", err
	}
	var names []string
	for _, m := range sharing.Members {
		if bridge.SameEmail(m.Email, word) || m.UserID == word {
			return m.UserID, nil
		}
		names = append(names, m.Email)
	}
	if key, ok := strings.CutPrefix(word, "key:"); ok {
		return target.CloudKeys(cloud, "the cloud").ID(ctx, key)
	}
	return "", bridge.E(bridge.NotFound, bridge.CodeMemberUnknown, "there is no member %q%s", word, term.DidYouMean(word, names)).
		WithHint("ace connections sharing %s", term.Argument(c.Name))
}

func (g *Group) limitCommand() *cobra.Command {
	var l api.MemberLimit
	var none, yes bool
	cmd := g.onSharer("limit", "Limit what a member or key may do with a shared connection (admins)",
		func(ctx context.Context, cloud *apiclient.Cloud, connection, member string) (api.SharingMember, error) {
			if l.Access = "limited"; none {
				l.Access = "none"
			}
			f, err := preview.Ask(ctx, func(ctx context.Context) (api.Ends, error) { return cloud.EndsOfLimit(ctx, connection, member, l) }, preview.AccessToken)
			if err != nil {
				return api.SharingMember{}, err
			}
			if err := preview.Agree(g.Term, yes, f, "Set the limit?"); err != nil {
				return api.SharingMember{}, err
			}
			return cloud.LimitMember(ctx, connection, member, l)
		})
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if n := count(none, l.Preset != "", len(l.Scopes) > 0); n != 1 {
			return term.Usage("%s needs exactly one of --none, --preset and --scope", cmd.CommandPath())
		}
		return nil
	}
	ceilingFlags(cmd, &l.Ceiling, "limit the member to")
	cmd.Flags().BoolVar(&none, "none", false, "give no access: the member neither sees nor uses the connection")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// count returns how many of the facts are true.
func count(facts ...bool) (n int) {
	for _, is := range facts {
		if is {
			n++
		}
	}
	return n
}

func (g *Group) unlimitCommand() *cobra.Command {
	return g.onSharer("unlimit", "Remove the limit of a member or key on a shared connection (admins)",
		func(ctx context.Context, cloud *apiclient.Cloud, connection, member string) (api.SharingMember, error) {
			return cloud.UnlimitMember(ctx, connection, member)
		})
}
