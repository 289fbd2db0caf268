package org

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (g *Group) joinTokenCommand() *cobra.Command {
	cmd := cmdline.Group(&cobra.Command{Use: "join-token", Short: "Manage the tokens with which servers join the organization (admins)"})
	cmd.AddCommand(g.joinTokenCreateCommand(),
		&cobra.Command{Use: "list", Short: "List the join tokens, and how often they were used (admins)", Args: cmdline.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return g.runJoinTokens(cmd.Context()) }},
		&cobra.Command{Use: "revoke ID|NAME", Short: "End a join token; servers that have joined with it stay (admins)",
			Args: cmdline.SomeArgs(1, 1, "join token (ID or NAME)"),
			RunE: func(cmd *cobra.Command, args []string) error { return g.runJoinTokenRevoke(cmd.Context(), args[0]) }})
	return cmd
}

const joinTokenLong = `Make a token with which a server joins the organization: "ace server join -" on the server asks for it, and the server is online
in the dashboard. The server needs no open port, since it dials the cloud.

The token can do nothing else, and ends by itself. By default it is for one server. It is the only line on stdout, so that it can be
piped: ace org join-token create | ssh SERVER ace server join -`

func (g *Group) joinTokenCreateCommand() *cobra.Command {
	var r api.JoinTokenRequest
	var expires string
	cmd := &cobra.Command{Use: "create", Short: "Make a token with which a server joins the organization (admins)", Long: joinTokenLong, Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			life, err := joinLife(expires)
			if err != nil {
				return err
			}
			if r.Uses < 1 || r.Uses > api.MaxJoinUses {
				return term.Usage("--uses must be between 1 and %d", api.MaxJoinUses)
			}
			r.ExpiresIn = int64(life / time.Second)
			return g.runJoinTokenCreate(cmd.Context(), r)
		}}
	f := cmd.Flags()
	f.StringVar(&r.Name, "name", "", "`NAME` of the token, in lists")
	f.IntVar(&r.Uses, "uses", 1, "how many servers may join with it")
	f.StringVar(&expires, "expires", "1h", "how long it lives, at most 30d: 30m, 12h, 7d")
	f.StringArrayVar(&r.Tags, "tag", nil, "`TAG` for the connections that are made with it; repeatable")
	f.BoolVar(&r.Share, "share", false, "share the connections with the organization at once")
	return cmd
}

// joinLife reads the life of a join token: 30m, 12h or 7d.
func joinLife(text string) (time.Duration, error) {
	life, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		life = time.Duration(n) * 24 * time.Hour //nolint:gosec // of 16 bits
	}
	if err != nil || life < time.Second || life > api.MaxJoinLife {
		return 0, term.Usage("--expires %q is not a time of at most 30d, such as 30m, 12h or 7d", text)
	}
	return life, nil
}

func (g *Group) runJoinTokenCreate(ctx context.Context, r api.JoinTokenRequest) error {
	_, cloud, me, err := g.Profiles.InOrg(ctx)
	if err != nil {
		return err
	}
	t, err := cloud.CreateJoinToken(ctx, r)
	if err != nil {
		return err
	}
	who := "One server"
	if t.Uses > 1 {
		who = fmt.Sprintf("%d servers", t.Uses)
	}
	g.Term.Note("%s can join %s with this token until %s. It is shown only now.", who, me.Org, term.Until(&t.ExpiresAt))
	err = g.Term.Print(t, func(w io.Writer) { _, _ = fmt.Fprintln(w, bridge.Printable(t.Token.Reveal())) })
	if err == nil && term.IsTerminal(g.Term.Out) {
		g.Term.Note("On the server, run `ace server join -` and paste it. The server needs no open port.")
	}
	return err
}

func (g *Group) runJoinTokens(ctx context.Context) error {
	_, cloud, err := g.Profiles.LoggedIn(ctx)
	if err != nil {
		return err
	}
	tokens, err := cloud.JoinTokens(ctx)
	if err != nil {
		return err
	}
	if len(tokens) == 0 {
		g.Term.Note("There are no join tokens. Make one with: ace org join-token create")
	}
	return g.Term.Print(api.List[api.JoinToken]{Items: tokens}, func(w io.Writer) {
		if len(tokens) > 0 {
			joinTokenTable(w, tokens...)
		}
	})
}

func joinTokenTable(w io.Writer, tokens ...api.JoinToken) {
	term.Row(w, "ID", "NAME", "STATE", "USED", "UNTIL", "VISIBILITY", "TAGS", "CREATED BY")
	for _, t := range tokens {
		visibility := "private"
		if t.Share {
			visibility = "organization"
		}
		term.Row(w, t.ID, t.Name, t.State, fmt.Sprintf("%d of %d", t.Used, t.Uses), term.Until(&t.ExpiresAt), visibility, strings.Join(t.Tags, ", "),
			strings.TrimPrefix(t.CreatedBy, "user:"))
	}
}

func (g *Group) runJoinTokenRevoke(ctx context.Context, word string) error {
	_, cloud, err := g.Profiles.LoggedIn(ctx)
	if err != nil {
		return err
	}
	tokens, err := cloud.JoinTokens(ctx)
	if err != nil {
		return err
	}
	t, err := findJoinToken(tokens, word)
	if err != nil {
		return err
	}
	if err := cloud.RevokeJoinToken(ctx, t.ID); err != nil {
		return err
	}
	if t.State == api.JoinActive {
		t.State = api.JoinRevoked
	}
	return g.Term.Print(t, func(w io.Writer) { joinTokenTable(w, t) })
}

// findJoinToken finds a token by its ID, or an active one by its name.
func findJoinToken(tokens []api.JoinToken, word string) (api.JoinToken, error) {
	if i := slices.IndexFunc(tokens, func(t api.JoinToken) bool { return t.ID == word }); i >= 0 {
		return tokens[i], nil
	}
	var names []string
	var found []api.JoinToken
	for _, t := range tokens {
		if t.State != api.JoinActive || t.Name == "" {
			continue
		}
		if names = append(names, t.Name); t.Name == word {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.JoinToken{}, bridge.E(bridge.NotFound, bridge.CodeJoinTokenUnknown, "there is no active join token %q%s", word, term.DidYouMean(word, names)).
			WithHint("ace org join-token list")
	}
	return api.JoinToken{}, term.Usage("%d join tokens are called %q", len(found), word).WithHint("name one by its ID: ace org join-token list")
}
