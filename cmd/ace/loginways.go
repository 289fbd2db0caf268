package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// keyLogin is a login with an API key or a personal access token.
type keyLogin struct {
	flag    string // that the key comes by
	value   string // of the flag
	service string
	org     string // its ID or slug; empty: the key's own, whichever it is
	pat     bool
	replace bool // a session that is still good
}

func (k keyLogin) what() string {
	if k.pat {
		return "Personal access token"
	}
	return "API key"
}

const secretUsage = "`-` for stdin, file:PATH, or a literal"

func (a *app) loginPATCommand() *cobra.Command {
	k := keyLogin{flag: "--token", pat: true}
	cmd := &cobra.Command{Use: "pat", Short: "Log in with a personal access token", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runKeyLogin(cmd, k) }}
	f := cmd.Flags()
	f.StringVar(&k.value, "token", "", "the personal access token: "+secretUsage)
	f.BoolVar(&k.replace, "force", false, "replace a session that is still good")
	return cmd
}

func (a *app) loginKeyCommand() *cobra.Command {
	k := keyLogin{flag: "--secret"}
	cmd := &cobra.Command{Use: "api-key", Short: "Log in with an API key of the cloud", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.service == "" {
				return term.Usage("%s needs --name", cmd.CommandPath()).WithHint("say who logs in with the key: --name my-service")
			}
			return a.runKeyLogin(cmd, k)
		}}
	f := cmd.Flags()
	f.StringVar(&k.service, "name", "", "who logs in with the key; the cloud shows it with the key's last use")
	f.StringVar(&k.value, "secret", "", "the API key, or KEYID.KEY: "+secretUsage)
	f.StringVar(&k.org, "organization-id", "", "the `ID` or slug of the organization that the key must be of")
	f.BoolVar(&k.replace, "force", false, "replace a session that is still good")
	return cmd
}

func (a *app) authKeyCommand() *cobra.Command {
	k := keyLogin{flag: "--key", replace: true}
	cmd := &cobra.Command{Use: "login-api-key", Short: "Log in with an API key of the cloud, in place of the session there is",
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.service == "" {
				return term.Usage("%s needs --service-name", cmd.CommandPath()).
					WithHint("say who logs in with the key: --service-name my-service")
			}
			return a.runKeyLogin(cmd, k)
		}}
	f := cmd.Flags()
	f.StringVar(&k.value, "key", "", "the API key, or KEYID.KEY: "+secretUsage)
	f.StringVar(&k.service, "service-name", "", "who logs in with the key; the cloud shows it with the key's last use")
	return cmd
}

func (a *app) runKeyLogin(cmd *cobra.Command, k keyLogin) error {
	ctx := cmd.Context()
	var plain bool
	if k.service, plain = bridge.PlainName(k.service, profile.MaxServiceName); !plain && k.service != "" { // a token needs none
		return term.Usage("that is no name: %d bytes of text at most", profile.MaxServiceName)
	}
	secret, err := a.secretOrAsk(cmd, k.what(), k.flag, k.value)
	if err != nil {
		return err
	}
	key, err := cloudKey(secret, k.pat)
	if err != nil {
		return err
	}
	st, sel, err := a.Profiles.Selected()
	if err != nil {
		return err
	}
	if !k.replace {
		if err := a.refuseSecondLogin(ctx, st, sel); err != nil {
			return err
		}
	}
	s := profile.Session{Method: profile.MethodAPIKey, AccessToken: key.Text().Disclose(), KeyID: key.ID.String(), ServiceName: k.service}
	if key.Kind == bridge.KindPAT {
		s.Method = profile.MethodPAT
	}
	me, err := a.Profiles.CloudAt(sel.Cloud, s).Me(ctx)
	if err != nil {
		return explainKey(err, sel.Cloud, s.KeyID)
	}
	if k.org != "" && k.org != me.Org && k.org != me.OrgID {
		return bridge.E(bridge.Forbidden, bridge.CodeKeyOtherOrg, "the key is of the organization %s (%s), not of %s", me.Org, me.OrgID,
			bridge.Printable(k.org)).WithHint("leave out --organization-id, or use a key of that organization")
	}
	if me.ExpiresAt != nil {
		s.ExpiresAt = me.ExpiresAt.UTC()
	}
	return a.settle(ctx, st, sel, s, me, false)
}

// secretOrAsk reads a secret flag; without one it asks where there is somebody to ask.
func (a *app) secretOrAsk(cmd *cobra.Command, what, flag, value string) (bridge.Secret, error) {
	if value != "" || cmd.Flags().Changed(flag[2:]) {
		return a.Term.SecretFlag(flag, value)
	}
	if !a.Term.Interactive() {
		return bridge.Secret{}, term.InputNeeded("%s needs %s", cmd.CommandPath(), flag).WithHint("%s %s -", cmd.CommandPath(), flag)
	}
	return a.Term.AskToken(what)
}

// cloudKey reads a key and refuses what no cloud takes, before anybody is sent it.
func cloudKey(secret bridge.Secret, pat bool) (bridge.Key, error) {
	p, err := bridge.ParsePresented(secret)
	if err != nil {
		return bridge.Key{}, err
	}
	if !p.IsKey() && bridge.TokenType(p.Value) != "" {
		return bridge.Key{}, bridge.E(bridge.Unauthenticated, bridge.CodeKeyIsToken, "that is a token, and no API key").
			WithHint("ace auth login-token --token -")
	}
	key, err := p.Key()
	if err != nil {
		return bridge.Key{}, err
	}
	switch {
	case key.Kind == bridge.KindSK:
		return key, bridge.E(bridge.Unauthenticated, bridge.CodeKeyOfServer,
			"%s… is the key of a connection: a server issued it, and no cloud knows it",
			key.Prefix()).WithHint("create a key of the cloud: ace api-key create --cloud")
	case pat && key.Kind != bridge.KindPAT:
		return key, bridge.E(bridge.Unauthenticated, bridge.CodeKeyKind, "%s… is an API key, and no personal access token",
			key.Prefix()).
			WithHint("ace login api-key --name NAME --secret -")
	}
	return key, nil
}

// explainKey says of a key that the cloud refuses what may be wrong with it, where the cloud does not.
func explainKey(err error, cloud bridge.ServerURL, keyID string) error {
	if bridge.CodeOf(err) != bridge.CodeKeyInvalid {
		return err
	}
	return bridge.E(bridge.Unauthenticated, bridge.CodeKeyInvalid,
		"%s does not know the key %s with this secret: it is of another cloud or of a server, or has a new secret since",
		cloud, keyID).
		WithHint("for another cloud: --env HOST; for a server: ace connect --server URL --api-key -; a new secret: ace api-key revive %s --cloud", keyID)
}

func (a *app) loginTokenCommand() *cobra.Command {
	var value string
	cmd := &cobra.Command{Use: "login-token", Short: "Log in with a developer token from the dashboard's settings", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if value == "" && !cmd.Flags().Changed("token") && !term.IsTerminal(a.Term.In) {
				value = "-"
			}
			token, err := a.secretOrAsk(cmd, "Token", "--token", value)
			if err != nil {
				return err
			}
			return a.runLoginToken(cmd.Context(), token)
		}}
	cmd.Flags().StringVar(&value, "token", "", "the token: "+secretUsage+"; stdin where there is no terminal")
	return cmd
}

func (a *app) runLoginToken(ctx context.Context, token bridge.Secret) error {
	st, sel, err := a.Profiles.Selected()
	if err != nil {
		return err
	}
	if err := checkToken(token, sel.Cloud); err != nil {
		return err
	}
	s := profile.Session{Method: profile.MethodDeveloperToken, AccessToken: token.Disclose()}
	me, err := a.Profiles.CloudAt(sel.Cloud, s).Me(ctx)
	if e := bridge.AsError(err); err != nil && e.Kind == bridge.Unauthenticated {
		return bridge.E(e.Kind, e.Code, "%s does not accept the token: %s", sel.Cloud, e.Detail).
			WithHint("make one on the dashboard's settings page")
	}
	if err != nil {
		return err
	}
	if exp := profile.Peek(token).ExpiresAt; exp > 0 {
		s.ExpiresAt = time.Unix(exp, 0).UTC()
	}
	if me.ExpiresAt != nil {
		s.ExpiresAt = me.ExpiresAt.UTC()
	}
	return a.settle(ctx, st, sel, s, me, false)
}

// checkToken refuses what can be seen to be no session token of the cloud, before the cloud is sent it.
func checkToken(token bridge.Secret, cloud bridge.ServerURL) error {
	if p, err := bridge.ParsePresented(token); err == nil && p.IsKey() {
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenIsKey, "that is an API key, and no token").
			WithHint("ace login pat --token -, or: ace auth login-api-key --key - --service-name NAME")
	}
	claims := profile.Peek(token)
	switch kind := bridge.TokenType(token); {
	case kind == bridge.TypeConnect:
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenType, "that is a connect token, which serves at one server only").
			WithHint("ace connect --server URL --token -")
	case claims == profile.TokenClaims{}:
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenMalformed,
			"that is no token: a token has three parts with dots between").
			WithHint("copy the whole token again")
	case claims.Issuer != "" && !bridge.ServerURL(claims.Issuer).Same(cloud):
		iss := bridge.Printable(claims.Issuer)
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenOtherCloud, "the token is from %s, not from %s", iss, cloud).
			WithHint("if you trust that cloud: ace auth login-token --env %s --token -", iss)
	}
	if end := time.Unix(claims.ExpiresAt, 0); claims.ExpiresAt > 0 && !time.Now().Before(end) {
		return bridge.E(bridge.Unauthenticated, bridge.CodeTokenExpired, "the token has expired (%s)", term.When(&end)).
			WithHint("make one on the dashboard's settings page")
	}
	return nil
}

func (a *app) runPasswordLogin(ctx context.Context, o loginOptions) error {
	if !o.passwordStdin && !a.Term.Interactive() {
		return term.InputNeeded("there is no terminal to ask for the password on").WithHint("give it on stdin with --password-stdin")
	}
	st, sel, err := a.Profiles.Selected()
	if err != nil {
		return err
	}
	r := api.SessionRequest{Email: o.email}
	if o.otp != "" {
		otp, err := a.Term.SecretFlag("--otp", o.otp)
		if err != nil {
			return err
		}
		r.OTP = otp.Reveal()
	}
	if !o.force {
		if err := a.refuseSecondLogin(ctx, st, sel); err != nil {
			return err
		}
	}
	if r.Password, err = a.loginPassword(o); err != nil {
		return err
	}
	cloud, found, err := a.discover(ctx, sel.Cloud)
	if err != nil {
		return err
	}
	t, err := cloud.PasswordSession(ctx, r)
	if bridge.CodeOf(err) == bridge.CodeOTPRequired && r.OTP == "" {
		if !a.Term.Interactive() {
			return term.InputNeeded("the account has a second factor").WithHint("give the code of your authenticator app with --otp")
		}
		otp, askErr := a.Term.AskToken("Code of your authenticator app")
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
	return a.admit(ctx, st, sel, s, !o.noConnect)
}

// explainPassword says what helps where the cloud does not take the e-mail address, the password or the code.
func explainPassword(err error, cloud bridge.ServerURL) error {
	e := bridge.AsError(err)
	switch {
	case e.Hint != "" || e.Kind != bridge.Unauthenticated:
		return err
	case e.Code == bridge.CodeOTPRequired || e.Code == bridge.CodeOTPInvalid || e.Code == bridge.CodeOTPUsed:
		return e.WithHint("give the code that your authenticator app shows now, or a recovery code that is left, with --otp")
	}
	return e.WithHint("check both, and that the cloud is right (--env HOST); a new password: %s", cloud.Join("/forgot"))
}

// loginPassword takes the password as it is, spaces and all: only the end of the line is not a part of it.
func (a *app) loginPassword(o loginOptions) (bridge.Disclosed, error) {
	if !o.passwordStdin || (term.IsTerminal(a.Term.In) && a.Term.Interactive()) {
		password, err := a.Term.AskSecret("Password")
		return password.Disclose(), err
	}
	text, err := a.Term.PasswordStdin("--password-stdin")
	return bridge.NewSecret(text).Disclose(), err
}
