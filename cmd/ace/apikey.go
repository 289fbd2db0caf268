package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge/apiclient"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// apiKeyOptions say whose keys a command is about: a server's or the cloud's.
type apiKeyOptions struct {
	server, token string
	cloud         bool
}

func (a *app) apiKeyCommand() *cobra.Command {
	cmd := cmdline.Group(&cobra.Command{Use: "api-key", Short: "API keys, of the cloud or of a server",
		Long: `API keys: of the cloud, for its own API, or of a server.

--cloud means the cloud that you are logged in to, --server a server. Without either it is the cloud, or, where you are
logged in to none, the server on this machine.

A server is asked with --token (a user token, as ace server token prints it), ACE_KEY, ACE_API_KEY_ID with its secret,
or ACE_TOKEN; without them, with the credential of your connection of that server.

A personal key ends with the key that it was made with and with the access of the person, a connection's key with the connection;
an organization key, which takes an admin, outlives people and connections. ace api-key list shows which is which.`})
	cmd.AddCommand(a.keyCreateCommand(), a.keyListCommand(), a.keyReviveCommand(), a.keyRotateCommand(), a.keyDisableCommand(),
		a.keyEnableCommand(), a.keyRevokeCommand(), a.keyScopesCommand())
	return cmd
}

func (o *apiKeyOptions) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&o.cloud, "cloud", false, "keys of the cloud itself")
	return o.serverFlags(cmd, "")
}

func (o *apiKeyOptions) serverFlags(cmd *cobra.Command, server bridge.ServerURL) *cobra.Command {
	cmd.Flags().StringVar(&o.server, "server", string(server), "the server's `URL`")
	cmd.Flags().StringVar(&o.token, "token", "", "a user token or API key of the server: `-` for stdin, file:PATH, or a literal")
	return cmd
}

// keyTarget is what has the keys that a command is about.
type keyTarget struct {
	*apiclient.Client
	cloud bool
	name  string // for messages
	flags string // that mean it
}

// command is an `ace api-key` command for the target, ready to be typed.
func (t keyTarget) command(words string) string { return "ace api-key " + words + t.flags }

// keyTarget finds out whose keys are meant, and what to ask with.
func (a *app) keyTarget(ctx context.Context, o apiKeyOptions) (keyTarget, error) {
	elsewhere := o.server != "" || o.token != ""
	if o.cloud && elsewhere {
		return keyTarget{}, term.Usage("--cloud and --server are two different places")
	}
	if !elsewhere {
		l, cloud, err := a.Profiles.LoggedIn(ctx)
		if err == nil {
			return keyTarget{cloud.Client, true, fmt.Sprintf("the cloud %s", l.Cloud), " --cloud"}, nil
		}
		if o.cloud || term.Explain(err).Code != bridge.CodeNotLoggedIn {
			return keyTarget{}, err
		}
	}
	server, err := a.serverClient(ctx, o)
	if err != nil {
		return keyTarget{}, err
	}
	return keyTarget{&server.Client, false, fmt.Sprintf("the server %s", server.Base()), serverFlags(server.Base(), o.token != "")}, nil
}

// serverClient finds what to call the server with.
func (a *app) serverClient(ctx context.Context, o apiKeyOptions) (*apiclient.Server, error) {
	if o.server == "" {
		o.server = string(bridge.DefaultServerURL)
	}
	url, err := serverURL(o.server)
	if err != nil {
		return nil, err
	}
	from := func(bearer bridge.Secret, source string) *apiclient.Server {
		cfg := a.Profiles.ClientConfig()
		cfg.Refused = a.refusedAt(url, source)
		return apiclient.NewServer(url, bearer, cfg)
	}
	if o.token != "" {
		token, err := a.Term.SecretFlag("--token", o.token)
		return from(token, "--token"), err
	}
	g, err := profile.FromEnv()
	if err != nil || g.Source != "" {
		return from(g.Bearer, g.Source), err
	}
	_, cloud, err := a.Profiles.LoggedIn(ctx)
	if err != nil {
		e := term.Explain(err)
		if e.Kind != bridge.Unauthenticated {
			return nil, err
		}
		return nil, bridge.E(bridge.Unauthenticated, e.Code, "%s, and there is no --token for %s", e.Detail, url).
			WithHint("on the server: %s; then: ace api-key list --server %s --token -", a.serverToken(url), url)
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return nil, err
	}
	connection, err := findConnection(connections, string(url))
	if err != nil {
		return nil, bridge.E(bridge.Unauthenticated, bridge.CodeNotConnected,
			"you have no connection of %s, and there is no --token for it", url).
			WithHint("ace connect --server %s; or with --token -, and on the server: %s", url, a.serverToken(url))
	}
	credential, err := cloud.Credential(ctx, connection.ID)
	return from(credential.Value.Secret, profile.SourceProfile), err
}

const expiresUsage = "when it expires: 7d, 12h, 2027-01-31 (the end of that day, UTC), a time with its zone (RFC 3339) or never"

func (a *app) keyCreateCommand() *cobra.Command {
	var o apiKeyOptions
	var r api.CreateKeyRequest
	var test, personal, forConnection bool
	cmd := &cobra.Command{Use: "create", Short: "Create an API key; it is shown once", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case r.Name == "":
				return term.Usage("%s needs --name", cmd.CommandPath())
			case test && personal:
				return term.Usage("--test and --personal are two kinds of key")
			case test:
				r.Kind = string(bridge.KindTest)
			case personal:
				r.Kind = string(bridge.KindPAT)
			}
			if forConnection {
				if personal || o.cloud {
					return term.Usage("--for-connection makes a key of a server, which speaks for its members")
				}
				r.Scopes, r.Lineage = append(r.Scopes, string(bridge.ScopeActAs)), lineageOrganization
				if o.server == "" && o.token == "" {
					o.server = string(bridge.DefaultServerURL)
				}
			}
			target, err := a.keyTarget(cmd.Context(), o)
			if err != nil {
				return err
			}
			if personal && !target.cloud { // a server has personal keys, and no personal access tokens
				r.Kind, r.Lineage = "", lineagePersonal
			}
			key, err := target.CreateKey(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.printSecret(target, "created", key)
		}}
	f := cmd.Flags()
	f.StringVar(&r.Name, "name", "", "what the key is for, such as the name of a service")
	f.StringVar(&r.Description, "description", "", "more about it")
	f.StringVar(&r.Preset, "preset", "", "what it may do, by the name of a preset; see ace api-key scopes")
	f.StringSliceVar(&r.Scopes, "scope", nil, "what it may do; repeat it, or separate scopes by commas")
	f.StringVar(&r.ExpiresIn, "expires", "", expiresUsage+"; 90d by default")
	f.StringSliceVar(&r.AllowFrom, "allow-from", nil, "the only addresses it works from: IPv4, IPv6 or CIDR")
	f.StringVar(&r.Rate, "rate", "", "how often it may be used: 10/s, 100/m, 5000/h or 100000/d")
	f.Int64Var(&r.MaxUses, "max-uses", 0, "how often it may be used in all")
	f.BoolVar(&test, "test", false, "a key for a sandbox (ace_test_…)")
	f.BoolVar(&personal, "personal", false, "a key that ends with your access: at the cloud a personal access token (ace_pat_…)")
	f.BoolVar(&forConnection, "for-connection", false, "a key to enter in the dashboard: it may sign tokens for all members (key:act-as); takes an admin")
	return o.flags(cmd)
}

func expiry(k api.APIKey) string {
	if k.ExpiresAt == nil {
		return "never"
	}
	return term.Until(k.ExpiresAt)
}

// ended says when, by whom and why a key died or was disabled.
func ended(k api.APIKey) string {
	switch {
	case k.Ended != nil && k.Ended.Reason != "":
		return fmt.Sprintf("%s by %s: %s", term.When(&k.Ended.At), k.Ended.By, k.Ended.Reason)
	case k.Ended != nil:
		return fmt.Sprintf("%s by %s", term.When(&k.Ended.At), k.Ended.By)
	case k.StatusCause != nil:
		return k.StatusCause.Detail
	case k.Disabled != nil:
		return fmt.Sprintf("disabled %s by %s", term.When(&k.Disabled.At), k.Disabled.By)
	}
	return ""
}

// findKey takes a key ID as it is, and otherwise the name of the one live key that has it.
func findKey(ctx context.Context, target keyTarget, word string) (string, error) {
	if len(word) == 36 && strings.Count(word, "-") == 4 {
		return word, nil
	}
	keys, err := target.Keys(ctx)
	if err != nil {
		return "", err
	}
	var ids, names []string
	for _, k := range keys {
		if k.Ended == nil {
			names = append(names, k.Name)
			if bridge.SameName(k.Name, word) || k.Prefix == word {
				ids = append(ids, k.KeyID)
			}
		}
	}
	switch len(ids) {
	case 0:
		return "", bridge.E(bridge.NotFound, bridge.CodeKeyNotFound, "there is no live key %q%s", word, term.DidYouMean(word, names)).
			WithHint("%s", target.command("list"))
	case 1:
		return ids[0], nil
	}
	return "", term.Usage("%q means more than one key; say which by ID: %s", word, strings.Join(ids, ", "))
}
