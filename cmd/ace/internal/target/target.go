package target

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Finder looks things up with the credential of the command. Its fields are everything it may use.
type Finder struct {
	Term     *term.Terminal    // required: reads --token
	Profiles *profile.Profiles // required
}

// Options are the flags that say whose keys a command is about.
type Options struct {
	Server, Token string
	Cloud         bool
}

// Flags adds all of them to a command.
func (o *Options) Flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&o.Cloud, "cloud", false, "work on the keys of the cloud itself")
	return o.ServerFlags(cmd, "")
}

// ServerFlags adds --server, with its default, and --token.
func (o *Options) ServerFlags(cmd *cobra.Command, server bridge.ServerURL) *cobra.Command {
	cmd.Flags().StringVar(&o.Server, "server", string(server), "the server's `URL`")
	cmd.Flags().StringVar(&o.Token, "token", "", "a user `TOKEN` or API key of the server (literal, - for stdin, or file:PATH)")
	return cmd
}

// Keys is the cloud or server that has the keys.
type Keys struct {
	*apiclient.Client
	Cloud bool
	Name  string // for messages
	Flags string // that select it, each after a space
}

// CloudKeys are the keys of a cloud.
func CloudKeys(cloud *apiclient.Cloud, name string) Keys {
	return Keys{Client: cloud.Client, Cloud: true, Name: name, Flags: " --cloud"}
}

// Command returns an `ace api-key` command for the same cloud or server.
func (k Keys) Command(words string) string { return "ace api-key " + words + k.Flags }

// ID finds the one live key with a name or prefix. An ID is returned as it is.
func (k Keys) ID(ctx context.Context, word string) (string, error) {
	if len(word) == 36 && strings.Count(word, "-") == 4 {
		return word, nil
	}
	keys, err := k.Keys(ctx)
	if err != nil {
		return "", err
	}
	var ids, names []string
	for _, key := range keys {
		if key.Ended == nil {
			names = append(names, key.Name)
			if bridge.SameName(key.Name, word) || key.Prefix == word {
				ids = append(ids, key.KeyID)
			}
		}
	}
	switch len(ids) {
	case 0:
		return "", bridge.E(bridge.NotFound, bridge.CodeKeyNotFound, "there is no live key %q%s", word, term.DidYouMean(word, names)).
			WithHint("%s", k.Command("list"))
	case 1:
		return ids[0], nil
	}
	return "", term.Usage("%q matches more than one key; use an ID: %s", word, strings.Join(ids, ", "))
}

// Keys finds the cloud or server that the flags mean. The client has a credential for it.
func (f *Finder) Keys(ctx context.Context, o Options) (Keys, error) {
	elsewhere := o.Server != "" || o.Token != ""
	if o.Cloud && elsewhere {
		return Keys{}, term.Usage("--cloud does not go with --server or --token")
	}
	if !elsewhere {
		l, cloud, err := f.Profiles.LoggedIn(ctx)
		if err == nil {
			return CloudKeys(cloud, fmt.Sprintf("the cloud %s", l.Cloud)), nil
		}
		if o.Cloud || term.Explain(err).Code != bridge.CodeNotLoggedIn {
			return Keys{}, err
		}
	}
	server, err := f.Server(ctx, o)
	if err != nil {
		return Keys{}, err
	}
	return Keys{&server.Client, false, fmt.Sprintf("the server %s", server.Base()), serverFlags(server.Base(), o.Token != "")}, nil
}

// Server returns a client of the server, with a credential for it.
func (f *Finder) Server(ctx context.Context, o Options) (*apiclient.Server, error) {
	if o.Server == "" {
		o.Server = string(bridge.DefaultServerURL)
	}
	url, err := cmdline.ServerURL(o.Server)
	if err != nil {
		return nil, err
	}
	from := func(bearer bridge.Secret, source string) *apiclient.Server {
		cfg := f.Profiles.ClientConfig()
		cfg.Refused = f.refusedAt(url, source)
		return apiclient.NewServer(url, bearer, cfg)
	}
	if o.Token != "" {
		token, err := f.Term.SecretFlag("--token", o.Token)
		return from(token, "--token"), err
	}
	g, err := profile.FromEnv()
	if err != nil || g.Source != "" {
		return from(g.Bearer, g.Source), err
	}
	_, cloud, err := f.Profiles.LoggedIn(ctx)
	if err != nil {
		e := term.Explain(err)
		if e.Kind != bridge.Unauthenticated {
			return nil, err
		}
		return nil, bridge.E(bridge.Unauthenticated, e.Code, "%s, and there is no --token for %s", e.Detail, url).
			WithHint("on the server: %s; then: ace api-key list --server %s --token -", f.serverToken(url), url)
	}
	connections, err := cloud.Connections(ctx)
	if err != nil {
		return nil, err
	}
	connection, err := Connection(connections, string(url))
	if err != nil {
		return nil, bridge.E(bridge.Unauthenticated, bridge.CodeNotConnected,
			"you have no connection to %s, and there is no --token for it", url).
			WithHint("ace connect --server %s; or with --token -, and on the server: %s", url, f.serverToken(url))
	}
	credential, err := cloud.Credential(ctx, connection.ID)
	return from(credential.Value.Secret, profile.SourceProfile), err
}
