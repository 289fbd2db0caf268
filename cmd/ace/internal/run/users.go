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
	cmd := &cobra.Command{Use: "add", Short: "Add a person, and the organization if it is missing; you vouch for the address", Args: cmdline.NoArgs,
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
	f.StringVar(&email, "email", "", "the e-mail `ADDRESS` that the person signs in with")
	f.StringVar(&name, "name", "", "the person's name")
	f.StringVar(&org, "org", "", "the organization's `SLUG`")
	f.StringVar(&role, "role", "", "owner, admin, member or viewer; by default owner for the first person of an organization, otherwise member")
	f.StringVar(&password, "password", "", "the `PASSWORD` (literal, - for stdin, or file:PATH)")
	f.BoolVar(&passwordStdin, "password-stdin", false, "read the password from stdin")
	return cmd
}

type setAddressResult struct {
	ID    string `json:"id"`
	Email string `json:"email"`
}

func (runner *Runner) cloudSetAddressCommand() *cobra.Command {
	return &cobra.Command{Use: "set-address OLD NEW", Short: "Change a person's e-mail address; you vouch for the new one", Args: cmdline.Exactly(2, "OLD and NEW"),
		Long: `Change a person's e-mail address; you vouch that the new one is theirs.

This ends their sessions, their tokens and the keys that they made on servers. Password and second factor stay. The cloud may be
running.`,
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
