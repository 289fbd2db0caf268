package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

const (
	defaultPoll = 5 * time.Second // RFC 8628 section 3.2
	slowDown    = 5 * time.Second // RFC 8628 section 3.5
	minPoll     = time.Second
	maxPoll     = time.Minute
)

type loginOptions struct {
	force, noBrowser, noConnect bool
}

// loginResult is what login prints.
type loginResult struct {
	Profile    string           `json:"profile"`
	CloudURL   bridge.ServerURL `json:"cloud_url"`
	Email      string           `json:"email"`
	Org        string           `json:"org"`
	Role       string           `json:"role"`
	Method     string           `json:"method"`
	ExpiresAt  *time.Time       `json:"expires_at"`
	Connection *api.Connection  `json:"connection,omitempty"` // the server on this machine, where login connected it
}

func (r loginResult) table(w io.Writer) {
	_, _ = fmt.Fprintf(w, "Logged in to %s as %s (%s of %s)\n", r.CloudURL, printable(r.Email), printable(r.Role), printable(r.Org))
	if r.Connection != nil {
		_, _ = fmt.Fprintln(w, connectedLine(*r.Connection))
	}
}

func (a *app) loginCommand() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{Use: "login", Short: "Log in to the cloud with a code that you confirm in a browser", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runLogin(cmd.Context(), o) }}
	f := cmd.Flags()
	f.BoolVar(&o.force, "force", false, "replace a session that is still good")
	f.BoolVar(&o.noBrowser, "no-browser", false, "do not open a browser")
	f.BoolVar(&o.noConnect, "no-connect", false, "do not connect a server on this machine")
	return cmd
}

func (a *app) runLogin(ctx context.Context, o loginOptions) error {
	st, sel, err := a.selected()
	if err != nil {
		return err
	}
	if !o.force {
		if err := a.refuseSecondLogin(ctx, st, sel); err != nil {
			return err
		}
	}
	cloud := api.NewCloudClient(sel.cloud, bridge.Secret{}, a.clientConfig())
	token, err := a.deviceLogin(ctx, cloud, o.noBrowser)
	if err != nil {
		return err
	}
	s := newSession(methodDevice, token, time.Now())
	cloud = cloud.As(s.AccessToken.Secret)
	me, err := cloud.Me(ctx)
	if err != nil {
		return err
	}
	replaced, err := a.keep(ctx, st, sel, s, me)
	if err != nil {
		return err
	}
	a.endReplaced(ctx, sel, replaced)
	r := loginResult{Profile: sel.name, CloudURL: sel.cloud, Email: me.Email, Org: me.Org, Role: me.Role,
		Method: s.Method, ExpiresAt: sessionEnd(s)}
	if !o.noConnect {
		r.Connection = a.connectLocal(ctx, &login{selection: sel, store: st, bearer: s.AccessToken.Secret, source: "profile", session: s}, me)
	}
	return a.print(r, r.table)
}

// sessionEnd is when a person has to log in again.
func sessionEnd(s session) *time.Time {
	switch {
	case !s.RefreshExpiresAt.IsZero():
		return &s.RefreshExpiresAt
	case s.ExpiresAt.IsZero():
		return nil
	}
	return &s.ExpiresAt
}

// refuseSecondLogin holds that a profile has one session. Whether the stored one is good is the cloud's to say.
func (a *app) refuseSecondLogin(ctx context.Context, st *store, sel selection) error {
	sessions, _, err := st.sessions(ctx)
	if err != nil {
		return err
	}
	s, ok := sessions[sel.name]
	if !ok {
		return nil
	}
	if time.Until(s.ExpiresAt) <= refreshEarly {
		s, err = a.renew(ctx, st, sel)
	}
	if err == nil {
		var me api.Me
		me, err = api.NewCloudClient(sel.cloud, s.AccessToken.Secret, a.clientConfig()).Me(ctx)
		if err == nil {
			return bridge.E(bridge.Conflict, "already_logged_in", "You are already logged in to %s as %s", sel.cloud, me.Email).
				WithHint("ace logout first, or ace login --force")
		}
	}
	if bridge.AsError(err).Kind == bridge.Unauthenticated {
		return nil
	}
	return err
}

// endReplaced ends the session that a new one took the place of; that it could not be reached is no failure of the
// login, since it ends by itself.
func (a *app) endReplaced(ctx context.Context, sel selection, s session) {
	if s.RefreshToken.IsZero() || sel.profile == nil {
		return
	}
	_ = api.NewCloudClient(sel.profile.CloudURL, bridge.Secret{}, a.clientConfig()).RevokeToken(ctx, s.RefreshToken.Secret)
}

// deviceLogin runs the device grant: it shows the code, and asks the cloud until it is decided.
func (a *app) deviceLogin(ctx context.Context, cloud *api.CloudClient, noBrowser bool) (api.TokenAnswer, error) {
	d, err := cloud.StartDevice(ctx)
	if err != nil {
		return api.TokenAnswer{}, err
	}
	page := d.VerificationURIComplete
	if page == "" {
		page = d.VerificationURI
	}
	a.say("Open %s", printable(page))
	a.say("and confirm the code %s", a.bold(printable(d.UserCode)))
	if !noBrowser && a.interactive() {
		openBrowser(ctx, page)
	}
	a.note("Waiting …")
	interval := time.Duration(d.Interval) * time.Second
	if interval == 0 {
		interval = defaultPoll
	}
	life := time.Duration(d.ExpiresIn) * time.Second
	if life <= 0 || life > time.Hour {
		life = 15 * time.Minute
	}
	return pollDevice(ctx, cloud, d.DeviceCode.Secret, min(max(interval, minPoll), maxPoll), time.Now().Add(life))
}

// pollDevice asks until the code is decided or over. A cloud that stumbles in between, as clouds do while they are
// updated, is asked again.
func pollDevice(ctx context.Context, cloud *api.CloudClient, code bridge.Secret, interval time.Duration, end time.Time) (api.TokenAnswer, error) {
	expired := bridge.E(bridge.Unauthenticated, "expired_token", "the code has not been confirmed in time").WithHint("ace login")
	wait := time.NewTimer(interval)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return api.TokenAnswer{}, ctx.Err()
		case <-wait.C:
		}
		t, err := cloud.PollDevice(ctx, code)
		if err == nil {
			return t, nil
		}
		e := bridge.AsError(err)
		switch {
		case ctx.Err() != nil:
			return t, ctx.Err()
		case e.Code == "access_denied":
			return t, bridge.E(bridge.Forbidden, "access_denied", "the login was refused in the browser")
		case e.Code == "expired_token" || e.Code == "invalid_grant":
			return t, expired
		case e.Code == "slow_down":
			interval += slowDown
		case e.Code == "authorization_pending" || passing(e):
		default:
			return t, err
		}
		if !time.Now().Add(interval).Before(end) {
			return t, expired
		}
		wait.Reset(max(interval, e.RetryAfter))
	}
}

// passing reports whether an error may go away by itself.
func passing(e *bridge.Error) bool {
	switch e.Kind {
	case bridge.Unreachable, bridge.Unavailable, bridge.Timeout, bridge.TooMany, bridge.Internal:
		return true
	}
	return false
}
