package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

func orgPath(org, rest string) string { return "/v1/organizations/" + url.PathEscape(org) + rest }

// CreateOrganization makes an organization whose owner is the caller.
func (c *CloudClient) CreateOrganization(ctx context.Context, n NewOrganization) (Organization, error) {
	var out Organization
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/organizations", body: n, out: &out})
	return out, err
}

// RenameOrganization gives the organization another name to show.
func (c *CloudClient) RenameOrganization(ctx context.Context, org, name string) (Organization, error) {
	var out Organization
	err := c.do(ctx, call{method: http.MethodPatch, path: orgPath(org, ""), body: OrganizationPatch{Name: name}, out: &out})
	return out, err
}

// SwitchSession moves the session to another organization. The client's own token is of no use afterwards.
func (c *CloudClient) SwitchSession(ctx context.Context, org string) (SessionToken, error) {
	var out SessionToken
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/sessions/switch", body: SwitchRequest{Org: org}, out: &out})
	return out, err
}

// Members lists who is in the organization.
func (c *CloudClient) Members(ctx context.Context, org string) ([]Member, error) {
	return all[Member](ctx, &c.Client, orgPath(org, "/members"), nil)
}

// ChangeRole gives a member another role.
func (c *CloudClient) ChangeRole(ctx context.Context, org, id, role string) (Member, error) {
	var out Member
	err := c.do(ctx, call{method: http.MethodPatch, path: orgPath(org, "/members/"+url.PathEscape(id)), body: MemberPatch{Role: role}, out: &out})
	return out, err
}

// RemoveMember takes a member out of the organization; with one's own ID, one leaves it.
func (c *CloudClient) RemoveMember(ctx context.Context, org, id string) (RemovedMember, error) {
	var out RemovedMember
	err := c.do(ctx, call{method: http.MethodDelete, path: orgPath(org, "/members/"+url.PathEscape(id)), out: &out})
	return out, err
}

// Invitations lists the open invitations.
func (c *CloudClient) Invitations(ctx context.Context, org string) ([]Invitation, error) {
	return all[Invitation](ctx, &c.Client, orgPath(org, "/invitations"), nil)
}

// Invite makes an invitation; the answer has its link.
func (c *CloudClient) Invite(ctx context.Context, org string, n NewInvitation) (Invitation, error) {
	var out Invitation
	err := c.do(ctx, call{method: http.MethodPost, path: orgPath(org, "/invitations"), body: n, out: &out})
	return out, err
}

// WithdrawInvitation makes an open invitation void.
func (c *CloudClient) WithdrawInvitation(ctx context.Context, org, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: orgPath(org, "/invitations/"+url.PathEscape(id))})
}

// AcceptInvitation joins an organization as the person who is logged in.
func (c *CloudClient) AcceptInvitation(ctx context.Context, a AcceptInvitation) (Organization, error) {
	var out Organization
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/invitations/accept", body: a, out: &out})
	return out, err
}

// ExportAudit writes the audit log to w as the cloud sends it, for as long as that takes.
func (c *CloudClient) ExportAudit(ctx context.Context, query url.Values, w io.Writer) error {
	resp, err := c.send(ctx, call{method: http.MethodGet, path: "/v1/audit/export", query: query})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode >= 400:
		return c.problem(resp)
	case resp.StatusCode != http.StatusOK:
		return c.redirected(resp)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return c.networkError(ctx, err)
	}
	return nil
}
