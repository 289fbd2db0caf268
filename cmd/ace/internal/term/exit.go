package term

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/acebridge/ace/bridge"
)

// The exit codes, stable: scripts depend on them.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotLoggedIn = 4
	ExitForbidden   = 5
	ExitUnreachable = 6
	ExitInterrupted = 130
)

// The codes of a wrong use of a command.
const (
	CodeUsage       = "usage"
	codeInputNeeded = "input_needed"
)

// Usage is a wrong use of a command: exit code 2.
func Usage(format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Invalid, CodeUsage, format, args...)
}

// InputNeeded is what a command answers instead of asking when there is nobody to ask.
func InputNeeded(format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Invalid, codeInputNeeded, format, args...)
}

// valueCodes are refusals, by a cloud or a server, of what a flag or an argument says: only they know what there is, and to
// the person it is the same as what is found wrong here.
var valueCodes = map[string]bool{"preset_unknown": true, "scope_unknown": true, "scope_malformed": true, "scopes_missing": true,
	"expiry_malformed": true, "key_expiry": true, "rate_malformed": true, "grace_malformed": true, "allow_from_malformed": true,
	"max_uses": true, "max_uses_malformed": true, "idempotency_key_malformed": true, "key_name": true, "key_description": true,
	"key_reason": true, "name_malformed": true, "organization_malformed": true, "email_malformed": true, "role_unknown": true,
	"time_malformed": true, "url_malformed": true, "text_malformed": true, "user_malformed": true, "password_length": true,
	"ceiling_malformed": true}

// ExitCode is the exit code of an error.
func ExitCode(e *bridge.Error) int {
	if e.Code == CodeUsage || e.Code == codeInputNeeded || (e.Kind == bridge.Invalid && valueCodes[e.Code]) {
		return ExitUsage
	}
	switch e.Kind {
	case bridge.Unauthenticated:
		return ExitNotLoggedIn
	case bridge.Forbidden:
		return ExitForbidden
	case bridge.Unreachable, bridge.Timeout, bridge.Unavailable:
		return ExitUnreachable
	}
	return ExitFailed
}

// Explain makes any error one with a code; unlike a server's, the CLI's own unexpected errors are shown to the one
// person who runs it.
func Explain(err error) *bridge.Error {
	if e, ok := errors.AsType[*bridge.Error](err); ok {
		return e
	}
	code := "failed"
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return bridge.E(bridge.Timeout, "timeout", "it took too long").WithHint("try again")
	case errors.Is(err, fs.ErrPermission):
		code = "permission"
	}
	return &bridge.Error{Kind: bridge.Internal, Code: code, Detail: err.Error(), Err: err}
}

// failure is an error with -o json: one line on stderr.
type failure struct {
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	Hint     string `json:"hint,omitempty"`
	ExitCode int    `json:"exit_code"`
}

// Fail prints an error and returns the exit code.
func (t *Terminal) Fail(err error) int {
	e := t.Without(Explain(err))
	code := ExitCode(e)
	if t.Output == OutputJSON {
		line, _ := json.Marshal(failure{Code: e.Code, Detail: e.Detail, Hint: e.Hint, ExitCode: code})
		_, _ = fmt.Fprintf(t.Err, "%s\n", line)
		return code
	}
	t.Say("ace: %s", PrintableLines(e.Detail))
	if e.Hint != "" {
		t.Say("  fix: %s", PrintableLines(e.Hint))
	}
	return code
}
