package run

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/sample"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/server"
)

const (
	devOrg       = "acme"
	devOwner     = "owner@acme.test"
	devAdmin     = "admin@acme.test"
	devMember    = "member@acme.test"
	devTokenLife = 24 * time.Hour
)

// dev is a cloud, a server and a sample app on loopback. They have secrets of their own.
type dev struct {
	cloudAddr, serverAddr, dataDir, version string
	nat                                     bool // the server has no port, and joins the cloud

	cloudLn, serverLn, appLn net.Listener // serverLn is nil behind NAT
	cloudCfg                 cloud.Config
	serverCfg                server.Config
	cloud                    *cloud.Cloud
	server                   *server.Server
}

// devResult is what `ace dev -o json` prints once everything answers.
type devResult struct {
	CloudURL         bridge.ServerURL `json:"cloud_url"`
	ServerURL        bridge.ServerURL `json:"server_url"`
	UpstreamURL      string           `json:"upstream_url"`
	Connection       string           `json:"connection,omitempty"` // ID, with --nat
	Owner            devUser          `json:"owner"`
	Admin            devUser          `json:"admin"`
	Member           devUser          `json:"member"`
	ServerAdminToken bridge.Disclosed `json:"server_admin_token"`

	operator string // the variable for `server token`, which makes another server_admin_token
}

type devUser struct {
	Email    string           `json:"email"`
	Password bridge.Disclosed `json:"password"`
	Token    bridge.Disclosed `json:"token"`
}

// DevCommand returns `ace dev`.
func (runner *Runner) DevCommand() *cobra.Command {
	d := dev{version: runner.Version}
	cmd := &cobra.Command{Use: "dev", Short: "Run a cloud, a server and a sample app on this machine, to try it out", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.nat && cmd.Flags().Changed("server-addr") {
				return term.Usage("--server-addr and --nat exclude each other: behind NAT the server has no port")
			}
			return runner.runDev(cmd.Context(), &d)
		}}
	f := cmd.Flags()
	f.BoolVar(&d.nat, "nat", false, "give the server no port: it joins the cloud, and everything goes through its link")
	f.StringVar(&d.cloudAddr, "cloud-addr", defaultCloudAddr, "loopback `HOST:PORT` of the cloud; port 0 picks a free one")
	f.StringVar(&d.serverAddr, "server-addr", defaultServerAddr, "loopback `HOST:PORT` of the server; port 0 picks a free one")
	f.StringVar(&d.dataDir, "data-dir", "", "keep databases and secrets in `DIR`, instead of a temporary directory that is removed")
	cmd.AddCommand(runner.devAppCommand())
	return cmd
}

func (runner *Runner) runDev(ctx context.Context, d *dev) (err error) {
	for flag, addr := range map[string]string{"--cloud-addr": d.cloudAddr, "--server-addr": d.serverAddr} {
		host, _, err := net.SplitHostPort(addr)
		if err != nil || !profile.IsLoopback(host) {
			return term.Usage("%s %q is not a loopback HOST:PORT; ace dev runs on one machine only", flag, addr)
		}
	}
	if d.dataDir == "" {
		if d.dataDir, err = os.MkdirTemp("", "ace-dev-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dataDir)) }()
	}
	log := slog.New(slog.NewTextHandler(runner.Term.Err, &slog.HandlerOptions{Level: runner.devLevel()}))
	warnOfVariables(log)
	if err := d.listen(ctx); err != nil {
		return err
	}
	if err := d.build(ctx, log); err != nil {
		return err
	}
	r, err := d.seed(ctx)
	if err != nil {
		return err
	}
	if err := d.newServer(ctx, log); err != nil {
		return err
	}
	parts := []part{{ln: d.cloudLn, handler: d.cloud.Handler(), links: d.cloud.Drain, run: d.cloud.Run, close: d.cloud.Close},
		{ln: d.serverLn, handler: d.server.Handler(), run: d.server.Run, close: d.server.Close},
		{ln: d.appLn, handler: sample.App()}}
	if operator := operatorPart(ctx, settings{stateDir: filepath.Join(d.dataDir, "server")}, server.Operator(d.server), log); operator != nil {
		parts = append(parts, *operator)
	}
	if d.nat {
		r.ServerURL = d.server.Links().URL()
		return serve(ctx, log, append(parts, part{run: func(ctx context.Context) error { return runner.printJoinedDev(ctx, r) }})...)
	}
	if err := runner.printDev(r); err != nil {
		return err
	}
	return serve(ctx, log, parts...)
}

// devLevel keeps the log quiet unless ACE_LOG_LEVEL asks for it. The terminal is for what `ace dev` prints.
func (runner *Runner) devLevel() slog.Level {
	var level slog.Level
	if text, err := profile.OutsideVariable("ACE_LOG_LEVEL"); err == nil && level.UnmarshalText([]byte(text)) == nil {
		return level
	}
	return slog.LevelWarn
}

// listen opens the ports before anything is configured. With port 0 the URLs are known only then. Connections wait in the queue
// until they are served, so what was printed can be called at once.
func (d *dev) listen(ctx context.Context) (err error) {
	if d.cloudLn, err = listenOn(ctx, d.cloudAddr); err != nil {
		return err
	}
	if d.appLn, err = listenOn(ctx, "127.0.0.1:0"); err != nil {
		_ = d.cloudLn.Close()
		return err
	}
	if d.nat {
		return nil
	}
	if d.serverLn, err = listenOn(ctx, d.serverAddr); err != nil {
		_, _ = d.cloudLn.Close(), d.appLn.Close()
	}
	return err
}

func (d *dev) build(ctx context.Context, log *slog.Logger) (err error) {
	cloudDir, serverDir := filepath.Join(d.dataDir, "cloud"), filepath.Join(d.dataDir, "server")
	if err := errors.Join(files.MakeDataDir(cloudDir), files.MakeDataDir(serverDir)); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(d.cloudAddr)
	d.cloudCfg = cloud.Config{DatabaseURL: "sqlite:" + filepath.Join(cloudDir, "cloud.db"), Version: d.version}
	if d.cloudCfg.PublicURL, err = ownURL("http", host, d.cloudLn); err != nil {
		return err
	}
	if err := keepCloudSecrets(&d.cloudCfg, cloudDir); err != nil {
		return err
	}
	jwtSecret, err := files.KeptSecret(serverDir, "jwt-secret", newJWTSecret)
	if err != nil {
		return err
	}
	d.serverCfg = server.Config{DatabaseURL: "sqlite:" + filepath.Join(serverDir, "server.db"), JWTSecret: jwtSecret,
		Upstream: &url.URL{Scheme: "http", Host: d.appLn.Addr().String()}, Version: d.version}
	if !d.nat {
		host, _, _ = net.SplitHostPort(d.serverAddr)
		d.serverCfg.Listening = d.serverLn.Addr().String()
		d.serverCfg.PublicURLs = loopbackURLs("http", host, fmt.Sprint(d.serverLn.Addr().(*net.TCPAddr).Port))
		if d.serverCfg.Trust, err = d.trust(); err != nil {
			return err
		}
	}
	d.cloud, err = cloud.New(ctx, d.cloudCfg, log.With("part", "cloud"))
	return err
}

// trust makes the server trust the cloud.
func (d *dev) trust() (bridge.Trust, error) {
	root, err := bridge.ParseSigningRoot(d.cloudCfg.SigningKey)
	if err != nil {
		return bridge.Trust{}, err
	}
	publicKey, _ := root.TrustValues(d.cloudCfg.PublicURL, devOrg)
	return bridge.ParseTrust(bridge.TrustSettings{PublicKey: publicKey})
}

// newServer builds the server. Behind NAT it gets a join token, and joins once it runs.
func (d *dev) newServer(ctx context.Context, log *slog.Logger) (err error) {
	if d.nat {
		d.serverCfg.Tunnel, err = d.joining(ctx)
	}
	if err == nil {
		d.server, err = server.New(ctx, d.serverCfg, log.With("part", "server"))
	}
	if err != nil {
		_ = d.cloud.Close()
	}
	return err
}

// seed makes the organization, its owner, an admin and a member. A data directory that was kept has them already.
func (d *dev) seed(ctx context.Context) (devResult, error) {
	r := devResult{CloudURL: d.cloudCfg.PublicURL, UpstreamURL: d.serverCfg.Upstream.String()}
	if !d.nat {
		r.ServerURL = d.serverCfg.PublicURLs[0]
	}
	var err error
	if r.Owner, err = d.user(ctx, devOwner, "Olga Owner", bridge.RoleOwner); err != nil {
		return r, err
	}
	if r.Admin, err = d.user(ctx, devAdmin, "Ada Admin", bridge.RoleAdmin); err != nil {
		return r, err
	}
	if r.Member, err = d.user(ctx, devMember, "Max Member", bridge.RoleMember); err != nil {
		return r, err
	}
	token, err := server.MintUserToken(d.serverCfg.JWTSecret, "operator", bridge.RoleAdmin, devTokenLife, time.Now())
	r.ServerAdminToken = token.Disclose()
	dir, absErr := filepath.Abs(d.dataDir)
	err = errors.Join(err, absErr)
	r.operator = "ACE_DATA_DIR=" + term.Argument(filepath.Join(dir, "server"))
	return r, err
}

func (d *dev) user(ctx context.Context, email, name string, role bridge.Role) (devUser, error) {
	kept, _, _ := strings.Cut(email, "@")
	password, err := files.KeptSecret(filepath.Join(d.dataDir, "cloud"), kept+"-password", func() (bridge.Secret, error) {
		return bridge.NewSecret(rand.Text()), nil
	})
	if err != nil {
		return devUser{}, err
	}
	_, err = d.cloud.Registry().SignUp.AddUser(ctx, audit.Actor{ID: "operator"}, signup.NewUser{
		Email: email, Name: name, Password: password, Org: devOrg, Role: role})
	if err != nil && bridge.AsError(err).Kind != bridge.Conflict {
		return devUser{}, err
	}
	token, _, err := d.cloud.DeveloperToken(ctx, email, devOrg)
	return devUser{Email: email, Password: password.Disclose(), Token: token.Disclose()}, err
}

func (runner *Runner) printDev(r devResult) error {
	if runner.Term.Output == term.OutputJSON {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(runner.Term.Out, "%s\n", line)
		return err
	}
	next := runner.Term.Self + " login"
	if r.CloudURL != bridge.DefaultCloudURL {
		next += " --env " + string(r.CloudURL)
	}
	return runner.Term.Print(r, func(w io.Writer) {
		term.Row(w, "Dashboard", string(r.CloudURL))
		if r.Connection == "" {
			term.Row(w, "Server", string(r.ServerURL)+" (gateway of the sample app: try /whoami)")
		} else {
			term.Row(w, "Server", "listens on no port; it has joined "+devOrg+", and is reached over its link")
			term.Row(w, "Try it", r.CloudURL.Join("/connections/"+r.Connection)+" (sign in, and call /whoami)")
		}
		term.Row(w, "Sign in as", r.Admin.Email+"  "+r.Admin.Password.Reveal()+"  (admin)")
		term.Row(w, "or as", r.Member.Email+"  "+r.Member.Password.Reveal()+"  (member)")
		term.Row(w, "or as", r.Owner.Email+"  "+r.Owner.Password.Reveal()+"  (owner)")
		if r.Connection == "" {
			term.Row(w, "Operator", r.operator+" "+runner.Term.Self+" server token")
		} else {
			term.Row(w, "Its links", r.operator+" "+runner.Term.Self+" server status")
		}
		term.Row(w, "Mail", r.CloudURL.Join("/dev/mail"))
		term.Row(w, "Next", next)
		term.Row(w, "Stop", "Ctrl-C")
	})
}
