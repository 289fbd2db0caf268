package api

import (
	"time"

	"github.com/acebridge/ace/bridge"
)

// ProviderSettings are those of an organization's own OpenID Connect provider (PUT /v1/organizations/{org}/provider).
type ProviderSettings struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	// ClientSecret is never shown again; nil keeps the one that is there, unless the issuer or the client is another one.
	ClientSecret *bridge.Disclosed `json:"client_secret,omitempty"`
	// Domains are those of the e-mail addresses that the provider vouches for.
	Domains []string `json:"domains"`
	// DefaultRole is that of new members whom no group gives one; empty: they are refused.
	DefaultRole string `json:"default_role,omitempty"`
	// GroupsClaim is the claim of the ID token that lists groups; "groups" where it is empty.
	GroupsClaim string `json:"groups_claim,omitempty"`
	// GroupRoles says which role a group gives; the highest one counts, at every sign-in.
	GroupRoles map[string]string `json:"group_roles,omitempty"`
	// Required: members who came through the provider cannot sign in to the organization with a password.
	Required bool `json:"required"`
}

// Provider is the sign-in provider of an organization (GET /v1/organizations/{org}/provider).
type Provider struct {
	ID          string            `json:"id"`
	Issuer      string            `json:"issuer"`
	ClientID    string            `json:"client_id"`
	HasSecret   bool              `json:"has_secret"`
	Domains     []ProviderDomain  `json:"domains"`
	DefaultRole string            `json:"default_role,omitempty"`
	GroupsClaim string            `json:"groups_claim"`
	GroupRoles  map[string]string `json:"group_roles"`
	Required    bool              `json:"required"`
	RedirectURI string            `json:"redirect_uri"` // to register at the provider
	UpdatedAt   time.Time         `json:"updated_at"`
}

// ProviderDomain is a domain of e-mail addresses. It counts once it is verified: a TXT record of the domain has to say
// what TXTRecord says.
type ProviderDomain struct {
	Domain     string     `json:"domain"`
	TXTRecord  string     `json:"txt_record"`
	VerifiedAt *time.Time `json:"verified_at,omitempty"`
}

// ProviderCheck is the result of a test (POST /v1/organizations/{org}/provider/check): the provider has been asked who it
// is, and the domains that were not verified have been looked up.
type ProviderCheck struct {
	OK       bool     `json:"ok"`
	Cause    string   `json:"cause,omitempty"`
	Hint     string   `json:"hint,omitempty"`
	Provider Provider `json:"provider"`
}
