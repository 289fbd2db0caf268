package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/mail"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (a *app) cloudCommand() *cobra.Command {
	var newDatabase bool
	cmd := &cobra.Command{Use: "cloud", Short: "Run the hosted cloud; the environment configures it", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCloud(cmd.Context(), newDatabase) }}
	newDatabaseFlag(cmd, &newDatabase)
	user := group(&cobra.Command{Use: "user", Short: "People of the cloud"})
	user.AddCommand(a.cloudUserAddCommand(), a.cloudSetAddressCommand())
	cmd.AddCommand(user, a.cloudInitCommand(), a.rotateCommand(), a.acceptMissingKeyCommand(), a.cloudHealthCommand(), a.cloudAcceptClockCommand(), a.cloudRestoreCommand(),
		a.freshSecretCommand("new-signing-key", "Make a value for ACE_CLOUD_SIGNING_KEY", newSigningKey),
		a.freshSecretCommand("new-encryption-key", "Make a value for ACE_DATABASE_ENCRYPTION_KEY", registry.NewEncryptionKey))
	return cmd
}

func newSigningKey() (bridge.Secret, error) { return bridge.NewSigningRoot(), nil }

// config reads the environment of a cloud and, on loopback, the secrets that an earlier start kept.
func (e *cloudEnv) config() (cloud.Config, settings, error) {
	var wrong []string
	s := e.settings("cloud", defaultCloudAddr, &wrong)
	if !s.loopback {
		missing(&wrong, "ACE_PUBLIC_URL", e.PublicURL == "", "the URL that people open the dashboard by")
		missing(&wrong, "ACE_DATABASE_ENCRYPTION_KEY", e.EncryptionKey.IsZero(), "make one with: ace cloud new-encryption-key")
		missing(&wrong, "ACE_CLOUD_SIGNING_KEY", e.SigningKey.IsZero(), "make one with: ace cloud new-signing-key")
	}
	if e.PublicURL != "" && len(s.publicURLs) > 1 {
		wrong = append(wrong, "ACE_PUBLIC_URL: a cloud has one URL, because that is who issued its tokens")
	}
	if !e.SigningKey.IsZero() {
		if _, err := bridge.ParseSigningRoot(e.SigningKey); err != nil {
			wrong = append(wrong, withHint(err))
		}
	}
	if !e.EncryptionKey.IsZero() {
		if _, err := registry.NewVault(e.EncryptionKey); err != nil {
			wrong = append(wrong, withHint(err))
		}
	}
	cfg := cloud.Config{
		DatabaseURL: s.database, DataDir: s.stateDir, EncryptionKeys: e.EncryptionKey, SigningKey: e.SigningKey, TrustedProxies: s.proxies,
		RelayAllow: prefixes("ACE_RELAY_ALLOW", e.RelayAllow, &wrong), AllowedOrigins: origins(e.AllowedOrigins, &wrong),
		Version: currentVersion(),
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
		if cfg.EncryptionKeys, err = files.KeptSecret(dir, "encryption-key", registry.NewEncryptionKey); err != nil {
			return err
		}
	}
	if cfg.SigningKey.IsZero() {
		cfg.SigningKey, err = files.KeptSecret(dir, "signing-key", newSigningKey)
	}
	return err
}

func (a *app) runCloud(ctx context.Context, newDatabase bool) error {
	var e cloudEnv
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
	c, err := cloud.New(ctx, cfg, log)
	if err != nil {
		_ = ln.Close()
		return err
	}
	log.Info("cloud is up", "addr", ln.Addr().String(), "url", cfg.PublicURL)
	return serve(ctx, log, part{ln: bound(ln, cfg.TrustedProxies, log), cert: cert, drain: s.drain, handler: c.Handler(), run: c.Run, close: c.Close})
}

// ownURL is the URL of a listener whose port may have been chosen by the system.
func ownURL(scheme, host string, ln net.Listener) (bridge.ServerURL, error) {
	port := fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)
	return bridge.CanonicalURL(scheme + "://" + net.JoinHostPort(host, port))
}

// onRegistry opens the cloud's database for an operator's command, beside a cloud that may be running.
func (a *app) onRegistry(ctx context.Context, do func(*registry.Registry) error) error {
	return a.onRegistryAs(ctx, cloud.OpenRegistry, do)
}

func (a *app) onRegistryAs(ctx context.Context, open func(context.Context, cloud.Config, *slog.Logger) (*registry.Registry, *sqldb.DB, error),
	do func(*registry.Registry) error) error {
	var e cloudEnv
	if err := readEnv(&e); err != nil {
		return err
	}
	cfg, _, err := e.config()
	if err != nil {
		return err
	}
	log, err := e.logger(a.Term.Err)
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

type userResult struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
	Org   string `json:"org"`
	Role  string `json:"role"`
}

func (a *app) cloudUserAddCommand() *cobra.Command {
	var email, name, org, role, password string
	var passwordStdin bool
	cmd := &cobra.Command{Use: "add", Short: "Add a person and, where it is missing, the organization; you vouch for the address", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if email == "" || org == "" {
				return term.Usage("%s needs --email and --org", cmd.CommandPath())
			}
			if role != "" && !bridge.Role(role).Valid() {
				return term.Usage("--role %q is not a role%s", role, term.DidYouMean(role, roleNames)).
					WithHint("take owner, admin, member or viewer")
			}
			if passwordStdin {
				password = "-"
			}
			secret, err := a.Term.NewPassword(password)
			if err != nil {
				return err
			}
			var u registry.AddedUser
			err = a.onRegistry(cmd.Context(), func(r *registry.Registry) error {
				u, err = r.AddUser(cmd.Context(), operator(), registry.NewUser{
					Email: email, Name: name, Password: secret, Org: org, Role: bridge.Role(role)})
				return err
			})
			if err != nil {
				return err
			}
			r := userResult{u.ID, u.Email, u.Name, org, string(u.Role)}
			return a.Term.Print(r, func(w io.Writer) {
				term.Row(w, "EMAIL", "ORGANIZATION", "ROLE")
				term.Row(w, r.Email, r.Org, r.Role)
			})
		}}
	f := cmd.Flags()
	f.StringVar(&email, "email", "", "the person's email `ADDRESS`, to sign in with")
	f.StringVar(&name, "name", "", "the person's name")
	f.StringVar(&org, "org", "", "the organization's `SLUG`")
	f.StringVar(&role, "role", "", "owner, admin, member or viewer; by default owner for the first in an organization, else member")
	f.StringVar(&password, "password", "", "the password: `-` for stdin, file:PATH, or a literal")
	f.BoolVar(&passwordStdin, "password-stdin", false, "read the password from stdin")
	return cmd
}

type setAddressResult struct {
	ID    string `json:"id"`
	Email string `json:"email"`
}

func (a *app) cloudSetAddressCommand() *cobra.Command {
	return &cobra.Command{Use: "set-address OLD NEW", Short: "Give a person another e-mail address; you vouch for it", Args: exactly(2, "OLD and NEW"),
		Long: `Give a person another e-mail address; you vouch that it is theirs. All that was handed out to them before is void: sessions, tokens, and the
keys that they have made on servers. Password and second factor stay. Works beside a running cloud.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var u registry.User
			err := a.onRegistry(cmd.Context(), func(r *registry.Registry) (err error) {
				u, err = r.SetAddress(cmd.Context(), args[0], args[1], operator())
				return err
			})
			if err != nil {
				return err
			}
			return a.Term.Print(setAddressResult{u.ID, u.Email}, func(w io.Writer) { term.Row(w, "Email", u.Email) })
		}}
}

var roleNames = []string{string(bridge.RoleOwner), string(bridge.RoleAdmin), string(bridge.RoleMember), string(bridge.RoleViewer)}

type rotateResult struct {
	Rows int `json:"rows"`
}

func (a *app) rotateCommand() *cobra.Command {
	return &cobra.Command{Use: "rotate-encryption-key", Args: noArgs,
		Short: "Encrypt every row with the first key of ACE_DATABASE_ENCRYPTION_KEY; can be interrupted and rerun",
		RunE: func(cmd *cobra.Command, _ []string) error {
			n := 0
			err := a.onRegistryAs(cmd.Context(), cloud.OpenAnyway, func(r *registry.Registry) (err error) {
				n, err = r.RotateEncryptionKey(cmd.Context(), func(done, total int) {
					if a.Term.Screen() && (done == total || done%100 == 0) {
						a.Term.Note("%d of %d rows", done, total)
					}
				})
				return err
			})
			if err != nil {
				if n > 0 {
					a.Term.Note("%d rows encrypted anew", n)
				}
				return err
			}
			return a.Term.Print(rotateResult{n}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%d rows encrypted anew\n", n) })
		}}
}

type missingKeyResult struct {
	Key        string `json:"key"`
	Unreadable string `json:"unreadable"`
}

func (a *app) acceptMissingKeyCommand() *cobra.Command {
	return &cobra.Command{Use: "accept-missing-key ID", Args: someArgs(1, 1, "ID of a key"),
		Short: "Let a cloud start although an encryption key is lost; what it has encrypted stays unreadable",
		Long: `Let a cloud start although a key of ACE_DATABASE_ENCRYPTION_KEY is lost (encryption_key_missing, which names the ID). What the key has
encrypted stays as it is, and can be read again once the key is back. Until then a connection says that it has to be connected again, codes of an
authenticator app are refused (recovery codes are not), a sign-in provider's secret has to be entered again, and mail is not sent.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := missingKeyResult{Key: args[0]}
			err := a.onRegistryAs(cmd.Context(), cloud.OpenAnyway, func(reg *registry.Registry) (err error) {
				r.Unreadable, err = reg.AcceptMissingKey(cmd.Context(), r.Key, operator())
				return err
			})
			if err != nil {
				return err
			}
			return a.Term.Print(r, func(w io.Writer) { _, _ = fmt.Fprintf(w, "accepted: what stays unreadable is %s\n", r.Unreadable) })
		}}
}

func (a *app) cloudHealthCommand() *cobra.Command {
	return &cobra.Command{Use: "health", Short: "Ask the cloud of this environment whether it is up (for container health checks)",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var e cloudEnv
			if err := readEnv(&e); err != nil {
				return err
			}
			base, cfg, err := a.ownAddress(&e.CommonEnv, "cloud", defaultCloudAddr)
			if err != nil {
				return err
			}
			return api.NewCloudClient(base, bridge.Secret{}, cfg).Healthy(cmd.Context())
		}}
}

func (a *app) freshSecretCommand(name, short string, fresh func() (bridge.Secret, error)) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: noArgs, RunE: func(*cobra.Command, []string) error {
		secret, err := fresh()
		if err != nil {
			return err
		}
		field := strings.ReplaceAll(strings.TrimPrefix(name, "new-"), "-", "_")
		return a.Term.Print(map[string]bridge.Disclosed{field: secret.Disclose()}, func(w io.Writer) {
			_, _ = fmt.Fprintln(w, secret.Reveal())
		})
	}}
}
