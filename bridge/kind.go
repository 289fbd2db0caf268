package bridge

import "net/http"

// Kind is the sort of failure of an [Error]. Kinds and HTTP statuses map one to one.
type Kind string

// Kinds of failure.
const (
	Invalid         Kind = "invalid"         // 400: the request is malformed or breaks a formal rule
	Unauthenticated Kind = "unauthenticated" // 401: there is no credential, or it is not accepted
	Forbidden       Kind = "forbidden"       // 403: the credential is accepted but does not allow this
	NotFound        Kind = "not_found"       // 404
	NotAllowed      Kind = "method"          // 405
	Conflict        Kind = "conflict"        // 409: the state does not allow it
	TooLarge        Kind = "too_large"       // 413
	TooMany         Kind = "too_many"        // 429: see Error.RetryAfter
	Internal        Kind = "internal"        // 500: the cause is in the log, never in the response
	Unreachable     Kind = "unreachable"     // 502: the other side cannot be reached
	Unavailable     Kind = "unavailable"     // 503: not ready, or shutting down
	Timeout         Kind = "timeout"         // 504: the other side is too slow
	Loop            Kind = "loop"            // 508: the request has come back to where it was
	ClientGone      Kind = "client_gone"     // 499, only in the log: the client hung up
)

// StatusClientGone is logged for a request whose client hung up, as nginx does. It is never sent.
const StatusClientGone = 499

var statuses = map[Kind]int{
	Invalid:         http.StatusBadRequest,
	Unauthenticated: http.StatusUnauthorized,
	Forbidden:       http.StatusForbidden,
	NotFound:        http.StatusNotFound,
	NotAllowed:      http.StatusMethodNotAllowed,
	Conflict:        http.StatusConflict,
	TooLarge:        http.StatusRequestEntityTooLarge,
	TooMany:         http.StatusTooManyRequests,
	Internal:        http.StatusInternalServerError,
	Unreachable:     http.StatusBadGateway,
	Unavailable:     http.StatusServiceUnavailable,
	Timeout:         http.StatusGatewayTimeout,
	Loop:            http.StatusLoopDetected,
	ClientGone:      StatusClientGone,
}

// Status returns the HTTP status of a kind; 500 for one that does not exist.
func (k Kind) Status() int {
	if status, ok := statuses[k]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// KindOfStatus returns the kind that has an HTTP status; ok is false if there is none.
func KindOfStatus(status int) (kind Kind, ok bool) {
	for kind, of := range statuses {
		if of == status {
			return kind, true
		}
	}
	return "", false
}
