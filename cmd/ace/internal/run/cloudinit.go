package run

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/vault"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// The files that `ace cloud init` makes. Each is for the variable of the same name, with _FILE appended.
const (
	initEncryptionKey  = "database-encryption-key"
	initSigningKey     = "cloud-signing-key"
	initCloudPublicKey = "cloud-public-key"
	initJWTSecret      = "jwt-secret"
)

// cloudInitCommand makes the secrets of a cloud and its server, once. The server is one organization's and trusts the cloud.
// Existing secrets are kept. It is the first step of docker-compose.yml.
func (runner *Runner) cloudInitCommand() *cobra.Command {
	var dir, org, publicURL string
	cmd := &cobra.Command{Use: "init", Short: "Generate the secrets of a cloud and of a server that trusts it, in files",
		Args: cmdline.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || org == "" || publicURL == "" {
				return term.Usage("%s needs --dir, --org and --public-url", cmd.CommandPath())
			}
			if err := bridge.CheckOrg(org); err != nil {
				return err
			}
			issuer, err := bridge.CanonicalURL(publicURL)
			if err != nil {
				return err
			}
			files, err := initSecrets(dir, org, issuer)
			if err != nil {
				return err
			}
			return runner.Term.Print(files, func(w io.Writer) {
				for _, name := range []string{initEncryptionKey, initSigningKey, initCloudPublicKey, initJWTSecret} {
					_, _ = fmt.Fprintln(w, files[name])
				}
			})
		}}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "write the files to `DIR`; existing ones are kept")
	f.StringVar(&org, "org", "", "the `SLUG` of the organization whose server will trust the cloud")
	f.StringVar(&publicURL, "public-url", "", "the cloud's public `URL` (ACE_PUBLIC_URL)")
	return cmd
}

func initSecrets(dir, org string, issuer bridge.ServerURL) (map[string]string, error) {
	if err := files.MakeDataDir(dir); err != nil {
		return nil, err
	}
	signing, err := files.KeptSecret(dir, initSigningKey, newSigningKey)
	if err != nil {
		return nil, err
	}
	root, err := bridge.ParseSigningRoot(signing)
	if err != nil {
		return nil, err
	}
	public, _ := root.TrustValues(issuer, org)
	for name, fresh := range map[string]func() (bridge.Secret, error){
		initEncryptionKey:  vault.NewEncryptionKey,
		initJWTSecret:      func() (bridge.Secret, error) { return bridge.NewSecret(bridge.RandomToken(32)), nil },
		initCloudPublicKey: func() (bridge.Secret, error) { return bridge.NewSecret(public), nil },
	} {
		if _, err := files.KeptSecret(dir, name, fresh); err != nil {
			return nil, err
		}
	}
	files := map[string]string{}
	for _, name := range []string{initEncryptionKey, initSigningKey, initCloudPublicKey, initJWTSecret} {
		files[name] = filepath.Join(dir, name)
	}
	return files, nil
}
