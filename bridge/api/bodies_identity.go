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

// AddressRequest asks to change the e-mail address of the caller's account (POST /v1/me/address). The address changes once
// the link mailed to it is confirmed.
type AddressRequest struct {
	Email    string           `json:"email"`
	Password bridge.Disclosed `json:"password"`
	OTP      string           `json:"otp,omitempty"` // where the account has a second factor
}

// PendingAddress is a new e-mail address that is not confirmed yet (GET /v1/me/address).
type PendingAddress struct {
	Email     string    `json:"email"`
	ExpiresAt time.Time `json:"expires_at"`
}

// SessionRequest logs a person in with a password (POST /v1/sessions). Where the account has a second factor, the first
// answer is the code otp_required.
type SessionRequest struct {
	Email    string           `json:"email"`
	Password bridge.Disclosed `json:"password"`
	OTP      string           `json:"otp,omitempty"` // six digits of an authenticator app, or a recovery code
	Org      string           `json:"org,omitempty"` // slug; empty: the first by name
}

// SessionToken is a session token without a refresh token: of a password login, or of a session that was moved to another
// organization.
type SessionToken struct {
	Token     bridge.Disclosed `json:"token"`
	ExpiresAt time.Time        `json:"expires_at"`
}

// Session is one of the caller's sessions (GET /v1/sessions; DELETE /v1/sessions/{id} ends one, DELETE /v1/sessions all
// but the current one, and that too with ?current=true).
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

// SwitchRequest moves the caller's session to another of their organizations (POST /v1/sessions/switch); the answer is a
// [SessionToken], and earlier session tokens of the session end.
type SwitchRequest struct {
	Org string `json:"org"`
}

// NewOrganization makes an organization whose owner is the caller (POST /v1/organizations); the answer is an
// [Organization].
type NewOrganization struct {
	Slug string `json:"slug"`
	Name string `json:"name,omitempty"`
}

// OrganizationPatch renames an organization (PATCH /v1/organizations/{org}). The slug stays: servers trust it.
type OrganizationPatch struct {
	Name string `json:"name"`
}

// Member is somebody in an organization (GET /v1/organizations/{org}/members).
type Member struct {
	ID          string    `json:"id"`
	Email       string    `json:"email"`
	Name        string    `json:"name"`
	Role        string    `json:"role"`
	TwoFactor   bool      `json:"two_factor"`
	JoinedAt    time.Time `json:"joined_at"`
	Connections int       `json:"connections"` // private ones that they own
}

// MemberPatch changes a member (PATCH /v1/organizations/{org}/members/{id}).
type MemberPatch struct {
	Role string `json:"role"`
}

// RemovedMember is the answer to removing a member (DELETE /v1/organizations/{org}/members/{id}): their sessions have
// ended, and their private connections are the admins' to deal with.
type RemovedMember struct {
	Member      Member       `json:"member"`
	Connections []Connection `json:"connections"`
}

// NewInvitation invites people (POST /v1/organizations/{org}/invitations).
type NewInvitation struct {
	Email     string `json:"email,omitempty"`      // only this address may accept, and it is written to; empty: whoever has the link
	Role      string `json:"role,omitempty"`       // member by default
	ExpiresIn string `json:"expires_in,omitempty"` // "7d" by default, at most "30d"
}

// Invitation is an open invitation. DELETE /v1/organizations/{org}/invitations/{id} withdraws it.
type Invitation struct {
	ID        string    `json:"id"`
	Email     string    `json:"email,omitempty"`
	Role      string    `json:"role"`
	InvitedBy string    `json:"invited_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// URL is the link to accept it with, shown this once.
	URL *bridge.Disclosed `json:"url,omitempty"`
}

// AcceptInvitation joins an organization as the person who is signed in (POST /v1/invitations/accept); the answer is an
// [Organization].
type AcceptInvitation struct {
	Token bridge.Disclosed `json:"token"`
}
