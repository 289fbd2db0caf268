package bridge

// Codes: people and organizations.
const (
	CodeNotSignedIn           Code = "not_signed_in"
	CodeLoginFailed           Code = "login_failed"
	CodeLoginExpired          Code = "login_expired"
	CodeOTPRequired           Code = "otp_required"
	CodeOTPInvalid            Code = "otp_invalid"
	CodeOTPUsed               Code = "otp_used"
	CodeTOTPOn                Code = "totp_on"
	CodeTOTPOff               Code = "totp_off"
	CodePasswordWrong         Code = "password_wrong"
	CodePasswordLength        Code = "password_length"
	CodeNoPassword            Code = "no_password"
	CodeEmailMalformed        Code = "email_malformed"
	CodeEmailUnverified       Code = "email_unverified"
	CodeAddressChangeUnknown  Code = "address_change_unknown"
	CodeAddressOfProvider     Code = "address_of_provider"
	CodeAddressSame           Code = "address_same"
	CodeAddressTaken          Code = "address_taken"
	CodeLinkInvalid           Code = "link_invalid"
	CodeSessionEnded          Code = "session_ended"
	CodeSessionUnknown        Code = "session_unknown"
	CodeCurrentMalformed      Code = "current_malformed"
	CodeChangedMeanwhile      Code = "changed_meanwhile"
	CodeNameMalformed         Code = "name_malformed"
	CodeNameTaken             Code = "name_taken"
	CodeCountryUnknown        Code = "country_unknown"
	CodeCurrencyUnknown       Code = "currency_unknown"
	CodeUserMalformed         Code = "user_malformed"
	CodeUserUnknown           Code = "user_unknown"
	CodeUserExists            Code = "user_exists"
	CodeOrganizationMalformed Code = "organization_malformed"
	CodeOrganizationTaken     Code = "organization_taken"
	CodeOrganizationUnknown   Code = "organization_unknown"
	CodeTooManyOrganizations  Code = "too_many_organizations"
	CodeOrgMissing            Code = "org_missing"
	CodeNotAMember            Code = "not_a_member"
	CodeAlreadyMember         Code = "already_member"
	CodeMemberUnknown         Code = "member_unknown"
	CodeLastOwner             Code = "last_owner"
	CodeRoleUnknown           Code = "role_unknown"
	CodeRoleAbove             Code = "role_above"
	CodeRoleAdmin             Code = "role_admin"
	CodeRoleOwner             Code = "role_owner"
	CodeRoleViewer            Code = "role_viewer"
	CodeRoleMalformed         Code = "role_malformed"
	CodeInvitationUnknown     Code = "invitation_unknown"
	CodeInvitationForAnother  Code = "invitation_for_another"
	CodeInvitationAwaited     Code = "invitation_awaited"
	CodeTooManyInvitations    Code = "too_many_invitations"
	CodeUserCodeUnknown       Code = "user_code_unknown"
	CodeDomainMalformed       Code = "domain_malformed"
	CodeDomainTaken           Code = "domain_taken"
	CodeDomainUnknown         Code = "domain_unknown"
	CodeDomainUnproven        Code = "domain_unproven"
	CodeDomainForeign         Code = "domain_foreign"
	CodeDomainsMissing        Code = "domains_missing"
	CodeProviderUnknown       Code = "provider_unknown"
	CodeProviderChanged       Code = "provider_changed"
	CodeProviderBelow         Code = "provider_below"
	CodeProviderRequired      Code = "provider_required"
	CodeProviderSession       Code = "provider_session"
	CodeProviderRefused       Code = "provider_refused"
	CodeProviderUnreachable   Code = "provider_unreachable"
	CodeProviderBlocked       Code = "provider_blocked"
	CodeProviderMalformed     Code = "provider_malformed"
	CodeIssuerMalformed       Code = "issuer_malformed"
	CodeIssuerMismatch        Code = "issuer_mismatch"
	CodeClientMalformed       Code = "client_malformed"
	CodeClaimMalformed        Code = "claim_malformed"
	CodeGroupsMalformed       Code = "groups_malformed"
	CodeGroupsMany            Code = "groups_many"
	CodeIDTokenRefused        Code = "id_token_refused"
	CodeSubjectChanged        Code = "subject_changed"
	CodeSubjectMalformed      Code = "subject_malformed"
	CodeNoRole                Code = "no_role"
	CodeSigninRaced           Code = "signin_raced"
	CodeSigninUnknown         Code = "signin_unknown"
	CodeMailUnavailable       Code = "mail_unavailable"
	CodeMailQueueFull         Code = "mail_queue_full"
)

var accountsCodes = []meaning{
	{CodeNotSignedIn, []Kind{Unauthenticated}, final, "You are not signed in to the cloud."},
	{CodeLoginFailed, []Kind{Unauthenticated}, final, "The e-mail address or the password is wrong."},
	{CodeLoginExpired, []Kind{Unauthenticated}, final,
		"The sign-in took too long, or the account changed meanwhile; start again."},
	{CodeOTPRequired, []Kind{Unauthenticated, Forbidden}, final,
		"The account has two-factor authentication, and a code is needed too."},
	{CodeOTPInvalid, []Kind{Unauthenticated}, final, "The two-factor or recovery code is wrong."},
	{CodeOTPUsed, []Kind{Unauthenticated}, final, "The two-factor code has been used already."},
	{CodeTOTPOn, []Kind{Conflict}, final, "Two-factor authentication is on already."},
	{CodeTOTPOff, []Kind{Conflict}, final, "Two-factor authentication is not on."},
	{CodePasswordWrong, []Kind{Forbidden, Unauthenticated}, final, "That is not the account's password."},
	{CodePasswordLength, []Kind{Invalid}, final, "A password is too short or too long."},
	{CodeNoPassword, []Kind{Conflict}, final, "The account has no password: it signs in through its organization."},
	{CodeEmailMalformed, []Kind{Invalid}, final, "That is not an e-mail address."},
	{CodeEmailUnverified, []Kind{Forbidden, Conflict}, final, "Nobody has proven the e-mail address of the account yet."},
	{CodeAddressChangeUnknown, []Kind{NotFound}, final, "No change of the address is waiting."},
	{CodeAddressOfProvider, []Kind{Forbidden}, final, "The organization's sign-in provider decides the address."},
	{CodeAddressSame, []Kind{Invalid}, final, "The new address is the one that the account has already."},
	{CodeAddressTaken, []Kind{Conflict}, final, "Another account has the new address."},
	{CodeLinkInvalid, []Kind{NotFound}, final, "The mailed link has expired, or it has been used."},
	{CodeSessionEnded, []Kind{Unauthenticated}, final, "The session has ended."},
	{CodeSessionUnknown, []Kind{NotFound}, final, "There is no such session, or it has ended."},
	{CodeCurrentMalformed, []Kind{Invalid}, final, "The parameter current is neither true nor false."},
	{CodeChangedMeanwhile, []Kind{Conflict}, again, "Somebody changed the same thing at the same time."},
	{CodeNameMalformed, []Kind{Invalid}, final, "A name is missing, too long or not plain text."},
	{CodeNameTaken, []Kind{Conflict}, final, "The name is in use already."},
	{CodeCountryUnknown, []Kind{Invalid}, final, "The country is not in ISO 3166-1."},
	{CodeCurrencyUnknown, []Kind{Invalid}, final, "The currency is not in ISO 4217."},
	{CodeUserMalformed, []Kind{Invalid}, final, "The role is unknown, or the name is not plain text."},
	{CodeUserUnknown, []Kind{NotFound}, final, "There is no such user."},
	{CodeUserExists, []Kind{Conflict}, final, "There is an account with that e-mail address already."},
	{CodeOrganizationMalformed, []Kind{Invalid}, final,
		"An organization's name has other characters than lower-case letters, digits and inner hyphens."},
	{CodeOrganizationTaken, []Kind{Conflict}, final, "There is already an organization with that name."},
	{CodeOrganizationUnknown, []Kind{NotFound}, final, "You are not signed in to that organization."},
	{CodeTooManyOrganizations, []Kind{Conflict}, final, "You have created the maximum number of organizations for one person."},
	{CodeOrgMissing, []Kind{Invalid}, final, "The request does not say which organization to switch to."},
	{CodeNotAMember, []Kind{Forbidden, Unauthenticated}, final, "You are not a member of the organization, or not any more."},
	{CodeAlreadyMember, []Kind{Conflict}, final, "The person is a member already."},
	{CodeMemberUnknown, []Kind{NotFound}, final, "The organization has no such member or API key."},
	{CodeLastOwner, []Kind{Conflict}, final, "This is the organization's only owner."},
	{CodeRoleUnknown, []Kind{Invalid}, final, "The role is not owner, admin, member or viewer."},
	{CodeRoleAbove, []Kind{Forbidden}, final, "Your role is too low to do this to somebody of that role."},
	{CodeRoleAdmin, []Kind{Forbidden}, final, "Only an admin may do this."},
	{CodeRoleOwner, []Kind{Forbidden}, final, "Only an owner may change what an owner has set."},
	{CodeRoleViewer, []Kind{Forbidden}, final, "A viewer can look at things but not change them."},
	{CodeRoleMalformed, []Kind{Invalid}, final, "The default role of a provider is not admin, member, viewer or empty."},
	{CodeInvitationUnknown, []Kind{NotFound}, final,
		"The invitation does not exist, has been used or withdrawn, or has expired."},
	{CodeInvitationForAnother, []Kind{Forbidden}, final, "The invitation is for another e-mail address."},
	{CodeInvitationAwaited, []Kind{Conflict}, final, "More people are waiting on this invitation than it allows."},
	{CodeTooManyInvitations, []Kind{Conflict}, final, "The maximum number of invitations is open already."},
	{CodeUserCodeUnknown, []Kind{NotFound}, final, "The device code is not known, has expired, or has been used."},
	{CodeDomainMalformed, []Kind{Invalid}, final, "That is not a domain of e-mail addresses."},
	{CodeDomainTaken, []Kind{Conflict}, final, "The domain belongs to another organization already."},
	{CodeDomainUnknown, []Kind{NotFound}, final, "No organization here signs in addresses of that domain."},
	{CodeDomainUnproven, []Kind{Conflict}, final, "The domain has no DNS record that proves who owns it."},
	{CodeDomainForeign, []Kind{Forbidden}, final, "The provider does not vouch for addresses of that domain."},
	{CodeDomainsMissing, []Kind{Invalid}, final, "A provider must vouch for at least one domain, and not for too many."},
	{CodeProviderUnknown, []Kind{NotFound}, final, "The organization has no sign-in provider."},
	{CodeProviderChanged, []Kind{Conflict}, again, "Somebody else is setting the provider at this moment."},
	{CodeProviderBelow, []Kind{Forbidden}, final, "An admin set the provider, so it does not vouch for owners."},
	{CodeProviderRequired, []Kind{Forbidden}, final,
		"The organization accepts no passwords: its members sign in through its provider."},
	{CodeProviderSession, []Kind{Forbidden}, final,
		"You signed in through one organization's provider, which counts for that organization only."},
	{CodeProviderRefused, []Kind{Forbidden}, final, "The sign-in provider refuses the sign-in."},
	{CodeProviderUnreachable, []Kind{Unreachable}, again,
		"The sign-in provider cannot be reached, or its discovery document cannot be read."},
	{CodeProviderBlocked, []Kind{Unreachable}, final, "The sign-in provider is at an address that this cloud may not call."},
	{CodeProviderMalformed, []Kind{Unreachable}, final,
		"The sign-in provider's discovery document lacks something that signing in needs."},
	{CodeIssuerMalformed, []Kind{Invalid}, final, "The issuer of a provider is not a URL."},
	{CodeIssuerMismatch, []Kind{Invalid, Unreachable}, final,
		"The other side names another issuer than the one in the settings."},
	{CodeClientMalformed, []Kind{Invalid}, final, "The client ID or secret of a provider is missing or not plain text."},
	{CodeClaimMalformed, []Kind{Invalid}, final, "The groups claim of a provider is not plain text."},
	{CodeGroupsMalformed, []Kind{Invalid}, final, "A mapping from a group to a role is malformed or repeated."},
	{CodeGroupsMany, []Kind{Invalid}, final, "A provider maps more groups than it may."},
	{CodeIDTokenRefused, []Kind{Forbidden}, final, "The sign-in provider's answer is not accepted."},
	{CodeSubjectChanged, []Kind{Forbidden}, final, "The address belongs to somebody else at the provider."},
	{CodeSubjectMalformed, []Kind{Invalid, Forbidden}, final, "The subject is missing, too long or not plain text."},
	{CodeNoRole, []Kind{Forbidden}, final, "None of your groups gives you a role in the organization."},
	{CodeSigninRaced, []Kind{Conflict}, again, "Two sign-ins of the same person ran at once."},
	{CodeSigninUnknown, []Kind{Invalid}, final, "The sign-in did not begin in this browser, took too long, or is over."},
	{CodeMailUnavailable, []Kind{Unavailable}, final, "This cloud sends no mail."},
	{CodeMailQueueFull, []Kind{Unavailable}, again, "Too much mail is waiting to be sent."},
}
