package natsqueue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/natsqueue"
	"github.com/franqueo/franqueo/queue/natsqueue/internal/natstest"
	"github.com/franqueo/franqueo/queue/queuetest"
	"github.com/franqueo/franqueo/tracking"
)

// BenchmarkStore compares servers: three that acknowledge before the disk has it,
// three after, and one.
func BenchmarkStore(b *testing.B) {
	for _, c := range []struct {
		name    string
		servers int
		tune    func(*server.Options)
	}{
		{"R3", 3, func(*server.Options) {}},
		{"R3SyncAlways", 3, func(o *server.Options) { o.SyncAlways = true }},
		{"R1", 1, func(*server.Options) {}},
	} {
		b.Run(c.name, func(b *testing.B) {
			js := natstest.New(b, c.servers, c.tune).Connect()
			queuetest.BenchmarkStore(b, func(b *testing.B) queue.Store {
				s, err := natsqueue.Open(context.Background(), js, &natsqueue.Options{Stream: newStream(b, js), Replicas: c.servers})
				require.NoError(b, err)
				return s
			})
		})
	}
}

// BenchmarkWorkers is of processes that share a stream. The servers are in this one.
func BenchmarkWorkers(b *testing.B) {
	js := natstest.New(b, 3).Connect()
	workertest.Benchmark(b, openAt, func(b *testing.B) string { return newStream(b, js) + " " + js.Conn().ConnectedUrl() })
}

// heap is how much is allocated when what is garbage is gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory reports how many bytes a process keeps of each unfinished job, and
// of each that is finished and kept, how long it takes to open a store with 200,000
// jobs from a snapshot, and how long it is busy writing one. The servers' own memory
// is in it: it is the difference that a second process makes.
func BenchmarkMemory(b *testing.B) {
	const jobs, size = 200_000, 5000
	js := natstest.New(b, 3).Connect()
	var before uint64
	for b.Loop() {
		stream := newStream(b, js)
		s, err := natsqueue.Open(context.Background(), js, &natsqueue.Options{Stream: stream, CacheBytes: 1})
		require.NoError(b, err)
		for range jobs / size {
			_, err = s.Put(b.Context(), batch(size))
			require.NoError(b, err)
		}
		start := time.Now()
		require.NoError(b, s.Sweep(b.Context()))
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/snapshot")
		before = heap()
		start = time.Now()
		second, err := natsqueue.Open(context.Background(), js, &natsqueue.Options{Stream: stream, CacheBytes: 1})
		require.NoError(b, err)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/open")
		b.ReportMetric(float64(heap()-before)/jobs, "B/job")
		finish(b, s, jobs)
		require.NoError(b, s.Sweep(b.Context()))
		require.NoError(b, s.Close())
		require.NoError(b, second.Close())

		before = heap()
		third, err := natsqueue.Open(context.Background(), js, &natsqueue.Options{Stream: stream, CacheBytes: 1})
		require.NoError(b, err)
		b.ReportMetric(float64(heap()-before)/jobs, "B/finished")
		b.ReportMetric(float64(list1(b, third).Microseconds()), "µs/address")
		require.NoError(b, third.Close())
	}
}

// finish delivers all jobs.
func finish(b *testing.B, s *natsqueue.Store, n int) {
	for n > 0 {
		leases, err := claimAll(b.Context(), s, 1000)
		require.NoError(b, err)
		changes := deliver(leases)
		for i := range changes {
			changes[i].Last = fmt.Sprintf("250 2.0.0 Ok: queued as %010X", rand.Uint64()>>24)
		}
		_, err = s.Settle(b.Context(), changes)
		require.NoError(b, err)
		n -= len(leases)
	}
}

// list1 is how long it takes to find the jobs of an address.
func list1(b *testing.B, s *natsqueue.Store) time.Duration {
	start := time.Now()
	_, err := s.List(b.Context(), queue.Filter{Address: "r77@example.com"}, tracking.ID{}, 10)
	require.NoError(b, err)
	return time.Since(start)
}

// BenchmarkEvents reports how many events a second reach their stream, and how long
// it takes to find those of one mail among them.
func BenchmarkEvents(b *testing.B) {
	const n, size = 20_000, 100
	js := natstest.New(b, 3).Connect()
	for b.Loop() {
		stream := newStream(b, js)
		s, err := natsqueue.Open(context.Background(), js, &natsqueue.Options{Stream: stream})
		require.NoError(b, err)
		start := time.Now()
		var last tracking.ID
		for range n / size {
			events := make([]tracking.Event, size)
			for i := range events {
				last = tracking.NewID()
				events[i] = tracking.Event{ID: tracking.NewID(), Type: tracking.Delivered, Time: noon, Message: last, Recipient: "ana@example.com"}
			}
			require.NoError(b, s.Record(b.Context(), events))
		}
		require.Eventually(b, func() bool { return kept(b, js, stream+"-event") == n }, time.Minute, 20*time.Millisecond)
		b.ReportMetric(n/time.Since(start).Seconds(), "events/s")
		start = time.Now()
		found, err := s.Events(b.Context(), queue.EventFilter{Message: last}, tracking.ID{}, 10)
		require.NoError(b, err)
		require.Len(b, found, 1)
		b.ReportMetric(float64(time.Since(start).Microseconds()), "µs/timeline")
		start = time.Now()
		_, err = s.Events(b.Context(), queue.EventFilter{}, tracking.ID{}, 10)
		require.NoError(b, err)
		b.ReportMetric(n/time.Since(start).Seconds(), "scanned/s")
		require.NoError(b, s.Close())
	}
}

// kept is how many messages a stream has.
func kept(b *testing.B, js jetstream.JetStream, stream string) uint64 {
	found, err := js.Stream(b.Context(), stream)
	if err != nil {
		return 0
	}
	return found.CachedInfo().State.Msgs
}
