package bridge

import (
	"errors"
	"fmt"
	"time"
)

// Error is the error type of the whole project.
//
// Code is stable and meant for programs. Detail states the cause in a sentence for a person; Hint, if set, is the command or
// setting that fixes it. Err is the underlying cause: it is logged and never sent to a caller.
type Error struct {
	Kind       Kind
	Code       Code
	Detail     string
	Hint       string
	RetryAfter time.Duration // with TooMany and Unavailable; zero when unknown
	Scope      Scope         // with Forbidden: the scope that was missing (RFC 6750 section 3.1)
	Err        error
}

// E makes an [Error] with a formatted detail. A %w operand also becomes the underlying cause.
func E(kind Kind, code Code, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Code: code, Detail: wrapped.Error(), Err: errors.Unwrap(wrapped)}
}

// WithHint returns a copy with a hint: the command or setting that fixes the problem.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Because returns a copy with an underlying cause that is logged but not shown.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// Unwrap returns the underlying cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) compare codes.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code != "" && t.Code == e.Code
}

// AsError returns the [Error] in err's chain. Any other error becomes an [Internal] one that hides it.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Code: CodeInternal, Detail: "something went wrong on our side", Err: err}
}

// CodeOf returns the code of the [Error] in err's chain, "internal" for any other error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}

// WholeSeconds rounds a wait up to whole seconds, the unit of Retry-After.
func WholeSeconds(wait time.Duration) time.Duration {
	if rest := wait % time.Second; rest > 0 {
		wait += time.Second - rest
	}
	return wait
}
