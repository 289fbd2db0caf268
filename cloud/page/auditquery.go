package page

import (
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
)

// AuditFilters are the parameters with which the audit log is filtered, beside its cursors.
var AuditFilters = []string{"action", "actor", "target", "outcome", "request_id", "from", "to"}

// AuditQuery reads the filters of the audit log. from and to are times of RFC 3339, or days in UTC: from the beginning of
// the one to the end of the other.
func AuditQuery(ctx echo.Context) (audit.Query, error) {
	q := audit.Query{Action: ctx.QueryParam("action"), Actor: ctx.QueryParam("actor"), Target: ctx.QueryParam("target"),
		Outcome: ctx.QueryParam("outcome"), RequestID: ctx.QueryParam("request_id"), Before: ctx.QueryParam("cursor"), Limit: api.PageLimit(ctx)}
	var err error
	if q.From, err = auditTime("from", ctx.QueryParam("from"), 0); err != nil {
		return q, err
	}
	q.To, err = auditTime("to", ctx.QueryParam("to"), 1)
	return q, err
}

// auditTime reads a time, or a day and so many more.
func auditTime(name, value string, days int) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, value); err == nil {
		return day.AddDate(0, 0, days), nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, bridge.E(bridge.Invalid, bridge.CodeTimeMalformed, "%s is neither a day nor a time of RFC 3339", name).
			WithHint("%s=2026-01-31, or %s=2026-01-31T00:00:00Z", name, name)
	}
	return at, nil
}
