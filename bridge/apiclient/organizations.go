package apiclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/acebridge/ace/bridge/api"
)

// OrganizationCalls are the calls about organizations, their members, invitations and sign-in providers.
type OrganizationCalls struct{ *Client }

func orgPath(org, rest string) string { return "/v1/organizations/" + url.PathEscape(org) + rest }

// CreateOrganization creates an organization owned by the caller.
func (c OrganizationCalls) CreateOrganization(ctx context.Context, n api.NewOrganization) (api.Organization, error) {
	var out api.Organization
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/organizations", body: n, out: &out})
	return out, err
}

// RenameOrganization changes an organization's display name. Its slug stays.
func (c OrganizationCalls) RenameOrganization(ctx context.Context, org, name string) (api.Organization, error) {
	var out api.Organization
	err := c.do(ctx, call{method: http.MethodPatch, path: orgPath(org, ""), body: api.OrganizationPatch{Name: name}, out: &out})
	return out, err
}

// SwitchSession moves the session to another organization. The client's own token stops working.
func (c OrganizationCalls) SwitchSession(ctx context.Context, org string) (api.SessionToken, error) {
	var out api.SessionToken
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/sessions/switch", body: api.SwitchRequest{Org: org}, out: &out})
	return out, err
}

// Members lists the members of an organization.
func (c OrganizationCalls) Members(ctx context.Context, org string) ([]api.Member, error) {
	return all[api.Member](ctx, c.Client, orgPath(org, "/members"), nil)
}

// ChangeRole changes a member's role.
func (c OrganizationCalls) ChangeRole(ctx context.Context, org, id, role string) (api.Member, error) {
	var out api.Member
	err := c.do(ctx, call{method: http.MethodPatch, path: orgPath(org, "/members/"+url.PathEscape(id)), body: api.MemberPatch{Role: role}, out: &out})
	return out, err
}

// RemoveMember removes a member from the organization. With the caller's own ID, the caller leaves.
func (c OrganizationCalls) RemoveMember(ctx context.Context, org, id string) (api.RemovedMember, error) {
	var out api.RemovedMember
	err := c.do(ctx, call{method: http.MethodDelete, path: orgPath(org, "/members/"+url.PathEscape(id)), out: &out})
	return out, err
}

// Invitations lists the open invitations.
func (c OrganizationCalls) Invitations(ctx context.Context, org string) ([]api.Invitation, error) {
	return all[api.Invitation](ctx, c.Client, orgPath(org, "/invitations"), nil)
}

// Invite creates an invitation; the answer contains its link.
func (c OrganizationCalls) Invite(ctx context.Context, org string, n api.NewInvitation) (api.Invitation, error) {
	var out api.Invitation
	err := c.do(ctx, call{method: http.MethodPost, path: orgPath(org, "/invitations"), body: n, out: &out})
	return out, err
}

// WithdrawInvitation invalidates an open invitation.
func (c OrganizationCalls) WithdrawInvitation(ctx context.Context, org, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: orgPath(org, "/invitations/"+url.PathEscape(id))})
}

// AcceptInvitation joins an organization as the logged-in person.
func (c OrganizationCalls) AcceptInvitation(ctx context.Context, a api.AcceptInvitation) (api.Organization, error) {
	var out api.Organization
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/invitations/accept", body: a, out: &out})
	return out, err
}

// Organizations lists the caller's organizations.
func (c OrganizationCalls) Organizations(ctx context.Context) ([]api.Organization, error) {
	return all[api.Organization](ctx, c.Client, "/v1/organizations", nil)
}

// Trust returns what a server needs to trust this cloud.
func (c OrganizationCalls) Trust(ctx context.Context, org string) (api.TrustVariables, error) {
	var t api.TrustVariables
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/organizations/" + url.PathEscape(org) + "/trust", out: &t})
	return t, err
}

// EndsOfMember says what removing a member would end.
//
// With a role it says what changing the member's role would end instead.
func (c OrganizationCalls) EndsOfMember(ctx context.Context, org, id, role string) (api.Ends, error) {
	query := url.Values{}
	if role != "" {
		query.Set("role", role)
	}
	return c.ends(ctx, orgPath(org, "/members/"+url.PathEscape(id)+"/ends"), query)
}

func providerPath(org, rest string) string {
	return "/v1/organizations/" + url.PathEscape(org) + "/provider" + rest
}

// Provider returns an organization's sign-in provider.
func (c OrganizationCalls) Provider(ctx context.Context, org string) (api.Provider, error) {
	var out api.Provider
	err := c.do(ctx, call{method: http.MethodGet, path: providerPath(org, ""), out: &out})
	return out, err
}

// SetProvider sets an organization's sign-in provider.
func (c OrganizationCalls) SetProvider(ctx context.Context, org string, s api.ProviderSettings) (api.Provider, error) {
	var out api.Provider
	err := c.do(ctx, call{method: http.MethodPut, path: providerPath(org, ""), body: s, out: &out})
	return out, err
}

// CheckProvider tests an organization's sign-in provider.
func (c OrganizationCalls) CheckProvider(ctx context.Context, org string) (api.ProviderCheck, error) {
	var out api.ProviderCheck
	err := c.do(ctx, call{method: http.MethodPost, path: providerPath(org, "/check"), out: &out})
	return out, err
}

// RemoveProvider removes an organization's sign-in provider and ends the sessions opened through it.
func (c OrganizationCalls) RemoveProvider(ctx context.Context, org string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: providerPath(org, "")})
}
