package api

import "time"

// ConnectionHistory is how a connection was and how much it was used (GET /v1/connections/{id}/history): the last 24 hours by
// half hours, and the last 30 days, UTC. The last moment of each is under way.
type ConnectionHistory struct {
	HalfHours []HistoryMoment `json:"half_hours"` // 48, oldest first
	Days      []HistoryMoment `json:"days"`       // 30, oldest first
}

// HistoryMoment is half an hour or a day. Calls are those through the relay; how many direct ones there were nobody knows but
// the server, only how many credentials were handed out for them. Latencies are in milliseconds, rounded up.
type HistoryMoment struct {
	From         time.Time `json:"from"`
	Until        time.Time `json:"until"`
	Status       string    `json:"status,omitempty"` // as it was found most often, the worse of two; empty: nobody has looked
	Uptime       *float64  `json:"uptime"`           // share of the probes that found it online, of those that could tell: 0 to 1
	LatencyMS    *int64    `json:"latency_ms"`       // of probes, on average
	LatencyMaxMS *int64    `json:"latency_max_ms"`
	Calls        int64     `json:"calls"`
	Failures     int64     `json:"failures"` // of these: no answer, or one of 500 and above
	CallMS       *int64    `json:"call_ms"`  // until the answer to a call began, on average
	CallMaxMS    *int64    `json:"call_max_ms"`
	Credentials  int64     `json:"credentials"`
}

// MemberUse is how much a member, or an API key of the cloud, has used a connection within 30 days
// (GET /v1/connections/{id}/uses).
type MemberUse struct {
	UserID      string    `json:"user_id"`
	Email       string    `json:"email"` // of an API key: key: and its ID
	Name        string    `json:"name,omitempty"`
	Role        string    `json:"role,omitempty"` // empty: no member, or none any more
	Calls       int64     `json:"calls"`
	Failures    int64     `json:"failures"`
	CallMS      *int64    `json:"call_ms"`
	Credentials int64     `json:"credentials"`
	LastUsedAt  time.Time `json:"last_used_at"`
	Days        []int64   `json:"days"` // calls and credentials of each of 30 days, UTC, today last
}

// ConnectionEvent is how a connection is now, as the stream of live status tells it (GET /v1/connections/events).
type ConnectionEvent struct {
	ID         string     `json:"id"`
	Status     string     `json:"status"`
	Cause      string     `json:"cause"`
	Hint       string     `json:"hint"`
	LatencyMS  *int64     `json:"latency_ms"`
	LastSeenAt *time.Time `json:"last_seen_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// ConnectionRemoved says that the caller does not see a connection any more.
type ConnectionRemoved struct {
	ID string `json:"id"`
}
