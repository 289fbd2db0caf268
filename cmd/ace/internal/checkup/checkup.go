// Package checkup has the command `ace doctor`: it checks the way from this machine to a server, as a person's own commands go.
//
//	this machine ──► cloud ──► login ──► which server ─┬─► direct: proxy, DNS, TCP, TLS, discovery, clock, trust, key
//	                                                   └─► through the cloud: link, probe, app, relay
//
// It works without a login: what needs one is skipped, and says so. It changes nothing, and ends with exit code 1 if it found a fault.
// What is checked on the network is in [github.com/acebridge/ace/bridge/doctor]; `ace server doctor` looks at the other end.
package checkup

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/doctor"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/report"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Group builds the command. Its fields are everything it may use.
type Group struct {
	Term     *term.Terminal    // required
	Profiles *profile.Profiles // required
	Reporter *report.Reporter  // required
}

const long = `Check the way from this machine to the cloud, to a server, and through the cloud's relay. Every fault has a code, one cause and one fix.

Without --server it looks at the server of your only connection. It works without a login, and says which checks were skipped. It
changes nothing. Exit codes: 0 no fault, 1 a fault. On the server's own machine, use ace server doctor.

--bundle packs the report, the settings that are not secret, and the versions into a zip file for support. The file is for its owner
only and does not replace another one; keys, tokens and passwords are removed from it.`

// Command returns `ace doctor`.
func (g *Group) Command() *cobra.Command {
	var server, bundle string
	cmd := &cobra.Command{Use: "doctor", Short: "Find out what is wrong between this machine, the cloud and a server", Long: long, Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.Reporter.CheckFile(bundle); err != nil {
				return err
			}
			done := g.Term.Working("Checking …")
			r := g.run(cmd.Context(), server)
			done()
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if bundle != "" {
				if err := g.Reporter.Write(bundle, report.Bundle{Command: "ace doctor", Report: r}); err != nil {
					return err
				}
			}
			return g.Reporter.Show(r)
		}}
	cmd.Flags().StringVar(&server, "server", "", "the server: a connection's `NAME` or a URL")
	cmd.Flags().StringVar(&bundle, "bundle", "", "also pack what was found into this zip `FILE`, without secrets")
	return cmd
}

// visit is one run of the command: what its checks have found for those after them.
type visit struct {
	*Group

	word string // --server
	path *doctor.Path

	login      *profile.Login
	me         api.Me
	cloud      *apiclient.Cloud
	server     bridge.ServerURL
	connection *api.Connection // nil: there is none to this server, or nobody is logged in
	probed     api.Connection  // as the cloud found it just now
}

func (g *Group) run(ctx context.Context, word string) doctor.Report {
	v := &visit{Group: g, word: strings.TrimSpace(word)}
	proxies := doctor.ReadProxies(os.Getenv)
	v.path = &doctor.Path{Name: "cloud", Proxies: proxies}
	cloud := &doctor.Cloud{Path: v.path, Agent: "ace/" + g.Profiles.Version}
	first := []doctor.Check{{Name: "profile", Title: "profile", Do: v.checkProfile}}
	for _, c := range cloud.Checks() {
		c.Needs = append(c.Needs, "profile")
		first = append(first, c)
	}
	r := doctor.Run(ctx, doctor.Limit, append(first,
		doctor.Check{Name: "login", Title: "login", Needs: []string{"profile", "cloud"}, Do: v.checkLogin},
		doctor.Check{Name: "scope", Title: "scope", Needs: []string{"login"}, Do: v.checkScope},
		doctor.Check{Name: "which", Title: "server: which", Do: v.checkWhich}), nil)
	if v.server == "" {
		return r
	}
	r.Add(ctx, doctor.Limit, append(v.direct(proxies, cloud), v.relayed()...), nil)
	return r
}

func (v *visit) checkProfile(context.Context) (string, error) {
	_, selected, err := v.Profiles.Selected()
	if err != nil {
		return "", err
	}
	v.path.URL = selected.Cloud
	return selected.Name + ", of " + string(selected.Cloud) + " (" + selected.Why + ")", nil
}

func (v *visit) checkLogin(ctx context.Context) (string, error) {
	login, me, err := v.Profiles.WhoAmI(ctx)
	if err != nil {
		return "", err
	}
	v.login, v.me, v.cloud = login, me, v.Profiles.CloudOf(login)
	who := me.Email
	if who == "" {
		who = me.Name
	}
	return who + ", " + me.Role + " of " + me.Org + " (" + login.Source + ")", nil
}

// scopeConnect is what it takes to connect a server.
const scopeConnect bridge.Scope = "connection:create"

func (v *visit) checkScope(context.Context) (string, error) {
	scopes, err := bridge.NewScopes(v.me.Scopes)
	if err != nil || scopes.Covers(scopeConnect) {
		return "may connect servers", err
	}
	if v.me.KeyID != "" {
		return "", bridge.E(bridge.Forbidden, bridge.CodeScopeMissing, "the key that you use has not the scope %s, so it cannot connect a server", scopeConnect).
			WithHint("make another one: ace api-key create --cloud --scope %s", scopeConnect)
	}
	return "", bridge.E(bridge.Forbidden, bridge.CodeConnectRoleViewer, "your role is %s, which may use shared connections and connect no server", v.me.Role).
		WithHint("ask an admin for: ace org role %s member", v.me.Email)
}

// checkWhich finds the server, and your connection to it.
func (v *visit) checkWhich(ctx context.Context) (string, error) {
	url, urlErr := cmdline.ServerURL(v.word)
	isURL := strings.Contains(v.word, "://")
	switch {
	case isURL && urlErr != nil:
		return "", urlErr
	case v.cloud == nil && isURL:
		v.server = url
		return string(url) + "; whether you have a connection to it is not known without a login", nil
	case v.cloud == nil && v.word == "":
		return "", doctor.Skip("there is no login to find your connection with; name a server: --server URL")
	case v.cloud == nil:
		return "", doctor.Skip("there is no login to find the connection %q with", v.word)
	}
	connections, err := v.cloud.Connections(ctx)
	if err != nil {
		return "", err
	}
	if v.word == "" {
		if len(connections) != 1 {
			return "", doctor.Skip("you can see %s; name one: --server NAME", term.Count(len(connections), "connection"))
		}
		v.word = connections[0].ID
	}
	found, err := target.Connection(connections, v.word)
	switch {
	case err == nil:
		v.connection, v.server = &found, found.ServerURL
		return found.Name + ", " + string(found.ServerURL), nil
	case isURL && bridge.CodeOf(err) == bridge.CodeConnectionNotFound:
		v.server = url
		return string(url) + ", to which you have no connection", nil
	}
	return "", err
}

// direct are the checks of the way from this machine to the server itself.
func (v *visit) direct(proxies doctor.Proxies, cloud *doctor.Cloud) []doctor.Check {
	const name = "server"
	only := func(why string) []doctor.Check {
		return []doctor.Check{{Name: name, Title: name, Do: func(context.Context) (string, error) { return "", doctor.Skip("%s", why) }}}
	}
	if v.server.LinkOnly() {
		return only("it has no address of its own: it is reached over its link to the cloud")
	}
	if v.connection != nil && v.connection.Way == api.WayTunnel && !strings.Contains(v.word, "://") {
		return only("it is reached over its link to the cloud; to check a direct way, name its URL: --server " + string(v.server))
	}
	server := &doctor.Server{Path: &doctor.Path{Name: name, URL: v.server, Proxies: proxies}, Cloud: cloud, Agent: "ace/" + v.Profiles.Version,
		Org:    func() string { return v.me.Org },
		Manual: func() bool { return v.connection != nil && v.connection.Method == "manual" }}
	return append(server.Checks(), doctor.Check{Name: "server_key", Title: "server: key", Needs: []string{name}, Do: v.checkKey})
}

// checkKey calls the server as the dashboard does: with a credential of the connection.
func (v *visit) checkKey(ctx context.Context) (string, error) {
	if err := v.requireConnection(); err != nil {
		return "", err
	}
	credential, err := v.cloud.Credential(ctx, v.connection.ID)
	if err != nil {
		return "", err
	}
	me, err := apiclient.NewServer(v.server, bridge.Secret{}, v.Profiles.ClientConfig()).MeWith(ctx, credential)
	if err != nil {
		e := bridge.AsError(err)
		if e.Kind == bridge.Unauthenticated {
			e = e.WithHint("%s", bridge.ConnectAgain(v.server))
		}
		return "", e
	}
	return "the server takes the key of the connection, as " + me.Subject, nil
}

// requireConnection skips what needs a connection.
func (v *visit) requireConnection() error {
	switch {
	case v.cloud == nil:
		return doctor.Skip("there is no login")
	case v.connection == nil:
		return doctor.Skip("there is no connection; make one: ace connect --server %s", v.server)
	}
	return nil
}
