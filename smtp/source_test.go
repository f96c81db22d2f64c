package smtp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// outbound is a proxy on loopback: understand reads what a client says first and
// returns where it wants to go; then the connection is spliced to server.
type outbound struct {
	net.Listener
	server     *smtptest.Server
	understand func(c net.Conn) (wanted string, err error)

	mu     sync.Mutex // guards wanted
	wanted []string
}

func newOutbound(t *testing.T, server *smtptest.Server, understand func(net.Conn) (string, error)) *outbound {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := &outbound{Listener: listener, server: server, understand: understand}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return o
}

func (o *outbound) serve(c net.Conn) {
	defer c.Close()
	wanted, err := o.understand(c)
	o.mu.Lock()
	o.wanted = append(o.wanted, wanted)
	o.mu.Unlock()
	if err != nil {
		return
	}
	inner, err := o.server.DialContext(context.Background(), "tcp", wanted)
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(inner, c); _ = inner.Close() }()
	_, _ = io.Copy(c, inner)
}

// asked is where clients wanted to go.
func (o *outbound) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.wanted)
}

// socks5 reads the requests of RFC 1928, with the password of RFC 1929 if there is one.
func socks5(user, password string) func(net.Conn) (string, error) {
	return func(c net.Conn) (string, error) {
		head := make([]byte, 2)
		if _, err := io.ReadFull(c, head); err != nil {
			return "", err
		}
		methods := make([]byte, head[1])
		if _, err := io.ReadFull(c, methods); err != nil {
			return "", err
		}
		if user != "" && bytes.IndexByte(methods, 2) < 0 {
			_, _ = c.Write([]byte{5, 0xff})
			return "", errors.New("no password offered")
		}
		if user != "" {
			_, _ = c.Write([]byte{5, 2})
			login := make([]byte, 3+len(user)+len(password))
			if _, err := io.ReadFull(c, login); err != nil {
				return "", err
			}
			if string(login[2:2+len(user)]) != user || string(login[3+len(user):]) != password {
				_, _ = c.Write([]byte{1, 1})
				return "", errors.New("wrong password")
			}
			_, _ = c.Write([]byte{1, 0})
		} else {
			_, _ = c.Write([]byte{5, 0})
		}
		request := make([]byte, 10) // version, CONNECT, 0, IPv4, address, port
		if _, err := io.ReadFull(c, request); err != nil {
			return "", err
		}
		if request[1] != 1 || request[3] != 1 {
			return "", errors.New("not CONNECT to an IPv4 address")
		}
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte(request[4:8])), binary.BigEndian.Uint16(request[8:]))
		return addr.String(), nil
	}
}

// proxyV2 reads the header of the PROXY protocol, octet by octet as its
// specification draws it, and returns source and destination.
func proxyV2(c net.Conn) (string, error) {
	r := bufio.NewReader(c)
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	if !bytes.Equal(head[:12], []byte{0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A}) || head[12] != 0x21 {
		return "", errors.New("not a PROXY header of version 2")
	}
	rest := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(r, rest); err != nil {
		return "", err
	}
	n := map[byte]int{0x11: 4, 0x21: 16}[head[13]]
	if n == 0 || len(rest) != 2*n+4 || r.Buffered() > 0 {
		return "", errors.New("header of another length")
	}
	from, _ := netip.AddrFromSlice(rest[:n])
	target, _ := netip.AddrFromSlice(rest[n : 2*n])
	return from.String() + " to " + netip.AddrPortFrom(target, binary.BigEndian.Uint16(rest[2*n+2:])).String(), nil
}

// throughSource delivers one message from s and returns how it fared.
func throughSource(t *testing.T, w *world, s smtp.Source) (*smtp.Result, error) {
	t.Helper()
	d, err := smtp.NewDirect("mta.sender.example", &smtp.DirectOptions{
		Resolver: w.resolver(t),
		Source: func(_ context.Context, a smtp.Attempt) (smtp.Source, error) {
			require.Equal(t, "example.net", a.Domain)
			require.Equal(t, "mx1.example.net", a.Host)
			require.Len(t, a.Message.To, 1)
			return s, nil
		},
	})
	require.NoError(t, err)
	defer d.Close()
	return d.Send(t.Context(), to("ana@example.net"))
}

func oneHost(t *testing.T, records ...string) *world {
	t.Helper()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{})
	w.records = newZone(t, append([]string{"example.net. 60 IN MX 10 mx1.example.net."}, records...)...).records
	return w
}

func TestSourceSOCKS5(t *testing.T) {
	t.Parallel()
	w := oneHost(t, "mx1.example.net. 60 IN A 8.8.4.1")
	open := newOutbound(t, w.mx1, socks5("", ""))
	locked := newOutbound(t, w.mx1, socks5("franco", "se:creto"))

	_, err := throughSource(t, w, smtp.Source{Proxy: "socks5://" + open.Addr().String(), LocalName: "salida.sender.example"})
	require.NoError(t, err)
	require.Equal(t, []string{"8.8.4.1:25"}, open.asked(), "an address, never a name")
	require.Equal(t, "salida.sender.example", w.mx1.Messages()[0].Hello)

	_, err = throughSource(t, w, smtp.Source{Proxy: "socks5://franco:se%3Acreto@" + locked.Addr().String()})
	require.NoError(t, err)

	result, err := throughSource(t, w, smtp.Source{Proxy: "socks5://franco:secret-o@" + locked.Addr().String()})
	require.Equal(t, "deferred", statuses(result))
	require.NotContains(t, err.Error(), "secret-o")
	require.Equal(t, 2, w.mx1.Len())
}

func TestSourcePROXY(t *testing.T) {
	t.Parallel()
	w := oneHost(t, "mx1.example.net. 60 IN A 8.8.4.1")
	w6 := oneHost(t, "mx1.example.net. 60 IN AAAA 2606:4700::25")
	tests := []struct {
		name  string
		world *world
		addrs []netip.Addr
		want  string
	}{
		{"IPv4", w, []netip.Addr{netip.MustParseAddr("198.51.100.7")}, "198.51.100.7 to 8.8.4.1:25"},
		{"IPv6", w6, []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")}, "2001:db8::7 to [2606:4700::25]:25"},
		{"any address", w, nil, "0.0.0.0 to 8.8.4.1:25"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := newOutbound(t, test.world.mx1, proxyV2)
			_, err := throughSource(t, test.world, smtp.Source{Proxy: "proxyv2://" + o.Addr().String(), Addrs: test.addrs})
			require.NoError(t, err)
			require.Equal(t, []string{test.want}, o.asked())
		})
	}
}

// The addresses of mail hosts are judged before a proxy hears of them.
func TestSourceProxyGetsNoSpecialAddress(t *testing.T) {
	t.Parallel()
	w := oneHost(t, "mx1.example.net. 60 IN A 169.254.169.254")
	o := newOutbound(t, w.mx1, socks5("", ""))
	d, err := smtp.NewDirect("mta.sender.example", &smtp.DirectOptions{
		Resolver: w.resolver(t),
		Source: func(context.Context, smtp.Attempt) (smtp.Source, error) {
			return smtp.Source{Proxy: "socks5://" + o.Addr().String()}, nil
		},
	})
	require.NoError(t, err)
	_, err = d.Send(t.Context(), to("ana@example.net"))
	require.ErrorIs(t, err, smtp.ErrBlockedAddr)
	require.Empty(t, o.asked())
}

func TestSourceRefuses(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	tests := []struct {
		name   string
		source smtp.Source
		want   string
	}{
		{"two addresses of a family", smtp.Source{Addrs: []netip.Addr{v4, v4}}, "one valid address of each family"},
		{"no address", smtp.Source{Addrs: []netip.Addr{{}}}, "one valid address of each family"},
		{"the other family", smtp.Source{Addrs: []netip.Addr{v6}}, "no address of the family"},
		{"not a URL", smtp.Source{Proxy: "socks5://user:secreto@%zz"}, "not a URL"},
		{"another kind of proxy", smtp.Source{Proxy: "http://user:secreto@127.0.0.1:80"}, "neither socks5:// nor proxyv2://"},
		{"no port", smtp.Source{Proxy: "socks5://127.0.0.1"}, "no host and port"},
		{"SOCKS and an address", smtp.Source{Proxy: "socks5://127.0.0.1:1080", Addrs: []netip.Addr{v4}}, "SOCKS5"},
		{"a name with a line break", smtp.Source{LocalName: "a\r\nMAIL FROM:<>"}, "LocalName"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := oneHost(t, "mx1.example.net. 60 IN A 8.8.4.1")
			result, err := throughSource(t, w, test.source)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "secreto")
			require.Equal(t, "deferred", statuses(result))
			require.Zero(t, w.mx1.Connections())
		})
	}
	t.Run("an error of the function", func(t *testing.T) {
		t.Parallel()
		w := oneHost(t, "mx1.example.net. 60 IN A 8.8.4.1")
		exhausted := errors.New("no address is free")
		d := w.direct(t, smtp.DirectOptions{Source: func(context.Context, smtp.Attempt) (smtp.Source, error) { return smtp.Source{}, exhausted }})
		_, err := d.Send(t.Context(), to("ana@example.net"))
		require.ErrorIs(t, err, exhausted)
	})
	t.Run("addresses beside a dialer of the host's", func(t *testing.T) {
		t.Parallel()
		w := oneHost(t, "mx1.example.net. 60 IN A 8.8.4.1")
		d := w.direct(t, smtp.DirectOptions{Source: func(context.Context, smtp.Attempt) (smtp.Source, error) {
			return smtp.Source{Addrs: []netip.Addr{v4}}, nil
		}})
		_, err := d.Send(t.Context(), to("ana@example.net"))
		require.ErrorContains(t, err, "DirectOptions.Dialer")
	})
}
