package pgqueue_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/queuetest"
	"github.com/franqueo/franqueo/tracking"
)

var campaign = queue.Flow{Lane: "example.com", Campaign: "otoño"}

func BenchmarkStore(b *testing.B) {
	address := peer(b)
	queuetest.BenchmarkStore(b, func(b *testing.B) queue.Store {
		pool := newPool(b, address)
		return open(b, pool, newSchema(b, pool))
	})
}

// drains has a process, which it tells where, wait for its start, work until nothing
// is left, and end.
const drains = "FRANQUEO_DRAINS"

// drain claims and settles as the queue's Run does: what it has room for, and each job
// by itself, with its event.
func drain(where string) {
	ctx := context.Background()
	s, err := openAt(ctx, where)
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	_, _ = io.ReadAll(os.Stdin)
	const atOnce = 64
	room := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	for {
		for range atOnce / 4 {
			room <- struct{}{}
		}
		leases, err := s.Claim(ctx, time.Now(), time.Now().Add(time.Hour), []queue.FlowClaim{{Flow: campaign, N: atOnce / 4}})
		if err != nil {
			panic(err)
		}
		if len(leases) == 0 {
			break
		}
		for range atOnce/4 - len(leases) {
			<-room
		}
		for _, l := range leases {
			group.Go(func() {
				defer func() { <-room }()
				_, err := s.Settle(ctx, []queue.Change{{
					ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true, Last: "250 2.0.0 Ok",
					Events: []tracking.Event{{ID: tracking.NewID(), Type: tracking.Delivered, Time: time.Now(), Message: l.ID}},
				}})
				if err != nil {
					panic(err)
				}
			})
		}
	}
	group.Wait()
	os.Exit(0)
}

// BenchmarkWorkers claims and settles a campaign with 1, 2 and 4 processes.
func BenchmarkWorkers(b *testing.B) {
	address := peer(b)
	for _, n := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			pool := newPool(b, address)
			schema := newSchema(b, pool)
			s := open(b, pool, schema)
			defer s.Close()
			const size = 10_000
			for b.Loop() {
				b.StopTimer()
				batch := &queue.Batch{Hash: queue.Hash{1}, Template: []byte("Hola")}
				for i := range size {
					batch.Jobs = append(batch.Jobs, queue.Job{
						ID: tracking.NewID(), Flow: campaign, Address: fmt.Sprintf("r%d@example.com", i), Due: time.Now(),
					})
				}
				_, err := s.Put(b.Context(), batch)
				require.NoError(b, err)
				start, wait := startWorkers(b, schema+" "+address, n)
				b.StartTimer()
				start()
				wait()
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

func startWorkers(b *testing.B, where string, n int) (start, wait func()) {
	workers := make([]*workertest.Process, n)
	ready := make(chan string)
	for i := range workers {
		workers[i] = workertest.Start(b, drains, where, func(line string) { ready <- line })
		require.Equal(b, "ready", <-ready)
	}
	start = func() {
		for _, w := range workers {
			w.CloseInput()
		}
	}
	wait = func() {
		for _, w := range workers {
			require.NoError(b, w.Wait())
		}
	}
	return start, wait
}
