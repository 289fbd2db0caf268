package bridge

import "net/netip"

// AddressKey returns the rate-limit key of a client's address.
//
// An IPv6 address counts as its /64, since one subscriber has all of it. Text that is no address counts as "addr:?".
func AddressKey(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return "addr:?"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return "addr:" + p.String()
		}
	}
	return "addr:" + addr.String()
}
