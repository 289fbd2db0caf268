package main

import (
	"context"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge/api"
)

type auditOptions struct {
	action, actor, target, format string
	since                         time.Duration
}

func (a *app) auditCommand() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{Use: "audit", Short: "Show the newest entries of the audit log, or export it (admins)", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runAudit(cmd.Context(), o) }}
	f := cmd.Flags()
	f.StringVar(&o.action, "action", "", "only this `ACTION`, such as member.remove")
	f.StringVar(&o.actor, "actor", "", "only by this `ACTOR`, such as user:ann@company.com")
	f.StringVar(&o.target, "target", "", "only about this `TARGET`")
	f.DurationVar(&o.since, "since", 0, "only of the last `TIME`, such as 24h")
	f.StringVar(&o.format, "format", "", "csv or jsonl: write all of it to stdout")
	return cmd
}

func (a *app) runAudit(ctx context.Context, o auditOptions) error {
	if formats := []string{"", "csv", "jsonl"}; !slices.Contains(formats, o.format) {
		return usage("--format %q is not csv or jsonl%s", o.format, didYouMean(o.format, formats[1:]))
	}
	if o.since < 0 {
		return usage("--since is a time into the past, such as 24h")
	}
	query := url.Values{}
	for name, value := range map[string]string{"action": o.action, "actor": o.actor, "target": o.target, "format": o.format} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if o.since > 0 {
		query.Set("from", time.Now().Add(-o.since).UTC().Format(time.RFC3339))
	}
	_, cloud, err := a.loggedIn(ctx)
	if err != nil {
		return err
	}
	if o.format != "" {
		return cloud.ExportAudit(ctx, query, a.out)
	}
	page, err := cloud.Audit(ctx, query)
	if err != nil {
		return err
	}
	if page.NextCursor != "" {
		a.note("These are the newest %d entries; all of them come with --format csv or jsonl.", len(page.Items))
	}
	return a.print(api.List[api.AuditEntry]{Items: page.Items}, func(w io.Writer) {
		row(w, "AT", "ACTOR", "ACTION", "TARGET", "OUTCOME", "FROM")
		for _, e := range page.Items {
			row(w, when(&e.At), e.Actor, e.Action, e.Target, e.Outcome, e.Address)
		}
	})
}
