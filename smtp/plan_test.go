package smtp_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// direct returns a Direct that knows the DNS of z and connects nowhere.
func direct(t *testing.T, z *zone, opts smtp.DirectOptions) *smtp.Direct {
	t.Helper()
	opts.Resolver = z.resolver(t)
	if opts.Dialer == nil {
		opts.Dialer = noDialer{t}
	}
	d, err := smtp.NewDirect("mta.sender.example", &opts)
	require.NoError(t, err)
	return d
}

// noDialer fails the test that connects.
type noDialer struct{ t *testing.T }

func (n noDialer) DialContext(_ context.Context, _, addr string) (net.Conn, error) {
	n.t.Errorf("connects to %s", addr)
	return nil, net.ErrClosed
}

func hostNames(p *smtp.Plan) []string {
	var names []string
	for _, h := range p.Hosts {
		names = append(names, h.Name)
	}
	return names
}

func TestPlanRoute(t *testing.T) {
	t.Parallel()
	z := newZone(t,
		"order.test. 60 IN MX 30 c.hosts.test.", "order.test. 60 IN MX 10 A.Hosts.test.", "order.test. 60 IN MX 20 b.hosts.test.",
		"twice.test. 60 IN MX 10 a.hosts.test.", "twice.test. 60 IN MX 20 a.hosts.test.",
		"implicit.test. 60 IN A 8.8.4.1",
		"alias.test. 60 IN CNAME order.test.",
		"mixednull.test. 60 IN MX 0 .", "mixednull.test. 60 IN MX 10 a.hosts.test.",
		"null.test. 60 IN MX 0 .", "null.test. 60 IN A 8.8.4.1",
		"allnull.test. 60 IN MX 0 .", "allnull.test. 60 IN MX 10 .",
		"txtonly.test. 60 IN TXT x",
		"absent.test. 60 IN MX 10 nothing.hosts.test.",
		"half.test. 60 IN MX 10 nothing.hosts.test.", "half.test. 60 IN MX 20 a.hosts.test.",
		"brokenhost.test. 60 IN MX 10 nothing.hosts.test.", "brokenhost.test. 60 IN MX 20 mx.broken.test.",
		"numeric.test. 60 IN MX 10 192.0.2.1.",
		"odd.test. 60 IN MX 10 a\\032b.hosts.test.",
		"under.test. 60 IN MX 10 mx_1.hosts.test.",
		"loop.test. 60 IN MX 10 mta.sender.example.", "loop.test. 60 IN MX 20 a.hosts.test.",
		"backup.test. 60 IN MX 10 a.hosts.test.", "backup.test. 60 IN MX 20 MTA.sender.example.", "backup.test. 60 IN MX 30 b.hosts.test.",
		"xn--espaa-rta.test. 60 IN MX 10 a.hosts.test.",
		"a.hosts.test. 60 IN A 8.8.4.1", "b.hosts.test. 60 IN A 8.8.4.2", "c.hosts.test. 60 IN A 8.8.4.3",
		"mx_1.hosts.test. 60 IN A 8.8.4.4", "mta.sender.example. 60 IN A 8.8.4.5",
	)
	z.broken = []string{"broken.test"}
	d := direct(t, z, smtp.DirectOptions{})

	tests := []struct {
		name, domain string
		hosts        []string
		err          error
	}{
		{"by preference", "order.test", []string{"a.hosts.test", "b.hosts.test", "c.hosts.test"}, nil},
		{"a host named twice is one", "twice.test", []string{"a.hosts.test"}, nil},
		{"no MX: the domain itself", "implicit.test", []string{"implicit.test"}, nil},
		{"the domain is an alias", "alias.test", []string{"a.hosts.test", "b.hosts.test", "c.hosts.test"}, nil},
		{"null MX among others is ignored", "mixednull.test", []string{"a.hosts.test"}, nil},
		{"null MX", "null.test", nil, smtp.ErrNullMX},
		{"null MX twice is not one", "allnull.test", nil, smtp.ErrNoHost},
		{"no such domain", "nothing.test", nil, smtp.ErrNoHost},
		{"neither MX nor address", "txtonly.test", nil, smtp.ErrNoHost},
		{"MX without address", "absent.test", nil, smtp.ErrNoHost},
		{"one of two MX without address", "half.test", []string{"nothing.hosts.test", "a.hosts.test"}, nil},
		{"MX that is an address", "numeric.test", nil, smtp.ErrNoHost},
		{"MX with a space", "odd.test", nil, smtp.ErrNoHost},
		{"MX with an underscore", "under.test", []string{"mx_1.hosts.test"}, nil},
		{"we are the best host", "loop.test", nil, smtp.ErrLoop},
		{"we are a backup", "backup.test", []string{"a.hosts.test"}, nil},
		{"Unicode", "España.test", []string{"a.hosts.test"}, nil},
		{"DNS broken", "broken.test", nil, smtp.ErrTemporary},
		{"DNS of one host broken", "brokenhost.test", nil, smtp.ErrTemporary},
		{"empty label", "a..test", nil, smtp.ErrBadAddress},
		{"an address", "127.0.0.1", nil, smtp.ErrBadAddress},
		{"an address in wide digits", "１２７.0.0.1", nil, smtp.ErrBadAddress},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := d.Plan(t.Context(), test.domain)
			require.ErrorIs(t, err, test.err)
			if test.err != nil {
				require.Nil(t, p)
				require.Equal(t, test.err != smtp.ErrTemporary, !temporary(t, err))
				return
			}
			require.Equal(t, test.hosts, hostNames(p))
		})
	}
}

func temporary(t *testing.T, err error) bool {
	t.Helper()
	var e *smtp.Error
	require.ErrorAs(t, err, &e)
	return e.Temporary()
}

func TestPlanDrawsTheOrderOfEquals(t *testing.T) {
	t.Parallel()
	z := newZone(t,
		"tie.test. 60 IN MX 10 a.tie.test.", "tie.test. 60 IN MX 10 b.tie.test.", "tie.test. 60 IN MX 20 c.tie.test.",
		"a.tie.test. 60 IN A 8.8.4.1", "b.tie.test. 60 IN A 8.8.4.2", "c.tie.test. 60 IN A 8.8.4.3",
	)
	d := direct(t, z, smtp.DirectOptions{})
	first := make(map[string]int)
	for range 200 {
		p, err := d.Plan(t.Context(), "tie.test")
		require.NoError(t, err)
		first[p.Hosts[0].Name]++
		require.Equal(t, "c.tie.test", p.Hosts[2].Name)
	}
	require.Greater(t, first["a.tie.test"], 50)
	require.Greater(t, first["b.tie.test"], 50)
}

func TestPlanRefusesSpecialAddresses(t *testing.T) {
	t.Parallel()
	blocked := []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
		"0.0.0.0", "192.0.0.192", "192.0.2.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
		"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2001:db8::1", "2001::1", "2002:7f00:1::1", "100::1",
	}
	own, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok {
			blocked = append(blocked, n.IP.String())
		}
	}
	public := []string{"8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8"}

	for _, text := range slices.Concat(blocked, public) {
		t.Run(text, func(t *testing.T) {
			addr := netip.MustParseAddr(text)
			kind := " 60 IN AAAA "
			if addr.Is4() {
				kind = " 60 IN A "
			}
			z := newZone(t, "x.test. 60 IN MX 10 mx.x.test.", "mx.x.test."+kind+text)
			d := direct(t, z, smtp.DirectOptions{})
			p, err := d.Plan(t.Context(), "x.test")
			literal := "[" + text + "]"
			if !addr.Is4() {
				literal = "[IPv6:" + text + "]"
			}
			_, literalErr := d.Plan(t.Context(), literal)
			if slices.Contains(public, text) {
				require.NoError(t, err)
				require.NoError(t, literalErr)
				require.Equal(t, []netip.Addr{addr}, p.Hosts[0].Addrs)
				return
			}
			require.ErrorIs(t, err, smtp.ErrBlockedAddr)
			require.ErrorIs(t, literalErr, smtp.ErrBlockedAddr)
		})
	}
}

func TestPlanKeepsThePublicAddressesOfAHost(t *testing.T) {
	t.Parallel()
	z := newZone(t, "x.test. 60 IN A 10.0.0.1", "x.test. 60 IN A 8.8.4.1", "x.test. 60 IN AAAA ::1")
	p, err := direct(t, z, smtp.DirectOptions{}).Plan(t.Context(), "x.test")
	require.NoError(t, err)
	require.True(t, p.Implicit)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("8.8.4.1")}, p.Hosts[0].Addrs)
}

func TestPlanAllowAddr(t *testing.T) {
	t.Parallel()
	z := newZone(t, "x.test. 60 IN A 10.0.0.1", "x.test. 60 IN A 10.0.0.2")
	allowed := netip.MustParseAddr("10.0.0.2")
	d := direct(t, z, smtp.DirectOptions{AllowAddr: func(a netip.Addr) bool { return a == allowed }})
	p, err := d.Plan(t.Context(), "x.test")
	require.NoError(t, err)
	require.Equal(t, []netip.Addr{allowed}, p.Hosts[0].Addrs)
}

func TestPlanDANE(t *testing.T) {
	t.Parallel()
	good := " 60 IN TLSA 3 1 1 0101010101010101010101010101010101010101010101010101010101010101"
	z := newZone(t,
		"dane.test. 60 IN MX 10 mx.dane.test.", "mx.dane.test. 60 IN A 8.8.4.1", "_25._tcp.mx.dane.test."+good,
		"nodane.test. 60 IN MX 10 mx.nodane.test.", "mx.nodane.test. 60 IN A 8.8.4.1",
		"unusable.test. 60 IN MX 10 mx.unusable.test.", "mx.unusable.test. 60 IN A 8.8.4.1",
		"_25._tcp.mx.unusable.test. 60 IN TLSA 1 1 1 0101010101010101010101010101010101010101010101010101010101010101",
		"_25._tcp.mx.unusable.test. 60 IN TLSA 3 1 1 0101",
		"servfail.test. 60 IN MX 10 mx.servfail.test.", "mx.servfail.test. 60 IN A 8.8.4.1",
		"unsigned.test. 60 IN MX 10 mx.dane.test.",
		"unsignedhost.test. 60 IN MX 10 mx.host.unsigned.test.", "mx.host.unsigned.test. 60 IN A 8.8.4.1", "_25._tcp.mx.host.unsigned.test."+good,
		"alias.test. 60 IN MX 10 mx.alias.test.", "mx.alias.test. 60 IN CNAME mx.dane.test.",
		"aliasown.test. 60 IN MX 10 mx.aliasown.test.", "mx.aliasown.test. 60 IN CNAME mx.nodane.test.", "_25._tcp.mx.aliasown.test."+good,
		"aliasout.test. 60 IN MX 10 mx.aliasout.test.", "mx.aliasout.test. 60 IN CNAME mx.host.unsigned.test.", "_25._tcp.mx.aliasout.test."+good,
		"implicit.test. 60 IN A 8.8.4.1", "_25._tcp.implicit.test."+good,
		"second.test. 60 IN MX 10 mx.servfail.test.", "second.test. 60 IN MX 20 mx.dane.test.",
	)
	z.broken = []string{"_25._tcp.mx.servfail.test"}
	z.unsigned = []string{"unsigned.test"}
	d := direct(t, z, smtp.DirectOptions{})

	tests := []struct {
		name, domain, policy string
		records              int
	}{
		{"records", "dane.test", "dane", 1},
		{"no records", "nodane.test", "", 0},
		{"records none of which can be used still ask for TLS", "unusable.test", "dane", 0},
		{"MX not authentic", "unsigned.test", "", 0},
		{"host not authentic", "unsignedhost.test", "", 0},
		{"alias, records at its target", "alias.test", "dane", 1},
		{"alias, records at the alias", "aliasown.test", "dane", 1},
		{"signed alias to an unsigned host, records at the alias", "aliasout.test", "dane", 1},
		{"no MX", "implicit.test", "dane", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := d.Plan(t.Context(), test.domain)
			require.NoError(t, err)
			require.Equal(t, test.policy, p.Hosts[0].Policy)
			require.Len(t, p.Hosts[0].TLSA, test.records)
		})
	}

	t.Run("SERVFAIL for TLSA defers, never clear text", func(t *testing.T) {
		_, err := d.Plan(t.Context(), "servfail.test")
		require.ErrorIs(t, err, smtp.ErrTLSPolicy)
		require.True(t, temporary(t, err))
	})
	t.Run("SERVFAIL for TLSA of one host leaves the other", func(t *testing.T) {
		p, err := d.Plan(t.Context(), "second.test")
		require.NoError(t, err)
		require.ErrorIs(t, p.Hosts[0].Err, smtp.ErrTLSPolicy)
		require.Empty(t, p.Hosts[0].Addrs)
		require.NoError(t, p.Hosts[1].Err)
	})
	t.Run("in words", func(t *testing.T) {
		p, err := d.Plan(t.Context(), "second.test")
		require.NoError(t, err)
		require.Contains(t, p.String(), "10 mx.servfail.test: not used: smtp: policy mx.servfail.test: TLS policy of the domain is not met")
		require.Contains(t, p.String(), "20 mx.dane.test [8.8.4.1]: TLS required, certificate by DANE [3 1 1 0101")
	})
}
