package smtp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
)

// The limits of an attempt.
const (
	maxHosts     = 16 // mail hosts of a domain that are considered
	maxAddrs     = 10 // addresses that are tried
	maxHostAddrs = 4  // of one host
)

// route is the way to a domain: its mail hosts, in the order in which they are
// to be tried.
type route struct {
	domain    string
	hosts     []MX
	implicit  bool // the domain has no MX: it is its own host
	authentic bool // the MX records are
}

// findRoute looks up where mail for a domain goes (RFC 5321, section 5.1). self
// is our own name; "" is none.
func findRoute(ctx context.Context, r Resolver, domain, self string) (*route, error) {
	answer, err := r.Lookup(ctx, domain, RecordMX)
	if err != nil {
		return nil, &Error{Phase: PhaseResolve, Host: domain, Err: err}
	}
	switch {
	case answer.Missing:
		return nil, noRoute(domain, fmt.Errorf("%w: no such domain", ErrNoHost))
	case len(answer.MX) == 0:
		return &route{domain, []MX{{Host: domain}}, true, answer.Authentic}, nil
	case len(answer.MX) == 1 && answer.MX[0].Host == "": // RFC 7505
		return nil, noRoute(domain, ErrNullMX)
	}
	hosts, err := orderHosts(answer.MX, self)
	if err != nil {
		return nil, noRoute(domain, err)
	}
	return &route{domain, hosts, false, answer.Authentic}, nil
}

func noRoute(domain string, err error) *Error {
	return &Error{Phase: PhaseResolve, Host: domain, Err: err, Class: ErrPermanent}
}

// orderHosts sorts mail hosts by preference, and draws the order of equals, so
// that they share the load. If we are one of them, only better ones remain.
func orderHosts(records []MX, self string) ([]MX, error) {
	hosts := slices.DeleteFunc(slices.Clone(records), func(mx MX) bool { return mx.Host == "" })
	rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	slices.SortStableFunc(hosts, func(a, b MX) int { return cmp.Compare(a.Preference, b.Preference) })
	hosts = dropRepeated(hosts)
	if i := slices.IndexFunc(hosts, func(mx MX) bool { return mx.Host == self }); i >= 0 {
		own := hosts[i].Preference
		hosts = slices.DeleteFunc(hosts, func(mx MX) bool { return mx.Preference >= own })
		if len(hosts) == 0 {
			return nil, fmt.Errorf("%w: %s is its best mail host", ErrLoop, self)
		}
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("%w: several MX records, and all of them null", ErrNoHost)
	}
	return hosts[:min(len(hosts), maxHosts)], nil
}

// dropRepeated keeps of each host the first.
func dropRepeated(hosts []MX) []MX {
	if len(hosts) < 2 {
		return hosts
	}
	seen := make(map[string]bool, len(hosts))
	return slices.DeleteFunc(hosts, func(mx MX) bool {
		again := seen[mx.Host]
		seen[mx.Host] = true
		return again
	})
}

// hostAddrs is what the DNS knows of a mail host.
type hostAddrs struct {
	addrs     []netip.Addr // IPv6 and IPv4 in turn, IPv6 first
	canonical string
	authentic bool
}

// lookupHost finds the addresses of a mail host. No address is ErrNoHost.
func lookupHost(ctx context.Context, r Resolver, host string) (*hostAddrs, error) {
	if fault := checkHost(host); fault != "" {
		return nil, fmt.Errorf("%w: %.80q is no host name: %s", ErrNoHost, host, fault)
	}
	var v4, v6 Answer
	var err4, err6 error
	var both sync.WaitGroup
	both.Go(func() { v6, err6 = r.Lookup(ctx, host, RecordAAAA) })
	v4, err4 = r.Lookup(ctx, host, RecordA)
	both.Wait()
	if len(v4.Addrs)+len(v6.Addrs) == 0 {
		if err := errors.Join(err4, err6); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s has no address", ErrNoHost, host)
	}
	h := &hostAddrs{addrs: interleave(v6.Addrs, v4.Addrs), authentic: true}
	for _, answer := range []Answer{v4, v6} {
		if len(answer.Addrs) > 0 {
			h.canonical = answer.Canonical
			h.authentic = h.authentic && answer.Authentic
		}
	}
	return h, nil
}

// interleave takes from a and b in turn (RFC 8305, section 4), each shuffled.
func interleave(a, b []netip.Addr) []netip.Addr {
	a, b = shuffled(a), shuffled(b)
	var all []netip.Addr
	for len(a) > 0 && len(b) > 0 {
		all = append(all, a[0], b[0])
		a, b = a[1:], b[1:]
	}
	return append(append(all, a...), b...)
}

func shuffled(addrs []netip.Addr) []netip.Addr {
	addrs = slices.Clone(addrs)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs
}
