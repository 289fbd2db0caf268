package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/acebridge/ace/bridge/apiclient"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (a *app) orgCommand() *cobra.Command {
	cmd := cmdline.Group(&cobra.Command{Use: "org", Short: "Your organizations, and who is in them"})
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the organizations that you are in", Args: cmdline.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.runOrgs(cmd.Context()) }},
		a.orgCreateCommand(),
		&cobra.Command{Use: "rename NAME", Short: "Give the organization another name to show (admins)", Args: cmdline.SomeArgs(1, 1, "name"),
			RunE: func(cmd *cobra.Command, args []string) error { return a.runOrgRename(cmd.Context(), args[0]) }},
		&cobra.Command{Use: "switch ORG", Short: "Move your session to another organization", Args: cmdline.SomeArgs(1, 1, "organization"),
			RunE: func(cmd *cobra.Command, args []string) error { return a.runOrgSwitch(cmd.Context(), args[0]) }},
		a.membersCommand(), a.roleCommand(), a.removeMemberCommand(), a.leaveCommand(),
		a.inviteCommand(), a.invitationsCommand(), a.withdrawCommand(), a.joinCommand(), a.auditCommand(),
		&cobra.Command{Use: "trust", Short: "Print the variables that a server needs to trust this cloud (admins)",
			Args: cmdline.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return a.runTrust(cmd.Context()) }})
	return cmd
}

// inOrg is what a command about the organization of the login begins with.
func (a *app) inOrg(ctx context.Context) (*profile.Login, *apiclient.Cloud, api.Me, error) {
	l, cloud, err := a.Profiles.LoggedIn(ctx)
	if err != nil {
		return nil, nil, api.Me{}, err
	}
	me, err := cloud.Me(ctx)
	return l, cloud, me, err
}

func (a *app) runOrgs(ctx context.Context) error {
	_, cloud, me, err := a.inOrg(ctx)
	if err != nil {
		return err
	}
	orgs, err := cloud.Organizations(ctx)
	if err != nil {
		return err
	}
	return a.Term.Print(api.List[api.Organization]{Items: orgs}, func(w io.Writer) {
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

func (a *app) orgCreateCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{Use: "create SLUG", Short: "Make an organization, and be its owner", Args: cmdline.SomeArgs(1, 1, "slug"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			_, cloud, err := a.Profiles.LoggedIn(ctx)
			if err != nil {
				return err
			}
			org, err := cloud.CreateOrganization(ctx, api.NewOrganization{Slug: args[0], Name: name})
			if err != nil {
				return err
			}
			a.Term.Note("Go there with: ace org switch %s", bridge.Printable(org.Slug))
			return a.printOrg(org)
		}}
	cmd.Flags().StringVar(&name, "name", "", "the `NAME` to show; the slug by default")
	return cmd
}

func (a *app) printOrg(org api.Organization) error {
	return a.Term.Print(org, func(w io.Writer) {
		term.Row(w, "ORGANIZATION", "NAME", "ROLE")
		term.Row(w, org.Slug, org.Name, org.Role)
	})
}

func (a *app) runOrgRename(ctx context.Context, name string) error {
	_, cloud, me, err := a.inOrg(ctx)
	if err != nil {
		return err
	}
	org, err := cloud.RenameOrganization(ctx, me.Org, name)
	if err != nil {
		return err
	}
	return a.printOrg(org)
}

// runOrgSwitch moves the profile's session. The token of before is of no use any more once the cloud has answered, so the new
// one is kept whatever happens, and under the lock, because a refresh beside it would go by the old one.
func (a *app) runOrgSwitch(ctx context.Context, org string) error {
	l, _, err := a.Profiles.LoggedIn(ctx)
	if err != nil {
		return err
	}
	if l.Source != profile.SourceProfile {
		return term.Usage("%s is what counts, and only the session of a profile can be moved", l.Source).
			WithHint("unset %s, or log in to the other organization with a credential of it", l.Source)
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
		cloud := a.Profiles.CloudOf(l).As(s.AccessToken.Secret)
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
	return a.Term.Print(switched{Profile: l.Name, Org: me.Org, Role: me.Role}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Switched to %s as %s\n", bridge.Printable(me.Org), bridge.Printable(me.Role))
	})
}

type switched struct {
	Profile string `json:"profile"`
	Org     string `json:"org"`
	Role    string `json:"role"`
}

func (a *app) runTrust(ctx context.Context) error {
	_, cloud, me, err := a.inOrg(ctx)
	if err != nil {
		return err
	}
	t, err := cloud.Trust(ctx, me.Org)
	if err != nil {
		return err
	}
	a.Term.Note("Set one of the two on a server of %s and restart it. The public key is the better one: it cannot sign.", me.Org)
	return a.Term.Print(t, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "ACE_CLOUD_PUBLIC_KEY=%s\n", bridge.Printable(t.PublicKey))
		_, _ = fmt.Fprintf(w, "ACE_CLOUD_JWT_SECRET=%s\n", bridge.Printable(t.JWTSecret.Reveal()))
	})
}

// sure asks before something that cannot be undone, and needs --yes where there is nobody to ask.
func (a *app) sure(yes bool, command, format string, args ...any) error {
	if yes {
		return nil
	}
	if !a.Term.Interactive() {
		return term.InputNeeded("this needs a yes").WithHint("%s --yes", command)
	}
	ok, err := a.Term.Confirm(format, args...)
	if err == nil && !ok {
		err = errNothingChanged
	}
	return err
}

func day(t time.Time) string { return t.Local().Format(time.DateOnly) }
