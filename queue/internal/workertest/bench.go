package workertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// drains has the test binary drain the store whose place it tells.
const drains = "FRANQUEO_DRAINS"

var autumn = queue.Flow{Lane: "example.com", Campaign: "otoño"}

// drained is how many jobs the processes of Benchmark share.
const drained = 10_000

// Benchmark has 1, 2 and 4 processes claim and settle a campaign together. where makes
// an empty store, and tells Open where it is.
func Benchmark(b *testing.B, open Open, where func(b *testing.B) string) {
	for _, n := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			place := where(b)
			store, err := open(b.Context(), place)
			require.NoError(b, err)
			defer store.Close()
			for b.Loop() {
				b.StopTimer()
				batch := &queue.Batch{Hash: queue.Hash{1}, Template: []byte("Hola")}
				for i := range drained {
					batch.Jobs = append(batch.Jobs, queue.Job{
						ID: tracking.NewID(), Flow: autumn, Address: fmt.Sprintf("r%d@example.com", i), Due: time.Now(),
					})
				}
				_, err := store.Put(b.Context(), batch)
				require.NoError(b, err)
				start, wait := startDrains(b, place, n)
				b.StartTimer()
				start()
				wait()
			}
			b.ReportMetric(float64(drained*b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

func startDrains(b *testing.B, where string, n int) (start, wait func()) {
	workers := make([]*Process, n)
	ready := make(chan string)
	for i := range workers {
		workers[i] = Start(b, drains, where, func(line string) { ready <- line })
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

// drain waits until standard input ends, and then claims and settles until nothing is
// left as the queue's Run does: what it has room for, and each job by itself, with its
// event.
func drain(open Open, where string) error {
	ctx := context.Background()
	s, err := open(ctx, where)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.ReadAll(os.Stdin)
	const atOnce = 64
	room := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	var mu sync.Mutex // guards faults
	var faults []error
	for {
		for range atOnce / 4 {
			room <- struct{}{}
		}
		leases, err := s.Claim(ctx, time.Now(), time.Now().Add(time.Hour), []queue.FlowClaim{{Flow: autumn, N: atOnce / 4}})
		if len(leases) == 0 {
			group.Wait()
			return errors.Join(append(faults, err)...)
		}
		for range atOnce/4 - len(leases) {
			<-room
		}
		for i := range leases {
			group.Go(func() {
				defer func() { <-room }()
				if err := settle(ctx, s, &leases[i]); err != nil {
					mu.Lock()
					faults = append(faults, err)
					mu.Unlock()
				}
			})
		}
	}
}

func settle(ctx context.Context, s queue.Store, l *queue.Lease) error {
	_, err := s.Settle(ctx, []queue.Change{{
		ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true, Last: "250 2.0.0 Ok",
		Events: []tracking.Event{{ID: tracking.NewID(), Type: tracking.Delivered, Time: time.Now(), Message: l.ID}},
	}})
	return err
}
