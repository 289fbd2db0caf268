package bridge

import "net/http"

// Kind says what sort of failure an [Error] is. Each kind has one HTTP status, and each of these statuses one kind.
type Kind string

// The kinds of failure.
const (
	Invalid         Kind = "invalid"         // 400: the request is malformed or breaks a rule of form
	Unauthenticated Kind = "unauthenticated" // 401: no credential, or one that is not accepted
	Forbidden       Kind = "forbidden"       // 403: the credential is known and does not allow this
	NotFound        Kind = "not_found"       // 404
	NotAllowed      Kind = "method"          // 405
	Conflict        Kind = "conflict"        // 409: the state does not allow it
	TooLarge        Kind = "too_large"       // 413
	TooMany         Kind = "too_many"        // 429: see Error.RetryAfter
	Internal        Kind = "internal"        // 500: the cause is in the log, never in the answer
	Unreachable     Kind = "unreachable"     // 502: the other side cannot be reached
	Unavailable     Kind = "unavailable"     // 503: not ready, or shutting down
	Timeout         Kind = "timeout"         // 504: the other side is too slow
	Loop            Kind = "loop"            // 508: the request comes round
	ClientGone      Kind = "client_gone"     // 499, in the log alone: the client hung up
)

// StatusClientGone stands in the log for a request whose client hung up, as nginx writes it. Nobody is answered with it.
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

// Status is the HTTP status of a kind; 500 for one that does not exist.
func (k Kind) Status() int {
	if status, ok := statuses[k]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// KindOfStatus is the kind with an HTTP status.
func KindOfStatus(status int) (kind Kind, ok bool) {
	for kind, of := range statuses {
		if of == status {
			return kind, true
		}
	}
	return "", false
}
