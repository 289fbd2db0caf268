package auth

import (
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// The states of a profile's session, as far as this machine knows.
const (
	profileLoggedIn  = "logged in"
	profileExpired   = "expired"
	profileLoggedOut = "logged out"
)

// profileResult is one line of `auth list`. It is read from config.json alone, without the network or the key of auth.json.
type profileResult struct {
	Profile     string           `json:"profile"`
	Active      bool             `json:"active"`
	CloudURL    bridge.ServerURL `json:"cloud_url"`
	Email       string           `json:"email,omitempty"`
	ServiceName string           `json:"service_name,omitempty"`
	KeyID       string           `json:"key_id,omitempty"`
	Org         string           `json:"org,omitempty"`
	Role        string           `json:"role,omitempty"`
	Method      string           `json:"method,omitempty"`
	ExpiresAt   *time.Time       `json:"expires_at"`
	Status      string           `json:"status"`
}

func newProfileResult(name string, active bool, p *profile.Profile) profileResult {
	r := profileResult{Profile: name, Active: active, CloudURL: p.CloudURL, Email: p.Email, ServiceName: p.ServiceName,
		KeyID: p.KeyID, Org: p.Org, Role: p.Role, Method: p.Method, Status: profileLoggedIn}
	if !p.ExpiresAt.IsZero() {
		r.ExpiresAt = &p.ExpiresAt
	}
	switch {
	case p.Method == "":
		r.Status = profileLoggedOut
	case r.ExpiresAt != nil && !time.Now().Before(*r.ExpiresAt):
		r.Status = profileExpired
	}
	return r
}

func (r profileResult) who() string {
	if r.Email != "" {
		return r.Email
	}
	return r.ServiceName
}

func (g *Group) listCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the profiles on this machine", Args: cmdline.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := g.Profiles.Config()
			if err != nil {
				return err
			}
			result := api.List[profileResult]{Items: []profileResult{}}
			for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
				result.Items = append(result.Items, newProfileResult(name, name == c.Active, c.Profiles[name]))
			}
			return g.Term.Print(result, func(w io.Writer) {
				term.Row(w, "PROFILE", "CLOUD", "WHO", "ORGANIZATION", "METHOD", "EXPIRES", "STATUS")
				for _, r := range result.Items {
					status := r.Status
					if r.Active {
						status += ", active"
					}
					term.Row(w, r.Profile, string(r.CloudURL), r.who(), r.Org, r.Method, term.When(r.ExpiresAt), status)
				}
			})
		}}
}

func (g *Group) switchCommand() *cobra.Command {
	return &cobra.Command{Use: "switch [PROFILE]", Short: "Make another profile the active one", Args: cmdline.SomeArgs(0, 1, "profile"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			return g.runSwitch(cmd.Context(), name)
		}}
}

func (g *Group) runSwitch(ctx context.Context, name string) error {
	c, err := g.Profiles.Config()
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(c.Profiles))
	if len(names) == 0 {
		return bridge.E(bridge.NotFound, bridge.CodeProfileNotFound, "there is no profile yet").WithHint("ace login")
	}
	if name == "" && !g.Term.Interactive() {
		return term.InputNeeded("there is no terminal to choose a profile").
			WithHint("ace auth switch PROFILE, with one of: %s", strings.Join(names, ", "))
	}
	if name == "" {
		lines := make([]string, len(names))
		for i, n := range names {
			r := newProfileResult(n, n == c.Active, c.Profiles[n])
			lines[i] = n + "  " + string(r.CloudURL) + "  " + r.who() + "  " + r.Status
		}
		i, err := g.Term.Pick("Which profile?", lines)
		if err != nil {
			return err
		}
		name = names[i]
	}
	st, err := g.Profiles.OpenStore()
	if err != nil {
		return err
	}
	var r profileResult
	err = st.Locked(ctx, func() error {
		c, err := st.Config()
		if err != nil {
			return err
		}
		name := c.Named(name)
		p := c.Profiles[name]
		if p == nil {
			return bridge.E(bridge.NotFound, bridge.CodeProfileNotFound, "there is no profile %q%s", bridge.Printable(name),
				term.DidYouMean(name, names)).
				WithHint("ace auth list")
		}
		c.Active = name
		r = newProfileResult(name, true, p)
		return st.WriteConfig(c)
	})
	if err != nil {
		return err
	}
	for _, variable := range []string{"ACE_PROFILE", "ACE_ENV"} {
		if os.Getenv(variable) != "" {
			g.Term.Note("%s is set and takes precedence over the active profile.", variable)
		}
	}
	return g.Term.Print(r, func(w io.Writer) { term.Row(w, "Active profile: "+r.Profile+" ("+string(r.CloudURL)+", "+r.Status+")") })
}
