package who

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
)

// RelayLimits bound what passes through the relay; a zero value is the default. An answer's size has no bound: it passes as
// fast as the member takes it, and ends when they go.
type RelayLimits struct {
	Answer  time.Duration // until the server's answer begins, once it has the request: a minute
	Silence time.Duration // that a stream may keep: five minutes without a byte in either direction
	Body    int64         // bytes of a request: 8 GiB

	// Calls at a time, streams among them: 64 of a member, 256 over a connection, 4096 in all, of which an organization may
	// have a quarter.
	Member, Connection, Total int
}

// OrDefaults fills in the defaults.
func (l RelayLimits) OrDefaults() RelayLimits {
	return RelayLimits{
		Answer: cmp.Or(l.Answer, time.Minute), Silence: cmp.Or(l.Silence, 5*time.Minute), Body: cmp.Or(l.Body, 8<<30),
		Member: cmp.Or(l.Member, 64), Connection: cmp.Or(l.Connection, 256), Total: cmp.Or(l.Total, 4096),
	}
}

// Quotas bound the calls to servers that are under way.
type Quotas struct {
	limits RelayLimits

	mu    sync.Mutex
	total int
	taken map[string]int // by member, by connection, and by organization
}

// NewQuotas returns quotas of which nothing is taken.
func NewQuotas(limits RelayLimits) *Quotas {
	return &Quotas{limits: limits.OrDefaults(), taken: map[string]int{}}
}

// Take takes a slot of each, or none; free gives them back.
func (s *Quotas) Take(p accounts.Principal, connection string) (free func(), err error) {
	member, org, limits := p.OrgID+"/"+p.UserID, OrgName(p), s.limits
	s.mu.Lock()
	defer s.mu.Unlock()
	switch most := Share(limits.Total); {
	case s.taken[member] >= limits.Member:
		return nil, relayBusy("you have %d calls under way already", limits.Member)
	case s.taken[connection] >= limits.Connection:
		return nil, relayBusy("there are %d calls over this connection under way already", limits.Connection)
	case s.taken[org] >= most:
		return nil, relayBusy("your organization has %d calls under way already", most)
	case s.total >= limits.Total:
		return nil, relayBusy("there are %d calls through this cloud under way already", limits.Total)
	}
	s.add(1, member, connection, org)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.add(-1, member, connection, org)
	}, nil
}

// Share is how much of what there is in all one organization may take, so that there is some left for the others.
func Share(total int) int { return max(1, total/4) }

// OrgName names a principal's organization among others who are limited.
func OrgName(p accounts.Principal) string { return "org:" + p.OrgID }

func (s *Quotas) add(n int, names ...string) {
	s.total += n
	for _, name := range names {
		if s.taken[name] += n; s.taken[name] == 0 {
			delete(s.taken, name)
		}
	}
}

func relayBusy(format string, most int) error {
	return &bridge.Error{Kind: bridge.TooMany, Code: bridge.CodeRelayBusy, Detail: fmt.Sprintf(format, most),
		RetryAfter: time.Second,
		Hint:       "end streams that are not needed, or call the server directly"}
}
