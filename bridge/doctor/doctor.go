// Package doctor checks a way through the network, one step after the other, and names the first thing that is wrong.
//
// A [Check] looks at one thing and finds it fine, or returns an error: its code, its cause and the command that fixes it. Checks
// run in order. A check that needs another one is skipped if that one failed, and says so:
//
//	proxy ──► dns ──► tcp ──► tls ──► the cloud or server itself ──► clock ──► …
//	            │
//	            └─ failed: tcp, tls and the rest are skipped, since they could only fail for the same reason
//
// The states of a check are its outcome, and nothing follows on them:
//
//	waiting ──► ok | failed | skipped
//
// [Path] checks the way to a URL, [Cloud] and [Server] what answers there. Each check is bounded in time; none changes anything on
// the other side, and none sends a credential. What else there is to check is up to the caller, who adds checks of their own.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

// State is the outcome of a check.
type State string

// The states.
const (
	OK      State = "ok"
	Failed  State = "failed"
	Skipped State = "skipped" // it could not be checked; Cause says why
)

// Limit is how long one check may take.
const Limit = 10 * time.Second

// longest bounds what is quoted from the other side, in bytes.
const longest = 200

// Check looks at one thing.
type Check struct {
	Name  string   // stable, for programs; unique among the checks of a run
	Title string   // for people
	Needs []string // names of checks that must have been fine
	// Do returns what it found, or the fault: a [bridge.Error] with the cause and the fix, or an error of [Skip].
	Do func(ctx context.Context) (found string, err error)
}

// Result is what a check found. All fields are always written; scripts read them.
type Result struct {
	Name   string      `json:"name"`
	Title  string      `json:"title"`
	State  State       `json:"state"`
	Code   bridge.Code `json:"code"`  // of the fault; empty unless it failed
	Found  string      `json:"found"` // if it is fine
	Cause  string      `json:"cause"` // if it failed or was skipped
	Fix    string      `json:"fix"`   // if it failed: a command or a setting
	TookMS int64       `json:"took_ms"`
}

// Report is the outcome of all checks.
type Report struct {
	Checks []Result `json:"checks"`
	OK     bool     `json:"ok"` // no check failed
}

// skip says why a check could not be made.
type skip string

// Error implements error.
func (s skip) Error() string { return string(s) }

// Skip is what a check returns if there is nothing that it could look at.
func Skip(format string, args ...any) error { return skip(fmt.Sprintf(format, args...)) }

// Run makes the checks in order. It tells each result at once, unless told is nil.
func Run(ctx context.Context, limit time.Duration, checks []Check, told func(Result)) Report {
	report := Report{Checks: make([]Result, 0, len(checks)), OK: true}
	report.Add(ctx, limit, checks, told)
	return report
}

// Add makes more checks, which may need those made before.
func (r *Report) Add(ctx context.Context, limit time.Duration, checks []Check, told func(Result)) {
	for _, c := range checks {
		result := r.try(ctx, limit, c)
		r.Checks = append(r.Checks, result)
		r.OK = r.OK && result.State != Failed
		if told != nil {
			told(result)
		}
	}
}

// try makes one check, unless another one that it needs was not fine.
func (r *Report) try(ctx context.Context, limit time.Duration, c Check) Result {
	out := Result{Name: c.Name, Title: c.Title, State: Skipped}
	for _, done := range r.Checks {
		if done.State != OK && slices.Contains(c.Needs, done.Name) {
			out.Cause = fmt.Sprintf("needs %q, which %s", done.Title, map[State]string{Failed: "failed", Skipped: "was skipped"}[done.State])
			return out
		}
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	found, err := c.Do(within)
	out.TookMS = time.Since(began).Milliseconds()
	if why, ok := errors.AsType[skip](err); ok {
		out.Cause = string(why)
		return out
	}
	if err == nil {
		out.State, out.Found = OK, bridge.Clip(found, 2*longest)
		return out
	}
	e := fault(ctx, within, err)
	out.State, out.Code, out.Cause, out.Fix = Failed, e.Code, bridge.Clip(e.Detail, 10*longest), e.Hint
	return out
}

// fault gives any error a code.
func fault(ctx, within context.Context, err error) *bridge.Error {
	if e, ok := errors.AsType[*bridge.Error](err); ok && e.Code != bridge.CodeInternal {
		return e
	}
	if within.Err() != nil && ctx.Err() == nil || errors.Is(err, context.DeadlineExceeded) {
		return bridge.E(bridge.Timeout, bridge.CodeCheckTimeout, "it took too long").WithHint("run it again")
	}
	return bridge.E(bridge.Internal, bridge.CodeCheckFailed, "%s", err.Error())
}

// Faults are the checks that failed.
func (r Report) Faults() []Result {
	var out []Result
	for _, c := range r.Checks {
		if c.State == Failed {
			out = append(out, c)
		}
	}
	return out
}

// Err is nil if no check failed, and otherwise says how many did. Its hint is the fix of the first one.
func (r Report) Err() error {
	faults := r.Faults()
	if len(faults) == 0 {
		return nil
	}
	var names []string
	for _, f := range faults {
		names = append(names, fmt.Sprintf("%s (%s)", f.Title, f.Code))
	}
	what := "1 fault"
	if len(faults) > 1 {
		what = fmt.Sprintf("%d faults", len(faults))
	}
	return bridge.E(bridge.Internal, bridge.CodeFaultsFound, "%s: %s", what, strings.Join(names, ", ")).
		WithHint("%s", faults[0].Fix)
}
