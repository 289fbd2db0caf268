package run

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/registry"
	"github.com/acebridge/ace/cloud/signup"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

type userResult struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
	Org   string `json:"org"`
	Role  string `json:"role"`
}

func (runner *Runner) cloudUserAddCommand() *cobra.Command {
	var email, name, org, role, password string
	var passwordStdin bool
	cmd := &cobra.Command{Use: "add", Short: "Add a person and, where it is missing, the organization; you vouch for the address", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if email == "" || org == "" {
				return term.Usage("%s needs --email and --org", cmd.CommandPath())
			}
			if role != "" && !bridge.Role(role).Valid() {
				return term.Usage("--role %q is not a role%s", role, term.DidYouMean(role, cmdline.RoleNames)).
					WithHint("use owner, admin, member or viewer")
			}
			if passwordStdin {
				password = "-"
			}
			secret, err := runner.Term.NewPassword(password)
			if err != nil {
				return err
			}
			var u signup.AddedUser
			err = runner.onRegistry(cmd.Context(), func(r *registry.Registry) error {
				u, err = r.SignUp.AddUser(cmd.Context(), operator(), signup.NewUser{
					Email: email, Name: name, Password: secret, Org: org, Role: bridge.Role(role)})
				return err
			})
			if err != nil {
				return err
			}
			r := userResult{u.ID, u.Email, u.Name, org, string(u.Role)}
			return runner.Term.Print(r, func(w io.Writer) {
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

func (runner *Runner) cloudSetAddressCommand() *cobra.Command {
	return &cobra.Command{Use: "set-address OLD NEW", Short: "Give a person another e-mail address; you vouch for it", Args: cmdline.Exactly(2, "OLD and NEW"),
		Long: `Give a person another e-mail address; you vouch that it is theirs. All that was handed out to them before is void: sessions, tokens, and the
keys that they have made on servers. Password and second factor stay. Works beside a running cloud.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var u accounts.User
			err := runner.onRegistry(cmd.Context(), func(r *registry.Registry) (err error) {
				u, err = r.Addresses.Set(cmd.Context(), args[0], args[1], operator())
				return err
			})
			if err != nil {
				return err
			}
			return runner.Term.Print(setAddressResult{u.ID, u.Email}, func(w io.Writer) { term.Row(w, "Email", u.Email) })
		}}
}
