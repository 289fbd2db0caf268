package run

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/report"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/server"
)

const (
	defaultServerAddr = "127.0.0.1:7777"
	defaultCloudAddr  = "127.0.0.1:7700"
	maxUserTokenLife  = 366 * 24 * time.Hour
)

// Runner builds the commands that run a server and a cloud.
type Runner struct {
	Term    *term.Terminal // required
	Version string         // of this program
}

// ServerCommand returns `ace server` and its operator's commands.
func (runner *Runner) ServerCommand() *cobra.Command {
	var newDatabase bool
	cmd := &cobra.Command{Use: "server", Short: "Run the self-hosted server, configured by environment variables", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runner.runServer(cmd.Context(), start{newDatabase: newDatabase})
		}}
	newDatabaseFlag(cmd, &newDatabase)
	links := linking{runner}
	cmd.AddCommand(runner.serverTokenCommand(), runner.serverHealthCommand(), runner.serverAcceptClockCommand(), runner.serverRestoreCommand(),
		links.joinCommand(), links.leaveCommand(), links.statusCommand(), links.doctorCommand(),
		installing{links}.installCommand(), installing{links}.uninstallCommand())
	return cmd
}

func newDatabaseFlag(cmd *cobra.Command, set *bool) {
	cmd.Flags().BoolVar(set, "new-database", false, "start with a different or empty database, giving up what the old one held")
}

func (e *serverEnv) config() (server.Config, settings, error) {
	var wrong []string
	s := e.settings("server", defaultServerAddr, &wrong)
	if !s.loopback {
		missing(&wrong, "ACE_PUBLIC_URL", e.PublicURL == "", "the URL at which people and the cloud call this server")
		missing(&wrong, "ACE_JWT_SECRET", e.JWTSecret.IsZero(), "at least 32 random bytes, for example from: openssl rand -base64 48")
	}
	if n := e.JWTSecret.Len(); n > 0 && n < 32 {
		wrong = append(wrong, "ACE_JWT_SECRET is shorter than 32 bytes")
	}
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: e.CloudPublicKey, JWTSecret: e.CloudJWTSecret,
		CloudURL: e.CloudURL, Org: e.CloudOrg})
	if err != nil {
		wrong = append(wrong, withHint(err))
	}
	scopes, err := readCatalogue(e.ScopesFile)
	if err != nil {
		wrong = append(wrong, "ACE_SCOPES_FILE: "+err.Error())
	}
	cfg := server.Config{Catalogue: scopes,
		PublicURLs: s.publicURLs, DatabaseURL: s.database, DataDir: s.stateDir, Trust: trust, JWTSecret: e.JWTSecret,
		Upstream: parseUpstream(e.UpstreamURL, &wrong), TrustedProxies: s.proxies, Tunnel: e.tunnel(s, &wrong),
	}
	cfg.UpstreamHealth = upstreamHealth(e.UpstreamHealth, cfg.Upstream, &wrong)
	cfg.AllowedOrigins = origins(e.AllowedOrigins, &wrong)
	if len(wrong) > 0 {
		return server.Config{}, s, badEnv(wrong)
	}
	return cfg, s, nil
}

// readCatalogue reads the file of ACE_SCOPES_FILE. Without one it returns the built-in catalogue.
func readCatalogue(path string) (catalogue.Catalogue, error) {
	if path == "" {
		return catalogue.Builtin(), nil
	}
	raw, err := files.ReadBounded(path, catalogue.MaxFile)
	if err != nil {
		return catalogue.Catalogue{}, err
	}
	c, err := catalogue.Parse([]byte(raw))
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err) // the file exists, so this is a path and not a secret
	}
	return c, err
}

func missing(wrong *[]string, name string, is bool, what string) {
	if is {
		*wrong = append(*wrong, name+" is missing: "+what)
	}
}

func withHint(err error) string {
	e := term.Explain(err)
	if e.Hint == "" {
		return e.Detail
	}
	return e.Detail + " (" + e.Hint + ")"
}

func newJWTSecret() (bridge.Secret, error) { return bridge.NewSecret(bridge.RandomToken(48)), nil }

func (e *serverEnv) jwtSecret(s settings) (bridge.Secret, error) {
	if !e.JWTSecret.IsZero() {
		return e.JWTSecret, nil
	}
	if !s.loopback {
		return bridge.Secret{}, bridge.E(bridge.Invalid, bridge.CodeEnvironment, "ACE_JWT_SECRET is missing").
			WithHint("set it to the server's value")
	}
	if err := files.MakeDataDir(s.dataDir); err != nil {
		return bridge.Secret{}, err
	}
	return files.KeptSecret(s.dataDir, "jwt-secret", newJWTSecret)
}

// start says how a server starts, besides its environment.
type start struct {
	newDatabase bool
	token       bridge.Secret // joins with it, or fails; zero: ACE_JOIN_TOKEN
	name        string        // of the connection that the join makes
	joined      func(api.Joined)
}

func (runner *Runner) runServer(ctx context.Context, how start) error {
	e, err := readServerEnv(how.token.IsZero())
	if err != nil {
		return err
	}
	recent := new(report.Recent)
	cfg, s, log, err := runner.configured(&e, io.MultiWriter(recent, runner.Term.Err))
	if err != nil {
		return err
	}
	cfg.NewDatabase = how.newDatabase
	if !how.token.IsZero() {
		cfg.Tunnel.Token, cfg.Tunnel.Name, cfg.Tunnel.JoinNow, cfg.Tunnel.Joined = how.token, how.name, true, how.joined
	}
	left := leftToken{}
	if cfg.Tunnel.Token.IsZero() {
		if left, err = findLeftToken(s.stateDir); err != nil {
			return err
		}
		if !left.token.IsZero() {
			left.use(&cfg, e.connectionName(""), log)
		}
	}
	p := part{drain: s.drain}
	if !s.noPort {
		var ln net.Listener
		if ln, p.cert, err = e.listen(ctx, s); err != nil {
			return err
		}
		p.ln, cfg.Listening = bound(ln, cfg.TrustedProxies, log), ln.Addr().String()
		if port := ln.Addr().(*net.TCPAddr).Port; e.PublicURL == "" && s.loopback {
			host, _, _ := net.SplitHostPort(s.addr)
			cfg.PublicURLs = loopbackURLs(e.scheme(), host, fmt.Sprint(port)) // port 0 is known only now
		}
	}
	srv, err := server.New(ctx, cfg, log)
	if err == nil && cfg.Tunnel.Token.IsZero() {
		if err = e.requireJoinToken(srv.Links().Pinned(), log); err != nil {
			err = errors.Join(err, srv.Close())
		}
	}
	if err != nil {
		if p.ln != nil {
			_ = p.ln.Close()
		}
		return err
	}
	p.handler, p.close = srv.Handler(), srv.Close
	p.run = func(ctx context.Context) error { return left.ended(srv.Run(ctx), log) }
	log.Info("server is up", "addr", cmp.Or(cfg.Listening, "no port"), "url", cmp.Or(slices.Concat(cfg.PublicURLs, []bridge.ServerURL{srv.Links().URL()})...), "exchange", cfg.Trust.Configured(), "joined", srv.Links().Pinned())
	if !cfg.Trust.Configured() && !srv.Links().Pinned() && cfg.Tunnel.Token.IsZero() {
		log.Warn("no cloud secret: `ace connect` cannot exchange keys here; join with `ace server join -`, or set ACE_CLOUD_PUBLIC_KEY to what `ace org trust` prints")
	}
	parts := []part{p}
	told := recent.Serve(server.Operator(srv), runner.Term, append(secretValues(&e), cfg.JWTSecret.Reveal())...)
	if operator := operatorPart(ctx, s, told, log); operator != nil {
		parts = append(parts, *operator)
	}
	return serve(ctx, log, parts...)
}

// configured checks the environment of a server, and reads or makes the secret that it keeps itself.
func (runner *Runner) configured(e *serverEnv, logs io.Writer) (server.Config, settings, *slog.Logger, error) {
	cfg, s, err := e.config()
	if err != nil {
		return cfg, s, nil, err
	}
	cfg.Version = runner.Version
	log, err := e.logger(logs)
	if err != nil {
		return cfg, s, nil, err
	}
	warnOfVariables(log)
	if cfg.JWTSecret, err = e.jwtSecret(s); err != nil {
		return cfg, s, nil, err
	}
	if e.DatabaseURL.IsZero() {
		err = files.MakeDataDir(s.dataDir)
	}
	return cfg, s, log, err
}

type userTokenResult struct {
	Token     bridge.Disclosed `json:"token"`
	Role      string           `json:"role"`
	Subject   string           `json:"subject"`
	ExpiresAt time.Time        `json:"expires_at"`
}

func (runner *Runner) serverTokenCommand() *cobra.Command {
	var role, subject string
	var life time.Duration
	cmd := &cobra.Command{Use: "token", Short: "Mint a user token for this server, offline, with its ACE_JWT_SECRET", Args: cmdline.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if life <= 0 || life > maxUserTokenLife {
				return term.Usage("--life must be between 1s and %s", maxUserTokenLife)
			}
			if subject == "" || !bridge.PlainText(subject, 256) {
				return term.Usage("--subject must be plain text of 1 to 256 bytes")
			}
			var e serverEnv
			if err := readEnv(&e); err != nil {
				return err
			}
			var wrong []string
			s := e.settings("server", defaultServerAddr, &wrong)
			if len(wrong) > 0 {
				return badEnv(wrong)
			}
			secret, err := e.jwtSecret(s)
			if err != nil {
				return err
			}
			now := time.Now()
			token, err := server.MintUserToken(secret, subject, bridge.Role(role), life, now)
			if err != nil {
				return term.Usage("%s", err).WithHint("%s", term.Explain(err).Hint)
			}
			r := userTokenResult{token.Disclose(), role, subject, now.Add(life).UTC().Truncate(time.Second)}
			return runner.Term.Print(r, func(w io.Writer) { _, _ = fmt.Fprintln(w, token.Reveal()) })
		}}
	cmd.Flags().StringVar(&role, "role", string(bridge.RoleAdmin), "owner, admin, member or viewer")
	cmd.Flags().StringVar(&subject, "subject", "operator", "who the token is for, as the audit log shows them")
	cmd.Flags().DurationVar(&life, "life", time.Hour, "how long the token lives")
	return cmd
}

func (runner *Runner) serverHealthCommand() *cobra.Command {
	return &cobra.Command{Use: "health", Short: "Check that the server is up, for container health checks",
		Args: cmdline.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var e serverEnv
			if err := readEnv(&e); err != nil {
				return err
			}
			if e.Addr == noAddr {
				own, err := linking{runner}.operator(&e)
				if err == nil {
					_, err = own.Status(cmd.Context())
				}
				return err
			}
			base, cfg, err := runner.ownAddress(&e.CommonEnv, "server", defaultServerAddr)
			if err != nil {
				return err
			}
			return apiclient.NewServer(base, bridge.Secret{}, cfg).Healthy(cmd.Context())
		}}
}

// ownAddress finds the process on this machine for a health check. It does not use the public URL, so it cannot check the
// certificate, which is for the public name.
func (runner *Runner) ownAddress(e *CommonEnv, role, addr string) (bridge.ServerURL, api.ClientConfig, error) {
	var wrong []string
	s := e.settings(role, addr, &wrong)
	if len(wrong) > 0 {
		return "", api.ClientConfig{}, badEnv(wrong)
	}
	host, port, _ := net.SplitHostPort(s.addr)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	base, err := bridge.CanonicalURL(e.scheme() + "://" + net.JoinHostPort(host, port))
	cfg := api.ClientConfig{UserAgent: "ace/" + runner.Version, Timeout: 3 * time.Second, Transport: ownTransport()}
	return base, cfg, err
}

// ownTransport calls the process on this machine.
func ownTransport() http.RoundTripper {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see ownAddress
}
