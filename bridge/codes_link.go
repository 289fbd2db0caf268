package bridge

// Codes of links: servers that dial their cloud.
const (
	CodeCloudUnreachable   Code = "cloud_unreachable"
	CodeAppDown            Code = "app_down"
	CodeCloudPinned        Code = "cloud_pinned"
	CodeJoinOther          Code = "join_other"
	CodeJoinTokenEnded     Code = "join_token_ended"
	CodeJoinTokenInvalid   Code = "join_token_invalid"
	CodeJoinTokenMalformed Code = "join_token_malformed"
	CodeInternalURL        Code = "internal_url_missing"
	CodeLinkBusy           Code = "link_busy"
	CodeLinkForbidden      Code = "link_forbidden"
	CodeLinkSilent         Code = "link_silent"
	CodeLinkURL            Code = "link_url"
	CodeLinkUnreadable     Code = "link_unreadable"
	CodeLinkLost           Code = "link_lost"
	CodeLinkPlain          Code = "link_plain"
	CodeLinkRefused        Code = "link_refused"
	CodeLinkWanted         Code = "link_wanted"
	CodeNoLink             Code = "no_link"
)

var linkCodes = []meaning{
	{CodeCloudUnreachable, []Kind{Unreachable}, again, "The server does not reach the cloud that it wants to link to."},
	{CodeAppDown, []Kind{Unreachable}, again, "The server answers, and the app behind it does not."},
	{CodeCloudPinned, []Kind{Invalid, Conflict}, final, "The server has joined another cloud or organization; it leaves that one first."},
	{CodeJoinOther, []Kind{Forbidden}, final, "The join token was used by another server, or belongs to another organization."},
	{CodeJoinTokenEnded, []Kind{Unauthenticated}, final, "The join token is used up, expired or revoked."},
	{CodeJoinTokenInvalid, []Kind{Unauthenticated}, final, "The cloud does not know the join token."},
	{CodeJoinTokenMalformed, []Kind{Invalid}, final, "What was given is not a join token, or only a part of one."},
	{CodeInternalURL, []Kind{Unavailable}, again, "Another replica of the cloud holds links; several can with ACE_INTERNAL_URL only."},
	{CodeLinkBusy, []Kind{Unavailable}, again, "All links of the server carry as many requests as they can."},
	{CodeLinkLost, []Kind{Unreachable}, again, "The link to the server ended while it had the request; the server may have acted on it."},
	{CodeLinkPlain, []Kind{Invalid}, final, "A link wants an https cloud; plain http is for a cloud on the same machine."},
	{CodeLinkRefused, []Kind{Forbidden}, final, "The cloud does not take the credential of this link."},
	{CodeLinkForbidden, []Kind{Forbidden}, final, "The server does not take this request over a link; ACE_TUNNEL_ALLOW says what it takes."},
	{CodeLinkSilent, []Kind{Unreachable}, again, "The server has a link, and does not answer over it."},
	{CodeLinkUnreadable, []Kind{Invalid}, final, "The stored credential of the link cannot be read: ACE_JWT_SECRET has changed since."},
	{CodeLinkURL, []Kind{Invalid}, final, "A URL below link.invalid belongs to a server that joins; nobody connects it by hand."},
	{CodeLinkWanted, []Kind{Unauthenticated}, final, "The address opens links only: it answers with a challenge to sign."},
	{CodeNoLink, []Kind{Unreachable}, again, "The server has no link to the cloud at the moment."},
}
