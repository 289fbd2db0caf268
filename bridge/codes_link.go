package bridge

// Codes of links: servers that dial their cloud.
const (
	CodeCloudUnreachable   Code = "cloud_unreachable"
	CodeAppDown            Code = "app_down"
	CodeCloudPinned        Code = "cloud_pinned"
	CodeJoinMalformed      Code = "join_malformed"
	CodeJoinOther          Code = "join_other"
	CodeJoinServerTaken    Code = "join_server_taken"
	CodeJoinTokenEnded     Code = "join_token_ended"
	CodeJoinTokenInvalid   Code = "join_token_invalid"
	CodeJoinTokenMalformed Code = "join_token_malformed"
	CodeInternalURL        Code = "internal_url_missing"
	CodeJoinTokenUnknown   Code = "join_token_unknown"
	CodeLinkBusy           Code = "link_busy"
	CodeLinkForbidden      Code = "link_forbidden"
	CodeLinkKeyMalformed   Code = "link_key_malformed"
	CodeLinkSilent         Code = "link_silent"
	CodeLinkTaken          Code = "link_taken"
	CodeLinkURL            Code = "link_url"
	CodeLinkUnreadable     Code = "link_unreadable"
	CodeLinkLost           Code = "link_lost"
	CodeLinkPlain          Code = "link_plain"
	CodeLinkRefused        Code = "link_refused"
	CodeLinkWanted         Code = "link_wanted"
	CodeNoLink             Code = "no_link"
	CodeNotJoined          Code = "not_joined"
	CodeServerNotReady     Code = "server_not_ready"
	CodeServerNotRunning   Code = "server_not_running"
)

var linkCodes = []meaning{
	{CodeCloudUnreachable, []Kind{Unreachable}, again, "The server does not reach the cloud that it wants to link to."},
	{CodeAppDown, []Kind{Unreachable, Unavailable}, again, "The server answers, and the app behind it does not."},
	{CodeCloudPinned, []Kind{Invalid, Conflict}, final, "The server has joined another cloud or organization; it leaves that one first."},
	{CodeJoinMalformed, []Kind{Invalid}, final, "What is asked of a join token is out of bounds, or a joining server names no ID or URL of its own."},
	{CodeJoinOther, []Kind{Forbidden}, final, "The join token was used by another server, or belongs to another organization."},
	{CodeJoinServerTaken, []Kind{Conflict}, final, "A server with this ID has joined already, and the one that joins has no key of its link."},
	{CodeJoinTokenEnded, []Kind{Unauthenticated}, final, "The join token is used up, expired or revoked, or its maker may no longer manage connections."},
	{CodeJoinTokenInvalid, []Kind{Unauthenticated}, final, "The cloud does not know the join token."},
	{CodeJoinTokenMalformed, []Kind{Invalid}, final, "What was given is not a join token, or only a part of one."},
	{CodeInternalURL, []Kind{Unavailable}, again, "Another replica of the cloud holds links; several can with ACE_INTERNAL_URL only."},
	{CodeJoinTokenUnknown, []Kind{NotFound}, final, "There is no such join token in the organization."},
	{CodeLinkBusy, []Kind{Unavailable}, again, "All links of the server carry as many requests as they can."},
	{CodeLinkLost, []Kind{Unreachable}, again, "The link to the server ended while it had the request; the server may have acted on it."},
	{CodeLinkPlain, []Kind{Invalid}, final, "A link wants an https cloud; plain http is for a cloud on the same machine."},
	{CodeLinkRefused, []Kind{Forbidden}, final, "The cloud does not take the credential of this link."},
	{CodeLinkForbidden, []Kind{Forbidden}, final, "The request does not come over a link: ACE_TUNNEL_ALLOW refuses it, or its path is the link's own."},
	{CodeLinkKeyMalformed, []Kind{Invalid}, final, "The public key of a link is not Ed25519 in base64url, or does not come with a sealed key."},
	{CodeLinkSilent, []Kind{Unreachable, Unavailable}, again, "The server has a link, and does not answer over it."},
	{CodeLinkTaken, []Kind{Conflict}, again, "Another server process has the links of this connection, and one of the two refuses replicas."},
	{CodeLinkUnreadable, []Kind{Invalid}, final, "The stored credential of the link cannot be read: ACE_JWT_SECRET has changed since."},
	{CodeLinkURL, []Kind{Invalid}, final, "A URL below link.invalid belongs to a server that joins; nobody connects it by hand."},
	{CodeLinkWanted, []Kind{Unauthenticated}, final, "The address opens links only: it answers with a challenge to sign."},
	{CodeServerNotReady, []Kind{Conflict}, again, "The server runs, and does not do its whole work at the moment."},
	{CodeServerNotRunning, []Kind{Unreachable}, again, "No server runs on this data directory."},
	{CodeNotJoined, []Kind{NotFound}, final, "The server has joined no organization that it could leave."},
	{CodeNoLink, []Kind{Unreachable, Unavailable, Conflict}, again, "The server has no link to the cloud at the moment."},
}
