package dashboard

import (
	"context"
	"math"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/web"
)

// historyView is a connection's history for the template parts "strip" and "spark".
type historyView struct {
	Day, Month      web.Strip // by half hours, and by days
	Latency, Calls  web.Spark // of the last 24 hours
	CallsByDay      web.Spark
	Failures, Total int64 // calls within 30 days
}

// history reads the history of a connection.
func (o *overview) historyOf(ctx context.Context, p accounts.Principal, id string) (historyView, error) {
	h, err := o.history.Of(ctx, p, id)
	if err != nil {
		return historyView{}, err
	}
	latency := func(m api.HistoryMoment) float64 {
		if m.LatencyMS == nil {
			return math.NaN()
		}
		return float64(*m.LatencyMS)
	}
	calls := func(m api.HistoryMoment) float64 { return float64(m.Calls + m.Credentials) }
	v := historyView{
		Day: web.NewStrip("Last 24 hours", moments(h.HalfHours)), Month: web.NewStrip("Last 30 days", moments(h.Days)),
		Latency: spark("Latency in 24 hours", "ms", h.HalfHours, latency), Calls: spark("Uses in 24 hours", "", h.HalfHours, calls),
		CallsByDay: spark("Uses in 30 days", "", h.Days, calls),
	}
	for _, m := range h.Days {
		v.Total, v.Failures = v.Total+m.Calls, v.Failures+m.Failures
	}
	return v, nil
}

func moments(history []api.HistoryMoment) []web.Moment {
	out := make([]web.Moment, len(history))
	for i, m := range history {
		out[i] = web.Moment{From: m.From, Until: m.Until, Status: m.Status, Uptime: math.NaN()}
		if m.Uptime != nil {
			out[i].Uptime = *m.Uptime
		}
	}
	return out
}

func spark(label, unit string, history []api.HistoryMoment, value func(api.HistoryMoment) float64) web.Spark {
	values := make([]float64, len(history))
	for i, m := range history {
		values[i] = value(m)
	}
	return web.NewSpark(label, unit, values)
}
