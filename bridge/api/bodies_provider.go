package api

import (
	"time"

	"github.com/acebridge/ace/bridge"
)

// ProviderSettings configure an organization's OpenID Connect provider (PUT /v1/organizations/{org}/provider).
type ProviderSettings struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	// ClientSecret is never shown again; nil keeps the current one, unless issuer or client change.
	ClientSecret *bridge.Disclosed `json:"client_secret,omitempty"`
	// Domains are the e-mail domains that the provider vouches for.
	Domains []string `json:"domains"`
	// DefaultRole is the role of new members to whom no group gives one; empty refuses them.
	DefaultRole string `json:"default_role,omitempty"`
	// GroupsClaim is the claim of the ID token that lists groups; empty means "groups".
	GroupsClaim string `json:"groups_claim,omitempty"`
	// GroupRoles maps groups to roles; at each sign-in the highest role counts.
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

// ProviderDomain is an e-mail domain. It counts once it is verified: the domain must have the TXT record TXTRecord.
type ProviderDomain struct {
	Domain     string     `json:"domain"`
	TXTRecord  string     `json:"txt_record"`
	VerifiedAt *time.Time `json:"verified_at,omitempty"`
}

// ProviderCheck is the result of testing a provider (POST /v1/organizations/{org}/provider/check).
//
// The test fetches the provider's metadata and looks up the domains that are not verified yet.
type ProviderCheck struct {
	OK       bool     `json:"ok"`
	Cause    string   `json:"cause,omitempty"`
	Hint     string   `json:"hint,omitempty"`
	Provider Provider `json:"provider"`
}
