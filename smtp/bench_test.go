package smtp_test

import (
	"bufio"
	"bytes"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// sink accepts everything as fast as it comes. It answers when it has read all
// that there was.
type sink struct {
	net.Listener
	extensions string
	turns      atomic.Int64 // how often it waited for more
	messages   atomic.Int64
}

func newSink(b testing.TB, extensions ...string) *sink {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s := &sink{Listener: listener, extensions: "250-sink\r\n250-" + strings.Join(extensions, "\r\n250-") + "\r\n250 8BITMIME\r\n"}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriter(conn)
	_, _ = w.WriteString("220 sink\r\n")
	for {
		if r.Buffered() == 0 {
			s.turns.Add(1)
			if w.Flush() != nil {
				return
			}
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if !s.answer(line, r, w) {
			return
		}
	}
}

func (s *sink) answer(line []byte, r *bufio.Reader, w *bufio.Writer) bool {
	reply := "250 2.0.0 Ok\r\n"
	switch line[0] {
	case 'E':
		reply = s.extensions
	case 'Q':
		return false
	case 'B':
		digits, _, _ := bytes.Cut(line[5:], []byte{' '})
		n, err := strconv.Atoi(strings.TrimSpace(string(digits)))
		if err != nil {
			return false
		}
		if _, err := r.Discard(n); err != nil {
			return false
		}
		s.messages.Add(1)
		reply = "250 2.0.0 Ok: queued as 4XyZ\r\n"
	case 'D':
		_, _ = w.WriteString("354 go\r\n")
		if w.Flush() != nil {
			return false
		}
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return false
			}
			if len(line) == 3 && line[0] == '.' {
				break
			}
		}
		s.messages.Add(1)
		reply = "250 2.0.0 Ok: queued as 4XyZ\r\n"
	}
	_, err := w.WriteString(reply)
	return err == nil
}

func BenchmarkRelay(b *testing.B) {
	m := letter(long(10 << 10))
	for _, kind := range []string{"PIPELINING CHUNKING", "PIPELINING"} {
		for _, callers := range []int{1, 8, 64} {
			for _, conns := range []int{1, 10} {
				if callers == 1 && conns > 1 {
					continue
				}
				b.Run(strings.ReplaceAll(kind, " ", "+")+"/callers="+strconv.Itoa(callers)+"/conns="+strconv.Itoa(conns), func(b *testing.B) {
					s := newSink(b, strings.Fields(kind)...)
					relay, err := smtp.NewRelay("smtp://"+s.Addr().String(), &smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: conns}})
					require.NoError(b, err)
					defer relay.Close()
					benchmarkSend(b, s, relay, m, callers)
				})
			}
		}
	}
}

func benchmarkSend(b *testing.B, s *sink, relay *smtp.Relay, m *smtp.Message, callers int) {
	for range 100 {
		_, err := relay.Send(b.Context(), m)
		require.NoError(b, err)
	}
	before := s.turns.Load()
	b.SetBytes(int64(10 << 10))
	b.ReportAllocs()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := relay.Send(b.Context(), m); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(s.turns.Load()-before)/float64(b.N), "turns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}
