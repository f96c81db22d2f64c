package smtp

import (
	"net"
	"net/netip"
	"slices"
)

// The special blocks of IPv4 (RFC 6890 and its registry), and the addresses at
// which clouds serve credentials to whoever asks.
var specialIPv4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
	"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"168.63.129.16/32",
)

// Of IPv6 only global unicast is public, and of that not the protocol
// assignments (Teredo among them), documentation and 6to4.
var (
	globalIPv6  = netip.MustParsePrefix("2000::/3")
	specialIPv6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	// nat64 addresses stand for the IPv4 address in their last four octets (RFC 6052).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(list ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(list))
	for i, s := range list {
		ps[i] = netip.MustParsePrefix(s)
	}
	return ps
}

// publicAddr reports whether a is a unicast address of the public Internet.
func publicAddr(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is4() {
		return !within(specialIPv4, a)
	}
	return globalIPv6.Contains(a) && !within(specialIPv6, a)
}

func within(blocks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(blocks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// ownAddr reports whether a is an address of this host. An address list that
// cannot be read is taken for empty.
func ownAddr(a netip.Addr) bool {
	addrs, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(addrs, func(own net.Addr) bool {
		n, ok := own.(*net.IPNet)
		return ok && n.IP.Equal(net.IP(a.Unmap().AsSlice()))
	})
}

// mayDial is the rule for addresses where the options set none.
func mayDial(a netip.Addr) bool { return publicAddr(a) && !ownAddr(a) }
