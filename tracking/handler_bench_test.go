package tracking

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const benchURL = "https://www.example.com/tienda/oferta-de-otono?utm_source=boletin&utm_medium=email"

// BenchmarkClick compares clicks, with their events, to a handler that redirects
// and does nothing else, over loopback and in turns. The metric "of-trivial" is the
// ratio of requests a second to when that handler gets the same requests, and is to
// be 0.8 or more; "of-shortest", to when it gets the shortest.
func BenchmarkClick(b *testing.B) {
	sink := SinkFunc(func(context.Context, []Event) error { return nil })
	tracker := newTestTracker(b, "https://t.example.com", &Options{Sink: sink, Settle: -1})
	location := []string{benchURL}
	redirect := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = location
		w.WriteHeader(http.StatusFound)
	})
	path := func(i int) string {
		return mailed{tracker, idAt(time.Now().Add(-time.Hour)), kindEngage}.click(uint16(i%8), benchURL)
	}
	click, trivial := pipeline(b, tracker, path), pipeline(b, redirect, path)
	shortest := pipeline(b, redirect, func(int) string { return "/c" })
	var ours, plain, short []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		ours = append(ours, click())
		plain = append(plain, trivial())
		short = append(short, shortest())
	}
	b.ReportMetric(median(plain)/median(ours), "of-trivial")
	b.ReportMetric(median(short)/median(ours), "of-shortest")
	b.ReportMetric(median(ours)/pipelined, "ns/click")
	require.NoError(b, tracker.Close(b.Context()))
	require.Zero(b, tracker.Dropped())
}

// median is that of times in nanoseconds: what else the machine does makes some long.
func median(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2])
}

// pipelined is how many requests are sent at once.
const pipelined = 64

// pipeline serves h, and returns what sends it that many requests on one
// connection and takes the time until the last answer.
func pipeline(b *testing.B, h http.Handler, path func(i int) string) func() time.Duration {
	server := httptest.NewServer(h)
	b.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(b, err)
	b.Cleanup(func() { conn.Close() })
	var batches [][]byte
	for i := range 32 {
		var out bytes.Buffer
		for j := range pipelined {
			out.WriteString("GET " + path(i*pipelined+j) + " HTTP/1.1\r\nHost: t.example.com\r\nUser-Agent: " + chrome + "\r\nAccept: text/html\r\n\r\n")
		}
		batches = append(batches, out.Bytes())
	}
	answers := bufio.NewReaderSize(conn, 64<<10)
	next := 0
	return func() time.Duration {
		start := time.Now()
		_, err := conn.Write(batches[next%len(batches)])
		require.NoError(b, err)
		next++
		for range pipelined {
			readAnswer(b, answers)
		}
		return time.Since(start)
	}
}

// readAnswer reads a redirect, which has no body.
func readAnswer(b *testing.B, r *bufio.Reader) {
	status, err := r.ReadSlice('\n')
	require.NoError(b, err)
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 302 ")) {
		b.Fatalf("answer %q", status)
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) <= 2 {
			require.NoError(b, err)
			return
		}
	}
}

// BenchmarkServeHTTP is the handler alone.
func BenchmarkServeHTTP(b *testing.B) {
	sink := SinkFunc(func(context.Context, []Event) error { return nil })
	for _, bench := range []struct {
		name string
		path func(mailed) string
	}{
		{"click", func(m mailed) string { return m.click(1, benchURL) }},
		{"open", mailed.open},
	} {
		b.Run(bench.name, func(b *testing.B) {
			tracker := newTestTracker(b, "https://t.example.com", &Options{Sink: sink, Settle: -1})
			var requests []*http.Request
			for range 4096 {
				requests = append(requests, request("GET", bench.path(mailNow(tracker))))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tracker.ServeHTTP(discard{make(http.Header)}, requests[i%len(requests)])
			}
		})
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
