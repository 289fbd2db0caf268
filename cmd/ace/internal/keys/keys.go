package keys

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Group builds `ace api-key` and `ace why`. Its fields are all that they may touch.
type Group struct {
	Term    *term.Terminal // required
	Target  *target.Finder // required: finds the cloud or server that has the keys
	Version string         // of this program, for messages
}

// Commands returns `ace api-key` and `ace why`.
func (g *Group) Commands() []*cobra.Command {
	return []*cobra.Command{g.apiKeyCommand(), g.whyCommand()}
}

func (g *Group) apiKeyCommand() *cobra.Command {
	cmd := cmdline.Group(&cobra.Command{Use: "api-key", Short: "API keys, of the cloud or of a server",
		Long: `API keys: of the cloud, for its own API, or of a server.

--cloud means the cloud that you are logged in to, --server a server. Without either it is the cloud, or, where you are
logged in to none, the server on this machine.

A server is asked with --token (a user token, as ace server token prints it), ACE_KEY, ACE_API_KEY_ID with its secret,
or ACE_TOKEN; without them, with the credential of your connection of that server.

A personal key ends with the key that it was made with and with the access of the person, a connection's key with the connection;
an organization key, which takes an admin, outlives people and connections. ace api-key list shows which is which.`})
	cmd.AddCommand(g.keyCreateCommand(), g.keyListCommand(), g.keyReviveCommand(), g.keyRotateCommand(), g.keyDisableCommand(),
		g.keyEnableCommand(), g.keyRevokeCommand(), g.keyScopesCommand())
	return cmd
}

const expiresUsage = "when it expires: 7d, 12h, 2027-01-31 (the end of that day, UTC), a time with its zone (RFC 3339) or never"

func (g *Group) keyCreateCommand() *cobra.Command {
	var o target.Options
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
				if personal || o.Cloud {
					return term.Usage("--for-connection makes a key of a server, which speaks for its members")
				}
				r.Scopes, r.Lineage = append(r.Scopes, string(bridge.ScopeActAs)), lineageOrganization
				if o.Server == "" && o.Token == "" {
					o.Server = string(bridge.DefaultServerURL)
				}
			}
			at, err := g.Target.Keys(cmd.Context(), o)
			if err != nil {
				return err
			}
			if personal && !at.Cloud { // a server has personal keys, and no personal access tokens
				r.Kind, r.Lineage = "", lineagePersonal
			}
			key, err := at.CreateKey(cmd.Context(), r)
			if err != nil {
				return err
			}
			return g.printSecret(at, "created", key)
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
	return o.Flags(cmd)
}

// expiry says when a key expires.
func expiry(k api.APIKey) string {
	if k.ExpiresAt == nil {
		return "never"
	}
	return term.Until(k.ExpiresAt)
}

// ended says when, by whom and why a key ended.
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
