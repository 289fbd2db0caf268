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

// Group builds `ace api-key` and `ace why`. Its fields are everything they may use.
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
	cmd := cmdline.Group(&cobra.Command{Use: "api-key", Short: "Manage API keys of the cloud or of a server",
		Long: `Manage API keys of the cloud, for its own API, or of a server.

With --cloud the commands work on the cloud that you are logged in to, with --server on a server. Without either they work on the
cloud, or on the server on this machine if you are not logged in.

The credential for a server is --token (an API key, or a user token that ace server token prints), ACE_KEY, ACE_API_KEY_ID with its
secret, or ACE_TOKEN, in this order; without them, the credential of your connection to that server.

There are three kinds of key. A personal key ends with the key it was made with and with the person's access. A connection's key
ends with the connection. An organization key outlives people and connections; making one takes an admin. ace api-key list shows
which is which.`})
	cmd.AddCommand(g.keyCreateCommand(), g.keyListCommand(), g.keyReviveCommand(), g.keyRotateCommand(), g.keyDisableCommand(),
		g.keyEnableCommand(), g.keyRevokeCommand(), g.keyScopesCommand())
	return cmd
}

const expiresUsage = "when it expires: 7d, 12h, 2027-01-31 (the end of that day, UTC), a time with its zone (RFC 3339), or never"

func (g *Group) keyCreateCommand() *cobra.Command {
	var o target.Options
	var r api.CreateKeyRequest
	var test, personal, forConnection bool
	cmd := &cobra.Command{Use: "create", Short: "Create an API key; its secret is shown once", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case r.Name == "":
				return term.Usage("%s needs --name", cmd.CommandPath())
			case test && personal:
				return term.Usage("use either --test or --personal: they are two kinds of key")
			case test:
				r.Kind = string(bridge.KindTest)
			case personal:
				r.Kind = string(bridge.KindPAT)
			}
			if forConnection {
				if personal || o.Cloud {
					return term.Usage("--for-connection makes a server's key that acts for all members: leave out --personal and --cloud")
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
	f.StringVar(&r.Name, "name", "", "name of the key, for example of the service that uses it")
	f.StringVar(&r.Description, "description", "", "what the key is for")
	f.StringVar(&r.Preset, "preset", "", "give the key the scopes of this preset; see ace api-key scopes")
	f.StringSliceVar(&r.Scopes, "scope", nil, "give the key these scopes (repeat the flag, or separate them with commas)")
	f.StringVar(&r.ExpiresIn, "expires", "", expiresUsage+"; 90d by default")
	f.StringSliceVar(&r.AllowFrom, "allow-from", nil, "accept the key only from these addresses: IPv4, IPv6 or CIDR")
	f.StringVar(&r.Rate, "rate", "", "how often the key may be used: 10/s, 100/m, 5000/h or 100000/d")
	f.Int64Var(&r.MaxUses, "max-uses", 0, "how often the key may be used in total")
	f.BoolVar(&test, "test", false, "make a sandbox key (ace_test_…)")
	f.BoolVar(&personal, "personal", false, "make a key that ends with your access; at the cloud, a personal access token (ace_pat_…)")
	f.BoolVar(&forConnection, "for-connection", false, "make a key to enter in the dashboard: it may sign tokens for all members (key:act-as; admins only)")
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
