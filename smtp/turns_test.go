package smtp_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// slowLink is a dialer over which everything takes half a round trip. It never
// makes anyone wait for room, as a socket with large buffers does not.
type slowLink struct {
	smtp.Dialer
	rtt time.Duration
}

func (l slowLink) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	far, err := l.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	near, end := net.Pipe()
	go carry(end, far, l.rtt/2)
	go carry(far, end, l.rtt/2)
	return near, nil
}

// carry copies from src to dst, each octet after a time.
func carry(dst, src net.Conn, after time.Duration) {
	type packet struct {
		data []byte
		due  time.Time
	}
	way := make(chan packet, 1<<16)
	go func() {
		defer close(way)
		b := make([]byte, 64<<10)
		for {
			n, err := src.Read(b)
			if err != nil {
				return
			}
			way <- packet{bytes.Clone(b[:n]), time.Now().Add(after)}
		}
	}()
	defer dst.Close()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := dst.Write(p.data); err != nil {
			_, _ = io.Copy(io.Discard, src)
		}
	}
}

// TestRoundTrips counts them on one connection, on a clock that nothing else moves.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	const rtt, messages = 20 * time.Millisecond, 960
	for name, c := range map[string]struct {
		extensions []string
		callers    int
		most       float64 // round trips a message
	}{
		"DATA":                               {nil, 1, 4},
		"pipelined DATA, one caller":         {[]string{"PIPELINING"}, 1, 2},
		"pipelined DATA, eight callers":      {[]string{"PIPELINING"}, 8, 1.1},
		"BDAT":                               {[]string{"CHUNKING"}, 1, 3},
		"pipelined BDAT, one caller":         {[]string{"PIPELINING", "CHUNKING"}, 1, 1.1},
		"pipelined BDAT, sixty-four callers": {[]string{"PIPELINING", "CHUNKING"}, 64, 0.06},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newWireServer(t, func(p *wire) { p.greet(c.extensions...); p.serve(accept) })
				relay := newRelay(t, slowLink{server, rtt}, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 1}})
				send := func(n int) {
					var wg sync.WaitGroup
					for range c.callers {
						wg.Go(func() {
							for range n / c.callers {
								_, err := relay.Send(t.Context(), letter(hello))
								require.NoError(t, err)
							}
						})
					}
					wg.Wait()
				}
				send(64) // which opens the window
				start := time.Now()
				send(messages)
				trips := time.Since(start).Seconds() / rtt.Seconds() / float64(messages)
				t.Logf("%.3f round trips a message", trips)
				require.LessOrEqual(t, trips, c.most+0.001)
			})
		})
	}
}
