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

// Usage is the error for a wrong command line: exit code 2.
func Usage(format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Invalid, bridge.CodeUsage, format, args...)
}

// InputNeeded is the error for a question that cannot be asked here.
func InputNeeded(format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Invalid, bridge.CodeInputNeeded, format, args...)
}

// valueCodes are a cloud's or server's refusals of a value. Only they know which values exist; to the person it is the same
// mistake as one found here, so the exit code is the same.
var valueCodes = map[bridge.Code]bool{bridge.CodePresetUnknown: true, bridge.CodeScopeUnknown: true,
	bridge.CodeScopeMalformed:  true,
	bridge.CodeScopesMissing:   true,
	bridge.CodeExpiryMalformed: true, bridge.CodeKeyExpiry: true, bridge.CodeRateMalformed: true, bridge.CodeGraceMalformed: true, bridge.CodeAllowFromMalformed: true,
	bridge.CodeMaxUses: true, bridge.CodeMaxUsesMalformed: true, bridge.CodeIdempotencyKeyMalformed: true, bridge.CodeKeyName: true, bridge.CodeKeyDescription: true,
	bridge.CodeKeyReason: true, bridge.CodeNameMalformed: true, bridge.CodeOrganizationMalformed: true, bridge.CodeEmailMalformed: true, bridge.CodeRoleUnknown: true,
	bridge.CodeTimeMalformed: true, bridge.CodeURLMalformed: true, bridge.CodeTextMalformed: true, bridge.CodeUserMalformed: true, bridge.CodePasswordLength: true,
	bridge.CodeCeilingMalformed: true, bridge.CodeJoinMalformed: true}

// ExitCode returns the exit code of an error.
func ExitCode(e *bridge.Error) int {
	if e.Code == bridge.CodeUsage || e.Code == bridge.CodeInputNeeded || (e.Kind == bridge.Invalid && valueCodes[e.Code]) {
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

// Explain turns any error into one with a code. Unlike a server, the CLI shows its own unexpected errors: only the person who
// runs it sees them.
func Explain(err error) *bridge.Error {
	if e, ok := errors.AsType[*bridge.Error](err); ok {
		return e
	}
	code := bridge.CodeFailed
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return bridge.E(bridge.Timeout, bridge.CodeTimeout, "it took too long").WithHint("try again")
	case errors.Is(err, fs.ErrPermission):
		code = bridge.CodePermission
	}
	return &bridge.Error{Kind: bridge.Internal, Code: code, Detail: err.Error(), Err: err}
}

// failure is an error as -o json prints it, on one line.
type failure struct {
	Code     bridge.Code `json:"code"`
	Detail   string      `json:"detail"`
	Hint     string      `json:"hint,omitempty"`
	ExitCode int         `json:"exit_code"`
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
