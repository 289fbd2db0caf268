package auditlog

import (
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
)

// Filters are the query parameters that filter the audit log; its cursors are not among them.
var Filters = []string{"action", "actor", "target", "outcome", "request_id", "from", "to"}

// Query reads the filters of a request. "from" and "to" are RFC 3339 times, or days in UTC that both count whole.
func Query(ctx echo.Context) (audit.Query, error) {
	q := audit.Query{Action: ctx.QueryParam("action"), Actor: ctx.QueryParam("actor"), Target: ctx.QueryParam("target"),
		Outcome: ctx.QueryParam("outcome"), RequestID: ctx.QueryParam("request_id"), Before: ctx.QueryParam("cursor"), Limit: api.PageLimit(ctx)}
	var err error
	if q.From, err = readTime("from", ctx.QueryParam("from"), 0); err != nil {
		return q, err
	}
	q.To, err = readTime("to", ctx.QueryParam("to"), 1)
	return q, err
}

// readTime reads an RFC 3339 time, or a day to which it adds days.
func readTime(name, value string, days int) (time.Time, error) {
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
