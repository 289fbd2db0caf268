package org

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
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (g *Group) membersCommand() *cobra.Command {
	return &cobra.Command{Use: "members", Short: "List the members of the organization", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, cloud, me, err := g.Profiles.InOrg(cmd.Context())
			if err != nil {
				return err
			}
			members, err := cloud.Members(cmd.Context(), me.Org)
			if err != nil {
				return err
			}
			return g.Term.Print(api.List[api.Member]{Items: members}, func(w io.Writer) { memberTable(w, members...) })
		}}
}

func memberTable(w io.Writer, members ...api.Member) {
	term.Row(w, "E-MAIL", "NAME", "ROLE", "SINCE")
	for _, m := range members {
		term.Row(w, m.Email, m.Name, m.Role, day(m.JoinedAt))
	}
}

// findMember finds a member by e-mail address or ID.
func findMember(ctx context.Context, cloud *apiclient.Cloud, org, word string) (api.Member, error) {
	members, err := cloud.Members(ctx, org)
	if err != nil {
		return api.Member{}, err
	}
	var names []string
	for _, m := range members {
		if bridge.SameEmail(m.Email, word) || m.ID == word {
			return m, nil
		}
		names = append(names, m.Email)
	}
	return api.Member{}, bridge.E(bridge.NotFound, bridge.CodeMemberUnknown, "there is no member %q in %s%s", word, org,
		term.DidYouMean(word, names)).
		WithHint("ace org members")
}

func (g *Group) roleCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "role EMAIL ROLE", Short: "Change a member's role (admins)", Args: cmdline.Exactly(2, "EMAIL and ROLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := checkRoleWord(args[1]); err != nil {
				return err
			}
			_, cloud, me, err := g.Profiles.InOrg(ctx)
			if err != nil {
				return err
			}
			m, err := findMember(ctx, cloud, me.Org, args[0])
			if err != nil {
				return err
			}
			f, err := preview.Ask(ctx, func(ctx context.Context) (api.Ends, error) { return cloud.EndsOfMember(ctx, me.Org, m.ID, args[1]) }, preview.AccessToken)
			if err == nil {
				err = preview.Agree(g.Term, yes, f, "Change the role of %s to %s?", bridge.Printable(m.Email), args[1])
			}
			if err != nil {
				return err
			}
			if m, err = cloud.ChangeRole(ctx, me.Org, m.ID, args[1]); err != nil {
				return err
			}
			return g.Term.Print(m, func(w io.Writer) { memberTable(w, m) })
		}}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before a lower role takes something away")
	return cmd
}

func checkRoleWord(role string) error {
	if bridge.Role(role).Valid() {
		return nil
	}
	return term.Usage("%q is not a role%s", role, term.DidYouMean(role, cmdline.RoleNames)).WithHint("one of %s", strings.Join(cmdline.RoleNames, ", "))
}

func (g *Group) removeMemberCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "remove EMAIL", Short: "Remove a member; their sessions end at once (admins)", Args: cmdline.SomeArgs(1, 1, "member (EMAIL or ID)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			_, cloud, me, err := g.Profiles.InOrg(ctx)
			if err != nil {
				return err
			}
			m, err := findMember(ctx, cloud, me.Org, args[0])
			if err != nil {
				return err
			}
			if m.ID == me.ID {
				return term.Usage("that is you").WithHint("ace org leave")
			}
			if yes || g.Term.Interactive() {
				if err := g.previewMember(ctx, cloud, me.Org, m.ID); err != nil {
					return err
				}
			}
			if err := preview.RequireYes(g.Term, yes, "ace org remove "+m.Email, "Remove %s from %s? Their sessions end, and %s.", bridge.Printable(m.Email), me.Org, leaves(m.Connections)); err != nil {
				return err
			}
			removed, err := cloud.RemoveMember(ctx, me.Org, m.ID)
			if err != nil {
				return err
			}
			return g.printRemoved(removed, fmt.Sprintf("Removed %s from %s", bridge.Printable(m.Email), me.Org))
		}}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// previewMember prints what else ends with a membership.
func (g *Group) previewMember(ctx context.Context, cloud *apiclient.Cloud, org, id string) error {
	f, err := preview.Ask(ctx, func(ctx context.Context) (api.Ends, error) { return cloud.EndsOfMember(ctx, org, id, "") }, nil)
	if err == nil {
		f.Print(g.Term)
	}
	return err
}

// leaves says what happens to a former member's private connections.
func leaves(connections int) string {
	switch connections {
	case 0:
		return "shared connections and the organization's keys go on working"
	case 1:
		return "1 private connection goes to the admins, to be disconnected"
	}
	return fmt.Sprintf("%d private connections go to the admins, to be disconnected", connections)
}

// printRemoved says what was done and what is left to do.
func (g *Group) printRemoved(r api.RemovedMember, done string) error {
	return g.Term.Print(r, func(w io.Writer) {
		_, _ = fmt.Fprintln(w, done)
		for _, c := range r.Connections {
			_, _ = fmt.Fprintln(w, g.Term.AsTyped(fmt.Sprintf("Left behind, for an admin to disconnect: %s (%s)  ace disconnect %s", bridge.Printable(c.Name),
				bridge.Printable(string(c.ServerURL)), bridge.Printable(c.ID))))
		}
	})
}

func (g *Group) leaveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "leave", Short: "Leave the organization", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			l, cloud, me, err := g.Profiles.InOrg(ctx)
			if err != nil {
				return err
			}
			if yes || g.Term.Interactive() {
				if err := g.previewMember(ctx, cloud, me.Org, me.ID); err != nil {
					return err
				}
			}
			if err := preview.RequireYes(g.Term, yes, "ace org leave", "Leave %s? You can come back only with a new invitation.", me.Org); err != nil {
				return err
			}
			removed, err := cloud.RemoveMember(ctx, me.Org, me.ID)
			if err != nil {
				return err
			}
			if l.Source == profile.SourceProfile { // its session has ended with the membership
				if err := g.Profiles.Forget(context.WithoutCancel(ctx), l.Store, l.Selection); err != nil {
					return err
				}
			}
			return g.printRemoved(removed, "Left "+me.Org)
		}}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
