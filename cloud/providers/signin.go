package providers

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
	"github.com/acebridge/ace/cloud/schema"
)

// SignInLife is how long a person may take at their organization's provider.
const SignInLife = 10 * time.Minute

// SignIn is a sign-in under way at a provider. Its only secret is a cookie of the browser that began it. State, nonce and PKCE
// verifier are derived from that by HKDF-SHA256 (RFC 5869), so that only this browser can finish it and the database holds none.
type SignIn struct {
	Cookie   bridge.Secret
	Provider Provider
	Next     string // the page to go on to
}

// derive returns 256 bits in base64url that only the holder of the cookie can compute.
func (s SignIn) derive(what string) string {
	raw, err := hkdf.Key(sha256.New, []byte(s.Cookie.Reveal()), nil, "ace sign-in v1 "+what, 32)
	if err != nil {
		panic(err) // only for a length that HKDF cannot make
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// State ties the provider's answer to the browser (RFC 6749 section 10.12).
func (s SignIn) State() bridge.Secret { return bridge.NewSecret(s.derive("state")) }

// Nonce ties the ID token to the sign-in (OpenID Connect Core section 15.5.2).
func (s SignIn) Nonce() string { return s.derive("nonce") }

// Verifier is the code verifier of PKCE (RFC 7636 section 4.1).
func (s SignIn) Verifier() bridge.Secret { return bridge.NewSecret(s.derive("verifier")) }

// Begin finds the provider that vouches for an e-mail address, and begins a sign-in there. next is the page to go on to. A domain
// that no organization has proven is refused with [bridge.CodeDomainUnknown], whether or not the address has an account.
func (st *Store) Begin(ctx context.Context, email, next string) (SignIn, error) {
	email, err := bridge.CanonicalEmail(strings.TrimSpace(email))
	if err != nil {
		return SignIn{}, err
	}
	nobody := bridge.E(bridge.NotFound, bridge.CodeDomainUnknown, "No organization here signs in addresses of that domain.").
		WithHint("sign in with your password, or ask your admin")
	domain, err := emailDomain(email)
	if err != nil {
		return SignIn{}, nobody
	}
	s := SignIn{Cookie: bridge.NewSecret(bridge.RandomToken(32)), Next: next}
	err = st.db.Tx(ctx, func(tx *sql.Tx) error {
		var orgID string
		err := tx.QueryRowContext(ctx, "SELECT org_id FROM provider_domains WHERE domain = $1 AND verified_at <> 0", domain).Scan(&orgID)
		if errors.Is(err, sql.ErrNoRows) {
			return nobody
		}
		if err != nil {
			return fmt.Errorf("begin a sign-in: %w", err)
		}
		if s.Provider, err = st.provider(ctx, tx, "p.org_id", orgID); err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, "INSERT INTO provider_logins (hash, provider_id, next, expires_at) VALUES ($1, $2, $3, $4)",
			schema.Hash(s.Cookie), s.Provider.ID, next, st.db.Now().Add(SignInLife).Unix()); err != nil {
			return fmt.Errorf("begin a sign-in: %w", err)
		}
		return nil
	})
	return s, err
}

var errSignIn = bridge.E(bridge.Invalid, bridge.CodeSigninUnknown,
	"This sign-in was not begun in this browser, has taken too long, or is over.").
	WithHint("begin again")

// Take ends the sign-in of a browser's cookie and returns it, once. The state must be that sign-in's, and org, from the redirect
// URI, its provider's organization, so that no provider can answer in another's place (RFC 9700 section 4.4). An error comes
// with the provider that the browser was sent to, if that is known.
func (st *Store) Take(ctx context.Context, cookie, state bridge.Secret, org string) (SignIn, error) {
	s := SignIn{Cookie: cookie}
	err := st.db.Change(ctx, func(tx *sql.Tx) error {
		var id string
		err := tx.QueryRowContext(ctx, "SELECT provider_id, next FROM provider_logins WHERE hash = $1", schema.Hash(cookie)).Scan(&id, &s.Next)
		if errors.Is(err, sql.ErrNoRows) {
			return errSignIn
		}
		if err != nil {
			return fmt.Errorf("take up a sign-in: %w", err)
		}
		if s.Provider, err = st.provider(ctx, tx, "p.id", id); err != nil {
			return err
		}
		if !s.State().Equal(state) || s.Provider.Org != org {
			return errSignIn
		}
		taken, err := sqldb.Changed(tx.ExecContext(ctx, "DELETE FROM provider_logins WHERE hash = $1 AND expires_at > $2",
			schema.Hash(cookie), st.db.Now().Unix()))
		if err != nil {
			return fmt.Errorf("take up a sign-in: %w", err)
		}
		if !taken {
			return errSignIn
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	s.Provider, err = st.openProvider(s.Provider)
	return s, err
}

// Vouched is a person as a verified ID token describes them.
type Vouched struct {
	Subject       string // unique and stable at its provider (OpenID Connect Core section 5.7)
	Email         string
	EmailVerified bool // the claim email_verified
	Name          string
	Groups        []string // from [Provider.GroupsClaim]
}

// Refuse audits why a sign-in through a provider was refused.
func (st *Store) Refuse(ctx context.Context, p Provider, email string, cause error, actor audit.Actor) error {
	actor.Org = p.Org
	if email != "" {
		actor.ID = "user:" + accounts.LoginEmail(email)
	}
	return audit.Record(ctx, st.db.DB, st.db.Now(), audit.Entry{Actor: actor, Action: "session.open", Target: "provider:" + p.ID,
		Outcome: string(bridge.CodeOf(cause)), Details: map[string]string{"method": accounts.MethodProvider}})
}

// Finish opens a session for a person whom a provider vouches for, in the provider's organization and no other. The first time,
// it makes the person a member, and an account unless the e-mail address has one.
//
// It refuses, all as Forbidden, an address that the provider has not verified ([bridge.CodeEmailUnverified]) or whose domain it does
// not vouch for ([bridge.CodeDomainForeign]), a person without a role ([bridge.CodeNoRole]), a subject that is not the one known for
// the address ([bridge.CodeSubjectChanged]), and a member whose role is above that of who set the provider
// ([bridge.CodeProviderBelow]). Two sign-ins of a new person at once are a conflict ([bridge.CodeSigninRaced]).
func (st *Store) Finish(ctx context.Context, p Provider, who Vouched, actor audit.Actor) (accounts.Session, error) {
	email, err := bridge.CanonicalEmail(who.Email)
	if err != nil || !who.EmailVerified {
		return accounts.Session{}, bridge.E(bridge.Forbidden, bridge.CodeEmailUnverified,
			"the provider of %s does not say that your e-mail address is yours", p.Org).
			WithHint("have it verified there; the ID token must have email, and email_verified true")
	}
	if who.Subject == "" || !bridge.PlainText(who.Subject, 255) {
		return accounts.Session{}, bridge.E(bridge.Forbidden, bridge.CodeSubjectMalformed,
			"the provider of %s does not say who you are there", p.Org)
	}
	var plain bool
	if who.Name, plain = bridge.PlainName(who.Name, schema.MaxName); !plain {
		who.Name, _, _ = strings.Cut(email, "@")
	}
	who.Email = email
	var s accounts.Session
	err = st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		now, err := st.provider(ctx, tx, "p.id", p.ID)
		if err != nil {
			return err
		}
		domain, err := emailDomain(email)
		if err != nil || !slices.Contains(now.Domains, domain) {
			return bridge.E(bridge.Forbidden, bridge.CodeDomainForeign, "the provider of %s does not vouch for addresses of that domain",
				p.Org).
				WithHint("an admin can add the domain under Settings, Sign-in provider")
		}
		actor := actor
		actor.ID, actor.Org = "user:"+email, now.Org
		userID, err := st.vouchedUser(ctx, tx, now, who, actor, after)
		if err != nil {
			return err
		}
		if err := st.vouchedMember(ctx, tx, now, userID, who, actor); err != nil {
			return err
		}
		s, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: userID, Org: now.Org, Method: accounts.MethodProvider, Provider: now.ID}, actor)
		return err
	})
	if sqldb.IsUnique(err) {
		return accounts.Session{}, bridge.E(bridge.Conflict, bridge.CodeSigninRaced,
			"You are signing in twice at once.").WithHint("begin again")
	}
	return s, err
}

// vouchedUser finds the person of a subject or of the address, or makes an account without a password.
func (st *Store) vouchedUser(ctx context.Context, tx *sql.Tx, p Provider, who Vouched, actor audit.Actor, after *accounts.AfterCommit) (string, error) {
	var id string
	err := tx.QueryRowContext(ctx, "SELECT user_id FROM provider_subjects WHERE provider_id = $1 AND subject = $2", p.ID, who.Subject).Scan(&id)
	if err == nil {
		return id, st.followAddress(ctx, tx, p, who, accounts.Handover{User: accounts.User{ID: id}, Actor: actor, After: after})
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	now := st.db.Now()
	var verified int64
	err = tx.QueryRowContext(ctx, "SELECT id, verified_at FROM users WHERE email = $1", who.Email).Scan(&id, &verified)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if id, err = schema.NewID(); err != nil {
			return "", err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at)
			VALUES ($1, $2, $3, '', $4, $4)`, id, who.Email, who.Name, now.Unix()); err != nil {
			return "", err
		}
		if err := audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "user.add", Target: "user:" + who.Email}); err != nil {
			return "", err
		}
	case err != nil:
		return "", fmt.Errorf("look up a user: %w", err)
	case verified == 0:
		// Someone signed up with this address and never proved it: the password that they set must not open the account.
		if _, err := st.joining.Prove(ctx, tx, accounts.Handover{User: accounts.User{ID: id, Email: who.Email}, Reason: "address verified by a sign-in provider",
			Actor: actor, After: after}); err != nil {
			return "", err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password = '', name = $1 WHERE id = $2", who.Name, id); err != nil {
			return "", fmt.Errorf("verify a user: %w", err)
		}
	}
	return id, linkSubject(ctx, tx, p, id, who.Subject, now)
}

// followAddress gives a subject's account the address that the provider reports now. The provider must vouch for both addresses,
// and the account must have no password, which could be reset from a mailbox that the address was moved to.
func (st *Store) followAddress(ctx context.Context, tx *sql.Tx, p Provider, who Vouched, h accounts.Handover) error {
	u := &h.User
	var password string
	if err := tx.QueryRowContext(ctx, "SELECT email, password FROM users WHERE id = $1", u.ID).Scan(&u.Email, &password); err != nil {
		return fmt.Errorf("look up a user: %w", err)
	}
	domain, err := emailDomain(u.Email)
	if u.Email == who.Email || password != "" || err != nil || !slices.Contains(p.Domains, domain) {
		return nil //nolint:nilerr // an address without a domain is not the provider's
	}
	h.Actor.ID, h.Reason = "user:"+u.Email, "address changed at the sign-in provider"
	err = st.addresses.Move(ctx, tx, who.Email, h)
	if bridge.CodeOf(err) == addresses.ErrTaken.Code {
		st.log.Warn("a person's new address at their sign-in provider belongs to another account", "user", u.ID, "org", p.Org)
		return nil
	}
	return err
}

// linkSubject records the person of a subject. A member with another subject is refused, since the provider may have given
// their address to another person; the subject of a former member is replaced.
func linkSubject(ctx context.Context, tx *sql.Tx, p Provider, userID, subject string, now time.Time) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM provider_subjects WHERE provider_id = $1 AND user_id = $2
		AND NOT EXISTS (SELECT 1 FROM members WHERE org_id = $3 AND user_id = $2)`, p.ID, userID, p.OrgID); err != nil {
		return fmt.Errorf("link a subject: %w", err)
	}
	var known string
	err := tx.QueryRowContext(ctx, "SELECT subject FROM provider_subjects WHERE provider_id = $1 AND user_id = $2", p.ID, userID).Scan(&known)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		_, err = tx.ExecContext(ctx, `INSERT INTO provider_subjects (provider_id, subject, user_id, created_at)
			VALUES ($1, $2, $3, $4)`, p.ID, subject, userID, now.Unix())
		return err
	case err != nil:
		return fmt.Errorf("link a subject: %w", err)
	case known != subject:
		return bridge.E(bridge.Forbidden, bridge.CodeSubjectChanged, "your address belongs to somebody else at the provider of %s",
			p.Org).
			WithHint("if the account there was re-created, ask an admin to remove the member here, and sign in again")
	}
	return nil // another sign-in of theirs, at the same time, was first
}

// roleFor returns the highest role that the groups give, or else the default; empty: none. mapped reports whether groups decide
// roles at all.
func (p Provider) roleFor(groups []string) (role bridge.Role, mapped bool) {
	for _, group := range groups {
		if r, ok := p.GroupRoles[bridge.OneForm(group)]; ok && (role == "" || r.AtLeast(role)) {
			role = r
		}
	}
	if role == "" {
		role = p.DefaultRole
	}
	return role, len(p.GroupRoles) > 0
}

// vouchedMember makes a person a member, or brings their role up to date.
func (st *Store) vouchedMember(ctx context.Context, tx *sql.Tx, p Provider, userID string, who Vouched, actor audit.Actor) error {
	role, mapped := p.roleFor(who.Groups)
	noRole := bridge.E(bridge.Forbidden, bridge.CodeNoRole, "none of your groups gives you a role in %s", p.Org).
		WithHint("ask an admin of %s to add you to a group, or to set a default role", p.Org)
	var current bridge.Role
	err := tx.QueryRowContext(ctx, "SELECT role FROM members WHERE org_id = $1 AND user_id = $2", p.OrgID, userID).Scan(&current)
	now := st.db.Now()
	change := audit.Entry{Actor: actor, Action: "member.add", Target: "user:" + who.Email,
		Details: map[string]string{"role": string(role), "source": "provider"}}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if role == "" {
			return noRole
		}
		if _, err := accounts.AddMember(ctx, tx, accounts.NewMember{OrgID: p.OrgID, UserID: userID, Role: role, Source: "provider"}, now); err != nil {
			return err
		}
		return audit.Write(ctx, tx, now, change)
	case err != nil:
		return fmt.Errorf("look up a member: %w", err)
	case !p.SetBy.AtLeast(current):
		// Setting the provider decides who signs in as whom: an admin must not become an owner that way.
		return bridge.E(bridge.Forbidden, bridge.CodeProviderBelow,
			"the sign-in provider of %s was set by an admin, and does not vouch for owners", p.Org).
			WithHint("sign in with your password, and save the provider's settings once")
	case !mapped || role == current:
		return nil
	case role == "":
		return noRole
	}
	changed, err := accounts.SetRole(ctx, tx, p.OrgID, userID, current, role)
	if err != nil || !changed {
		return err
	}
	change.Action, change.Details["was"] = "member.update", string(current)
	return audit.Write(ctx, tx, now, change)
}
