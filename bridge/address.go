package bridge

import "net/netip"

// AddressKey is the key of a client's address: an IPv6 address counts by its /64, which one subscriber has whole.
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
