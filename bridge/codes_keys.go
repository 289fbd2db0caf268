package bridge

// Codes: keys and tokens.
const (
	CodeCredentialMissing       Code = "credential_missing"
	CodeCredentialMalformed     Code = "credential_malformed"
	CodeCredentialAmbiguous     Code = "credential_ambiguous"
	CodeKeyInvalid              Code = "key_invalid"
	CodeKeyMalformed            Code = "key_malformed"
	CodeKeyIDMalformed          Code = "key_id_malformed"
	CodeKeyIDMismatch           Code = "key_id_mismatch"
	CodeKeySecret               Code = "key_secret"
	CodeKeyKind                 Code = "key_kind"
	CodeKeyUnknown              Code = "key_unknown"
	CodeKeyExpired              Code = "key_expired"
	CodeKeyRevoked              Code = "key_revoked"
	CodeKeyDisabled             Code = "key_disabled"
	CodeKeyUnconfirmed          Code = "key_unconfirmed"
	CodeKeyLapsed               Code = "key_lapsed"
	CodeKeyUsedUp               Code = "key_used_up"
	CodeKeyRotated              Code = "key_rotated"
	CodeKeyChanged              Code = "key_changed"
	CodeKeyDied                 Code = "key_died"
	CodeKeyDoubted              Code = "key_doubted"
	CodeKeyAddress              Code = "key_address"
	CodeKeyRate                 Code = "key_rate"
	CodeKeyCannotActAs          Code = "key_cannot_act_as"
	CodeKeyName                 Code = "key_name"
	CodeKeyDescription          Code = "key_description"
	CodeKeyReason               Code = "key_reason"
	CodeKeyExpiry               Code = "key_expiry"
	CodeKeyScopes               Code = "key_scopes"
	CodeKeyEnvironment          Code = "key_environment"
	CodeKeyOrganization         Code = "key_organization"
	CodeKeyOwner                Code = "key_owner"
	CodeKeyOfConnection         Code = "key_of_connection"
	CodeOwnKey                  Code = "own_key"
	CodePersonOnly              Code = "person_only"
	CodeInactive                Code = "inactive"
	CodeKeysStale               Code = "keys_stale"
	CodeKeysBehind              Code = "keys_behind"
	CodeAuthorityLost           Code = "authority_lost"
	CodeScopeMalformed          Code = "scope_malformed"
	CodeScopeUnknown            Code = "scope_unknown"
	CodeScopeMissing            Code = "scope_missing"
	CodeScopeCeiling            Code = "scope_ceiling"
	CodeScopeAdmin              Code = "scope_admin"
	CodeScopeOrganization       Code = "scope_organization"
	CodeScopesMissing           Code = "scopes_missing"
	CodePresetUnknown           Code = "preset_unknown"
	CodeExpiryMalformed         Code = "expiry_malformed"
	CodeExpiryAdmin             Code = "expiry_admin"
	CodeExpiryCeiling           Code = "expiry_ceiling"
	CodeRateMalformed           Code = "rate_malformed"
	CodeGraceMalformed          Code = "grace_malformed"
	CodeMaxUses                 Code = "max_uses"
	CodeMaxUsesMalformed        Code = "max_uses_malformed"
	CodeAllowFromMalformed      Code = "allow_from_malformed"
	CodeAllowFromCeiling        Code = "allow_from_ceiling"
	CodeIdempotencyKeyMalformed Code = "idempotency_key_malformed"
	CodeRotationPending         Code = "rotation_pending"
	CodeMinterLimited           Code = "minter_limited"
	CodeMinterRotated           Code = "minter_rotated"
	CodeLineageUnknown          Code = "lineage_unknown"
	CodeLineageOrganization     Code = "lineage_organization"
	CodeLineageTooLong          Code = "lineage_too_long"
	CodeChainTooLong            Code = "chain_too_long"
	CodeParentExpired           Code = "parent_expired"
	CodeParentRevoked           Code = "parent_revoked"
	CodeParentDisabled          Code = "parent_disabled"
	CodeParentUnconfirmed       Code = "parent_unconfirmed"
	CodeParentLapsed            Code = "parent_lapsed"
	CodeParentUsedUp            Code = "parent_used_up"
	CodeParentUnknown           Code = "parent_unknown"
	CodeParentAddress           Code = "parent_address"
	CodeTooManyLeaks            Code = "too_many_leaks"
	CodeTokenMissing            Code = "token_missing"
	CodeAddressMalformed        Code = "address_malformed"
	CodeLifeNegative            Code = "life_negative"
	CodeTokenMalformed          Code = "token_malformed"
	CodeTokenType               Code = "token_type"
	CodeTokenInvalid            Code = "token_invalid"
	CodeTokenExpired            Code = "token_expired"
	CodeTokenClock              Code = "token_clock"
	CodeTokenLifetime           Code = "token_lifetime"
	CodeTokenAudience           Code = "token_audience"
	CodeTokenSubject            Code = "token_subject"
	CodeTokenRole               Code = "token_role"
	CodeTokenScope              Code = "token_scope"
	CodeTokenNumber             Code = "token_number"
	CodeTokenWithdrawn          Code = "token_withdrawn"
	CodeUserTokenInvalid        Code = "user_token_invalid"
	CodeDeveloperTokenChain     Code = "developer_token_chain"
)

var keysCodes = []meaning{
	{CodeCredentialMissing, []Kind{Unauthenticated}, final, "The request carries no credential."},
	{CodeCredentialMalformed, []Kind{Unauthenticated}, final,
		"The credential is empty, too long, or not of the form that the header takes."},
	{CodeCredentialAmbiguous, []Kind{Invalid}, final, "The request carries more than one credential."},
	{CodeKeyInvalid, []Kind{Unauthenticated}, final, "The API key is not accepted; the server's audit log says exactly why."},
	{CodeKeyMalformed, []Kind{Invalid, Unauthenticated}, final, "The text is not an API key, or a character was mistyped."},
	{CodeKeyIDMalformed, []Kind{Invalid}, final, "The key ID is not a UUID."},
	{CodeKeyIDMismatch, []Kind{Unauthenticated}, final, "The key ID sent along with the key is not the key's own."},
	{CodeKeySecret, []Kind{Unauthenticated}, final, "The key ID exists, but the secret is not the one that belongs to it."},
	{CodeKeyKind, []Kind{Invalid, Unauthenticated}, final, "The kind of the key is unknown, or not the one that this needs."},
	{CodeKeyUnknown, []Kind{NotFound}, final, "There is no such key, or you may not see it."},
	{CodeKeyExpired, []Kind{Unauthenticated, Conflict}, final, "The key has passed its expiry date."},
	{CodeKeyRevoked, []Kind{Unauthenticated, Conflict}, final, "The key was revoked, which is permanent."},
	{CodeKeyDisabled, []Kind{Unauthenticated, Conflict}, final, "The key is disabled until somebody enables it."},
	{CodeKeyUnconfirmed, []Kind{Unauthenticated, Conflict}, final,
		"The key was issued by a connect and has not been used yet."},
	{CodeKeyLapsed, []Kind{Unauthenticated, Conflict}, final, "The key was issued by a connect and was not used in time."},
	{CodeKeyUsedUp, []Kind{Unauthenticated, Conflict}, final, "The key was limited to a number of uses, and all of them are used up."},
	{CodeKeyRotated, []Kind{Unauthenticated}, final, "The secret was replaced by a rotation, and its grace period is over."},
	{CodeKeyChanged, []Kind{Conflict, Unauthenticated}, again, "The key was changed by somebody else at the same moment."},
	{CodeKeyDied, []Kind{Unauthenticated}, final, "The key was taken away while the request was under way."},
	{CodeKeyDoubted, []Kind{Forbidden}, final,
		"The key may have been revoked before the database was restored; an admin decides."},
	{CodeKeyAddress, []Kind{Unauthenticated}, final, "The key may not be used from the client's address."},
	{CodeKeyRate, []Kind{TooMany}, again, "The key has reached its rate limit."},
	{CodeKeyCannotActAs, []Kind{Forbidden, Unauthenticated}, final,
		"The key may speak for its own subject only, not for another person."},
	{CodeKeyName, []Kind{Invalid}, final, "The name of a key is missing, too long or not plain text."},
	{CodeKeyDescription, []Kind{Invalid}, final, "The description of a key is too long or not plain text."},
	{CodeKeyReason, []Kind{Invalid}, final, "The reason for a revocation is too long or not plain text."},
	{CodeKeyExpiry, []Kind{Invalid}, final, "The key would already be expired."},
	{CodeKeyScopes, []Kind{Forbidden}, final, "The key would have no scopes at all."},
	{CodeKeyEnvironment, []Kind{Forbidden}, final, "A test key creates test keys only, and a live key live keys only."},
	{CodeKeyOrganization, []Kind{Forbidden}, final, "Only an admin creates keys that belong to the organization."},
	{CodeKeyOwner, []Kind{Forbidden}, final, "The key belongs to somebody else, and only they or an admin may change it."},
	{CodeKeyOfConnection, []Kind{Conflict}, final, "The key belongs to a connection, and only the cloud may rotate it."},
	{CodeOwnKey, []Kind{Conflict}, final, "This is the connection's own key, which the cloud renews by itself."},
	{CodePersonOnly, []Kind{Forbidden}, final, "An API key cannot do this; a person who is logged in can."},
	{CodeInactive, []Kind{Unauthenticated}, final, "The server says that the credential is not active."},
	{CodeKeysStale, []Kind{Unavailable}, again,
		"This server has been without its database too long to know which keys are revoked."},
	{CodeKeysBehind, []Kind{Unavailable}, again,
		"This server cannot reach its database to check a credential that may be new."},
	{CodeAuthorityLost, []Kind{Unavailable}, again, "The app cannot reach the server that knows the API keys."},
	{CodeScopeMalformed, []Kind{Invalid}, final, "A scope is not written as a scope, or there are too many."},
	{CodeScopeUnknown, []Kind{Invalid}, final, "The catalogue has no such scope."},
	{CodeScopeMissing, []Kind{Forbidden}, final, "The credential does not have the scope that this needs."},
	{CodeScopeCeiling, []Kind{Forbidden}, final, "The scope is more than the credential that asks for it has."},
	{CodeScopeAdmin, []Kind{Forbidden}, final, "Only an admin in person may grant the scope."},
	{CodeScopeOrganization, []Kind{Forbidden}, final, "A key always belongs to its server's organization, not to another."},
	{CodeScopesMissing, []Kind{Invalid}, final, "A new key needs a preset or scopes."},
	{CodePresetUnknown, []Kind{Invalid}, final, "The catalogue has no such preset."},
	{CodeExpiryMalformed, []Kind{Invalid}, final, "The lifetime is not a duration or a date, or is longer than allowed."},
	{CodeExpiryAdmin, []Kind{Forbidden}, final, "Only an admin may create a key that lives this long."},
	{CodeExpiryCeiling, []Kind{Forbidden}, final, "A key cannot give another key a longer life than its own."},
	{CodeRateMalformed, []Kind{Invalid}, final,
		"The rate is not written as a number per second, minute or hour within its bounds."},
	{CodeGraceMalformed, []Kind{Invalid}, final, "The grace period of a rotation is not a duration within its bounds."},
	{CodeMaxUses, []Kind{Invalid}, final, "The number of uses is not a number above zero."},
	{CodeMaxUsesMalformed, []Kind{Invalid}, final, "The number of uses is out of range."},
	{CodeAllowFromMalformed, []Kind{Invalid}, final,
		"An entry of the address allowlist is neither an IP address nor a CIDR, or there are too many."},
	{CodeAllowFromCeiling, []Kind{Forbidden}, final,
		"A key cannot create a secret that works from addresses where it does not work itself."},
	{CodeIdempotencyKeyMalformed, []Kind{Invalid}, final, "The idempotency key is not a random string of the right length."},
	{CodeRotationPending, []Kind{Conflict}, final, "The grace period of another rotation of this key is still running."},
	{CodeMinterLimited, []Kind{Forbidden}, final, "A key with a rate limit or a number of uses cannot create other keys."},
	{CodeMinterRotated, []Kind{Forbidden}, final, "A secret that has been replaced cannot create other keys."},
	{CodeLineageUnknown, []Kind{Invalid}, final, "A key is personal or belongs to the organization; the value is neither."},
	{CodeLineageOrganization, []Kind{Forbidden}, final,
		"Only an admin in person, or a key with the scope for it, makes an organization key."},
	{CodeLineageTooLong, []Kind{Forbidden, Unauthenticated}, final,
		"A key made with a key, and so on, has reached the longest chain allowed."},
	{CodeChainTooLong, []Kind{Unauthenticated}, final, "The key was made with a chain of more keys than a guard follows."},
	{CodeParentExpired, []Kind{Unauthenticated, Conflict}, final, "A key that this key was made with has expired."},
	{CodeParentRevoked, []Kind{Unauthenticated, Conflict}, final, "A key that this key was made with was revoked."},
	{CodeParentDisabled, []Kind{Unauthenticated, Conflict}, final, "A key that this key was made with is disabled."},
	{CodeParentUnconfirmed, []Kind{Unauthenticated, Conflict}, final,
		"A key that this key was made with has not been used yet."},
	{CodeParentLapsed, []Kind{Unauthenticated, Conflict}, final, "A key that this key was made with was never used in time."},
	{CodeParentUsedUp, []Kind{Unauthenticated, Conflict}, final, "A key that this key was made with has no uses left."},
	{CodeParentUnknown, []Kind{Unauthenticated, Conflict}, final,
		"A key that this key was made with does not exist any more."},
	{CodeParentAddress, []Kind{Unauthenticated}, final,
		"A key that this key was made with may not be used from the client's address."},
	{CodeTooManyLeaks, []Kind{TooLarge}, final, "A leak report names more keys than fit into one report."},
	{CodeTokenMissing, []Kind{Invalid}, final, "The token parameter of the introspection request is missing."},
	{CodeAddressMalformed, []Kind{Invalid}, final, "The client address to check is not an IP address."},
	{CodeLifeNegative, []Kind{Invalid}, final, "The token would already be expired."},
	{CodeTokenMalformed, []Kind{Unauthenticated}, final, "The access token cannot be read, or names no key."},
	{CodeTokenType, []Kind{Unauthenticated}, final, "The credential is neither an API key nor an access token."},
	{CodeTokenInvalid, []Kind{Unauthenticated}, final,
		"The token is not valid: its signature does not match, or it has ended."},
	{CodeTokenExpired, []Kind{Unauthenticated}, final, "The access token has expired."},
	{CodeTokenClock, []Kind{Unauthenticated}, final, "The access token is from the future: the server's clock is behind."},
	{CodeTokenLifetime, []Kind{Unauthenticated}, final, "The access token lives longer than access tokens may."},
	{CodeTokenAudience, []Kind{Unauthenticated}, final, "The access token was made for another server."},
	{CodeTokenSubject, []Kind{Unauthenticated}, final, "The access token names no member, or not in plain text."},
	{CodeTokenRole, []Kind{Unauthenticated}, final, "The access token names no known role."},
	{CodeTokenScope, []Kind{Unauthenticated}, final, "The scopes in the access token are malformed."},
	{CodeTokenNumber, []Kind{Unauthenticated}, final, "The statement number in the access token is out of range."},
	{CodeTokenWithdrawn, []Kind{Unauthenticated}, final,
		"The member's access was withdrawn or changed after the token was issued."},
	{CodeUserTokenInvalid, []Kind{Unauthenticated}, final, "The server's own user token is invalid or expired."},
	{CodeDeveloperTokenChain, []Kind{Forbidden}, final, "A developer token cannot create another one."},
}
