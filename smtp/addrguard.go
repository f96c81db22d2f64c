package smtp

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
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

// addrGuard is the rule for addresses where the options set none: public, and
// not this host's own.
type addrGuard struct {
	mu   sync.Mutex // guards what follows
	own  []netip.Addr
	read time.Time
}

// ownAddrsFor is how long the list of this host's addresses is used.
const ownAddrsFor = 10 * time.Second

func (g *addrGuard) allow(a netip.Addr) bool {
	return publicAddr(a) && !slices.Contains(g.ownAddrs(), a)
}

// ownAddrs are the addresses of this host. A list that cannot be read is taken
// for empty.
func (g *addrGuard) ownAddrs() []netip.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.read) < ownAddrsFor {
		return g.own
	}
	g.own, g.read = nil, time.Now()
	list, _ := net.InterfaceAddrs()
	for _, own := range list {
		if n, ok := own.(*net.IPNet); ok {
			a, _ := netip.AddrFromSlice(n.IP)
			g.own = append(g.own, a.Unmap())
		}
	}
	return g.own
}
