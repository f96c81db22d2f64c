package smtp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// raceDelay is how long an address has before the next one of the same host is
// tried beside it (RFC 8305, section 5).
const raceDelay = 250 * time.Millisecond

// guardedDialer is a net.Dialer that checks the address once more, at the socket.
func guardedDialer(allow func(netip.Addr) bool) *net.Dialer {
	return &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil || !allow(target.Addr().WithZone("")) {
			return fmt.Errorf("%w: %s", ErrBlockedAddr, address)
		}
		return nil
	}}
}

// dialed is how one address of a race fared.
type dialed struct {
	conn net.Conn
	addr netip.Addr
	err  error
}

// race connects to the addresses of one host, each beginning a little after the
// one before it or as soon as that failed, and returns the first connection that
// stands and the index of its address. The others are closed before a byte is
// read from them. Addresses are tried in order, and without any it fails.
func race(ctx context.Context, dial dialFunc, addrs []netip.Addr, port uint16) (net.Conn, netip.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed, len(addrs))
	start := func(addr netip.Addr) {
		conn, err := dial(ctx, "tcp", netip.AddrPortFrom(addr, port).String())
		results <- dialed{conn, addr, err}
	}
	started, failed := 0, 0
	var first error
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failed < len(addrs) {
		select {
		case <-timer.C:
			if started < len(addrs) {
				go start(addrs[started])
				started++
				timer.Reset(raceDelay)
			}
		case r := <-results:
			if r.err == nil {
				cancel()
				closeLosers(results, started-failed-1)
				return r.conn, r.addr, nil
			}
			if failed++; first == nil {
				first = r.err
			}
			timer.Reset(0)
		}
	}
	return nil, netip.Addr{}, first
}

// closeLosers waits for the n dials that were under way when the race was won,
// and have been cancelled since.
func closeLosers(results <-chan dialed, n int) {
	for range n {
		if r := <-results; r.err == nil {
			_ = r.conn.Close()
		}
	}
}

// hostDialer is how a mail host is reached in one attempt: a race to its addresses.
type hostDialer struct {
	dial          dialFunc
	addrs         []netip.Addr
	used          netip.Addr // the address that answered last; invalid if none has
	local, remote netip.AddrPort
}

const mailPort = 25

// DialContext implements [Dialer]; the address that it is given says nothing new.
func (w *hostDialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, addr, err := race(ctx, w.dial, w.addrs, mailPort)
	w.used = addr
	if err == nil {
		w.local, w.remote = addrPort(conn.LocalAddr()), netip.AddrPortFrom(addr, mailPort)
	}
	return conn, err
}

// exclude drops the address that answered, and reports whether others are left.
func (w *hostDialer) exclude() bool {
	if !w.used.IsValid() {
		return false
	}
	w.addrs = slices.DeleteFunc(w.addrs, func(a netip.Addr) bool { return a == w.used })
	w.used = netip.Addr{}
	return len(w.addrs) > 0
}

// dialWeb connects to a policy server by name: like net.Dialer, but through our
// resolver, and only to addresses that are allowed.
func (d *Direct) dialWeb(ctx context.Context, _, address string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	known, err := lookupHost(ctx, d.resolver, host)
	if err != nil {
		return nil, err
	}
	addrs, err := d.allowed(known.addrs)
	if err != nil {
		return nil, err
	}
	conn, _, err := race(ctx, d.dialer.DialContext, addrs[:min(len(addrs), maxHostAddrs)], uint16(port))
	return conn, err
}
