package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/server"
)

const (
	defaultServerAddr = "127.0.0.1:7777"
	defaultCloudAddr  = "127.0.0.1:7700"
	maxUserTokenLife  = 366 * 24 * time.Hour
)

func (a *app) serverCommand() *cobra.Command {
	var newDatabase bool
	cmd := &cobra.Command{Use: "server", Short: "Run the self-hosted server; the environment configures it", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runServer(cmd.Context(), newDatabase) }}
	newDatabaseFlag(cmd, &newDatabase)
	cmd.AddCommand(a.serverTokenCommand(), a.serverHealthCommand(), a.serverAcceptClockCommand(), a.serverRestoreCommand())
	return cmd
}

func newDatabaseFlag(cmd *cobra.Command, set *bool) {
	cmd.Flags().BoolVar(set, "new-database", false, "use another database than before, or an empty one: what the old one held is given up")
}

func (e *serverEnv) config() (server.Config, settings, error) {
	var wrong []string
	s := e.settings("server", defaultServerAddr, &wrong)
	if !s.loopback {
		missing(&wrong, "ACE_PUBLIC_URL", e.PublicURL == "", "the URL that people and the cloud call this server by")
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
		Upstream: parseUpstream(e.UpstreamURL, &wrong), TrustedProxies: s.proxies, Version: currentVersion(),
	}
	cfg.AllowedOrigins = origins(e.AllowedOrigins, &wrong)
	if len(wrong) > 0 {
		return server.Config{}, s, badEnv(wrong)
	}
	return cfg, s, nil
}

// readCatalogue reads the file of ACE_SCOPES_FILE; without one the built-in catalogue serves.
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
		err = fmt.Errorf("%s: %w", path, err) // which there is, so that it is a path
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
		return bridge.Secret{}, bridge.E(bridge.Invalid, "environment", "ACE_JWT_SECRET is missing").
			WithHint("set it to what the server has")
	}
	if err := files.MakeDataDir(s.dataDir); err != nil {
		return bridge.Secret{}, err
	}
	return files.KeptSecret(s.dataDir, "jwt-secret", newJWTSecret)
}

func (a *app) runServer(ctx context.Context, newDatabase bool) error {
	var e serverEnv
	if err := readEnv(&e); err != nil {
		return err
	}
	cfg, s, err := e.config()
	if err != nil {
		return err
	}
	cfg.NewDatabase = newDatabase
	log, err := e.logger(a.Term.Err)
	if err != nil {
		return err
	}
	warnOfVariables(log)
	if cfg.JWTSecret, err = e.jwtSecret(s); err != nil {
		return err
	}
	if e.DatabaseURL.IsZero() {
		if err := files.MakeDataDir(s.dataDir); err != nil {
			return err
		}
	}
	ln, cert, err := e.listen(ctx, s)
	if err != nil {
		return err
	}
	if port := ln.Addr().(*net.TCPAddr).Port; e.PublicURL == "" && s.loopback {
		host, _, _ := net.SplitHostPort(s.addr)
		cfg.PublicURLs = loopbackURLs(e.scheme(), host, fmt.Sprint(port)) // port 0 is known only now
	}
	srv, err := server.New(ctx, cfg, log)
	if err != nil {
		_ = ln.Close()
		return err
	}
	log.Info("server is up", "addr", ln.Addr().String(), "url", cfg.PublicURLs[0], "exchange", cfg.Trust.Configured())
	if !cfg.Trust.Configured() {
		log.Warn("no cloud secret: `ace connect` cannot exchange keys here; set ACE_CLOUD_PUBLIC_KEY to what `ace org trust` prints")
	}
	return serve(ctx, log, part{ln: bound(ln, cfg.TrustedProxies, log), cert: cert, drain: s.drain, handler: srv.Handler(), run: srv.Run, close: srv.Close})
}

// certificate reads the files of ACE_TLS_CERT and ACE_TLS_KEY.
func (e *CommonEnv) certificate() (tls.Certificate, error) {
	var pem [2]string
	for i, file := range []struct{ name, path string }{{"ACE_TLS_CERT", e.TLSCert}, {"ACE_TLS_KEY", e.TLSKey}} {
		var err error
		if pem[i], err = files.ReadNamedFile(file.path); err != nil {
			return tls.Certificate{}, fmt.Errorf("%s: %w", file.name, err)
		}
	}
	pair, err := tls.X509KeyPair([]byte(pem[0]), []byte(pem[1]))
	if err != nil {
		return pair, fmt.Errorf("ACE_TLS_CERT and ACE_TLS_KEY: %w", err)
	}
	return pair, nil
}

// listen opens the port, and reads the certificate where there is one.
func (e *CommonEnv) listen(ctx context.Context, s settings) (net.Listener, *tls.Certificate, error) {
	var cert *tls.Certificate
	if e.TLSCert != "" {
		pair, err := e.certificate()
		if err != nil {
			return nil, nil, bridge.E(bridge.Invalid, "tls", "%w", err).
				WithHint("name two PEM files that this user may read: the certificate with its chain, and its key")
		}
		cert = &pair
	}
	ln, err := listenOn(ctx, s.addr)
	return ln, cert, err
}

func listenOn(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, bridge.E(bridge.Internal, "listen", "cannot listen on %s: %w", addr, err).
			WithHint("stop what listens there, or take another address")
	}
	return ln, nil
}

type userTokenResult struct {
	Token     bridge.Disclosed `json:"token"`
	Role      string           `json:"role"`
	Subject   string           `json:"subject"`
	ExpiresAt time.Time        `json:"expires_at"`
}

func (a *app) serverTokenCommand() *cobra.Command {
	var role, subject string
	var life time.Duration
	cmd := &cobra.Command{Use: "token", Short: "Mint a user token of this server, offline, with its ACE_JWT_SECRET", Args: noArgs,
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
			return a.Term.Print(r, func(w io.Writer) { _, _ = fmt.Fprintln(w, token.Reveal()) })
		}}
	cmd.Flags().StringVar(&role, "role", string(bridge.RoleAdmin), "owner, admin, member or viewer")
	cmd.Flags().StringVar(&subject, "subject", "operator", "who the token is for, as the audit log will name them")
	cmd.Flags().DurationVar(&life, "life", time.Hour, "how long it lives")
	return cmd
}

func (a *app) serverHealthCommand() *cobra.Command {
	return &cobra.Command{Use: "health", Short: "Ask the server of this environment whether it is up (for container health checks)",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var e serverEnv
			if err := readEnv(&e); err != nil {
				return err
			}
			base, cfg, err := a.ownAddress(&e.CommonEnv, "server", defaultServerAddr)
			if err != nil {
				return err
			}
			return api.NewServerClient(base, bridge.Secret{}, cfg).Healthy(cmd.Context())
		}}
}

// ownAddress is where the health check finds the process beside it: on this machine whatever the public URL is, and so
// without a check of the certificate, which is for the public name.
func (a *app) ownAddress(e *CommonEnv, role, addr string) (bridge.ServerURL, api.ClientConfig, error) {
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
	cfg := a.Profiles.ClientConfig()
	cfg.Timeout, cfg.Transport = 3*time.Second, ownTransport()
	return base, cfg, err
}

// bound limits what clients may hold: through trusted proxies come many people.
func bound(ln net.Listener, proxies []netip.Prefix, log *slog.Logger) net.Listener {
	return api.Bound(ln, api.ConnLimits{Proxies: proxies}, log)
}

// part is a server or a cloud, ready to serve.
type part struct {
	ln      net.Listener
	cert    *tls.Certificate
	drain   time.Duration // see [api.Serving]
	handler httpHandler
	run     func(context.Context) error
	close   func() error
}

// serve runs the parts until ctx ends or one of them fails: then all stop, requests first, background work after them,
// databases last.
func serve(ctx context.Context, log *slog.Logger, parts ...part) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan error, len(parts))
	for _, p := range parts {
		go func() { done <- p.serve(ctx, stop, log) }()
	}
	var failed error
	for range parts {
		if err := <-done; err != nil && failed == nil {
			failed = err
			stop(err)
		}
	}
	return failed
}

func (p part) serve(ctx context.Context, stop context.CancelCauseFunc, log *slog.Logger) error {
	if p.close != nil {
		defer func() {
			if err := p.close(); err != nil {
				log.Error("close", "error", err)
			}
		}()
	}
	// The background work outlives the last request: it writes what that request left to write.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	ran := make(chan error, 1)
	go func() {
		if p.run == nil {
			ran <- nil
			return
		}
		err := p.run(background)
		if err != nil && background.Err() == nil {
			stop(err)
		}
		ran <- err
	}()
	err := api.Serve(ctx, p.ln, p.handler, api.Serving{Cert: p.cert, Drain: p.drain, Log: log})
	stopBackground()
	if runErr := <-ran; err == nil && runErr != nil && errors.Is(context.Cause(ctx), runErr) {
		err = runErr
	}
	return err
}
