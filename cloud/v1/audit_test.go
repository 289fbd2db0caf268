package v1

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge/api"
)

// Whatever an entry holds, a reader of the CSV gets it back in its own cell, and a spreadsheet never as a formula.
func FuzzExportCSV(f *testing.F) {
	f.Add("=1+1", "\"\r\n,", "\t@x")
	f.Fuzz(func(t *testing.T, action, target, detail string) {
		var out bytes.Buffer
		entry := api.AuditEntry{At: time.Unix(0, 0), Action: action, Target: target, Details: map[string]string{"x": detail}}
		if err := newExport(&out, "csv")([]api.AuditEntry{entry}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%q: %v", rows, err)
		}
		// A reader takes every line break for the plain one.
		plain := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
		for i, want := range map[int]string{4: action, 5: target} {
			got := rows[1][i]
			if strings.ContainsAny(got[:min(1, len(got))], "=+-@\t\r") {
				t.Errorf("%q is taken for a formula", got)
			}
			if plain(strings.TrimPrefix(got, "'")) != plain(strings.TrimPrefix(want, "'")) && !strings.Contains(want, "\r") {
				t.Errorf("%q comes back as %q", want, got)
			}
		}
	})
}
