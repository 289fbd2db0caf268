package run

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/mail"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/vault"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// CloudCommand returns `ace cloud` and its operator's commands.
func (runner *Runner) CloudCommand() *cobra.Command {
	var newDatabase bool
	cmd := &cobra.Command{Use: "cloud", Short: "Run the hosted cloud, configured by environment variables", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runner.runCloud(cmd.Context(), newDatabase) }}
	newDatabaseFlag(cmd, &newDatabase)
	user := cmdline.Group(&cobra.Command{Use: "user", Short: "Manage the people of the cloud"})
	user.AddCommand(runner.cloudUserAddCommand(), runner.cloudSetAddressCommand())
	cmd.AddCommand(user, runner.cloudInitCommand(), runner.rotateCommand(), runner.acceptMissingKeyCommand(), runner.cloudHealthCommand(), runner.cloudAcceptClockCommand(), runner.cloudRestoreCommand(),
		runner.freshSecretCommand("new-signing-key", "Generate a value for ACE_CLOUD_SIGNING_KEY", newSigningKey),
		runner.freshSecretCommand("new-encryption-key", "Generate a value for ACE_DATABASE_ENCRYPTION_KEY", vault.NewEncryptionKey))
	return cmd
}

func newSigningKey() (bridge.Secret, error) { return bridge.NewSigningRoot(), nil }

// config reads a cloud's environment. On loopback it also reads the secrets that an earlier start kept.
func (e *cloudEnv) config() (cloud.Config, settings, error) {
	var wrong []string
	s := e.settings("cloud", defaultCloudAddr, &wrong)
	if !s.loopback {
		missing(&wrong, "ACE_PUBLIC_URL", e.PublicURL == "", "the URL at which people open the dashboard")
		missing(&wrong, "ACE_DATABASE_ENCRYPTION_KEY", e.EncryptionKey.IsZero(), "make one with: ace cloud new-encryption-key")
		missing(&wrong, "ACE_CLOUD_SIGNING_KEY", e.SigningKey.IsZero(), "make one with: ace cloud new-signing-key")
	}
	if e.PublicURL != "" && len(s.publicURLs) > 1 {
		wrong = append(wrong, "ACE_PUBLIC_URL: a cloud has one URL, which is the issuer of its tokens")
	}
	if !e.SigningKey.IsZero() {
		if _, err := bridge.ParseSigningRoot(e.SigningKey); err != nil {
			wrong = append(wrong, withHint(err))
		}
	}
	if !e.EncryptionKey.IsZero() {
		if _, err := vault.NewVault(e.EncryptionKey); err != nil {
			wrong = append(wrong, withHint(err))
		}
	}
	cfg := cloud.Config{
		DatabaseURL: s.database, DataDir: s.stateDir, EncryptionKeys: e.EncryptionKey, SigningKey: e.SigningKey, TrustedProxies: s.proxies,
		RelayAllow: prefixes("ACE_RELAY_ALLOW", e.RelayAllow, &wrong), AllowedOrigins: origins(e.AllowedOrigins, &wrong),
	}
	if !e.SMTPURL.IsZero() {
		smtp, err := mail.ParseURL(e.SMTPURL)
		if err != nil {
			wrong = append(wrong, withHint(err))
		}
		cfg.Mail = smtp
	}
	if cfg.FirstEmail = e.FirstEmail; cfg.FirstEmail != "" {
		if _, err := bridge.CanonicalEmail(cfg.FirstEmail); err != nil {
			wrong = append(wrong, "ACE_FIRST_EMAIL: "+bridge.AsError(err).Detail)
		}
	}
	cfg.Internal.URL = e.internal(&wrong)
	if len(wrong) > 0 {
		return cloud.Config{}, s, badEnv(wrong)
	}
	if e.PublicURL != "" {
		cfg.PublicURL = s.publicURLs[0]
	} else {
		cfg.PublicURL = bridge.ServerURL(e.scheme() + "://" + s.addr)
	}
	if err := e.keep(&cfg, s); err != nil {
		return cloud.Config{}, s, err
	}
	return cfg, s, nil
}

// internal checks how the other replicas of the cloud reach this one.
func (e *cloudEnv) internal(wrong *[]string) bridge.ServerURL {
	if (e.InternalAddr == "") != (e.InternalURL == "") {
		*wrong = append(*wrong, "ACE_INTERNAL_ADDR and ACE_INTERNAL_URL must be set together; one is missing")
		return ""
	}
	if e.InternalURL == "" {
		return ""
	}
	if _, _, err := net.SplitHostPort(e.InternalAddr); err != nil {
		*wrong = append(*wrong, "ACE_INTERNAL_ADDR: it is not HOST:PORT")
	}
	u, err := bridge.CanonicalURL(e.InternalURL)
	if err != nil || u.URL().Scheme != "https" || u.Origin() != string(u) {
		*wrong = append(*wrong, "ACE_INTERNAL_URL: it is not an https URL without a path, such as https://10.0.0.5:7443; each replica has its own")
	}
	return u
}

func (e *cloudEnv) keep(cfg *cloud.Config, s settings) error {
	needSecrets := cfg.EncryptionKeys.IsZero() || cfg.SigningKey.IsZero()
	if needSecrets || e.DatabaseURL.IsZero() {
		if err := files.MakeDataDir(s.dataDir); err != nil {
			return err
		}
	}
	return keepCloudSecrets(cfg, s.dataDir)
}

func keepCloudSecrets(cfg *cloud.Config, dir string) (err error) {
	if cfg.EncryptionKeys.IsZero() {
		if cfg.EncryptionKeys, err = files.KeptSecret(dir, "encryption-key", vault.NewEncryptionKey); err != nil {
			return err
		}
	}
	if cfg.SigningKey.IsZero() {
		cfg.SigningKey, err = files.KeptSecret(dir, "signing-key", newSigningKey)
	}
	return err
}

func (runner *Runner) runCloud(ctx context.Context, newDatabase bool) error {
	var e cloudEnv
	if err := readEnv(&e); err != nil {
		return err
	}
	cfg, s, err := e.config()
	if err != nil {
		return err
	}
	cfg.NewDatabase, cfg.Version = newDatabase, runner.Version
	log, err := e.logger(runner.Term.Err)
	if err != nil {
		return err
	}
	warnOfVariables(log)
	ln, cert, err := e.listen(ctx, s)
	if err != nil {
		return err
	}
	if e.PublicURL == "" {
		host, _, _ := net.SplitHostPort(s.addr)
		cfg.PublicURL, err = ownURL(e.scheme(), host, ln)
		if err != nil {
			return err
		}
	}
	if e.InternalAddr != "" {
		if cfg.Internal.Listener, err = listenOn(ctx, e.InternalAddr); err != nil {
			_ = ln.Close()
			return err
		}
	}
	c, err := cloud.New(ctx, cfg, log)
	if err != nil {
		_ = ln.Close()
		if cfg.Internal.Listener != nil {
			_ = cfg.Internal.Listener.Close()
		}
		return err
	}
	log.Info("cloud is up", "addr", ln.Addr().String(), "url", cfg.PublicURL)
	return serve(ctx, log, part{ln: bound(ln, cfg.TrustedProxies, log), cert: cert, drain: s.drain, handler: c.Handler(), links: c.Drain, run: c.Run, close: c.Close})
}

// ownURL returns a listener's URL. The system may have chosen the port.
func ownURL(scheme, host string, ln net.Listener) (bridge.ServerURL, error) {
	port := fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)
	return bridge.CanonicalURL(scheme + "://" + net.JoinHostPort(host, port))
}

// onRegistry opens the cloud's database for an operator's command. The cloud may be running.
func (runner *Runner) onRegistry(ctx context.Context, do func(*registry.Registry) error) error {
	return runner.onRegistryAs(ctx, cloud.OpenRegistry, do)
}

func (runner *Runner) onRegistryAs(ctx context.Context, open func(context.Context, cloud.Config, *slog.Logger) (*registry.Registry, *sqldb.DB, error),
	do func(*registry.Registry) error) error {
	var e cloudEnv
	if err := readEnv(&e); err != nil {
		return err
	}
	cfg, _, err := e.config()
	if err != nil {
		return err
	}
	log, err := e.logger(runner.Term.Err)
	if err != nil {
		return err
	}
	r, db, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return do(r)
}

func operator() audit.Actor { return audit.Actor{ID: "operator"} }

type rotateResult struct {
	Rows int `json:"rows"`
}

func (runner *Runner) rotateCommand() *cobra.Command {
	return &cobra.Command{Use: "rotate-encryption-key", Args: cmdline.NoArgs,
		Short: "Re-encrypt all rows with the first key of ACE_DATABASE_ENCRYPTION_KEY; safe to interrupt and rerun",
		RunE: func(cmd *cobra.Command, _ []string) error {
			n := 0
			err := runner.onRegistryAs(cmd.Context(), cloud.OpenAnyway, func(r *registry.Registry) (err error) {
				n, err = r.Vault.RotateEncryptionKey(cmd.Context(), func(done, total int) {
					if runner.Term.Screen() && (done == total || done%100 == 0) {
						runner.Term.Note("%d of %d rows", done, total)
					}
				})
				return err
			})
			if err != nil {
				if n > 0 {
					runner.Term.Note("%s re-encrypted", term.Count(n, "row"))
				}
				return err
			}
			return runner.Term.Print(rotateResult{n}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s re-encrypted\n", term.Count(n, "row")) })
		}}
}

type missingKeyResult struct {
	Key        string `json:"key"`
	Unreadable string `json:"unreadable"`
}

func (runner *Runner) acceptMissingKeyCommand() *cobra.Command {
	return &cobra.Command{Use: "accept-missing-key ID", Args: cmdline.SomeArgs(1, 1, "ID of a key"),
		Short: "Let a cloud start without a lost encryption key; what that key encrypted stays unreadable",
		Long: `Let a cloud start without a lost key of ACE_DATABASE_ENCRYPTION_KEY. The error encryption_key_missing names the key's ID.

What the key encrypted is kept, and can be read again once the key is back. Until then, affected connections have to be connected
again, codes from authenticator apps are refused (recovery codes are not), sign-in providers' secrets have to be entered again, and
mail encrypted with the key is not sent.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := missingKeyResult{Key: args[0]}
			err := runner.onRegistryAs(cmd.Context(), cloud.OpenAnyway, func(reg *registry.Registry) (err error) {
				r.Unreadable, err = reg.Vault.AcceptMissingKey(cmd.Context(), r.Key, operator())
				return err
			})
			if err != nil {
				return err
			}
			return runner.Term.Print(r, func(w io.Writer) { _, _ = fmt.Fprintf(w, "accepted; unreadable without the key: %s\n", r.Unreadable) })
		}}
}

func (runner *Runner) cloudHealthCommand() *cobra.Command {
	return &cobra.Command{Use: "health", Short: "Check that the cloud is up, for container health checks",
		Args: cmdline.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var e cloudEnv
			if err := readEnv(&e); err != nil {
				return err
			}
			base, cfg, err := runner.ownAddress(&e.CommonEnv, "cloud", defaultCloudAddr)
			if err != nil {
				return err
			}
			return apiclient.NewCloud(base, bridge.Secret{}, cfg).Healthy(cmd.Context())
		}}
}

func (runner *Runner) freshSecretCommand(name, short string, fresh func() (bridge.Secret, error)) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: cmdline.NoArgs, RunE: func(*cobra.Command, []string) error {
		secret, err := fresh()
		if err != nil {
			return err
		}
		field := strings.ReplaceAll(strings.TrimPrefix(name, "new-"), "-", "_")
		return runner.Term.Print(map[string]bridge.Disclosed{field: secret.Disclose()}, func(w io.Writer) {
			_, _ = fmt.Fprintln(w, secret.Reveal())
		})
	}}
}
