package login

import (
	"context"
	"time"

	"github.com/mdp/qrterminal/v3"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

const (
	defaultPoll = 5 * time.Second // RFC 8628 section 3.2
	slowDown    = 5 * time.Second // RFC 8628 section 3.5
	minPoll     = time.Second
	maxPoll     = time.Minute
)

// deviceLogin runs the device grant (RFC 8628). It shows a code and polls the cloud until somebody decides.
func (g *Group) deviceLogin(ctx context.Context, cloud *apiclient.Cloud, o loginOptions) (api.TokenAnswer, error) {
	d, err := cloud.StartDevice(ctx)
	if err != nil {
		return api.TokenAnswer{}, err
	}
	page := d.VerificationURIComplete
	if page == "" {
		page = d.VerificationURI
	}
	g.Term.Say("Open %s", bridge.Printable(page))
	g.Term.Say("and confirm the code %s", g.Term.Bold(bridge.Printable(d.UserCode)))
	if o.qr {
		g.showQR(page)
	}
	if !o.noBrowser && !o.qr && g.Term.Interactive() {
		term.OpenBrowser(ctx, page)
	}
	g.Term.Note("Waiting …")
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

// showQR shows an address as a QR code, for a phone's camera.
func (g *Group) showQR(page string) {
	const most = 500 // bytes: a larger code does not fit on a screen
	switch {
	case !term.IsTerminal(g.Term.Err):
		g.Term.Note("--qr: there is no terminal to show the QR code.")
	case len(page) > most:
		g.Term.Note("--qr: the address is too long for a QR code.")
	default:
		qrterminal.GenerateHalfBlock(page, qrterminal.L, g.Term.Err)
	}
}

// pollDevice polls until the code is confirmed, refused or expired. Failures that may pass, as while a cloud is updated, are
// polled through.
func pollDevice(ctx context.Context, cloud *apiclient.Cloud, code bridge.Secret, interval time.Duration, end time.Time) (api.TokenAnswer, error) {
	expired := bridge.E(bridge.Unauthenticated, bridge.CodeExpiredToken,
		"the code was not confirmed in time").WithHint("ace login")
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
		case e.Code == bridge.CodeAccessDenied:
			return t, bridge.E(bridge.Forbidden, bridge.CodeAccessDenied, "the login was refused in the browser").
				WithHint("ace login, and approve it there")
		case e.Code == bridge.CodeExpiredToken || e.Code == bridge.CodeInvalidGrant:
			return t, expired
		case e.Code == bridge.CodeSlowDown:
			interval += slowDown
		case e.Code == bridge.CodeAuthorizationPending || passing(e):
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
