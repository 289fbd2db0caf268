package bridge

// Codes: connections.
const (
	CodeConnectionUnknown    Code = "connection_unknown"
	CodeConnectionMoved      Code = "connection_moved"
	CodeConnectionExcepted   Code = "connection_excepted"
	CodeNotOwner             Code = "not_owner"
	CodeOwnerGone            Code = "owner_gone"
	CodeOwnerUnlimited       Code = "owner_unlimited"
	CodeShareAdmin           Code = "share_admin"
	CodeAuditOwner           Code = "audit_owner"
	CodeCeilingMalformed     Code = "ceiling_malformed"
	CodeCeilingPlain         Code = "ceiling_plain"
	CodeLimitEmpty           Code = "limit_empty"
	CodeLimitMalformed       Code = "limit_malformed"
	CodeLimitToken           Code = "limit_token"
	CodeScopeEmpty           Code = "scope_empty"
	CodeVisibilityUnknown    Code = "visibility_unknown"
	CodeStatusUnknown        Code = "status_unknown"
	CodeCredentialErased     Code = "credential_erased"
	CodeKeyMissing           Code = "key_missing"
	CodeKeyNotOfConnection   Code = "key_not_of_connection"
	CodeKeyNotShown          Code = "key_not_shown"
	CodeURLMalformed         Code = "url_malformed"
	CodeServerUnreachable    Code = "server_unreachable"
	CodeServerSlow           Code = "server_slow"
	CodeServerFailed         Code = "server_failed"
	CodeServerUnexpected     Code = "server_unexpected"
	CodeServerUnauthorized   Code = "server_unauthorized"
	CodeServerForbidden      Code = "server_forbidden"
	CodeServerRefused        Code = "server_refused"
	CodeServerPlain          Code = "server_plain"
	CodeServerMoved          Code = "server_moved"
	CodeRelayHeaderMissing   Code = "relay_header_missing"
	CodeRelayBusy            Code = "relay_busy"
	CodeRelayLoop            Code = "relay_loop"
	CodeServiceWorkerRefused Code = "service_worker_refused"
	CodeKeyRefused           Code = "key_refused"
	CodeRotationAnswer       Code = "rotation_answer"
	CodeRotationTest         Code = "rotation_test"
	CodeRotationOvertaken    Code = "rotation_overtaken"
	CodeRotationUnknown      Code = "rotation_unknown"
)

var connectionsCodes = []meaning{
	{CodeConnectionUnknown, []Kind{NotFound}, final, "There is no such connection, or you may not see it."},
	{CodeConnectionMoved, []Kind{Conflict}, final, "Another connect has registered the connection meanwhile."},
	{CodeConnectionExcepted, []Kind{Forbidden}, final, "An admin has decided that you may not use this connection."},
	{CodeNotOwner, []Kind{Forbidden}, final, "Only the connection's owner or an admin may do this."},
	{CodeOwnerGone, []Kind{Forbidden}, final,
		"The owner of the private connection is not a member any more; it can only be disconnected."},
	{CodeOwnerUnlimited, []Kind{Conflict}, final, "A connection's owner is never limited."},
	{CodeShareAdmin, []Kind{Forbidden}, final, "Only an admin may share a connection and say what members may do with it."},
	{CodeAuditOwner, []Kind{Forbidden}, final, "Only the connection's owner and admins may read its audit log."},
	{CodeCeilingMalformed, []Kind{Invalid}, final, "The ceiling has no scopes, too many, or a malformed preset name."},
	{CodeCeilingPlain, []Kind{Conflict, Forbidden}, final,
		"The connection's key is a plain one, whose server would not keep to a ceiling or limit."},
	{CodeLimitEmpty, []Kind{Invalid}, final, "No scope of the limit lies within the connection's ceiling."},
	{CodeLimitMalformed, []Kind{Invalid}, final, "The limit is neither none nor a preset or scopes."},
	{CodeLimitToken, []Kind{Invalid}, final, "A personal access token cannot be limited; limit its owner instead."},
	{CodeScopeEmpty, []Kind{Forbidden}, final,
		"Nothing is left of what you may do: the ceiling and your limit have no scope in common."},
	{CodeVisibilityUnknown, []Kind{Invalid}, final, "The visibility is neither private nor organization."},
	{CodeStatusUnknown, []Kind{Invalid}, final, "The status to search for is not one that connections have."},
	{CodeCredentialErased, []Kind{Conflict}, final, "The connection has no key, because its URL was changed."},
	{CodeKeyMissing, []Kind{Invalid}, final, "A connection needs a sealed key or an API key."},
	{CodeKeyNotOfConnection, []Kind{Conflict}, final,
		"A key that somebody created on the server keeps the expiry date that it was given."},
	{CodeKeyNotShown, []Kind{Forbidden}, final,
		"The server knows plain API keys only, and the key is shown to the connection's owner alone."},
	{CodeURLMalformed, []Kind{Invalid}, final, "The URL is not the address of a server as people use it."},
	{CodeServerUnreachable, []Kind{Unreachable}, again, "The connection's server cannot be reached from the cloud."},
	{CodeServerSlow, []Kind{Timeout}, again, "The connection's server did not begin its answer in time."},
	{CodeServerFailed, []Kind{Unreachable, Internal, Unavailable, TooMany, Timeout}, again,
		"The connection's server answers with an error of its own."},
	{CodeServerUnexpected, []Kind{Unreachable}, final,
		"The server at the connection's URL does not speak the API of an ace server."},
	{CodeServerUnauthorized, []Kind{Conflict}, final, "The server does not accept the connection's key any more."},
	{CodeServerForbidden, []Kind{Forbidden}, final, "The server does not let you do this."},
	{CodeServerRefused, []Kind{Invalid, PassedOn}, final, "The server refuses the request; the detail quotes what it says."},
	{CodeServerPlain, []Kind{Conflict}, final, "The connection has no key that an ace server issued."},
	{CodeServerMoved, []Kind{Invalid, PassedOn}, final, "The server answers with a redirect, which is not followed."},
	{CodeRelayHeaderMissing, []Kind{Forbidden}, final,
		"A relay call with a cookie lacks the header that only the dashboard's pages send."},
	{CodeRelayBusy, []Kind{TooMany}, again, "The member, the connection or the cloud has reached its maximum of open relayed calls."},
	{CodeRelayLoop, []Kind{Loop}, final, "The relayed call has come back to this cloud."},
	{CodeServiceWorkerRefused, []Kind{Forbidden}, final,
		"The relay does not let a server's script become a service worker of the browser."},
	{CodeKeyRefused, []Kind{Conflict, Unauthenticated}, final, "The server does not accept the key that it issued."},
	{CodeRotationAnswer, []Kind{Invalid, PassedOn}, final, "The server answered with something other than a new secret for the key."},
	{CodeRotationTest, []Kind{Invalid}, final, "The server does not accept the new secret that it gave out."},
	{CodeRotationOvertaken, []Kind{Conflict, Forbidden}, final,
		"The key was given another secret, which the cloud does not know."},
	{CodeRotationUnknown, []Kind{Conflict, Forbidden}, final, "The server is too old to let a connection renew its key."},
}
