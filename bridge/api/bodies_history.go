package api

import (
	"time"

	"github.com/acebridge/ace/bridge"
)

// ConnectionHistory is a connection's uptime and usage (GET /v1/connections/{id}/history).
//
// It covers the last 24 hours by half hours and the last 30 days, in UTC. The last entry of each list is still under way.
type ConnectionHistory struct {
	HalfHours []HistoryMoment `json:"half_hours"` // 48, oldest first
	Days      []HistoryMoment `json:"days"`       // 30, oldest first
}

// HistoryMoment is half an hour or a day of a connection's history.
//
// Calls are those through the relay. Only the server knows of direct ones; the cloud counts the credentials it handed out for
// them. Latencies are in milliseconds, rounded up.
type HistoryMoment struct {
	From         time.Time `json:"from"`
	Until        time.Time `json:"until"`
	Status       string    `json:"status,omitempty"` // the most frequent one, the worse of a tie; empty: no data
	Uptime       *float64  `json:"uptime"`           // share of conclusive probes that found it online: 0 to 1
	LatencyMS    *int64    `json:"latency_ms"`       // average of the probes
	LatencyMaxMS *int64    `json:"latency_max_ms"`
	Calls        int64     `json:"calls"`
	Failures     int64     `json:"failures"` // calls without an answer, or with a status of 500 and above
	CallMS       *int64    `json:"call_ms"`  // average time until the answer to a call began
	CallMaxMS    *int64    `json:"call_max_ms"`
	Credentials  int64     `json:"credentials"`
}

// MemberUse is one user's share of a connection's usage within 30 days (GET /v1/connections/{id}/uses).
//
// The user is a member or an API key of the cloud.
type MemberUse struct {
	UserID      string    `json:"user_id"`
	Email       string    `json:"email"` // of an API key: "key:" and its ID
	Name        string    `json:"name,omitempty"`
	Role        string    `json:"role,omitempty"` // empty: not a member, or no longer one
	Calls       int64     `json:"calls"`
	Failures    int64     `json:"failures"`
	CallMS      *int64    `json:"call_ms"`
	Credentials int64     `json:"credentials"`
	LastUsedAt  time.Time `json:"last_used_at"`
	Days        []int64   `json:"days"` // calls plus credentials on each of 30 days, UTC, today last
}

// ConnectionEvent is a connection's current state in the live stream (GET /v1/connections/events).
type ConnectionEvent struct {
	ID         string      `json:"id"`
	Status     string      `json:"status"`
	Cause      string      `json:"cause"`
	CauseCode  bridge.Code `json:"cause_code,omitempty"` // as in [Connection]
	Hint       string      `json:"hint"`
	LatencyMS  *int64      `json:"latency_ms"`
	LastSeenAt *time.Time  `json:"last_seen_at"`
	LastUsedAt *time.Time  `json:"last_used_at"`
}

// ConnectionRemoved says that the caller can no longer see a connection.
type ConnectionRemoved struct {
	ID string `json:"id"`
}
