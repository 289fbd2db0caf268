package login

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (g *Group) loginTokenCommand() *cobra.Command {
	var value string
	cmd := &cobra.Command{Use: "login-token", Short: "Log in with a developer token from the dashboard's settings", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if value == "" && !cmd.Flags().Changed("token") && !term.IsTerminal(g.Term.In) {
				value = "-"
			}
			token, err := g.secretOrAsk(cmd, "Token", "--token", value)
			if err != nil {
				return err
			}
			return g.runLoginToken(cmd.Context(), token)
		}}
	cmd.Flags().StringVar(&value, "token", "", "the `TOKEN`"+secretUsage+"; stdin by default if that is not a terminal")
	return cmd
}

func (g *Group) runLoginToken(ctx context.Context, token bridge.Secret) error {
	st, sel, err := g.Profiles.Selected()
	if err != nil {
		return err
	}
	if err := checkToken(token, sel.Cloud); err != nil {
		return err
	}
	s := profile.Session{Method: profile.MethodDeveloperToken, AccessToken: token.Disclose()}
	me, err := g.Profiles.CloudAt(sel.Cloud, s).Me(ctx)
	if e := bridge.AsError(err); err != nil && e.Kind == bridge.Unauthenticated {
		return bridge.E(e.Kind, e.Code, "%s does not accept the token: %s", sel.Cloud, e.Detail).
			WithHint("create one on the dashboard's settings page")
	}
	if err != nil {
		return err
	}
	if exp := profile.Peek(token).ExpiresAt; exp > 0 {
		s.ExpiresAt = time.Unix(exp, 0).UTC()
	}
	if me.ExpiresAt != nil {
		s.ExpiresAt = me.ExpiresAt.UTC()
	}
	return g.settle(ctx, st, sel, s, me, false)
}

// checkToken refuses what is plainly no session token of the cloud.
func checkToken(token bridge.Secret, cloud bridge.ServerURL) error {
	if p, err := bridge.ParsePresented(token); err == nil && p.IsKey() {
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenIsKey, "that is an API key, not a token").
			WithHint("ace login pat --token -, or: ace auth login-api-key --key - --service-name NAME")
	}
	claims := profile.Peek(token)
	switch kind := bridge.TokenType(token); {
	case kind == bridge.TypeConnect:
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenType, "that is a connect token, which works at one server only").
			WithHint("ace connect --server URL --token -")
	case claims == profile.TokenClaims{}:
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenMalformed,
			"that is not a token: a token has three parts, separated by dots").
			WithHint("copy the whole token again")
	case claims.Issuer != "" && !bridge.ServerURL(claims.Issuer).Same(cloud):
		iss := bridge.Printable(claims.Issuer)
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenOtherCloud, "the token is from %s, not from %s", iss, cloud).
			WithHint("if you trust that cloud: ace auth login-token --env %s --token -", iss)
	}
	if end := time.Unix(claims.ExpiresAt, 0); claims.ExpiresAt > 0 && !time.Now().Before(end) {
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenExpired, "the token has expired (%s)", term.When(&end)).
			WithHint("create one on the dashboard's settings page")
	}
	return nil
}
