package main

import "net/netip"

// without returns the smallest list of IPv4 ranges that together are base without the excepted ones.
// A rule of the packet filter can leave out one range at most, an ipBlock any number.
func without(base netip.Prefix, except []netip.Prefix) []netip.Prefix {
	cut := false
	for _, hole := range except {
		if hole.Bits() <= base.Bits() && hole.Contains(base.Addr()) {
			return nil
		}
		cut = cut || base.Overlaps(hole)
	}
	if !cut {
		return []netip.Prefix{base}
	}
	low, high := halves(base)
	return append(without(low, except), without(high, except)...)
}

func halves(base netip.Prefix) (netip.Prefix, netip.Prefix) {
	bits := base.Bits() + 1
	bytes := base.Addr().As4()
	bytes[(bits-1)/8] |= 1 << (7 - (bits-1)%8)
	return netip.PrefixFrom(base.Addr(), bits), netip.PrefixFrom(netip.AddrFrom4(bytes), bits)
}

// parseRange reads an IPv4 range; false for IPv6, which no pod of this cluster has, and for what is no range.
func parseRange(text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || !prefix.Addr().Is4() {
		return netip.Prefix{}, false
	}
	return prefix.Masked(), true
}
