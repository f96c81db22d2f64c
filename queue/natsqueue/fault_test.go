package natsqueue_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/natsqueue"
	"github.com/franqueo/franqueo/queue/natsqueue/internal/natstest"
	"github.com/franqueo/franqueo/tracking"
)

var (
	noon   = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	march  = queue.Flow{Lane: "example.com", Campaign: "marzo"}
	letter = []byte("Subject: Hola\r\n\r\nHola, {{name}}\r\n")
)

func batch(n int) *queue.Batch {
	b := &queue.Batch{Hash: sha256.Sum256(letter), Template: letter}
	for i := range n {
		b.Jobs = append(b.Jobs, queue.Job{ID: tracking.NewID(), Flow: march, Address: fmt.Sprintf("r%d@example.com", i), Recipient: []byte{1, byte(i)}, Due: noon})
	}
	return b
}

// opener opens stores on a stream, which it closes when the test ends.
func opener(t testing.TB, stream string) func(js jetstream.JetStream, opts natsqueue.Options) *natsqueue.Store {
	return func(js jetstream.JetStream, opts natsqueue.Options) *natsqueue.Store {
		t.Helper()
		opts.Stream = stream
		s, err := natsqueue.Open(t.Context(), js, &opts)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
}

func claimAll(ctx context.Context, s queue.Store, n int) ([]queue.Lease, error) {
	return s.Claim(ctx, noon, noon.Add(time.Hour), []queue.FlowClaim{{Flow: march, N: n}})
}

func deliver(leases []queue.Lease) (changes []queue.Change) {
	for _, l := range leases {
		changes = append(changes, queue.Change{ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true, Last: "250 2.0.0 Ok"})
	}
	return changes
}

func list(t *testing.T, s queue.Store) []queue.Job {
	t.Helper()
	jobs, err := s.List(t.Context(), queue.Filter{}, tracking.ID{}, 1<<20)
	require.NoError(t, err)
	return jobs
}

// requireSame waits until two stores show the same.
func requireSame(t *testing.T, a, b *natsqueue.Store) {
	t.Helper()
	require.Eventually(t, func() bool {
		x, err := a.Stats(t.Context())
		require.NoError(t, err)
		y, err := b.Stats(t.Context())
		require.NoError(t, err)
		return fmt.Sprint(x) == fmt.Sprint(y)
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, list(t, a), list(t, b))
}

// count is how many messages a stream has under a subject.
func count(t *testing.T, js jetstream.JetStream, stream, subject string) uint64 {
	t.Helper()
	found, err := js.Stream(t.Context(), stream)
	require.NoError(t, err)
	info, err := found.Info(t.Context(), jetstream.WithSubjectFilter(stream+"."+subject))
	require.NoError(t, err)
	return info.State.Subjects[stream+"."+subject]
}

// TestSnapshot opens a store from a snapshot and what came after it.
func TestSnapshot(t *testing.T) {
	js := natstest.New(t, 3).Connect()
	stream := newStream(t, js)
	open := opener(t, stream)
	s := open(js, natsqueue.Options{})
	for range 3 {
		_, err := s.Put(t.Context(), batch(700))
		require.NoError(t, err)
		leases, err := claimAll(t.Context(), s, 300)
		require.NoError(t, err)
		_, err = s.Settle(t.Context(), deliver(leases[:200]))
		require.NoError(t, err)
		require.NoError(t, s.Sweep(t.Context()))
		require.Zero(t, count(t, js, stream, "change"))
		require.Equal(t, uint64(1), count(t, js, stream, "snapshot"))
	}
	n, err := s.Apply(t.Context(), queue.Filter{Campaign: march.Campaign}, queue.Hold, noon)
	require.NoError(t, err)
	require.Equal(t, 3*500, n)
	requireSame(t, s, open(js, natsqueue.Options{}))
}

// TestSnapshotBySize has snapshots written by how much was published, by one of
// several processes at a time.
func TestSnapshotBySize(t *testing.T) {
	js := natstest.New(t, 3).Connect()
	stream := newStream(t, js)
	open := opener(t, stream)
	stores := []*natsqueue.Store{}
	for range 3 {
		stores = append(stores, open(js, natsqueue.Options{SnapshotBytes: 1}))
	}
	for range 10 {
		_, err := stores[0].Put(t.Context(), batch(50))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		chunks, err := js.Stream(t.Context(), stream+"-snapshot")
		return err == nil && chunks.CachedInfo().State.Msgs > 0
	}, time.Minute, 50*time.Millisecond)
	for _, s := range stores[1:] {
		requireSame(t, stores[0], s)
	}
}

// TestSweep forgets what is finished, and deletes it from the stream.
func TestSweep(t *testing.T) {
	js := natstest.New(t, 3).Connect()
	stream := newStream(t, js)
	open := opener(t, stream)
	s := open(js, natsqueue.Options{KeepFinished: time.Nanosecond})
	var kept []queue.Job
	for i := range 3 {
		b := batch(2000) // several messages
		b.Jobs[0].Key = fmt.Sprint("pedido ", i)
		_, err := s.Put(t.Context(), b)
		require.NoError(t, err)
		leases, err := claimAll(t.Context(), s, 2000)
		require.NoError(t, err)
		require.Len(t, leases, 2000)
		changes := deliver(leases)
		if i == 0 { // the first keeps messages before those that go
			changes = changes[1:]
			kept = list(t, s)[:1]
		}
		_, err = s.Settle(t.Context(), changes)
		require.NoError(t, err)
	}
	<-time.After(2 * time.Millisecond) // the newest IDs are of the past
	require.NoError(t, s.Sweep(t.Context()))
	require.Equal(t, kept, list(t, s))
	require.Equal(t, uint64(1), count(t, js, stream, "put"))
	requireSame(t, s, open(js, natsqueue.Options{}))
	again := batch(1)
	again.Jobs[0].Key = "pedido 1"
	accepted, err := s.Put(t.Context(), again)
	require.NoError(t, err)
	require.False(t, accepted[0].Known)
}

// TestLag has a process cut off while others change much and delete what led to it.
func TestLag(t *testing.T) {
	cluster := natstest.New(t, 3)
	gate := &natstest.Gate{}
	js, far := cluster.Connect(), cluster.Connect(nats.SetCustomDialer(gate))
	stream := newStream(t, js)
	open := opener(t, stream)
	s, behind := open(js, natsqueue.Options{}), open(far, natsqueue.Options{})
	_, err := behind.Put(t.Context(), batch(100))
	require.NoError(t, err)
	requireSame(t, s, behind) // s hears of it a moment later
	gate.Close()
	for range 2 {
		leases, err := claimAll(t.Context(), s, 40)
		require.NoError(t, err)
		_, err = s.Settle(t.Context(), deliver(leases))
		require.NoError(t, err)
		_, err = s.Put(t.Context(), batch(10))
		require.NoError(t, err)
		require.NoError(t, s.Sweep(t.Context()))
	}
	gate.Open()
	requireSame(t, s, behind)
	leases, err := claimAll(t.Context(), behind, 1000)
	require.NoError(t, err)
	require.Len(t, leases, 40)
	requireSame(t, s, behind)
}

// TestCutOff calls a store that no server answers.
func TestCutOff(t *testing.T) {
	cluster := natstest.New(t, 3)
	gate := &natstest.Gate{}
	js, far := cluster.Connect(), cluster.Connect(nats.SetCustomDialer(gate))
	stream := newStream(t, js)
	open := opener(t, stream)
	s, alone := open(js, natsqueue.Options{}), open(far, natsqueue.Options{})
	b := batch(10)
	_, err := alone.Put(t.Context(), b)
	require.NoError(t, err)
	gate.Close()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = alone.Put(short, batch(1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = claimAll(short, alone, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Len(t, list(t, alone), 10)
	waits := make(chan error)
	go func() {
		_, err := alone.Put(t.Context(), b)
		waits <- err
	}()
	gate.Open()
	require.NoError(t, <-waits)
	// What the claim may have leased after all comes back: nobody waited for it.
	require.Eventually(t, func() bool {
		leases, err := claimAll(t.Context(), s, 10)
		require.NoError(t, err)
		b.Jobs = b.Jobs[len(leases):]
		return len(b.Jobs) == 0
	}, time.Minute, 10*time.Millisecond)
}

// TestAbandonedClaim ends claims at any moment, and looks for jobs that are leased
// to nobody.
func TestAbandonedClaim(t *testing.T) {
	js := natstest.New(t, 1).Connect()
	s, err := natsqueue.Open(t.Context(), js, &natsqueue.Options{Stream: newStream(t, js), Replicas: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Put(t.Context(), batch(100))
	require.NoError(t, err)
	got := 0
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*5)*time.Microsecond)
		leases, err := claimAll(ctx, s, 3)
		cancel()
		if err == nil {
			got += len(leases)
			changes := deliver(leases)
			for i := range changes {
				changes[i].State, changes[i].Due = queue.Ready, noon
			}
			_, err = s.Settle(t.Context(), changes)
			require.NoError(t, err)
		}
	}
	require.Eventually(t, func() bool {
		stats, err := s.Stats(t.Context())
		require.NoError(t, err)
		return stats.Leased == 0
	}, time.Minute, 10*time.Millisecond)
	t.Logf("%d leases of claims that were waited for", got)
}

// TestWake tells a process of what another puts.
func TestWake(t *testing.T) {
	js := natstest.New(t, 3).Connect()
	open := opener(t, newStream(t, js))
	a, b := open(js, natsqueue.Options{}), open(js, natsqueue.Options{})
	woken, ended := make(chan queue.Flow, 100), make(chan error)
	ctx, stop := context.WithCancelCause(t.Context())
	go func() { ended <- b.Wake(ctx, func(f queue.Flow) { woken <- f }) }()
	require.Eventually(t, func() bool {
		_, err := a.Put(t.Context(), batch(1))
		require.NoError(t, err)
		return len(woken) > 0
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, march, <-woken)
	why := errors.New("enough")
	stop(why)
	require.ErrorIs(t, <-ended, why)
}

// TestCrew has three workers on one stream, while each server, the leaders first, is
// stopped and started again: nothing that was put is lost, and nothing is settled
// twice.
func TestCrew(t *testing.T) {
	cluster := natstest.New(t, 3)
	stream := newStream(t, cluster.Connect())
	open := opener(t, stream)
	ctx, stop := context.WithCancel(t.Context())
	var putters, claimers sync.WaitGroup
	var mu sync.Mutex // guards the maps and done
	put, settled := map[tracking.ID]bool{}, map[tracking.ID]int{}
	var done bool
	var stores []*natsqueue.Store
	for range 3 {
		stores = append(stores, open(cluster.Connect(), natsqueue.Options{}))
	}
	for _, s := range stores {
		putters.Go(func() {
			for ctx.Err() == nil {
				b := batch(5)
				if _, err := s.Put(t.Context(), b); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i := range b.Jobs {
					put[b.Jobs[i].ID] = true
				}
				mu.Unlock()
			}
		})
		claimers.Go(func() {
			for {
				leases, err := claimAll(t.Context(), s, 7)
				if err != nil {
					t.Error(err)
					return
				}
				stale, err := s.Settle(t.Context(), deliver(leases))
				if err != nil || len(stale) > 0 {
					t.Errorf("settle: stale %v, err %v", stale, err)
					return
				}
				mu.Lock()
				for _, l := range leases {
					settled[l.ID]++
				}
				end := done && len(settled) == len(put)
				mu.Unlock()
				if end {
					return
				}
				if len(leases) == 0 {
					<-time.After(time.Millisecond)
				}
			}
		})
	}
	for range 3 {
		leader := cluster.Leader(stream)
		cluster.Stop(leader)
		before := total(t, stores[0])
		require.Eventually(t, func() bool { return total(t, stores[0]) > before }, time.Minute, 10*time.Millisecond, "nothing goes on without server %d", leader)
		cluster.Start(leader)
	}
	stop()
	putters.Wait()
	mu.Lock()
	done = true
	mu.Unlock()
	claimers.Wait()
	for id := range put {
		require.Equal(t, 1, settled[id], id)
	}
	t.Logf("%d jobs", len(put))
	for _, s := range stores[1:] {
		requireSame(t, stores[0], s)
	}
}

func total(t *testing.T, s queue.Store) (n int) {
	t.Helper()
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	for _, of := range stats.ByState {
		n += of
	}
	return n
}
