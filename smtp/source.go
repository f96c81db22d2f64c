package smtp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"golang.org/x/net/proxy"
)

// Attempt is what a [Source] is chosen for.
type Attempt struct {
	Domain string // of the recipients, in ASCII
	Host   string // the mail host that is about to be tried
	// Message is the message to be sent, whose Tenant or Stream may decide.
	Message *Message
}

// Source is where an attempt leaves from. The zero value leaves everything to
// the system.
type Source struct {
	// Addrs are local addresses, at most one of IPv4 and one of IPv6. Given any,
	// a host is reached only by the families that are there.
	Addrs []netip.Addr
	// LocalName is said in EHLO; it should be the name that the PTR record of the
	// address gives. Empty is the name of the [Direct].
	LocalName string
	// Proxy is the way out:
	//
	//	socks5://user:password@host:port   SOCKS5 (RFC 1928); excludes Addrs
	//	proxyv2://host:port                a proxy that reads the PROXY protocol,
	//	                                   version 2, told to leave from Addrs
	//
	// The proxy is given addresses, never names. Empty is none.
	Proxy string
}

// key tells sources apart, for connections that are shared.
func (s *Source) key() string {
	if len(s.Addrs) == 0 {
		return s.Proxy
	}
	return fmt.Sprint(s.Proxy, s.Addrs)
}

// from returns the address of s in the family of target. It is the zero Addr
// where s names none at all; ok is false where it names only the other family.
func (s *Source) from(target netip.Addr) (local netip.Addr, ok bool) {
	for _, a := range s.Addrs {
		if a.Unmap().Is4() == target.Unmap().Is4() {
			return a.Unmap(), true
		}
	}
	return netip.Addr{}, len(s.Addrs) == 0
}

// reachable keeps the addresses that s has a family for.
func (s *Source) reachable(addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool {
		_, ok := s.from(a)
		return !ok
	})
}

// dialFrom returns how to dial addresses from s.
func (d *Direct) dialFrom(s *Source) (dialFunc, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Proxy == "" {
		return d.dialBound(s)
	}
	u, err := url.Parse(s.Proxy)
	if err != nil {
		return nil, errors.New("Source.Proxy is not a URL") // which may hold a password
	}
	switch {
	case u.Host == "" || u.Port() == "":
		return nil, fmt.Errorf("Source.Proxy %s names no host and port", u.Redacted())
	case u.Scheme == "socks5" && len(s.Addrs) > 0:
		return nil, errors.New("Source.Addrs means nothing to a SOCKS5 proxy: leave one of them out")
	case u.Scheme == "socks5":
		return d.dialSOCKS(u)
	case u.Scheme == "proxyv2":
		return d.dialPROXY(u.Host, s), nil
	}
	return nil, fmt.Errorf("Source.Proxy %s is neither socks5:// nor proxyv2://", u.Redacted())
}

func (s *Source) check() error {
	families := make(map[bool]bool)
	for _, a := range s.Addrs {
		v4 := a.Unmap().Is4()
		if !a.IsValid() || families[v4] {
			return fmt.Errorf("Source.Addrs %v: at most one valid address of each family", s.Addrs)
		}
		families[v4] = true
	}
	return nil
}

func (d *Direct) dialBound(s *Source) (dialFunc, error) {
	if len(s.Addrs) == 0 {
		return d.dialer.DialContext, nil
	}
	if d.guarded == nil {
		return nil, errors.New("Source.Addrs cannot be combined with DirectOptions.Dialer")
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		target, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		bound := *d.guarded
		local, _ := s.from(target.Addr())
		bound.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
		return bound.DialContext(ctx, network, addr)
	}, nil
}

// toProxy dials a proxy: a host that our own configuration names, so that its
// address is not subject to the rules for mail hosts.
func (d *Direct) toProxy() Dialer {
	if d.guarded == nil {
		return d.dialer
	}
	return new(net.Dialer)
}

func (d *Direct) dialSOCKS(u *url.URL) (dialFunc, error) {
	var auth *proxy.Auth
	if u.User != nil {
		password, _ := u.User.Password()
		auth = &proxy.Auth{User: u.User.Username(), Password: password}
	}
	socks, err := proxy.SOCKS5("tcp", u.Host, auth, contextForward{d.toProxy()})
	if err != nil {
		return nil, err
	}
	return socks.(proxy.ContextDialer).DialContext, nil
}

// contextForward makes a Dialer what package proxy wants for the way to a proxy.
type contextForward struct{ Dialer }

func (f contextForward) Dial(network, addr string) (net.Conn, error) {
	return f.DialContext(context.Background(), network, addr)
}

// dialPROXY connects to a proxy and tells it, before anything else, where the
// connection shall leave from and where it shall go.
func (d *Direct) dialPROXY(proxyAddr string, s *Source) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		target, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		local, _ := s.from(target.Addr())
		conn, err := d.toProxy().DialContext(ctx, network, proxyAddr)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		_, err = conn.Write(proxyHeader(local, target))
		if !stop() || err != nil {
			_ = conn.Close()
			return nil, causeOf(ctx, err)
		}
		return conn, nil
	}
}

// proxyHeader is the binary header of the PROXY protocol, version 2. Without a
// local address the proxy is told the unspecified one.
func proxyHeader(local netip.Addr, target netip.AddrPort) []byte {
	to := target.Addr().Unmap()
	if !local.IsValid() {
		local = netip.IPv6Unspecified()
		if to.Is4() {
			local = netip.IPv4Unspecified()
		}
	}
	family := byte(0x21) // TCP over IPv6
	if to.Is4() {
		family = 0x11
	}
	ends := append(local.AsSlice(), to.AsSlice()...)
	ends = binary.BigEndian.AppendUint16(ends, 0) // any local port
	ends = binary.BigEndian.AppendUint16(ends, target.Port())

	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, family) // version 2, PROXY
	header = binary.BigEndian.AppendUint16(header, uint16(len(ends)))
	return append(header, ends...)
}
