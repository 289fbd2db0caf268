package doctor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/doctor"
)

func TestRun(t *testing.T) {
	fine := func(context.Context) (string, error) { return "all there", nil }
	checks := []doctor.Check{
		{Name: "a", Title: "A", Do: fine},
		{Name: "b", Title: "B", Needs: []string{"a"}, Do: func(context.Context) (string, error) {
			return "", bridge.E(bridge.Unreachable, bridge.CodeDNSFailed, "no such name").WithHint("correct it")
		}},
		{Name: "c", Title: "C", Needs: []string{"b"}, Do: fine},
		{Name: "d", Title: "D", Needs: []string{"c"}, Do: fine},
		{Name: "e", Title: "E", Do: func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }},
		{Name: "f", Title: "F", Do: func(context.Context) (string, error) { return "", errors.New("odd") }},
		{Name: "g", Title: "G", Do: func(context.Context) (string, error) { return "", doctor.Skip("nothing to %s", "see") }},
		{Name: "h", Title: "H", Needs: []string{"a"}, Do: fine},
	}
	var told []doctor.Result
	report := doctor.Run(t.Context(), 10*time.Millisecond, checks, func(r doctor.Result) { told = append(told, r) })
	want := []doctor.Result{
		{Name: "a", Title: "A", State: doctor.OK, Found: "all there"},
		{Name: "b", Title: "B", State: doctor.Failed, Code: "dns_failed", Cause: "no such name", Fix: "correct it"},
		{Name: "c", Title: "C", State: doctor.Skipped, Cause: `needs "B", which failed`},
		{Name: "d", Title: "D", State: doctor.Skipped, Cause: `needs "C", which was skipped`},
		{Name: "e", Title: "E", State: doctor.Failed, Code: "check_timeout", Cause: "it took too long", Fix: "run it again"},
		{Name: "f", Title: "F", State: doctor.Failed, Code: "check_failed", Cause: "odd"},
		{Name: "g", Title: "G", State: doctor.Skipped, Cause: "nothing to see"},
		{Name: "h", Title: "H", State: doctor.OK, Found: "all there"},
	}
	if diff := cmp.Diff(want, report.Checks, cmpopts.IgnoreFields(doctor.Result{}, "TookMS")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(report.Checks, told); diff != "" {
		t.Error(diff)
	}
	if report.OK || len(report.Faults()) != 3 {
		t.Errorf("ok is %v, faults are %v", report.OK, report.Faults())
	}
	e := bridge.AsError(report.Err())
	if e.Code != bridge.CodeFaultsFound || e.Detail != "3 faults: B (dns_failed), E (check_timeout), F (check_failed)" || e.Hint != "correct it" {
		t.Errorf("%+v", e)
	}
	if err := doctor.Run(t.Context(), time.Second, checks[:1], nil).Err(); err != nil {
		t.Error(err)
	}
}
