package api

import (
	"time"

	"github.com/acebridge/ace/bridge"
)

// ProfilePatch changes the caller's profile (PATCH /v1/me); nil leaves a field as it is.
type ProfilePatch struct {
	Name     *string `json:"name,omitempty"`
	Country  *string `json:"country,omitempty"`  // ISO 3166-1 alpha-2, or empty
	Currency *string `json:"currency,omitempty"` // ISO 4217, or empty
}

// AddressRequest asks to change the e-mail address of the caller's account (POST /v1/me/address).
//
// The address changes once the link mailed to the new one is confirmed.
type AddressRequest struct {
	Email    string           `json:"email"`
	Password bridge.Disclosed `json:"password"`
	OTP      string           `json:"otp,omitempty"` // required if the account has a second factor
}

// PendingAddress is a new e-mail address that is not confirmed yet (GET /v1/me/address).
type PendingAddress struct {
	Email     string    `json:"email"`
	ExpiresAt time.Time `json:"expires_at"`
}

// SessionRequest logs a person in with a password (POST /v1/sessions).
//
// If the account has a second factor, a request without OTP gets the code otp_required.
type SessionRequest struct {
	Email    string           `json:"email"`
	Password bridge.Disclosed `json:"password"`
	OTP      string           `json:"otp,omitempty"` // six digits from an authenticator app, or a recovery code
	Org      string           `json:"org,omitempty"` // slug; empty: the first by name
}

// SessionToken is a session token without a refresh token.
//
// A password login returns one, and so does moving a session to another organization.
type SessionToken struct {
	Token     bridge.Disclosed `json:"token"`
	ExpiresAt time.Time        `json:"expires_at"`
}

// Session is one of the caller's sessions (GET /v1/sessions).
//
// DELETE /v1/sessions/{id} ends one; DELETE /v1/sessions ends all but the current one, and with ?current=true that one too.
type Session struct {
	ID        string    `json:"id"`
	Method    string    `json:"method"`
	Org       string    `json:"org"`
	Address   string    `json:"address,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Current   bool      `json:"current"`
}

// SwitchRequest moves the caller's session to another organization (POST /v1/sessions/switch).
//
// The answer is a [SessionToken]; earlier tokens of the session stop working.
type SwitchRequest struct {
	Org string `json:"org"`
}

// NewOrganization creates an organization owned by the caller (POST /v1/organizations).
//
// The answer is an [Organization].
type NewOrganization struct {
	Slug string `json:"slug"`
	Name string `json:"name,omitempty"`
}

// OrganizationPatch renames an organization (PATCH /v1/organizations/{org}). The slug cannot change: servers trust it.
type OrganizationPatch struct {
	Name string `json:"name"`
}

// Member is a member of an organization (GET /v1/organizations/{org}/members).
type Member struct {
	ID          string    `json:"id"`
	Email       string    `json:"email"`
	Name        string    `json:"name"`
	Role        string    `json:"role"`
	TwoFactor   bool      `json:"two_factor"`
	JoinedAt    time.Time `json:"joined_at"`
	Connections int       `json:"connections"` // number of private connections they own
}

// MemberPatch changes a member (PATCH /v1/organizations/{org}/members/{id}).
type MemberPatch struct {
	Role string `json:"role"`
}

// RemovedMember is the answer to removing a member (DELETE /v1/organizations/{org}/members/{id}).
//
// Their sessions have ended. Connections are their private ones, which are now up to the admins.
type RemovedMember struct {
	Member      Member       `json:"member"`
	Connections []Connection `json:"connections"`
}

// NewInvitation invites someone to an organization (POST /v1/organizations/{org}/invitations).
type NewInvitation struct {
	Email     string `json:"email,omitempty"`      // gets the invitation by mail, and only it may accept; empty: anyone with the link
	Role      string `json:"role,omitempty"`       // default: member
	ExpiresIn string `json:"expires_in,omitempty"` // default "7d", at most "30d"
}

// Invitation is an open invitation. DELETE /v1/organizations/{org}/invitations/{id} withdraws it.
type Invitation struct {
	ID        string    `json:"id"`
	Email     string    `json:"email,omitempty"`
	Role      string    `json:"role"`
	InvitedBy string    `json:"invited_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// URL is the link that accepts the invitation; it is shown only once.
	URL *bridge.Disclosed `json:"url,omitempty"`
}

// AcceptInvitation joins an organization as the signed-in person (POST /v1/invitations/accept).
//
// The answer is an [Organization].
type AcceptInvitation struct {
	Token bridge.Disclosed `json:"token"`
}
