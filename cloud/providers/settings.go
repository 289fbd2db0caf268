package providers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/vault"
)

const (
	maxDomains    = 20
	maxGroupRoles = 100
	maxClaim      = 200
	defaultGroups = "groups"
)

// Provider is the OpenID Connect provider of an organization.
type Provider struct {
	ID           string
	OrgID        string
	Org          string // slug
	Issuer       string
	ClientID     string
	ClientSecret bridge.Secret          // empty for a public client, and until openProvider
	Domains      []string               // the proven ones
	DefaultRole  bridge.Role            // of people whose groups give none; empty: they are refused
	GroupsClaim  string                 // of the ID token: the claim that lists groups
	GroupRoles   map[string]bridge.Role // by group, in NFC
	Required     bool                   // members who came through it may not sign in with a password
	SetBy        bridge.Role            // the role of the member who set it
	UpdatedAt    time.Time
	sealed       string // the client secret as it is stored
}

var errNoProvider = bridge.E(bridge.NotFound, bridge.CodeProviderUnknown, "the organization has no sign-in provider").
	WithHint("set one under Settings, Sign-in provider")

// checkProvider checks settings from outside, and brings them to the form in which they are stored. Nobody may let a group give a
// role above their own.
func checkProvider(p accounts.Principal, s *api.ProviderSettings) error {
	bad := func(code bridge.Code, detail string) error { return bridge.E(bridge.Invalid, code, "%s", detail) }
	s.Issuer, s.ClientID, s.GroupsClaim = strings.TrimSpace(s.Issuer), strings.TrimSpace(s.ClientID), strings.TrimSpace(s.GroupsClaim)
	if s.ClientSecret != nil {
		text, err := bridge.OutsideText(s.ClientSecret.Reveal())
		if err != nil || (text == "" && !s.ClientSecret.IsZero()) {
			return bad(bridge.CodeClientMalformed, "the client secret is not text in UTF-8, or only white space")
		}
		secret := bridge.NewSecret(text).Disclose()
		s.ClientSecret = &secret
	}
	if _, err := bridge.CanonicalURL(s.Issuer); err != nil {
		return bridge.E(bridge.Invalid, bridge.CodeIssuerMalformed, "the issuer is not a URL: %s", bridge.AsError(err).Detail).
			WithHint("give the issuer as the provider spells it, for example https://accounts.google.com")
	}
	if s.GroupsClaim == "" {
		s.GroupsClaim = defaultGroups
	}
	switch {
	case s.ClientID == "" || !bridge.PlainText(s.ClientID, maxClaim):
		return bad(bridge.CodeClientMalformed, "the client ID is missing, or it is no plain text")
	case s.ClientSecret != nil && s.ClientSecret.Len() > 4096:
		return bad(bridge.CodeClientMalformed, "the client secret is longer than 4 KiB")
	case !bridge.PlainText(s.GroupsClaim, maxClaim):
		return bad(bridge.CodeClaimMalformed, "the groups claim is no plain text")
	case len(s.Domains) == 0 || len(s.Domains) > maxDomains:
		return bad(bridge.CodeDomainsMissing, "a provider vouches for 1 to "+strconv.Itoa(maxDomains)+" domains of e-mail addresses")
	case len(s.GroupRoles) > maxGroupRoles:
		return bad(bridge.CodeGroupsMany, "at most "+strconv.Itoa(maxGroupRoles)+" groups can have a role")
	case s.DefaultRole != "" && !bridge.Role(s.DefaultRole).Valid(), s.DefaultRole == string(bridge.RoleOwner):
		return bad(bridge.CodeRoleMalformed, "the default role is admin, member or viewer, or empty")
	}
	roles := make(map[string]string, len(s.GroupRoles))
	for group, role := range s.GroupRoles {
		group, plain := bridge.PlainName(group, maxClaim)
		if _, twice := roles[group]; twice || !plain || !bridge.Role(role).Valid() {
			return bad(bridge.CodeGroupsMalformed, "each group is plain text, there once, and has the role owner, admin, member or viewer")
		}
		roles[group] = role
		if !p.Role.AtLeast(bridge.Role(role)) {
			return bridge.E(bridge.Forbidden, bridge.CodeRoleAbove, "only an owner of %s may let a group make owners", p.Org)
		}
	}
	s.GroupRoles = roles
	for i, domain := range s.Domains {
		var err error
		if s.Domains[i], err = canonicalDomain(domain); err != nil {
			return err
		}
	}
	slices.Sort(s.Domains)
	s.Domains = slices.Compact(s.Domains)
	return nil
}

// Set sets the sign-in provider of an organization. Its domains count once they are proven; proven says that they need no proof.
// If the issuer or the client ID changes, the sessions that the provider opened end, and its subjects are linked to people again.
// It takes a person with the scope organization:update. What an owner has set, only an owner may change
// ([bridge.CodeRoleOwner]), since a provider vouches for nobody above the role of the member who set it.
func (st *Store) Set(ctx context.Context, caller accounts.Caller, org string, s api.ProviderSettings, proven bool) error {
	if err := caller.RequireProvider(org); err != nil {
		return err
	}
	if err := checkProvider(caller.Principal, &s); err != nil {
		return err
	}
	groups, err := json.Marshal(s.GroupRoles)
	if err != nil {
		return err
	}
	now := st.db.Now()
	err = st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		p, err := accounts.Standing(ctx, tx, caller.Principal)
		if err == nil {
			err = p.RequireProvider(org)
		}
		if err == nil { // the member's role may have changed since the first check
			err = checkProvider(p, &s)
		}
		if err != nil {
			return err
		}
		was, err := st.provider(ctx, tx, "p.org_id", p.OrgID)
		if err != nil && bridge.CodeOf(err) != errNoProvider.Code {
			return err
		}
		if err == nil && !p.Role.AtLeast(was.SetBy) {
			return bridge.E(bridge.Forbidden, bridge.CodeRoleOwner,
				"an owner of %s has set the sign-in provider, and only an owner may change it", p.Org)
		}
		same := err == nil && was.Issuer == s.Issuer && was.ClientID == s.ClientID
		if err == nil && !same {
			if err := st.forgetProvider(ctx, tx, was, caller.Actor, after); err != nil {
				return err
			}
		}
		id, sealed := was.ID, was.sealed
		if !same {
			if id, err = schema.NewID(); err != nil {
				return err
			}
			sealed = ""
		}
		if s.ClientSecret != nil {
			if sealed, err = st.sealProviderSecret(p.OrgID, id, s.ClientSecret.Secret); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO providers (id, org_id, issuer, client_id, client_secret, default_role,
			groups_claim, group_roles, required, set_by, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (id) DO UPDATE SET client_secret = $5, default_role = $6, groups_claim = $7, group_roles = $8,
			required = $9, set_by = $10, updated_at = $11`,
			id, p.OrgID, s.Issuer, s.ClientID, sealed, s.DefaultRole, s.GroupsClaim, string(groups), s.Required, string(p.Role),
			now.Unix()); err != nil {
			return fmt.Errorf("set a provider: %w", err)
		}
		if s.Required {
			if err := st.endWithoutProvider(ctx, tx, p.OrgID, caller.Actor, after); err != nil {
				return err
			}
		}
		if err := st.takeDomains(ctx, tx, p.As(caller.Actor), s.Domains, proven); err != nil {
			return err
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: caller.Actor, Action: "provider.set", Target: "provider:" + id,
			Details: map[string]string{"issuer": s.Issuer, "client_id": s.ClientID, "domains": strings.Join(s.Domains, " "),
				"group_roles": string(groups), "default_role": s.DefaultRole, "required": strconv.FormatBool(s.Required),
				"secret": strconv.FormatBool(s.ClientSecret != nil)}})
	})
	if sqldb.IsUnique(err) {
		return bridge.E(bridge.Conflict, bridge.CodeProviderChanged,
			"somebody else is setting the provider at this moment").WithHint("look at it again")
	}
	return err
}

// sealProviderSecret encrypts a client secret for the row of a provider. An empty one stays empty.
func (st *Store) sealProviderSecret(orgID, id string, secret bridge.Secret) (string, error) {
	if secret.IsZero() {
		return "", nil
	}
	return st.vault.Seal(vault.RowIdentity{Org: orgID, Connection: "provider:" + id}, secret)
}

// takeDomains sets the domains of an organization's provider, and marks them as proven if they need no proof.
func (st *Store) takeDomains(ctx context.Context, tx *sql.Tx, caller accounts.Caller, domains []string, proven bool) error {
	if err := setDomains(ctx, tx, caller.OrgID, domains); err != nil || !proven {
		return err
	}
	for _, domain := range domains {
		if err := st.domainProven(ctx, tx, caller.OrgID, domain, caller.Actor); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the sign-in provider of an organization and its domains. The sessions that it opened end; the
// members stay.
func (st *Store) Remove(ctx context.Context, caller accounts.Caller, org string) error {
	if err := caller.RequireProvider(org); err != nil {
		return err
	}
	return st.accounts.HandTx(ctx, func(tx *sql.Tx, after *accounts.AfterCommit) error {
		p, err := accounts.Standing(ctx, tx, caller.Principal)
		if err == nil {
			err = p.RequireProvider(org)
		}
		if err != nil {
			return err
		}
		was, err := st.provider(ctx, tx, "p.org_id", p.OrgID)
		if err != nil {
			return err
		}
		if err := st.forgetProvider(ctx, tx, was, caller.Actor, after); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM provider_domains WHERE org_id = $1", p.OrgID); err != nil {
			return fmt.Errorf("remove a provider: %w", err)
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: "provider.remove", Target: "provider:" + was.ID,
			Details: map[string]string{"issuer": was.Issuer}})
	})
}

// fromProvider selects the members of an organization ($1) who came through its sign-in provider.
const fromProvider = "(SELECT m.id FROM members m WHERE m.org_id = $1 AND m.source = 'provider')"

// endWithoutProvider ends what an organization no longer accepts once it requires its provider: sessions and tokens of members
// who came through the provider, if these were opened in another way.
func (st *Store) endWithoutProvider(ctx context.Context, tx *sql.Tx, orgID string, actor audit.Actor, after *accounts.AfterCommit) error {
	const reason = "the organization takes no password"
	if err := accounts.VoidApprovals(ctx, tx, "provider_id = '' AND member_id IN "+fromProvider, orgID); err != nil {
		return err
	}
	if err := st.accounts.EndSessions(ctx, tx, reason, actor, "provider_id = '' AND member_id IN "+fromProvider, orgID); err != nil {
		return err
	}
	return st.accounts.VoidTokens(ctx, tx, after, keys.Ending{Actor: actor, Reason: reason}, "t.provider_id = '' AND t.member_id IN "+fromProvider, orgID)
}

// forgetProvider deletes a provider and its links to people, and ends the sessions and tokens that were opened through it.
func (st *Store) forgetProvider(ctx context.Context, tx *sql.Tx, p Provider, actor audit.Actor, after *accounts.AfterCommit) error {
	if err := st.accounts.VoidTokens(ctx, tx, after, keys.Ending{Actor: actor, Reason: "sign-in provider changed"}, "t.provider_id = $1", p.ID); err != nil {
		return err
	}
	if err := accounts.VoidApprovals(ctx, tx, "provider_id = $1", p.ID); err != nil {
		return err
	}
	if err := st.accounts.EndSessions(ctx, tx, "sign-in provider changed", actor, "provider_id = $1", p.ID); err != nil {
		return err
	}
	for _, statement := range []string{"DELETE FROM provider_logins WHERE provider_id = $1",
		"DELETE FROM provider_subjects WHERE provider_id = $1", "DELETE FROM providers WHERE id = $1"} {
		if _, err := tx.ExecContext(ctx, statement, p.ID); err != nil {
			return fmt.Errorf("forget a provider: %w", err)
		}
	}
	return nil
}

// provider reads a provider by a column of its row, without its client secret; see [Store.openProvider].
func (st *Store) provider(ctx context.Context, q schema.Queryer, column, value string) (Provider, error) {
	var p Provider
	var groups string
	var updated int64
	err := q.QueryRowContext(ctx, `SELECT p.id, p.org_id, o.slug, p.issuer, p.client_id, p.client_secret, p.default_role,
		p.groups_claim, p.group_roles, p.required, p.set_by, p.updated_at FROM providers p
		JOIN organizations o ON o.id = p.org_id WHERE `+column+` = $1`, value). //nolint:gosec // columns of this package
		Scan(&p.ID, &p.OrgID, &p.Org, &p.Issuer, &p.ClientID, &p.sealed, &p.DefaultRole, &p.GroupsClaim, &groups, &p.Required,
			&p.SetBy, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return Provider{}, errNoProvider
	}
	if err != nil {
		return Provider{}, fmt.Errorf("look up a provider: %w", err)
	}
	stored := map[string]bridge.Role{}
	if err := json.Unmarshal([]byte(groups), &stored); err != nil {
		return Provider{}, fmt.Errorf("look up a provider: %w", err)
	}
	p.GroupRoles = make(map[string]bridge.Role, len(stored))
	for group, role := range stored { // older versions stored them as they came
		p.GroupRoles[bridge.OneForm(group)] = role
	}
	p.UpdatedAt = *schema.At(updated)
	p.Domains, err = sqldb.Column[string](q.QueryContext(ctx, "SELECT domain FROM provider_domains WHERE org_id = $1 AND verified_at <> 0", p.OrgID))
	return p, err
}

// openProvider decrypts the client secret of a provider.
func (st *Store) openProvider(p Provider) (Provider, error) {
	if p.sealed == "" {
		return p, nil
	}
	var err error
	p.ClientSecret, err = st.vault.Open(vault.RowIdentity{Org: p.OrgID, Connection: "provider:" + p.ID}, p.sealed)
	if err != nil && bridge.CodeOf(err) == bridge.CodeRowUnreadable {
		return p, bridge.E(bridge.Conflict, bridge.CodeRowUnreadable,
			"the client secret of the sign-in provider cannot be decrypted any more").
			WithHint("an admin of %s has to enter it again, in the settings of the organization", p.Org).Because(err)
	}
	return p, err
}

// Of returns the provider of the principal's organization with its client secret, and as the API shows it. A secret that can no
// longer be decrypted counts as none.
func (st *Store) Of(ctx context.Context, p accounts.Principal, org string) (Provider, api.Provider, error) {
	if err := p.RequireUpdate(org); err != nil {
		return Provider{}, api.Provider{}, err
	}
	found, err := st.provider(ctx, st.db, "p.org_id", p.OrgID)
	if err != nil {
		return Provider{}, api.Provider{}, err
	}
	shown := api.Provider{ID: found.ID, Issuer: found.Issuer, ClientID: found.ClientID, HasSecret: found.sealed != "",
		DefaultRole: string(found.DefaultRole), GroupsClaim: found.GroupsClaim, GroupRoles: map[string]string{},
		Required: found.Required, UpdatedAt: found.UpdatedAt}
	for group, role := range found.GroupRoles {
		shown.GroupRoles[group] = string(role)
	}
	if shown.Domains, err = domainsOf(ctx, st.db, p.OrgID); err != nil {
		return Provider{}, api.Provider{}, err
	}
	found, err = st.openProvider(found)
	if bridge.CodeOf(err) == bridge.CodeRowUnreadable {
		shown.HasSecret, err = false, nil
	}
	return found, shown, err
}
