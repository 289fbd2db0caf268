package bridge

// Codes: rules of a catalogue.
const (
	CodeAccessDenied        Code = "access_denied"
	CodeNoRule              Code = "no_rule"
	CodeOperationUnknown    Code = "operation_unknown"
	CodeOperationMalformed  Code = "operation_malformed"
	CodeMethodMalformed     Code = "method_malformed"
	CodeValueMissing        Code = "value_missing"
	CodeValueMalformed      Code = "value_malformed"
	CodeValueAmbiguous      Code = "value_ambiguous"
	CodeBodyAmbiguous       Code = "body_ambiguous"
	CodeBodyEncoded         Code = "body_encoded"
	CodeBodyType            Code = "body_type"
	CodeBodyUnseen          Code = "body_unseen"
	CodeOverrideHeader      Code = "override_header"
	CodeOverrideParameter   Code = "override_parameter"
	CodePathAmbiguous       Code = "path_ambiguous"
	CodePathMalformed       Code = "path_malformed"
	CodePathReserved        Code = "path_reserved"
	CodeQueryAmbiguous      Code = "query_ambiguous"
	CodeHeaderReserved      Code = "header_reserved"
	CodeForwardedMalformed  Code = "forwarded_malformed"
	CodeProxyUntrusted      Code = "proxy_untrusted"
	CodeNoUpstream          Code = "no_upstream"
	CodeUpstreamUnreachable Code = "upstream_unreachable"
	CodeCatalogueInvalid    Code = "catalogue_invalid"
	CodeCatalogueUnreadable Code = "catalogue_unreadable"
)

var rulesCodes = []meaning{
	{CodeAccessDenied, []Kind{Forbidden, Invalid}, final,
		"The request is not allowed; the server's audit log and `ace why` name the rule."},
	{CodeNoRule, []Kind{Forbidden}, final, "No rule matches the request, and the catalogue denies what matches none."},
	{CodeOperationUnknown, []Kind{Forbidden}, final, "No rule says what the operation needs."},
	{CodeOperationMalformed, []Kind{Forbidden}, final, "The name of the operation is empty, too long or not normalized text."},
	{CodeMethodMalformed, []Kind{Forbidden}, final, "The method is not in upper case."},
	{CodeValueMissing, []Kind{Forbidden}, final, "The request lacks a value that the rule needs."},
	{CodeValueMalformed, []Kind{Forbidden}, final, "A value that the rule reads is not of the right type."},
	{CodeValueAmbiguous, []Kind{Forbidden}, final,
		"A value that the rule reads occurs more than once, or could be dropped on the way."},
	{CodeBodyAmbiguous, []Kind{Forbidden}, final, "A field of the body occurs in two spellings."},
	{CodeBodyEncoded, []Kind{Forbidden}, final, "The body is compressed or encoded, so the rule cannot look into it."},
	{CodeBodyType, []Kind{Forbidden}, final, "The body is not declared as JSON in UTF-8, exactly once."},
	{CodeBodyUnseen, []Kind{Forbidden}, final, "The rule needs the body, which this door does not see or cannot hold."},
	{CodeOverrideHeader, []Kind{Forbidden}, final, "A header could make the app treat the request as a different one."},
	{CodeOverrideParameter, []Kind{Forbidden}, final, "A parameter could make the app treat the request as a different one."},
	{CodePathAmbiguous, []Kind{Forbidden, Invalid}, final, "The path can be read in more than one way."},
	{CodePathMalformed, []Kind{Invalid}, final, "The target of the request is not a path."},
	{CodePathReserved, []Kind{Forbidden}, final, "The path belongs to the server and not to the app."},
	{CodeQueryAmbiguous, []Kind{Invalid}, final, "The query can be read in more than one way."},
	{CodeHeaderReserved, []Kind{Forbidden}, final, "The request carries a header that only the server may set."},
	{CodeForwardedMalformed, []Kind{Forbidden}, final, "The proxy did not say which method and URI it asks about."},
	{CodeProxyUntrusted, []Kind{Forbidden}, final, "The caller is not one of ACE_TRUSTED_PROXIES."},
	{CodeNoUpstream, []Kind{NotFound}, final, "There is nothing at this address, and no app behind this server."},
	{CodeUpstreamUnreachable, []Kind{Unreachable}, again, "The app behind this server does not answer."},
	{CodeCatalogueInvalid, []Kind{Invalid}, final, "The catalogue is not valid; the detail names the line."},
	{CodeCatalogueUnreadable, []Kind{Unreachable}, again, "The presets of the server cannot be read."},
}
