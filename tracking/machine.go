package tracking

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The reasons to think that a machine made a hit. They are kept apart, because
// how much each weighs is for the reader of the events to judge; the statistics
// count a hit as human when there is none.
const (
	// MachineHead: a HEAD request, which shows nothing to anyone.
	MachineHead Machine = 1 << iota
	// MachinePrefetch: the client said that it loads ahead of the reader, or is
	// known to.
	MachinePrefetch
	// MachineApplePrivacy: Apple's Mail Privacy Protection loads every image,
	// whether the mail is read or not.
	MachineApplePrivacy
	// MachineScanner: the user agent is of a scanner, crawler or program.
	MachineScanner
	// MachineNetwork: the address is in one of [Options.Scanners].
	MachineNetwork
	// MachineNoAgent: no user agent was given.
	MachineNoAgent
	// MachineTooFast: within 2 seconds of delivery or, where that is not known, of
	// queueing.
	MachineTooFast
	// MachineSweep: 3 or more links of the mail were followed within 10 seconds.
	MachineSweep
	// MachineHoneypot: the client followed [Options.Honeypot].
	MachineHoneypot
)

var machineNames = [...]string{
	"head", "prefetch", "apple-privacy", "scanner", "network", "no-agent", "too-fast", "sweep", "honeypot",
}

// Has reports whether all of the given reasons are in the set.
func (m Machine) Has(reasons Machine) bool { return m&reasons == reasons }

// String is the reasons' stable names, joined by commas; empty if there are none.
func (m Machine) String() string {
	var names []string
	for i, name := range machineNames {
		if m.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// MarshalText writes the form of String.
func (m Machine) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the form of String. It leaves out names that this release
// does not know.
func (m *Machine) UnmarshalText(text []byte) error {
	*m = 0
	for name := range strings.SplitSeq(string(text), ",") {
		if i := slices.Index(machineNames[:], name); i >= 0 {
			*m |= 1 << i
		}
	}
	return nil
}

const (
	fastest    = 2 * time.Second
	sweepLinks = 3
	sweepTime  = 10 * time.Second
)

// prefetchFields are the header fields in which clients say that they load ahead.
var prefetchFields = [...]string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"}

// requestSignals returns what the request itself says, but for its user agent.
func requestSignals(r *http.Request) Machine {
	var m Machine
	if r.Method == http.MethodHead {
		m |= MachineHead
	}
	for _, field := range prefetchFields {
		if v := r.Header[field]; len(v) > 0 && isPrefetch(v[0]) {
			m |= MachinePrefetch
		}
	}
	return m
}

func isPrefetch(v string) bool {
	v = strings.ToLower(v)
	return strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") || strings.Contains(v, "preview")
}

// markTogether adds what the hits of one mail say of each other: MachineSweep to
// its clicks, if together they followed too many links at once, MachineHoneypot to
// who followed that, and both to all else that the same clients hit. The hits are
// in the order of their time.
func markTogether(hits []hit, honeypot string) {
	for i := range hits {
		if hits[i].typ == Clicked && honeypot != "" && hits[i].url == honeypot {
			hits[i].signals |= MachineHoneypot
		}
		if until, found := sweep(hits[i:]); found {
			markClicks(hits[i : i+until])
		}
	}
	for i := range hits {
		for j := range hits {
			if hits[i].client == hits[j].client && hits[i].agent == hits[j].agent {
				hits[i].signals |= hits[j].signals & (MachineSweep | MachineHoneypot)
			}
		}
	}
}

func markClicks(hits []hit) {
	for i := range hits {
		if hits[i].typ == Clicked {
			hits[i].signals |= MachineSweep
		}
	}
}

// sweep reports whether enough different links were followed within sweepTime of
// the first hit, and how many hits fell into that time.
func sweep(hits []hit) (n int, found bool) {
	var links []uint16
	for _, h := range hits {
		if h.at.Sub(hits[0].at) > sweepTime {
			break
		}
		if n++; h.typ == Clicked && len(links) < sweepLinks && !slices.Contains(links, h.link) {
			links = append(links, h.link)
		}
	}
	return n, len(links) == sweepLinks
}

// networks is a set of addresses: prefixes in order, none within another.
type networks []netip.Prefix

func newNetworks(prefixes []netip.Prefix) networks {
	sorted := make(networks, 0, len(prefixes))
	for _, p := range prefixes {
		sorted = append(sorted, p.Masked())
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
	})
	apart := sorted[:0]
	for _, p := range sorted {
		if len(apart) == 0 || !apart[len(apart)-1].Contains(p.Addr()) {
			apart = append(apart, p)
		}
	}
	return apart
}

// contains reports whether addr is in the set.
func (n networks) contains(addr netip.Addr) bool {
	i, found := slices.BinarySearchFunc(n, addr, func(p netip.Prefix, a netip.Addr) int { return p.Addr().Compare(a) })
	return found || i > 0 && n[i-1].Contains(addr)
}
