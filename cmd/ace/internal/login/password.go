package login

import (
	"context"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

func (g *Group) runPasswordLogin(ctx context.Context, o loginOptions) error {
	if !o.passwordStdin && !g.Term.Interactive() {
		return term.InputNeeded("there is no terminal to ask for the password").WithHint("pass it on stdin with --password-stdin")
	}
	st, sel, err := g.Profiles.Selected()
	if err != nil {
		return err
	}
	r := api.SessionRequest{Email: o.email}
	if o.otp != "" {
		otp, err := g.Term.SecretFlag("--otp", o.otp)
		if err != nil {
			return err
		}
		r.OTP = otp.Reveal()
	}
	if !o.force {
		if err := g.requireNoLogin(ctx, st, sel); err != nil {
			return err
		}
	}
	if r.Password, err = g.Term.Password(o.passwordStdin); err != nil {
		return err
	}
	cloud, found, err := g.discover(ctx, sel.Cloud)
	if err != nil {
		return err
	}
	t, err := cloud.PasswordSession(ctx, r)
	if bridge.CodeOf(err) == bridge.CodeOTPRequired && r.OTP == "" {
		if !g.Term.Interactive() {
			return term.InputNeeded("the account has a second factor").WithHint("pass the code from your authenticator app with --otp")
		}
		otp, askErr := g.Term.AskToken("Code from your authenticator app")
		if askErr != nil {
			return askErr
		}
		r.OTP = otp.Reveal()
		t, err = cloud.PasswordSession(ctx, r)
	}
	if err != nil {
		return explainPassword(err, sel.Cloud)
	}
	s := profile.Session{Method: profile.MethodPassword, AccessToken: t.Token, ExpiresAt: t.ExpiresAt.UTC()}
	s.KeepEndpoints(sel.Cloud, found)
	return g.admit(ctx, st, sel, s, !o.noConnect)
}

// explainPassword adds a hint to the refusal of a password or code.
func explainPassword(err error, cloud bridge.ServerURL) error {
	e := bridge.AsError(err)
	switch {
	case e.Hint != "" || e.Kind != bridge.Unauthenticated:
		return err
	case e.Code == bridge.CodeOTPRequired || e.Code == bridge.CodeOTPInvalid || e.Code == bridge.CodeOTPUsed:
		return e.WithHint("pass the code that your authenticator app shows now, or an unused recovery code, with --otp")
	}
	return e.WithHint("check the address, the password and the cloud (--env HOST); to set a new password: %s", cloud.Join("/forgot"))
}
