package smtp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// fakeNet says how long each address takes to answer, and how.
type fakeNet map[string]struct {
	after time.Duration
	err   error
}

// countedConn counts what is done with a connection.
type countedConn struct {
	net.Conn
	reads, closes *int
}

func (c countedConn) Read([]byte) (int, error) { *c.reads++; return 0, net.ErrClosed }
func (c countedConn) Close() error             { *c.closes++; return nil }

func TestRaceWithinOneHost(t *testing.T) {
	t.Parallel()
	refused := errors.New("connection refused")
	a, b, c := "[2001:db8::1]:25", "192.0.2.1:25", "192.0.2.2:25"
	tests := []struct {
		name    string
		network fakeNet
		winner  string // "" is none
		took    time.Duration
		dials   int
	}{
		{"the first answers at once: nobody else is asked", fakeNet{a: {10 * time.Millisecond, nil}}, a, 10 * time.Millisecond, 1},
		{"the first is slow: the second overtakes it", fakeNet{a: {time.Minute, nil}, b: {10 * time.Millisecond, nil}}, b, 260 * time.Millisecond, 2},
		{"the first is refused: the second has no need to wait", fakeNet{a: {time.Millisecond, refused}, b: {time.Millisecond, nil}}, b, 2 * time.Millisecond, 2},
		{"two black holes", fakeNet{a: {time.Hour, nil}, b: {time.Hour, nil}, c: {time.Second, nil}}, c, 1500 * time.Millisecond, 3},
		{"the slow one may win after all", fakeNet{a: {300 * time.Millisecond, nil}, b: {time.Second, nil}}, a, 300 * time.Millisecond, 2},
		{"none", fakeNet{a: {0, refused}, b: {0, refused}, c: {time.Second, refused}}, "", time.Second, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dials atomic.Int64
				reads, closes := 0, 0
				dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
					dials.Add(1)
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-time.After(test.network[addr].after):
						return countedConn{reads: &reads, closes: &closes}, test.network[addr].err
					}
				}
				var addrs []netip.Addr
				for _, text := range []string{a, b, c} {
					addrs = append(addrs, netip.MustParseAddrPort(text).Addr())
				}
				begun := time.Now()
				conn, addr, err := smtp.Race(t.Context(), dial, addrs, 25)
				require.Equal(t, test.took, time.Since(begun))
				require.EqualValues(t, test.dials, dials.Load())
				require.Zero(t, reads, "no banner is read but the winner's")
				if test.winner == "" {
					require.ErrorIs(t, err, refused)
					return
				}
				require.NoError(t, err)
				require.NotNil(t, conn)
				require.Equal(t, test.winner, netip.AddrPortFrom(addr, 25).String())
				require.Zero(t, closes)
			})
		})
	}
}

// Two that answer in the same instant: one is used, the other closed unread.
func TestRaceClosesTheLoser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads, closes := 0, 0
		dial := func(_ context.Context, _, addr string) (net.Conn, error) {
			if addr == "192.0.2.1:25" {
				time.Sleep(250 * time.Millisecond)
			}
			return countedConn{reads: &reads, closes: &closes}, nil
		}
		addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
		_, _, err := smtp.Race(t.Context(), dial, addrs, 25)
		require.NoError(t, err)
		require.Zero(t, reads)
		require.LessOrEqual(t, closes, 1)
	})
}

func TestRaceEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		begun := time.Now()
		_, _, err := smtp.Race(ctx, dial, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, 25)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun))
	})
}
