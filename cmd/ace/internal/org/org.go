package org

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Group builds `ace org`. Its fields are everything it may use.
type Group struct {
	Term     *term.Terminal    // required
	Profiles *profile.Profiles // required
}

// Command returns `ace org` with its commands.
func (g *Group) Command() *cobra.Command {
	cmd := cmdline.Group(&cobra.Command{Use: "org", Short: "Manage your organizations and their members"})
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the organizations that you are in", Args: cmdline.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return g.runOrgs(cmd.Context()) }},
		g.orgCreateCommand(),
		&cobra.Command{Use: "rename NAME", Short: "Change the display name of the organization (admins)", Args: cmdline.SomeArgs(1, 1, "name"),
			RunE: func(cmd *cobra.Command, args []string) error { return g.runOrgRename(cmd.Context(), args[0]) }},
		&cobra.Command{Use: "switch ORG", Short: "Switch your session to another organization", Args: cmdline.SomeArgs(1, 1, "organization"),
			RunE: func(cmd *cobra.Command, args []string) error { return g.runOrgSwitch(cmd.Context(), args[0]) }},
		g.membersCommand(), g.roleCommand(), g.removeMemberCommand(), g.leaveCommand(),
		g.inviteCommand(), g.invitationsCommand(), g.withdrawCommand(), g.joinCommand(), g.auditCommand(), g.joinTokenCommand(),
		&cobra.Command{Use: "trust", Short: "Print the variables that a server needs to trust this cloud (admins)",
			Args: cmdline.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return g.runTrust(cmd.Context()) }})
	return cmd
}

func (g *Group) runOrgs(ctx context.Context) error {
	_, cloud, me, err := g.Profiles.InOrg(ctx)
	if err != nil {
		return err
	}
	orgs, err := cloud.Organizations(ctx)
	if err != nil {
		return err
	}
	return g.Term.Print(api.List[api.Organization]{Items: orgs}, func(w io.Writer) {
		term.Row(w, "ORGANIZATION", "NAME", "ROLE", "CURRENT")
		for _, o := range orgs {
			current := ""
			if o.Slug == me.Org {
				current = "*"
			}
			term.Row(w, o.Slug, o.Name, o.Role, current)
		}
	})
}

func (g *Group) orgCreateCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{Use: "create SLUG", Short: "Create an organization; you become its owner", Args: cmdline.SomeArgs(1, 1, "slug"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			_, cloud, err := g.Profiles.LoggedIn(ctx)
			if err != nil {
				return err
			}
			org, err := cloud.CreateOrganization(ctx, api.NewOrganization{Slug: args[0], Name: name})
			if err != nil {
				return err
			}
			g.Term.Note("Switch to it with: ace org switch %s", bridge.Printable(org.Slug))
			return g.printOrg(org)
		}}
	cmd.Flags().StringVar(&name, "name", "", "display `NAME`; the slug by default")
	return cmd
}

func (g *Group) printOrg(org api.Organization) error {
	return g.Term.Print(org, func(w io.Writer) {
		term.Row(w, "ORGANIZATION", "NAME", "ROLE")
		term.Row(w, org.Slug, org.Name, org.Role)
	})
}

func (g *Group) runOrgRename(ctx context.Context, name string) error {
	_, cloud, me, err := g.Profiles.InOrg(ctx)
	if err != nil {
		return err
	}
	org, err := cloud.RenameOrganization(ctx, me.Org, name)
	if err != nil {
		return err
	}
	return g.printOrg(org)
}

// runOrgSwitch moves the profile's session to another organization.
//
// Once the cloud has answered, the old token is worthless, so the new one is stored even after Ctrl-C. The lock is held throughout:
// a refresh at the same time would use the old token.
func (g *Group) runOrgSwitch(ctx context.Context, org string) error {
	l, _, err := g.Profiles.LoggedIn(ctx)
	if err != nil {
		return err
	}
	if l.Source != profile.SourceProfile {
		return term.Usage("only the session of a profile can switch organizations, and %s takes precedence over it", l.Source).
			WithHint("unset %s, or use a credential of the other organization", l.Source)
	}
	var me api.Me
	err = l.Store.Locked(ctx, func() error {
		c, err := l.Store.Config()
		if err != nil {
			return err
		}
		sessions, place, err := l.Store.Sessions(ctx)
		if err != nil {
			return err
		}
		s, ok := sessions[l.Name]
		if !ok {
			return profile.NotLoggedIn(l.Selection)
		}
		cloud := g.Profiles.CloudOf(l).As(s.AccessToken.Secret)
		t, err := cloud.SwitchSession(ctx, org)
		if err != nil {
			return err
		}
		ctx := context.WithoutCancel(ctx)
		s.AccessToken, s.ExpiresAt = t.Token, t.ExpiresAt
		sessions[l.Name] = s
		if err := l.Store.WriteSessions(ctx, sessions, place); err != nil {
			return err
		}
		if me, err = cloud.As(t.Token.Secret).Me(ctx); err != nil {
			return err
		}
		if p := c.Profiles[l.Name]; p != nil {
			p.Org, p.Role = me.Org, me.Role
		}
		return l.Store.WriteConfig(c)
	})
	if err != nil {
		return err
	}
	return g.Term.Print(switched{Profile: l.Name, Org: me.Org, Role: me.Role}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Switched to %s as %s\n", bridge.Printable(me.Org), bridge.Printable(me.Role))
	})
}

type switched struct {
	Profile string `json:"profile"`
	Org     string `json:"org"`
	Role    string `json:"role"`
}

func (g *Group) runTrust(ctx context.Context) error {
	_, cloud, me, err := g.Profiles.InOrg(ctx)
	if err != nil {
		return err
	}
	t, err := cloud.Trust(ctx, me.Org)
	if err != nil {
		return err
	}
	g.Term.Note("Set one of these on a server of %s and restart it. Prefer the public key: it cannot sign tokens.", me.Org)
	return g.Term.Print(t, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "ACE_CLOUD_PUBLIC_KEY=%s\n", bridge.Printable(t.PublicKey))
		_, _ = fmt.Fprintf(w, "ACE_CLOUD_JWT_SECRET=%s\n", bridge.Printable(t.JWTSecret.Reveal()))
	})
}

// day is a date in the zone of this machine.
func day(t time.Time) string { return t.Local().Format(time.DateOnly) }
