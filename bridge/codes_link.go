package bridge

// Codes of links: servers that dial their cloud.
const (
	CodeCloudUnreachable Code = "cloud_unreachable"
	CodeLinkBusy         Code = "link_busy"
	CodeLinkLost         Code = "link_lost"
	CodeLinkPlain        Code = "link_plain"
	CodeLinkRefused      Code = "link_refused"
	CodeLinkWanted       Code = "link_wanted"
	CodeNoLink           Code = "no_link"
)

var linkCodes = []meaning{
	{CodeCloudUnreachable, []Kind{Unreachable}, again, "The server does not reach the cloud that it wants to link to."},
	{CodeLinkBusy, []Kind{Unavailable}, again, "All links of the server carry as many requests as they can."},
	{CodeLinkLost, []Kind{Unreachable}, again, "The link to the server ended while it had the request; the server may have acted on it."},
	{CodeLinkPlain, []Kind{Invalid}, final, "A link wants an https cloud; plain http is for a cloud on the same machine."},
	{CodeLinkRefused, []Kind{Forbidden}, final, "The cloud does not take the credential of this link."},
	{CodeLinkWanted, []Kind{Unauthenticated}, final, "The address opens links only: it answers with a challenge to sign."},
	{CodeNoLink, []Kind{Unreachable}, again, "The server has no link to the cloud at the moment."},
}
