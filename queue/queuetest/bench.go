package queuetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// BenchmarkStore measures what decides how fast a queue is, on the empty stores
// that open makes. Put is measured beside an append-only log that syncs groups of
// messages, which is the limit of the disk: of-log is the store's share of it.
func BenchmarkStore(b *testing.B, open func(b *testing.B) queue.Store) {
	for _, producers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("Put%d", producers), func(b *testing.B) { benchmarkPut(b, open(b), producers) })
	}
	b.Run("Campaign", func(b *testing.B) { benchmarkCampaign(b, open(b)) })
	b.Run("ClaimSettle", func(b *testing.B) { benchmarkClaimSettle(b, open(b)) })
	b.Run("ClaimBesideBlocked", func(b *testing.B) { benchmarkBlocked(b, open(b)) })
}

// messageSize is that of the distinct messages that are put one by one.
const messageSize = 10 << 10

func message() []byte {
	m := make([]byte, messageSize)
	for i := 0; i < len(m); i += 8 {
		binary.LittleEndian.PutUint64(m[i:], rand.Uint64())
	}
	return m
}

// together calls f n times from so many goroutines, and returns how long it took.
func together(b *testing.B, goroutines, n int, f func(i int) error) time.Duration {
	var next atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range goroutines {
		group.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := f(i - 1); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(start)
}

func benchmarkPut(b *testing.B, s queue.Store, producers int) {
	defer s.Close()
	const round = 1024
	log := newAppendLog(b)
	defer log.close()
	var stored, logged []time.Duration
	messages := make([][]byte, round)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range messages {
			messages[i] = message()
		}
		logged = append(logged, together(b, producers, round, func(i int) error { return log.append(messages[i]) }))
		b.StartTimer()
		stored = append(stored, together(b, producers, round, func(i int) error {
			_, err := s.Put(context.Background(), &queue.Batch{
				Hash: sha256.Sum256(messages[i]), Template: messages[i],
				Jobs: []queue.Job{{ID: tracking.NewID(), Flow: example, Address: "ana@example.com", Due: noon}},
			})
			return err
		}))
	}
	b.ReportMetric(round/median(stored).Seconds(), "msg/s")
	b.ReportMetric(round/median(logged).Seconds(), "log-msg/s")
	b.ReportMetric(median(logged).Seconds()/median(stored).Seconds(), "of-log")
}

// median keeps a moment at which others used the disk out of the figures.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// appendLog is the least that durable storage can be: one file, to which one
// goroutine appends what has gathered, with a length and a checksum, and syncs.
type appendLog struct {
	file    *os.File
	records chan *logRecord
	closed  chan struct{}
}

type logRecord struct {
	body []byte
	done chan error
}

func newAppendLog(b *testing.B) *appendLog {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	require.NoError(b, err)
	l := &appendLog{file: f, records: make(chan *logRecord, 512), closed: make(chan struct{})}
	go l.run()
	return l
}

func (l *appendLog) append(body []byte) error {
	r := &logRecord{body: body, done: make(chan error, 1)}
	l.records <- r
	return <-r.done
}

func (l *appendLog) run() {
	defer close(l.closed)
	var group []*logRecord
	var buf []byte
	for first := range l.records {
		group, buf = append(group[:0], first), buf[:0]
		for len(l.records) > 0 {
			group = append(group, <-l.records)
		}
		for _, r := range group {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(len(r.body)))
			buf = binary.LittleEndian.AppendUint32(buf, crc32.ChecksumIEEE(r.body))
			buf = append(buf, r.body...)
		}
		_, err := l.file.Write(buf)
		if err == nil {
			err = l.file.Sync()
		}
		for _, r := range group {
			r.done <- err
		}
	}
}

func (l *appendLog) close() {
	close(l.records)
	<-l.closed
	l.file.Close()
}

// recipients are jobs of a campaign with two merge fields each.
func recipients(n int, lane func(i int) string) []queue.Job {
	out := make([]queue.Job, n)
	for i := range out {
		fields := fmt.Appendf(nil, "\x01\x04name\x10Ana María Pérez\x04code\x08%08d", i)
		out[i] = queue.Job{
			ID: tracking.NewID(), Flow: queue.Flow{Lane: lane(i), Campaign: "marzo"},
			Address: fmt.Sprintf("recipient%d@%s", i, lane(i)), Recipient: fields, Due: noon, Expires: noon.AddDate(0, 0, 5),
		}
	}
	return out
}

// domain is one of 500.
func domain(i int) string { return fmt.Sprintf("d%d.example", i%500) }

func benchmarkCampaign(b *testing.B, s queue.Store) {
	defer s.Close()
	const size = 10_000
	var rows int
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		in := recipients(size, domain)
		b.StartTimer()
		_, err := s.Put(b.Context(), batch(in...))
		require.NoError(b, err)
		rows += size
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func benchmarkClaimSettle(b *testing.B, s queue.Store) {
	defer s.Close()
	const size = 100
	var n int
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		_, err := s.Put(b.Context(), batch(recipients(10_000, func(int) string { return example.Lane })...))
		require.NoError(b, err)
		b.StartTimer()
		n += drain(b, s, queue.Flow{Lane: example.Lane, Campaign: "marzo"}, size)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "jobs/s")
}

// drain delivers all jobs of a flow, with an event each, from 16 workers.
func drain(b *testing.B, s queue.Store, flow queue.Flow, size int) int {
	var n atomic.Int64
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for {
				leases, err := s.Claim(b.Context(), noon, noon.Add(time.Hour), []queue.FlowClaim{{Flow: flow, N: size}})
				if err != nil || len(leases) == 0 {
					require.NoError(b, err)
					return
				}
				changes := make([]queue.Change, len(leases))
				for i, l := range leases {
					changes[i] = done(l, queue.Delivered)
					changes[i].Last = "250 2.0.0 Ok: queued as 4bX1"
					changes[i].Events = []tracking.Event{{ID: tracking.NewID(), Type: tracking.Delivered, Time: noon, Message: l.ID}}
				}
				_, err = s.Settle(b.Context(), changes)
				require.NoError(b, err)
				n.Add(int64(len(leases)))
			}
		})
	}
	group.Wait()
	return int(n.Load())
}

func benchmarkBlocked(b *testing.B, s queue.Store) {
	defer s.Close()
	const total, blocked = 1_000_000, 900_000
	for start := 0; start < total; start += 10_000 {
		lane := func(i int) string { return "blocked.example" }
		if start >= blocked {
			lane = func(i int) string { return fmt.Sprintf("d%d.example", i%10) }
		}
		_, err := s.Put(b.Context(), batch(recipients(10_000, lane)...))
		require.NoError(b, err)
	}
	claims := make([]queue.FlowClaim, 10)
	for i := range claims {
		claims[i] = queue.FlowClaim{Flow: queue.Flow{Lane: fmt.Sprintf("d%d.example", i), Campaign: "marzo"}, N: 10}
	}
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		leases, err := s.Claim(b.Context(), noon, noon.Add(time.Hour), claims)
		took = append(took, time.Since(start))
		require.NoError(b, err)
		require.Len(b, leases, 100)
		b.StopTimer()
		changes := make([]queue.Change, len(leases))
		for i, l := range leases {
			changes[i] = deferred(l, noon)
			changes[i].Counts = false
		}
		_, err = s.Settle(b.Context(), changes)
		require.NoError(b, err)
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}
