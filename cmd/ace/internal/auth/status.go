package auth

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// statusWait is how long `auth status` waits for the cloud. Then it shows what is stored.
const statusWait = 2 * time.Second

// statusResult says which credential is used, and what is ignored.
type statusResult struct {
	LoggedIn    bool             `json:"logged_in"`
	Profile     string           `json:"profile"`
	Because     string           `json:"because"`
	Environment string           `json:"environment"` // the cloud as --env takes it
	CloudURL    bridge.ServerURL `json:"cloud_url"`
	Source      string           `json:"source,omitempty"`
	Email       string           `json:"email,omitempty"`
	Org         string           `json:"org,omitempty"`
	Role        string           `json:"role,omitempty"`
	Roles       []string         `json:"roles"`
	Scopes      []string         `json:"scopes"`
	Method      string           `json:"method,omitempty"`
	KeyID       string           `json:"key_id,omitempty"`
	ServiceName string           `json:"service_name,omitempty"`
	ExpiresAt   *time.Time       `json:"expires_at"`
	KeyIn       string           `json:"key_in,omitempty"`
	Checked     bool             `json:"checked"`         // the cloud was asked and has answered
	Cause       string           `json:"cause,omitempty"` // why there is no login, or why the cloud has not answered
	Ignored     []string         `json:"ignored"`
}

func (g *Group) statusCommand() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Show which profile and credential are used, and what is ignored", Args: cmdline.NoArgs,
		Long: `Show which profile and credential are used, and what is ignored.

It waits for the cloud for two seconds at most, and then shows what is stored. Exits with 4 if you are not logged in.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runStatus(cmd.Context()) }}
}

func (g *Group) runStatus(ctx context.Context) error {
	st, sel, err := g.Profiles.Selected()
	if err != nil {
		return err
	}
	env, err := profile.FromEnv()
	if err != nil {
		return err
	}
	r := statusResult{Profile: sel.Name, Because: sel.Why, CloudURL: sel.Cloud, Ignored: append([]string{}, sel.Ignored...)}
	_, r.Environment, _ = strings.Cut(string(sel.Cloud), "://")
	r.Ignored = append(r.Ignored, env.Ignored...)
	l := &profile.Login{Selection: sel, Store: st, Bearer: env.Bearer, Source: env.Source, Service: env.Service}
	if env.Source == "" {
		err = r.stored(ctx, l)
	} else {
		r.ignoreProfile(l)
		r.LoggedIn, r.Source, r.ServiceName = true, env.Source, env.Service
	}
	if err == nil {
		err = g.checkStatus(ctx, l, &r)
	}
	if err != nil {
		e := term.Explain(err)
		if e.Kind != bridge.Unauthenticated {
			return err
		}
		r.LoggedIn, r.Cause = false, e.Detail
	}
	if r.Role != "" {
		r.Roles = []string{r.Role}
	}
	if printErr := g.Term.Print(r.full(), r.table); printErr != nil {
		return printErr
	}
	return err
}

// full replaces nil lists, so that JSON shows [] and not null.
func (r statusResult) full() statusResult {
	if r.Roles == nil {
		r.Roles = []string{}
	}
	if r.Scopes == nil {
		r.Scopes = []string{}
	}
	return r
}

// ignoreProfile notes that a variable takes precedence over the profile's session.
func (r *statusResult) ignoreProfile(l *profile.Login) {
	if l.Profile != nil && l.Profile.Method != "" {
		r.Ignored = append(r.Ignored, "the session of the profile "+l.Name+": "+l.Source+" takes precedence")
	}
}

// stored fills in what this machine knows about the profile's session.
func (r *statusResult) stored(ctx context.Context, l *profile.Login) error {
	sessions, place, err := l.Store.Sessions(ctx)
	if err != nil {
		return err
	}
	s, ok := sessions[l.Name]
	if !ok {
		return profile.NotLoggedIn(l.Selection)
	}
	l.Source, l.Session, l.Place, l.Bearer, l.Service = profile.SourceProfile, s, place, s.AccessToken.Secret, s.ServiceName
	r.LoggedIn, r.Source, r.Method, r.KeyIn = true, l.Source, s.Method, profile.KeyPlace(place)
	r.KeyID, r.ServiceName, r.ExpiresAt = s.KeyID, s.ServiceName, profile.SessionEnd(s)
	if p := l.Profile; p != nil {
		r.Email, r.Org, r.Role, r.Scopes = p.Email, p.Org, p.Role, p.Scopes
	}
	if end := profile.SessionEnd(s); end != nil && !time.Now().Before(*end) {
		return profile.SessionOver(l.Selection, s)
	}
	return nil
}

// checkStatus asks the cloud about the credential. A session is renewed only if the cloud says that its token is over, and then
// without the time limit: a refresh that is given up half-way would lose the session.
func (g *Group) checkStatus(ctx context.Context, l *profile.Login, r *statusResult) error {
	asking, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	me, err := g.Profiles.CloudOf(l).Me(asking)
	if err != nil && bridge.AsError(err).Kind == bridge.Unauthenticated && !l.Session.RefreshToken.IsZero() {
		var s profile.Session
		if s, err = g.Profiles.Renew(ctx, l.Store, l.Selection, l.Bearer); err == nil {
			l.Session, l.Bearer, r.ExpiresAt = s, s.AccessToken.Secret, profile.SessionEnd(s)
			me, err = g.Profiles.CloudOf(l).Me(ctx)
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		r.take(me)
		return nil
	case bridge.AsError(err).Kind == bridge.Unauthenticated:
		return err
	}
	r.Cause = "the cloud could not be asked: " + term.Explain(err).Detail
	return nil
}

// take fills in what the cloud answered.
func (r *statusResult) take(me api.Me) {
	r.Checked, r.Email, r.Org, r.Role, r.Scopes = true, me.Email, me.Org, me.Role, me.Scopes
	if r.Source == profile.SourceProfile {
		return
	}
	r.Method, r.KeyID, r.ExpiresAt = me.Method, me.KeyID, me.ExpiresAt
	if r.ServiceName == "" && me.Email == "" {
		r.ServiceName = me.Name
	}
}

func (r statusResult) table(w io.Writer) {
	term.Row(w, "Profile", r.Profile+" ("+r.Because+")")
	term.Row(w, "Environment", r.Environment)
	login := "no"
	if r.LoggedIn {
		login = "as " + profile.Holder(r.Email, r.ServiceName, r.Role, r.Org)
		if r.Org == "" { // from a variable, and the cloud has not confirmed it
			login = "unknown"
		}
		if r.Source != profile.SourceProfile {
			login += ", with " + r.Source
		}
	}
	term.Row(w, "Logged in", login)
	if r.Cause != "" {
		term.Row(w, "Cause", r.Cause)
	}
	if r.LoggedIn {
		term.Row(w, "Roles", strings.Join(r.Roles, ", "))
		term.Row(w, "Expires", r.expires())
		term.Row(w, "Scopes", strings.Join(r.Scopes, " "))
		term.Row(w, "Method", r.Method)
		if r.KeyIn != "" {
			term.Row(w, "Encrypted with", "the key in "+r.KeyIn)
		}
	}
	for _, line := range r.Ignored {
		term.Row(w, "Ignored", line)
	}
}

func (r statusResult) expires() string {
	if r.ExpiresAt == nil && r.Checked {
		return "never"
	}
	return term.When(r.ExpiresAt)
}
