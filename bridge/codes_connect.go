package bridge

// Codes: connecting a server.
const (
	CodeExchangeNotConfigured Code = "exchange_not_configured"
	CodeCloudSecretMalformed  Code = "cloud_secret_malformed"
	CodeCloudURLMalformed     Code = "cloud_url_malformed"
	CodeCloudOrgMalformed     Code = "cloud_org_malformed"
	CodeConnectMalformed      Code = "connect_malformed"
	CodeConnectType           Code = "connect_type"
	CodeConnectAlgorithm      Code = "connect_algorithm"
	CodeConnectKeyUnknown     Code = "connect_key_unknown"
	CodeConnectSignature      Code = "connect_signature"
	CodeConnectIssuer         Code = "connect_issuer"
	CodeConnectAudience       Code = "connect_audience"
	CodeConnectOrg            Code = "connect_org"
	CodeConnectSubject        Code = "connect_subject"
	CodeConnectRole           Code = "connect_role"
	CodeConnectScope          Code = "connect_scope"
	CodeConnectLifetime       Code = "connect_lifetime"
	CodeConnectKeyLife        Code = "connect_key_life"
	CodeConnectClock          Code = "connect_clock"
	CodeConnectExpired        Code = "connect_expired"
	CodeConnectJTI            Code = "connect_jti"
	CodeConnectReplaces       Code = "connect_replaces"
	CodeConnectRoleViewer     Code = "connect_role_viewer"
	CodeConnectTokenUsed      Code = "connect_token_used"
	CodeConnectTokenOld       Code = "connect_token_old"
	CodeSealedKeyInvalid      Code = "sealed_key_invalid"
	CodeSealingKeyMalformed   Code = "sealing_key_malformed"
	CodeServerNoCloudSecret   Code = "server_no_cloud_secret"
	CodeServerOtherCloud      Code = "server_other_cloud"
	CodeServerOtherOrg        Code = "server_other_org"
	CodeServerOtherSecret     Code = "server_other_secret"
	CodeServerURLUnknown      Code = "server_url_unknown"
	CodeKeyOther              Code = "key_other"
	CodeKeyNotSealed          Code = "key_not_sealed"
	CodeStatementInvalid      Code = "statement_invalid"
	CodeStatementsRate        Code = "statements_rate"
	CodeRevocationInvalid     Code = "revocation_invalid"
	CodeRevocationUnknown     Code = "revocation_unknown"
	CodeWithdrawalInvalid     Code = "withdrawal_invalid"
	CodeWithdrawalMalformed   Code = "withdrawal_malformed"
	CodeWithdrawalTooLong     Code = "withdrawal_too_long"
)

var connectCodes = []meaning{
	{CodeExchangeNotConfigured, []Kind{Unavailable}, final,
		"The server has no cloud secret, so it cannot check whose token this is."},
	{CodeCloudSecretMalformed, []Kind{Invalid}, final,
		"The cloud secret in the settings is malformed, too short or contradictory."},
	{CodeCloudURLMalformed, []Kind{Invalid}, final, "ACE_CLOUD_URL is not a URL."},
	{CodeCloudOrgMalformed, []Kind{Invalid}, final, "ACE_CLOUD_ORG is not an organization's name."},
	{CodeConnectMalformed, []Kind{Unauthenticated}, final, "The connect token cannot be read."},
	{CodeConnectType, []Kind{Unauthenticated}, final, "The token is not a connect token."},
	{CodeConnectAlgorithm, []Kind{Unauthenticated}, final,
		"The connect token is signed with another algorithm than its key demands."},
	{CodeConnectKeyUnknown, []Kind{Unauthenticated}, final,
		"The connect token is signed with a key that this server does not trust."},
	{CodeConnectSignature, []Kind{Unauthenticated}, final,
		"The connect token's signature does not match the cloud secret of this server."},
	{CodeConnectIssuer, []Kind{Unauthenticated}, final,
		"The connect token was issued by another cloud than the one trusted here."},
	{CodeConnectAudience, []Kind{Unauthenticated}, final, "The connect token is for another server URL."},
	{CodeConnectOrg, []Kind{Unauthenticated}, final, "The connect token is for another organization than the server's."},
	{CodeConnectSubject, []Kind{Unauthenticated}, final, "The connect token names no member, or not in plain text."},
	{CodeConnectRole, []Kind{Unauthenticated}, final, "The connect token names no known role."},
	{CodeConnectScope, []Kind{Unauthenticated}, final, "The scope in the connect token is empty or malformed."},
	{CodeConnectLifetime, []Kind{Unauthenticated}, final, "The connect token lives longer than connect tokens may."},
	{CodeConnectKeyLife, []Kind{Unauthenticated}, final,
		"The lifetime that the connect token allows the key is out of range."},
	{CodeConnectClock, []Kind{Unauthenticated}, final,
		"The connect token is from the future: the server's clock is behind the cloud's."},
	{CodeConnectExpired, []Kind{Unauthenticated}, final,
		"The connect token has expired, or the server's clock is ahead of the cloud's."},
	{CodeConnectJTI, []Kind{Unauthenticated}, final, "The connect token's ID is too short to be unique."},
	{CodeConnectReplaces, []Kind{Unauthenticated}, final,
		"The connect token says that the key replaces another, but not which one."},
	{CodeConnectRoleViewer, []Kind{Forbidden}, final, "A viewer cannot connect a server."},
	{CodeConnectTokenUsed, []Kind{Unauthenticated}, final, "The connect token has been used already."},
	{CodeConnectTokenOld, []Kind{Unauthenticated}, final,
		"The connect token is older than the moment when an operator accepted the clock or the database."},
	{CodeSealedKeyInvalid, []Kind{Invalid}, final,
		"The sealed key cannot be opened: it was made for somebody else, or it is damaged."},
	{CodeSealingKeyMalformed, []Kind{Invalid}, final, "The sealing key in the connect token is malformed."},
	{CodeServerNoCloudSecret, []Kind{Conflict}, final, "The server has no cloud secret, so it cannot check who you are."},
	{CodeServerOtherCloud, []Kind{Conflict}, final, "The server trusts another cloud than the one you are logged in to."},
	{CodeServerOtherOrg, []Kind{Conflict}, final, "The server belongs to another organization than the one you are in."},
	{CodeServerOtherSecret, []Kind{Conflict}, final, "The server has a cloud secret that is not this cloud's."},
	{CodeServerURLUnknown, []Kind{Conflict}, final, "The server does not know itself by the URL that you gave."},
	{CodeKeyOther, []Kind{Conflict}, final, "The server accepted a different key from the one it had just issued."},
	{CodeKeyNotSealed, []Kind{Invalid}, final, "The server did not seal its key for the cloud."},
	{CodeStatementInvalid, []Kind{Unauthenticated}, final, "The statement is not about this key, or not signed by it."},
	{CodeStatementsRate, []Kind{TooMany}, again, "Too many statements about this key came in a short time."},
	{CodeRevocationInvalid, []Kind{Unauthenticated}, final, "The revocation is not signed by the key it revokes."},
	{CodeRevocationUnknown, []Kind{NotFound}, final, "No revocation waits under that ID."},
	{CodeWithdrawalInvalid, []Kind{Unauthenticated}, final, "The withdrawal is not signed by its key."},
	{CodeWithdrawalMalformed, []Kind{Unauthenticated}, final,
		"The withdrawal names no members or too many, or its number is out of range."},
	{CodeWithdrawalTooLong, []Kind{TooLarge}, final, "The withdrawal is longer than one may be."},
}
