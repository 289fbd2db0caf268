package record

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

// Limits narrow from where, how fast and how often a key may be used. The zero value narrows nothing.
type Limits struct {
	AllowFrom []netip.Prefix // allowed client addresses; none: any
	Rate      Rate
	MaxUses   int64 // 0: any number
}

// Rate limits the number of uses in a period, all of which may come at once.
//
// The zero value is no limit. Each process of a server counts separately.
type Rate struct {
	Count int64
	Per   time.Duration
}

const (
	maxPrefixes = 64
	maxRate     = 1_000_000
	maxMaxUses  = 1 << 40
)

// Counted reports whether each use must be counted.
func (l Limits) Counted() bool { return l.Rate.Count > 0 || l.MaxUses > 0 }

// Metered reports whether each use must be counted or checked.
func (l Limits) Metered() bool { return len(l.AllowFrom) > 0 || l.Counted() }

// ParseLimits parses limits in their wire form.
//
// These are CIDRs or single addresses, a rate such as "100/m", and a number of uses, 0 for any.
func ParseLimits(allowFrom []string, rate string, maxUses int64) (Limits, error) {
	var l Limits
	var err error
	if l.AllowFrom, err = parsePrefixes(allowFrom); err != nil {
		return Limits{}, err
	}
	if l.Rate, err = ParseRate(rate); err != nil {
		return Limits{}, err
	}
	if maxUses < 0 || maxUses > maxMaxUses {
		return Limits{}, bridge.E(bridge.Invalid, bridge.CodeMaxUsesMalformed, "the number of uses is not between 1 and %d",
			int64(maxMaxUses))
	}
	l.MaxUses = maxUses
	return l, nil
}

func parsePrefixes(list []string) ([]netip.Prefix, error) {
	if len(list) > maxPrefixes {
		return nil, bridge.E(bridge.Invalid, bridge.CodeAllowFromMalformed, "the allowlist has more than %d entries", maxPrefixes)
	}
	var out []netip.Prefix
	for _, text := range list {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		// An IPv4 address written as IPv6 would never match, since addresses are compared in their shorter form.
		if err != nil || p.Addr().Is4In6() {
			return nil, bridge.E(bridge.Invalid, bridge.CodeAllowFromMalformed, "%.60q is neither an IP address nor a CIDR", text).
				WithHint("write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32")
		}
		if p = p.Masked(); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

// ParseRate parses a rate: "" for none, or a number and a unit such as "10/s", "100/m", "5000/h", "100000/d".
func ParseRate(s string) (Rate, error) {
	if s == "" {
		return Rate{}, nil
	}
	number, unit, _ := strings.Cut(s, "/")
	count, err := strconv.ParseInt(number, 10, 64)
	per, known := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[unit]
	if err != nil || !known || count < 1 || count > maxRate {
		return Rate{}, bridge.E(bridge.Invalid, bridge.CodeRateMalformed, "%.40q is not a rate of at most %d", s, maxRate).
			WithHint("write 10/s, 100/m, 5000/h or 100000/d")
	}
	return Rate{Count: count, Per: per}, nil
}

// String formats the rate as [ParseRate] parses it.
func (r Rate) String() string {
	unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h", 24 * time.Hour: "d"}[r.Per]
	if r.Count == 0 || unit == "" {
		return ""
	}
	return fmt.Sprintf("%d/%s", r.Count, unit)
}

func prefixStrings(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

// Allows reports whether a key may be used from an address. An unreadable address is refused.
func (l Limits) Allows(address string) bool {
	if len(l.AllowFrom) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(l.AllowFrom, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Within reports whether outer includes every address of inner. An empty list means all addresses.
func Within(inner, outer []netip.Prefix) bool {
	if len(outer) == 0 {
		return true
	}
	return len(inner) > 0 && !slices.ContainsFunc(inner, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(outer, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
	})
}
