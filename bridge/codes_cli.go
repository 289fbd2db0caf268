package bridge

// Codes: the command line.
const (
	CodeUsage                  Code = "usage"
	CodeInputNeeded            Code = "input_needed"
	CodeFailed                 Code = "failed"
	CodePermission             Code = "permission"
	CodeTimeout                Code = "timeout"
	CodeUnreachable            Code = "unreachable"
	CodeNotLoggedIn            Code = "not_logged_in"
	CodeAlreadyLoggedIn        Code = "already_logged_in"
	CodeSessionExpired         Code = "session_expired"
	CodeNotConnected           Code = "not_connected"
	CodeConnectionNotFound     Code = "connection_not_found"
	CodeConnectionOffline      Code = "connection_offline"
	CodeConnectionUnauthorized Code = "connection_unauthorized"
	CodeKeyNotFound            Code = "key_not_found"
	CodeProfileNotFound        Code = "profile_not_found"
	CodeKeyIsToken             Code = "key_is_token"
	CodeTokenIsKey             Code = "token_is_key"
	CodeKeyOfServer            Code = "key_of_server"
	CodeKeyOtherOrg            Code = "key_other_org"
	CodeTokenOtherCloud        Code = "token_other_cloud"
	CodeNotACloud              Code = "not_a_cloud"
	CodeNotAce                 Code = "not_ace"
	CodeAnswerUnexpected       Code = "answer_unexpected"
	CodeListEndless            Code = "list_endless"
	CodeRedirected             Code = "redirected"
	CodeMetadataMalformed      Code = "metadata_malformed"
	CodeCallbackMalformed      Code = "callback_malformed"
	CodeAnswered               Code = "answered"
	CodeAuthorizationFailed    Code = "authorization_failed"
	CodeStoreKeyMissing        Code = "store_key_missing"
	CodeStoreLocked            Code = "store_locked"
	CodeStoreUnreadable        Code = "store_unreadable"
	CodeKeysFound              Code = "keys_found"
	CodeNotAllRead             Code = "not_all_read"
	CodeNothingScanned         Code = "nothing_scanned"
)

var cliCodes = []meaning{
	{CodeUsage, []Kind{Invalid}, final, "The command was called the wrong way."},
	{CodeInputNeeded, []Kind{Invalid}, final, "The command needs an answer, and there is nobody to ask."},
	{CodeFailed, []Kind{Internal}, final, "The command failed; the detail says why."},
	{CodePermission, []Kind{Internal}, final, "The file system does not permit it."},
	{CodeTimeout, []Kind{Timeout}, again, "It took too long."},
	{CodeUnreachable, []Kind{Unreachable}, again, "The other side cannot be reached."},
	{CodeNotLoggedIn, []Kind{Unauthenticated}, final, "You are not logged in to the cloud."},
	{CodeAlreadyLoggedIn, []Kind{Conflict}, final, "You are logged in already; --force logs in anyway."},
	{CodeSessionExpired, []Kind{Unauthenticated}, final, "Your session has ended; log in again."},
	{CodeNotConnected, []Kind{Unauthenticated}, final, "You have no connection to that server, and gave no token for it."},
	{CodeConnectionNotFound, []Kind{NotFound}, final, "There is no connection with that name."},
	{CodeConnectionOffline, []Kind{Unreachable}, again, "The connection is offline; the detail says why."},
	{CodeConnectionUnauthorized, []Kind{Forbidden}, final, "The server does not accept the connection's key."},
	{CodeKeyNotFound, []Kind{NotFound}, final, "There is no live key with that name."},
	{CodeProfileNotFound, []Kind{NotFound}, final, "There is no profile with that name."},
	{CodeKeyIsToken, []Kind{Unauthenticated}, final, "That is a token, and an API key is needed."},
	{CodeTokenIsKey, []Kind{Unauthenticated}, final, "That is an API key, and a token is needed."},
	{CodeKeyOfServer, []Kind{Unauthenticated}, final, "That key belongs to a connection, and no cloud knows it."},
	{CodeKeyOtherOrg, []Kind{Forbidden}, final, "The key belongs to another organization."},
	{CodeTokenOtherCloud, []Kind{Unauthenticated}, final, "The token is from another cloud."},
	{CodeNotACloud, []Kind{Invalid}, final, "The URL is not that of an ace cloud."},
	{CodeNotAce, []Kind{Invalid}, final, "The URL is not that of an ace server."},
	{CodeAnswerUnexpected, []Kind{Invalid}, final, "The other side's answer is not one of ace's."},
	{CodeListEndless, []Kind{Invalid}, final, "The other side sends a list that never ends."},
	{CodeRedirected, []Kind{Invalid}, final, "The other side answers with a redirect, which is not followed."},
	{CodeMetadataMalformed, []Kind{Invalid}, final, "The cloud's metadata names an endpoint that cannot be called safely."},
	{CodeCallbackMalformed, []Kind{Invalid}, final, "The browser came back without a code, or with a parameter twice."},
	{CodeAnswered, []Kind{Conflict}, final, "The browser login was answered already."},
	{CodeAuthorizationFailed, []Kind{Invalid}, final, "The cloud refused the browser login."},
	{CodeStoreKeyMissing, []Kind{Unauthenticated}, final, "The key that decrypts the stored sessions is not available."},
	{CodeStoreLocked, []Kind{Conflict}, again, "Another ace holds the lock of the stored sessions."},
	{CodeStoreUnreadable, []Kind{Unauthenticated, Invalid}, final, "The stored sessions or settings cannot be read."},
	{CodeKeysFound, []Kind{Invalid}, final, "The scan found keys in files."},
	{CodeNotAllRead, []Kind{Internal}, final, "The scan found no keys, and some files could not be searched."},
	{CodeNothingScanned, []Kind{Invalid}, final, "There was no file to search."},
}
