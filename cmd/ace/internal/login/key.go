package login

import (
	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// keyLogin is a login with an API key or personal access token.
type keyLogin struct {
	flag    string // the flag that takes the key
	value   string // its value
	service string
	org     string // ID or slug of the organization that the key must belong to; empty: any
	pat     bool
	replace bool // even a session that is still valid
}

func (k keyLogin) what() string {
	if k.pat {
		return "Personal access token"
	}
	return "API key"
}

const secretUsage = " (literal, - for stdin, or file:PATH)"

func (g *Group) loginPATCommand() *cobra.Command {
	k := keyLogin{flag: "--token", pat: true}
	cmd := &cobra.Command{Use: "pat", Short: "Log in with a personal access token", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runKeyLogin(cmd, k) }}
	f := cmd.Flags()
	f.StringVar(&k.value, "token", "", "the personal access `TOKEN`"+secretUsage)
	f.BoolVar(&k.replace, "force", false, "replace a session that is still valid")
	return cmd
}

func (g *Group) loginKeyCommand() *cobra.Command {
	k := keyLogin{flag: "--secret"}
	cmd := &cobra.Command{Use: "api-key", Short: "Log in with an API key of the cloud", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.service == "" {
				return term.Usage("%s needs --name", cmd.CommandPath()).WithHint("name the service that uses the key: --name my-service")
			}
			return g.runKeyLogin(cmd, k)
		}}
	f := cmd.Flags()
	f.StringVar(&k.service, "name", "", "name of the service that uses the key; the cloud shows it with the key's last use")
	f.StringVar(&k.value, "secret", "", "the API `KEY`, or KEYID.KEY"+secretUsage)
	f.StringVar(&k.org, "organization-id", "", "fail unless the key belongs to the organization with this `ID` or slug")
	f.BoolVar(&k.replace, "force", false, "replace a session that is still valid")
	return cmd
}

func (g *Group) authKeyCommand() *cobra.Command {
	k := keyLogin{flag: "--key", replace: true}
	cmd := &cobra.Command{Use: "login-api-key", Short: "Log in with an API key of the cloud, replacing the current session",
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.service == "" {
				return term.Usage("%s needs --service-name", cmd.CommandPath()).
					WithHint("name the service that uses the key: --service-name my-service")
			}
			return g.runKeyLogin(cmd, k)
		}}
	f := cmd.Flags()
	f.StringVar(&k.value, "key", "", "the API `KEY`, or KEYID.KEY"+secretUsage)
	f.StringVar(&k.service, "service-name", "", "name of the service that uses the key; the cloud shows it with the key's last use")
	return cmd
}

func (g *Group) runKeyLogin(cmd *cobra.Command, k keyLogin) error {
	ctx := cmd.Context()
	var plain bool
	if k.service, plain = bridge.PlainName(k.service, profile.MaxServiceName); !plain && k.service != "" { // a personal access token has no name
		return term.Usage("that is not a valid name: it must be text of at most %d bytes", profile.MaxServiceName)
	}
	secret, err := g.secretOrAsk(cmd, k.what(), k.flag, k.value)
	if err != nil {
		return err
	}
	key, err := cloudKey(secret, k.pat)
	if err != nil {
		return err
	}
	st, sel, err := g.Profiles.Selected()
	if err != nil {
		return err
	}
	if !k.replace {
		if err := g.requireNoLogin(ctx, st, sel); err != nil {
			return err
		}
	}
	s := profile.Session{Method: profile.MethodAPIKey, AccessToken: key.Text().Disclose(), KeyID: key.ID.String(), ServiceName: k.service}
	if key.Kind == bridge.KindPAT {
		s.Method = profile.MethodPAT
	}
	me, err := g.Profiles.CloudAt(sel.Cloud, s).Me(ctx)
	if err != nil {
		return explainKey(err, sel.Cloud, s.KeyID)
	}
	if k.org != "" && k.org != me.Org && k.org != me.OrgID {
		return bridge.E(bridge.Forbidden, bridge.CodeKeyOtherOrg, "the key belongs to the organization %s (%s), not to %s", me.Org, me.OrgID,
			bridge.Printable(k.org)).WithHint("leave out --organization-id, or use a key of that organization")
	}
	if me.ExpiresAt != nil {
		s.ExpiresAt = me.ExpiresAt.UTC()
	}
	return g.settle(ctx, st, sel, s, me, false)
}

// secretOrAsk reads a secret flag. Without the flag it asks, if there is somebody to ask.
func (g *Group) secretOrAsk(cmd *cobra.Command, what, flag, value string) (bridge.Secret, error) {
	if value != "" || cmd.Flags().Changed(flag[2:]) {
		return g.Term.SecretFlag(flag, value)
	}
	if !g.Term.Interactive() {
		return bridge.Secret{}, term.InputNeeded("%s needs %s", cmd.CommandPath(), flag).WithHint("%s %s -", cmd.CommandPath(), flag)
	}
	return g.Term.AskToken(what)
}

// cloudKey reads a key and refuses what no cloud would accept.
func cloudKey(secret bridge.Secret, pat bool) (bridge.Key, error) {
	p, err := bridge.ParsePresented(secret)
	if err != nil {
		return bridge.Key{}, err
	}
	if !p.IsKey() && bridge.TokenType(p.Value) != "" {
		return bridge.Key{}, bridge.E(bridge.Unauthenticated, bridge.CodeKeyIsToken, "that is a token, not an API key").
			WithHint("ace auth login-token --token -")
	}
	key, err := p.Key()
	if err != nil {
		return bridge.Key{}, err
	}
	switch {
	case key.Kind == bridge.KindSK:
		return key, bridge.E(bridge.Unauthenticated, bridge.CodeKeyOfServer,
			"%s… is a connection's key: a server issued it, and no cloud accepts it",
			key.Prefix()).WithHint("create a key of the cloud: ace api-key create --cloud")
	case pat && key.Kind != bridge.KindPAT:
		return key, bridge.E(bridge.Unauthenticated, bridge.CodeKeyKind, "%s… is an API key, not a personal access token",
			key.Prefix()).
			WithHint("ace login api-key --name NAME --secret -")
	}
	return key, nil
}

// explainKey explains why the cloud may not know a key.
func explainKey(err error, cloud bridge.ServerURL, keyID string) error {
	if bridge.CodeOf(err) != bridge.CodeKeyInvalid {
		return err
	}
	return bridge.E(bridge.Unauthenticated, bridge.CodeKeyInvalid,
		"%s does not know the key %s with this secret: it belongs to another cloud or to a server, or has been given a new secret",
		cloud, keyID).
		WithHint("for another cloud: --env HOST; for a server: ace connect --server URL --api-key -; a new secret: ace api-key revive %s --cloud", keyID)
}
