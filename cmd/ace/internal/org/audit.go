package org

import (
	"context"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

type auditOptions struct{ action, actor, target, outcome, requestID, since, until, format string }

func (g *Group) auditCommand() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{Use: "audit", Short: "Show the newest entries of the audit log, or export it (admins)", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runAudit(cmd.Context(), o) }}
	f := cmd.Flags()
	f.StringVar(&o.action, "action", "", "only this `ACTION`, such as member.remove")
	f.StringVar(&o.actor, "actor", "", "only by this `ACTOR`, such as user:ann@company.com")
	f.StringVar(&o.target, "target", "", "only about this `TARGET`")
	f.StringVar(&o.outcome, "outcome", "", "only with this outcome: ok, or the error code of a refusal")
	f.StringVar(&o.requestID, "request-id", "", "only from the request with this `ID`")
	f.StringVar(&o.since, "since", "", "only since `TIME`: 24h or 7d (ago), a day (2026-01-31, in UTC), or 2026-01-31T08:00:00Z")
	f.StringVar(&o.until, "until", "", "only until `TIME`, in the same form as --since; a day counts to its end")
	f.StringVar(&o.format, "format", "", "export all entries to stdout, as csv or jsonl")
	return cmd
}

func (g *Group) runAudit(ctx context.Context, o auditOptions) error {
	if formats := []string{"", "csv", "jsonl"}; !slices.Contains(formats, o.format) {
		return term.Usage("--format %q is not csv or jsonl%s", o.format, term.DidYouMean(o.format, formats[1:]))
	}
	from, err := auditTime("--since", o.since, time.Now())
	if err != nil {
		return err
	}
	to, err := auditTime("--until", o.until, time.Now())
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, value := range map[string]string{"action": o.action, "actor": o.actor, "target": o.target, "outcome": o.outcome,
		"request_id": o.requestID, "from": from, "to": to, "format": o.format} {
		if value != "" {
			query.Set(name, value)
		}
	}
	_, cloud, err := g.Profiles.LoggedIn(ctx)
	if err != nil {
		return err
	}
	if o.format != "" {
		return cloud.ExportAudit(ctx, query, g.Term.Out)
	}
	page, err := cloud.Audit(ctx, query)
	if err != nil {
		return err
	}
	if page.NextCursor != "" {
		g.Term.Note("These are the newest %d entries; --format csv or --format jsonl exports all of them.", len(page.Items))
	}
	return g.Term.Print(api.List[api.AuditEntry]{Items: page.Items}, func(w io.Writer) {
		term.Row(w, "AT", "ACTOR", "ACTION", "TARGET", "OUTCOME", "FROM")
		for _, e := range page.Items {
			term.Row(w, term.When(&e.At), e.Actor, e.Action, e.Target, e.Outcome, e.Address)
		}
	})
}

const maxDaysAgo = 36_500

// auditTime parses a day, an RFC 3339 time or a duration. A duration counts back from now.
func auditTime(flag, value string, now time.Time) (string, error) {
	ago, err := time.ParseDuration(value)
	if days, isDays := strings.CutSuffix(value, "d"); isDays {
		var n int
		n, err = strconv.Atoi(days)
		ago = time.Duration(min(n, maxDaysAgo)) * 24 * time.Hour
	}
	if err == nil && ago > 0 {
		return now.Add(-ago).UTC().Format(time.RFC3339), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if _, err := time.Parse(layout, value); err == nil || value == "" {
			return value, nil
		}
	}
	return "", term.Usage("%s %q is not a time", flag, value).WithHint("%s 24h, %s 7d, %s 2026-01-31, or %s 2026-01-31T08:00:00Z", flag, flag, flag, flag)
}
