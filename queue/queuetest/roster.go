package queuetest

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// rosterRules hold for stores that keep who works. Their clock is the store's own, so
// they play now, with lives that end at once or far later than the rule does.
var rosterRules = onlyFor(func(s queue.Store) bool { _, ok := s.(queue.Roster); return ok }, []rule{
	{"Heartbeat", "Heartbeat returns all who live, itself included, in the order of their IDs", func(k *kit) {
		a, b, c := newWorker(1), newWorker(1<<63+1), newWorker(0)
		require.Equal(k, []queue.Worker{b}, k.heartbeat(b, time.Hour))
		require.Equal(k, []queue.Worker{b, c}, k.heartbeat(c, time.Hour))
		require.Equal(k, []queue.Worker{a, b, c}, k.heartbeat(a, time.Hour))
		require.Equal(k, []queue.Worker{a, b, c}, k.heartbeat(b, time.Hour))
	}},
	{"HeartbeatReplaces", "a worker's next heartbeat replaces its entry", func(k *kit) {
		a, b := newWorker(1), newWorker(2)
		k.heartbeat(a, time.Hour)
		k.heartbeat(b, time.Hour)
		a.View = 3
		require.Equal(k, []queue.Worker{a, b}, k.heartbeat(a, time.Hour))
		require.Equal(k, []queue.Worker{a, b}, k.heartbeat(b, time.Hour))
	}},
	{"HeartbeatEnds", "who is not heard of again is forgotten after its ttl, and nobody else", func(k *kit) {
		a, b, c := newWorker(1), newWorker(1), newWorker(1)
		k.heartbeat(a, time.Hour)
		k.heartbeat(b, time.Millisecond)
		k.until(c, []queue.Worker{a, c})
	}},
	{"HeartbeatMovesEnd", "a heartbeat moves the end of the worker's life, to later or earlier", func(k *kit) {
		a, b, c, d := newWorker(1), newWorker(1), newWorker(1), newWorker(1)
		k.heartbeat(a, time.Hour)
		k.heartbeat(a, time.Millisecond)
		k.heartbeat(b, 5*time.Millisecond)
		k.heartbeat(b, time.Hour)
		k.heartbeat(c, 6*time.Millisecond) // ends after b did at first
		k.until(d, []queue.Worker{b, d})
	}},
	{"Leave", "who leaves is gone at once, and nobody else", func(k *kit) {
		a, b := newWorker(1), newWorker(1)
		k.heartbeat(a, time.Hour)
		k.heartbeat(b, time.Hour)
		require.NoError(k, k.roster().Leave(k.Context(), a.ID))
		require.Equal(k, []queue.Worker{b}, k.heartbeat(b, time.Hour))
		require.NoError(k, k.roster().Leave(k.Context(), a.ID))
		require.NoError(k, k.roster().Leave(k.Context(), tracking.NewID()))
		require.Equal(k, []queue.Worker{b}, k.heartbeat(b, time.Hour))
	}},
	{"HeartbeatTime", "the store's clock goes on, and is not far from ours", func(k *kit) {
		a, last := newWorker(1), time.Now().Add(-time.Hour)
		for range 3 {
			_, now, err := k.roster().Heartbeat(k.Context(), a, time.Hour)
			require.NoError(k, err)
			require.False(k, now.Before(last), "%v after %v", now, last)
			last = now
		}
		require.WithinDuration(k, time.Now(), last, time.Hour)
	}},
	{"HeartbeatBadInput", "workers without an ID, and lives without length, are refused", func(k *kit) {
		_, _, err := k.roster().Heartbeat(k.Context(), queue.Worker{View: 1}, time.Hour)
		require.Error(k, err)
		for _, ttl := range []time.Duration{0, -time.Hour} {
			_, _, err = k.roster().Heartbeat(k.Context(), newWorker(1), ttl)
			require.Error(k, err)
		}
		a := newWorker(1)
		require.Equal(k, []queue.Worker{a}, k.heartbeat(a, time.Hour))
	}},
	{"HeartbeatsTogether", "of two heartbeats at the same time one finds the other, and none is lost", func(k *kit) {
		const n = 8
		var group sync.WaitGroup
		var mu sync.Mutex
		var faults []error
		var all []queue.Worker
		found := map[tracking.ID][]queue.Worker{}
		for range n {
			w := newWorker(1)
			all = append(all, w)
			group.Go(func() {
				alive, _, err := k.roster().Heartbeat(k.Context(), w, time.Hour)
				mu.Lock()
				defer mu.Unlock()
				faults, found[w.ID] = append(faults, err), alive
			})
		}
		group.Wait()
		require.NoError(k, errors.Join(faults...))
		require.Equal(k, all, k.heartbeat(all[n-1], time.Hour))
		for _, a := range all {
			for _, b := range all {
				require.True(k, slices.Contains(found[a.ID], b) || slices.Contains(found[b.ID], a), "neither found the other")
			}
		}
	}},
})

func newWorker(view uint64) queue.Worker { return queue.Worker{ID: tracking.NewID(), View: view} }

func (k *kit) roster() queue.Roster { return k.Store.(queue.Roster) }

func (k *kit) heartbeat(w queue.Worker, ttl time.Duration) []queue.Worker {
	k.Helper()
	alive, _, err := k.roster().Heartbeat(k.Context(), w, ttl)
	require.NoError(k, err)
	require.True(k, slices.IsSortedFunc(alive, func(a, b queue.Worker) int { return bytes.Compare(a.ID[:], b.ID[:]) }))
	return alive
}

// until has a worker beat until so many live, which is soon or never.
func (k *kit) until(w queue.Worker, want []queue.Worker) {
	k.Helper()
	var alive []queue.Worker
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if alive = k.heartbeat(w, time.Hour); len(alive) <= len(want) {
			break
		}
	}
	require.Equal(k, want, alive)
}
