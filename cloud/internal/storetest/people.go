package storetest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/factors"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/providers"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
)

// TOTP is the code that an authenticator app shows some steps from now.
func (f *Fixture) TOTP(e factors.Enrolment, steps int) string {
	f.T.Helper()
	code, err := totp.GenerateCode(e.Secret.Reveal(), f.Clock().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		f.T.Fatal(err)
	}
	return code
}

// Enrol turns on two-factor authentication, which uses up the code of this step.
func (f *Fixture) Enrol(p accounts.Principal) (factors.Enrolment, []bridge.Secret) {
	f.T.Helper()
	e, err := f.Factors.Begin(f.T.Context(), p.As(p.Actor("", "")), bridge.NewSecret(Password))
	if err != nil {
		f.T.Fatal(err)
	}
	codes, err := f.Factors.Confirm(f.T.Context(), p.As(p.Actor("", "")), f.TOTP(e, 0))
	if err != nil || len(codes) != 10 {
		f.T.Fatalf("%d recovery codes (%v)", len(codes), err)
	}
	return e, codes
}

// Mailed takes the mails that are due, and forgets them.
func (f *Fixture) Mailed() []outbox.Mail {
	f.T.Helper()
	due, err := f.Outbox.DueMail(f.T.Context(), 100)
	if err != nil {
		f.T.Fatal(err)
	}
	for _, m := range due {
		if err := f.Outbox.MailDone(f.T.Context(), m.ID); err != nil {
			f.T.Fatal(err)
		}
	}
	return due
}

// Link is the token of the link in the one mail that is due and has one.
func (f *Fixture) Link(purpose string) bridge.Secret {
	f.T.Helper()
	for _, m := range f.Mailed() {
		if _, after, ok := strings.Cut(m.Text.Reveal(), string(f.URL)+"/"+purpose+"?token="); ok {
			token, _, _ := strings.Cut(after, "\n")
			return bridge.NewSecret(token)
		}
	}
	f.T.Fatalf("no mail has a link to %s", purpose)
	return bridge.Secret{}
}

// Try signs in with a password.
func (f *Fixture) Try(email, pass string, device bridge.Secret, address string) error {
	_, err := f.SignIn.Authenticate(f.T.Context(), signin.Login{Email: email, Password: bridge.NewSecret(pass), Device: device}, audit.Actor{Address: address})
	return err
}

// Outcomes are those of an action in the log, oldest first.
func (f *Fixture) Outcomes(org, action string) []string {
	f.T.Helper()
	entries, _, err := audit.List(f.T.Context(), f.SQL, audit.Query{Org: org, Action: action})
	if err != nil {
		f.T.Fatal(err)
	}
	var out []string
	for i := len(entries) - 1; i >= 0; i-- {
		out = append(out, entries[i].Outcome+entries[i].Details["locked"])
	}
	return out
}

// Race runs n tries at the same time and counts their codes.
func Race(n int, try func() error) map[bridge.Code]int {
	codes := make(chan bridge.Code, n)
	for range n {
		go func() { codes <- bridge.CodeOf(try()) }()
	}
	out := map[bridge.Code]int{}
	for range n {
		out[<-codes]++
	}
	return out
}

// Approve approves a device login and a request for an authorization code.
func (f *Fixture) Approve(p accounts.Principal) (device, code, verifier bridge.Secret) {
	f.T.Helper()
	d, err := f.Sessions.StartDevice(f.T.Context(), accounts.DeviceStart{ClientID: "cli"})
	if err != nil {
		f.T.Fatal(err)
	}
	if err := f.Sessions.DecideDevice(f.T.Context(), p.As(p.Actor("", "")), d.UserCode, true); err != nil {
		f.T.Fatal(err)
	}
	verifier = bridge.NewSecret(strings.Repeat("v", 43))
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	code, err = f.Sessions.IssueCode(f.T.Context(), p.As(p.Actor("", "")), accounts.CodeGrant{ClientID: "cli", RedirectURI: "http://127.0.0.1:1/",
		Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
	if err != nil {
		f.T.Fatal(err)
	}
	return d.DeviceCode, code, verifier
}

// Void checks that nobody can redeem what was approved.
func (f *Fixture) Void(device, code, verifier bridge.Secret) {
	f.T.Helper()
	_, err := f.Sessions.PollDevice(f.T.Context(), accounts.DevicePoll{Code: device, ClientID: "cli"}, audit.Actor{})
	if bridge.CodeOf(err) != bridge.CodeAccessDenied {
		f.T.Errorf("the device login was redeemed: %v", err)
	}
	_, err = f.Sessions.RedeemCode(f.T.Context(), code, verifier, "cli", "http://127.0.0.1:1/", audit.Actor{})
	if bridge.CodeOf(err) != bridge.CodeInvalidGrant {
		f.T.Errorf("the code was redeemed: %v", err)
	}
}

// ChangeRole gives somebody another role, as p.
func (f *Fixture) ChangeRole(p accounts.Principal, who accounts.Principal, to string) bridge.Code {
	_, err := f.Accounts.ChangeRole(f.T.Context(), p.As(p.Actor("", "")), p.Org, who.UserID, to)
	return bridge.CodeOf(err)
}

// RemoveMember removes somebody, as p.
func (f *Fixture) RemoveMember(p, who accounts.Principal) (api.RemovedMember, bridge.Code) {
	removed, err := f.Accounts.RemoveMember(f.T.Context(), p.As(p.Actor("", "")), p.Org, who.UserID)
	return removed, bridge.CodeOf(err)
}

// Invite makes an invitation and returns the tokens of its link, and of the one that was mailed.
func (f *Fixture) Invite(p accounts.Principal, n api.NewInvitation) (i api.Invitation, token, mailed bridge.Secret) {
	f.T.Helper()
	if _, err := f.Outbox.DueMail(f.T.Context(), 100); err != nil {
		f.T.Fatal(err)
	}
	i, err := f.Accounts.Invite(f.T.Context(), p.As(p.Actor("", "")), p.Org, n)
	if err != nil {
		f.T.Fatal(err)
	}
	link, err := url.Parse(i.URL.Reveal())
	if err != nil || link.Path != "/invite" {
		f.T.Fatalf("the link is %s (%v)", i.URL.Reveal(), err)
	}
	due, err := f.Outbox.DueMail(f.T.Context(), 100)
	if err != nil {
		f.T.Fatal(err)
	}
	for _, m := range due {
		if found := linkToken.FindStringSubmatch(m.Text.Reveal()); m.To == n.Email && found != nil {
			mailed = bridge.NewSecret(found[1])
		}
	}
	return i, bridge.NewSecret(link.Query().Get("token")), mailed
}

var linkToken = regexp.MustCompile(`/invite\?token=(\S+)`)

// SignUpWith makes an account with the token of an invitation.
func (f *Fixture) SignUpWith(token bridge.Secret, email string) (signup.SignedUp, bridge.Code) {
	up, err := f.SignUp.SignUp(f.T.Context(), token, signup.NewAccount{Name: "New", Email: email, Password: bridge.NewSecret(Password)}, audit.Actor{ID: "anonymous"})
	return up, bridge.CodeOf(err)
}

// Second drops the first of two results.
func Second[T any](_ T, err error) error { return err }

// The provider of [Fixture.WithProvider].
const (
	ProviderSecret = "the provider's client secret"
	Domain         = "a.test"
)

// WithProvider sets a provider of acme, as its owner, and takes up a sign-in there.
func (f *Fixture) WithProvider(owner accounts.Principal) providers.Provider {
	f.T.Helper()
	secret := bridge.NewSecret(ProviderSecret).Disclose()
	if err := f.Providers.Set(f.T.Context(), owner.As(owner.Actor("", "")), "acme", api.ProviderSettings{Issuer: "https://login.a.test", ClientID: "ace",
		ClientSecret: &secret, Domains: []string{Domain}, DefaultRole: "member"}, true); err != nil {
		f.T.Fatal(err)
	}
	s, err := f.Providers.Begin(f.T.Context(), "bob@"+Domain, "/")
	if err != nil {
		f.T.Fatal(err)
	}
	if s, err = f.Providers.Take(f.T.Context(), s.Cookie, s.State(), "acme"); err != nil || s.Provider.ClientSecret.Reveal() != ProviderSecret {
		f.T.Fatalf("%+v %v", s, err)
	}
	return s.Provider
}

// Vouch is what a provider says of somebody whose address it has checked.
func Vouch(email string) providers.Vouched {
	return providers.Vouched{Subject: email, Email: email, EmailVerified: true}
}
