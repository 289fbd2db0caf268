package who

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/accounts"
)

// RelayLimits bound what passes through the relay; zero values are the defaults.
//
// The size of a response is not limited: it passes as fast as the member takes it, and ends when they leave.
type RelayLimits struct {
	Answer  time.Duration // until the server's response begins, once the request was sent: a minute
	Silence time.Duration // without a byte in either direction of a stream: five minutes
	Body    int64         // bytes of a request: 8 GiB

	// Simultaneous calls, including streams: 64 per member, 256 per connection, 4096 in total, of which an organization may have
	// a quarter.
	Member, Connection, Total int
}

// OrDefaults returns the limits with defaults for zero values.
func (l RelayLimits) OrDefaults() RelayLimits {
	return RelayLimits{
		Answer: cmp.Or(l.Answer, time.Minute), Silence: cmp.Or(l.Silence, 5*time.Minute), Body: cmp.Or(l.Body, 8<<30),
		Member: cmp.Or(l.Member, 64), Connection: cmp.Or(l.Connection, 256), Total: cmp.Or(l.Total, 4096),
	}
}

// Quotas bound the number of simultaneous calls to servers. They are safe for concurrent use.
type Quotas struct {
	limits RelayLimits

	mu    sync.Mutex
	total int
	taken map[string]int // by member, by connection and by organization
}

// NewQuotas returns quotas with nothing taken.
func NewQuotas(limits RelayLimits) *Quotas {
	return &Quotas{limits: limits.OrDefaults(), taken: map[string]int{}}
}

// Take takes one slot for the member, the connection, the organization and the total, or none.
//
// The caller must call free when the call is over. The error is of kind TooMany and says which limit was reached.
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

// Share returns how much of a total one organization may take, so that something is left for the others.
func Share(total int) int { return max(1, total/4) }

// OrgName names a principal's organization as a key for limits.
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
