package bridge

// Codes: requests.
const (
	CodeNotFound         Code = "not_found"
	CodeMethodNotAllowed Code = "method_not_allowed"
	CodeRequestMalformed Code = "request_malformed"
	CodeHTTPError        Code = "http_error"
	CodeBodyMalformed    Code = "body_malformed"
	CodeBodyNotJSON      Code = "body_not_json"
	CodeBodyNotForm      Code = "body_not_form"
	CodeBodyText         Code = "body_text"
	CodeBodyTooLarge     Code = "body_too_large"
	CodeBodyUnreadable   Code = "body_unreadable"
	CodeFormMalformed    Code = "form_malformed"
	CodeParameterTwice   Code = "parameter_twice"
	CodeTextMalformed    Code = "text_malformed"
	CodeTimeMalformed    Code = "time_malformed"
	CodeSearchMalformed  Code = "search_malformed"
	CodeSinceMalformed   Code = "since_malformed"
	CodeFormatUnknown    Code = "format_unknown"
	CodeHostUnknown      Code = "host_unknown"
	CodeCrossOrigin      Code = "cross_origin"
	CodeNotConfirmed     Code = "not_confirmed"
	CodeUpgradeRefused   Code = "upgrade_refused"
	CodeTooManyRequests  Code = "too_many_requests"
	CodeBusy             Code = "busy"
	CodeStreamsBusy      Code = "streams_busy"
	CodeShuttingDown     Code = "shutting_down"
	CodeStopping         Code = "stopping"
	CodeCancelled        Code = "cancelled"
	CodeClientGone       Code = "client_gone"
	CodeAnswerCut        Code = "answer_cut"
	CodeInternal         Code = "internal"
	CodeRefusalUnknown   Code = "refusal_unknown"
)

var requestCodes = []meaning{
	{CodeNotFound, []Kind{NotFound}, final, "There is nothing at this address."},
	{CodeMethodNotAllowed, []Kind{NotAllowed}, final, "This address does not accept this method."},
	{CodeRequestMalformed, []Kind{Invalid}, final, "The parameters of the request do not fit together, or one is broken."},
	{CodeHTTPError, []Kind{Invalid, PassedOn}, final,
		"The HTTP library refused the request before it reached a handler; the status says why."},
	{CodeBodyMalformed, []Kind{Invalid, Forbidden}, final, "The body is not the JSON object or form that is expected here."},
	{CodeBodyNotJSON, []Kind{Invalid}, final, "The body must be sent as application/json."},
	{CodeBodyNotForm, []Kind{Invalid}, final, "The body must be sent as application/x-www-form-urlencoded."},
	{CodeBodyText, []Kind{Invalid}, final, "The body holds text that is not valid Unicode."},
	{CodeBodyTooLarge, []Kind{TooLarge}, final, "The body of the request is larger than this address takes."},
	{CodeBodyUnreadable, []Kind{Invalid}, final, "The body of the request broke off before it was complete."},
	{CodeFormMalformed, []Kind{Invalid, Forbidden}, final, "The form cannot be read, or can be read in more than one way."},
	{CodeParameterTwice, []Kind{Invalid}, final, "A parameter that may be given once is given more than once."},
	{CodeTextMalformed, []Kind{Invalid}, final, "A value holds a NUL byte or text that is not valid UTF-8."},
	{CodeTimeMalformed, []Kind{Invalid}, final, "A time is neither a day nor an RFC 3339 time."},
	{CodeSearchMalformed, []Kind{Invalid}, final, "The search text is too long or holds control characters."},
	{CodeSinceMalformed, []Kind{Invalid}, final, "The position in the event stream is not one that this server gave out."},
	{CodeFormatUnknown, []Kind{Invalid}, final, "The export format is neither csv nor jsonl."},
	{CodeHostUnknown, []Kind{Invalid}, final, "The request names a host that this cloud does not go by."},
	{CodeCrossOrigin, []Kind{Forbidden}, final, "A page of another site sent the request with this browser's cookie."},
	{CodeNotConfirmed, []Kind{Invalid}, final, "The page asks for a confirmation box to be ticked, and it was not."},
	{CodeUpgradeRefused, []Kind{Invalid}, final, "The WebSocket handshake is malformed."},
	{CodeTooManyRequests, []Kind{TooMany}, again, "Too many requests or attempts came in a short time."},
	{CodeBusy, []Kind{Unavailable}, again, "Too many people are signing in at this moment."},
	{CodeStreamsBusy, []Kind{TooMany}, again, "Too many live event streams are open already."},
	{CodeShuttingDown, []Kind{Unavailable}, again, "This process is stopping and takes no new requests."},
	{CodeStopping, []Kind{Unavailable}, again, "This cloud is stopping and ends its event streams."},
	{CodeCancelled, []Kind{Conflict, Unavailable}, final, "The caller gave up, or answered no, before anything was done."},
	{CodeClientGone, []Kind{ClientGone}, final,
		"The client hung up before the answer was complete; it only appears in the log."},
	{CodeAnswerCut, []Kind{Unreachable}, again,
		"The answer broke off: its source failed, or what let the request in was taken away."},
	{CodeInternal, []Kind{Internal}, final, "Something went wrong on our side; the cause is in the log under the request ID."},
	{CodeRefusalUnknown, []Kind{NotFound}, final, "No refusal with that request ID is remembered."},
}
