package providers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// DomainRecord is the beginning of the TXT record that proves a domain. A token follows.
const DomainRecord = "ace-domain-verification="

// canonicalDomain brings the domain of e-mail addresses to lower case and A-labels (RFC 5890). A name without a dot is refused.
func canonicalDomain(s string) (string, error) {
	domain, ok := bridge.CanonicalDomain(strings.TrimSpace(s))
	if !ok || len(domain) > 200 || !strings.Contains(domain, ".") || strings.ContainsAny(domain, "@/: ") {
		return "", bridge.E(bridge.Invalid, bridge.CodeDomainMalformed, "that is not a domain of e-mail addresses").
			WithHint("give what stands behind the @, for example acme.com")
	}
	return domain, nil
}

// emailDomain is the canonical domain of an address.
func emailDomain(email string) (string, error) {
	return canonicalDomain(email[strings.LastIndexByte(email, '@')+1:])
}

// setDomains stores the domains of an organization. Those that it had keep their token and their proof.
func setDomains(ctx context.Context, tx *sql.Tx, orgID string, domains []string) error {
	have, err := domainsOf(ctx, tx, orgID)
	if err != nil {
		return err
	}
	for _, d := range have {
		if !slices.Contains(domains, d.Domain) {
			if _, err := tx.ExecContext(ctx, "DELETE FROM provider_domains WHERE org_id = $1 AND domain = $2", orgID, d.Domain); err != nil {
				return fmt.Errorf("set a provider's domains: %w", err)
			}
		}
	}
	for _, domain := range domains {
		if _, err := tx.ExecContext(ctx, `INSERT INTO provider_domains (org_id, domain, token, verified_at) VALUES ($1, $2, $3, 0)
			ON CONFLICT (org_id, domain) DO NOTHING`, orgID, domain, bridge.RandomToken(20)); err != nil {
			return fmt.Errorf("set a provider's domains: %w", err)
		}
	}
	return nil
}

// domainsOf lists the domains of an organization with the TXT records that prove them.
func domainsOf(ctx context.Context, q schema.Queryer, orgID string) ([]api.ProviderDomain, error) {
	rows, err := q.QueryContext(ctx, "SELECT domain, token, verified_at FROM provider_domains WHERE org_id = $1 ORDER BY domain", orgID)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (api.ProviderDomain, error) {
		var d api.ProviderDomain
		var token string
		var verified int64
		if err := row.Scan(&d.Domain, &token, &verified); err != nil {
			return d, err
		}
		d.TXTRecord, d.VerifiedAt = DomainRecord+token, schema.At(verified)
		return d, nil
	})
	return out, sqldb.Wrap("list a provider's domains", err)
}

// DomainProven records that an organization has proven a domain. A domain belongs to one organization only: the first to prove it
// keeps it, and others are refused with [bridge.CodeDomainTaken].
func (st *Store) DomainProven(ctx context.Context, caller accounts.Caller, domain string) error {
	if err := caller.RequireUpdate(caller.Org); err != nil {
		return err
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error { return st.domainProven(ctx, tx, caller.OrgID, domain, caller.Actor) })
}

func (st *Store) domainProven(ctx context.Context, tx *sql.Tx, orgID, domain string, actor audit.Actor) error {
	var owner string
	err := tx.QueryRowContext(ctx, "SELECT org_id FROM provider_domains WHERE domain = $1 AND verified_at <> 0", domain).Scan(&owner)
	if err == nil && owner == orgID {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("prove a domain: %w", err)
	}
	now := st.db.Now()
	var changed bool
	if err != nil {
		changed, err = sqldb.Changed(tx.ExecContext(ctx, `UPDATE provider_domains SET verified_at = $1
			WHERE org_id = $2 AND domain = $3 AND verified_at = 0`, now.Unix(), orgID, domain))
	}
	if sqldb.IsUnique(err) || (err == nil && !changed) {
		return bridge.E(bridge.Conflict, bridge.CodeDomainTaken, "the domain %s is another organization's already", domain).
			WithHint("ask the operator of this cloud, if it is yours")
	}
	if err != nil {
		return fmt.Errorf("prove a domain: %w", err)
	}
	return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "domain.verify", Target: "domain:" + domain})
}
