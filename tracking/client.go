package tracking

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// TrustProxies returns a function for [Options.ClientIP] that believes what the
// given proxies say in X-Forwarded-For: the client is the last address there that
// is not one of theirs. A request from elsewhere is its own client.
func TrustProxies(proxies ...netip.Prefix) func(*http.Request) netip.Addr {
	trusted := newNetworks(proxies)
	return func(r *http.Request) netip.Addr {
		addr := remoteAddr(r)
		if !trusted.contains(addr) {
			return addr
		}
		hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		for _, hop := range slices.Backward(hops[max(0, len(hops)-maxHops):]) {
			before, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				return addr
			}
			addr = before.Unmap()
			if !trusted.contains(addr) {
				return addr
			}
		}
		return addr
	}
}

// maxHops bounds how many proxies are followed.
const maxHops = 32

// remoteAddr is the other end of the connection; not valid if it has no address.
func remoteAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// shorten cuts an address to its network: /24, or /48 in IPv6.
func shorten(addr netip.Addr) netip.Addr {
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}

// asksForPrivacy reports whether the client said that it does not want to be
// tracked (Global Privacy Control, Do Not Track).
func asksForPrivacy(r *http.Request) bool {
	return isOne(r.Header["Sec-Gpc"]) || isOne(r.Header["Dnt"])
}

func isOne(values []string) bool { return len(values) > 0 && values[0] == "1" }
