package org

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (g *Group) inviteCommand() *cobra.Command {
	var n api.NewInvitation
	cmd := &cobra.Command{Use: "invite", Short: "Make a link that invites somebody to the organization (admins)", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if err := checkRoleWord(n.Role); err != nil {
				return err
			}
			_, cloud, me, err := g.Profiles.InOrg(ctx)
			if err != nil {
				return err
			}
			i, err := cloud.Invite(ctx, me.Org, n)
			if err != nil {
				return err
			}
			who := "Anyone"
			if i.Email != "" {
				who = "Only " + bridge.Printable(i.Email)
			}
			g.Term.Note("%s can join %s with this link as %s, once, until %s. The link will never be shown again.", who, me.Org, bridge.Printable(i.Role), term.Until(&i.ExpiresAt))
			g.Term.Note("A new person becomes a member once their address is proven: by mail, by your sign-in provider, or by the operator (ace cloud user add).")
			return g.Term.Print(i, func(w io.Writer) { _, _ = fmt.Fprintln(w, bridge.Printable(i.URL.Reveal())) })
		}}
	f := cmd.Flags()
	f.StringVar(&n.Email, "email", "", "only this `ADDRESS` may accept; it also gets a mail, if the cloud sends mail")
	f.StringVar(&n.Role, "role", string(bridge.RoleMember), "owner, admin, member or viewer")
	f.StringVar(&n.ExpiresIn, "expires", "7d", "how long the link works, at most 30d: 7d, 12h, or a date (the end of that day, UTC)")
	return cmd
}

func (g *Group) invitationsCommand() *cobra.Command {
	return &cobra.Command{Use: "invitations", Short: "List the open invitations (admins)", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, cloud, me, err := g.Profiles.InOrg(cmd.Context())
			if err != nil {
				return err
			}
			items, err := cloud.Invitations(cmd.Context(), me.Org)
			if err != nil {
				return err
			}
			return g.Term.Print(api.List[api.Invitation]{Items: items}, func(w io.Writer) {
				term.Row(w, "ID", "FOR", "ROLE", "INVITED BY", "UNTIL")
				for _, i := range items {
					term.Row(w, i.ID, i.Email, i.Role, i.InvitedBy, term.Until(&i.ExpiresAt))
				}
			})
		}}
}

func (g *Group) withdrawCommand() *cobra.Command {
	return &cobra.Command{Use: "withdraw ID|EMAIL", Short: "Withdraw an open invitation (admins)", Args: cmdline.SomeArgs(1, 1, "invitation (ID or EMAIL)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			_, cloud, me, err := g.Profiles.InOrg(ctx)
			if err != nil {
				return err
			}
			items, err := cloud.Invitations(ctx, me.Org)
			if err != nil {
				return err
			}
			for _, i := range items {
				if i.ID != args[0] && !bridge.SameEmail(i.Email, args[0]) {
					continue
				}
				if err := cloud.WithdrawInvitation(ctx, me.Org, i.ID); err != nil {
					return err
				}
				return g.Term.Print(i, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Withdrew the invitation %s\n", bridge.Printable(i.ID)) })
			}
			return bridge.E(bridge.NotFound, bridge.CodeInvitationUnknown, "there is no open invitation %q",
				args[0]).WithHint("ace org invitations")
		}}
}

func (g *Group) joinCommand() *cobra.Command {
	return &cobra.Command{Use: "join LINK", Short: "Accept an invitation; LINK can be - for stdin", Args: cmdline.SomeArgs(1, 1, "link"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			link, err := g.Term.SecretFlag("LINK", args[0])
			if err != nil {
				return err
			}
			token, origin, err := invitationToken(link)
			if err != nil {
				return err
			}
			l, cloud, err := g.Profiles.LoggedIn(ctx)
			if err != nil {
				return err
			}
			if !origin.Same(l.Cloud) {
				return term.Usage("the link is from %s, but you are logged in to %s", origin, l.Cloud).
					WithHint("ace login --env %s", origin)
			}
			org, err := cloud.AcceptInvitation(ctx, api.AcceptInvitation{Token: token.Disclose()})
			if err != nil {
				return err
			}
			g.Term.Note("Switch to it with: ace org switch %s", bridge.Printable(org.Slug))
			return g.Term.Print(org, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Joined %s as %s\n", bridge.Printable(org.Slug), bridge.Printable(org.Role))
			})
		}}
}

// invitationToken splits an invitation's link into its token and its cloud. No other cloud may see the token.
func invitationToken(link bridge.Secret) (token bridge.Secret, cloud bridge.ServerURL, err error) {
	malformed := term.Usage("that is not an invitation link").WithHint("copy the whole link: https://…/invite?token=…")
	u, err := url.Parse(link.Reveal())
	if err != nil {
		return token, "", malformed
	}
	base, isInvite := strings.CutSuffix(u.Path, "/invite")
	text := u.Query().Get("token")
	if !isInvite || text == "" || len(text) > 200 {
		return token, "", malformed
	}
	if cloud, err = bridge.CanonicalURL(u.Scheme + "://" + u.Host + base); err != nil {
		return token, "", malformed
	}
	return bridge.NewSecret(text), cloud, nil
}
